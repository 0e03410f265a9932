"""The network cable of a charge point: a stream that can be pulled, and then nobody hears anything, not even an end."""

from __future__ import annotations

import trio


class Cable(trio.abc.Stream):
    """Passes everything on until `pull`: then sends vanish, nothing arrives, and closing tells the other side nothing.

    That is the half-open link that a power cut or a dead switch leaves behind.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._pulled = False
        self._hearing: trio.CancelScope | None = None
        self._closed = trio.Event()

    def pull(self) -> None:
        self._pulled = True
        if self._hearing:
            self._hearing.cancel()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check()
        if self._pulled:
            await trio.lowlevel.checkpoint()
        else:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        self._check()
        if not self._pulled:
            await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._check()
        if not self._pulled:
            with trio.CancelScope() as self._hearing:
                return await self._stream.receive_some(max_bytes)
        await self._closed.wait()
        raise trio.ClosedResourceError

    async def aclose(self) -> None:
        self._closed.set()
        if self._pulled:
            await trio.lowlevel.checkpoint()
        else:
            await self._stream.aclose()

    def _check(self) -> None:
        if self._closed.is_set():
            raise trio.ClosedResourceError
