"""The network cable of a charge point: a stream that can be pulled, and then nobody hears anything, not even an end."""

from __future__ import annotations

import trio


class Cable(trio.abc.Stream):
    """Passes everything on until `pull`: then sends vanish, nothing arrives, and closing tells the other side nothing.

    That is the half-open link that a power cut or a dead switch leaves behind.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._pulled = trio.Event()
        self._closed = trio.Event()

    def pull(self) -> None:
        self._pulled.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check()
        if self._pulled.is_set():
            await trio.lowlevel.checkpoint()
        else:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        self._check()
        if not self._pulled.is_set():
            await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._check()
        received = b""
        async with trio.open_nursery() as nursery:

            async def watch(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch, self._pulled)
            if not self._pulled.is_set():
                received = bytes(await self._stream.receive_some(max_bytes))
                nursery.cancel_scope.cancel()
        if self._pulled.is_set():
            await self._closed.wait()
            raise trio.ClosedResourceError
        return received

    async def aclose(self) -> None:
        self._closed.set()
        if self._pulled.is_set():
            await trio.lowlevel.checkpoint()
        else:
            await self._stream.aclose()

    def _check(self) -> None:
        if self._closed.is_set():
            raise trio.ClosedResourceError
