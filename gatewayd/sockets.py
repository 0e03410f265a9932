"""Sending at the edge: at once where the kernel takes it, and never half a frame followed by something else."""

from __future__ import annotations

import os

import trio
from wsproto.frame_protocol import FrameProtocol

text_of_server = FrameProtocol(client=False, extensions=[]).send_data
text_of_client = FrameProtocol(client=True, extensions=[]).send_data
"""A whole message as one frame (RFC 6455, 5.2), for what goes out without the library."""


def send_at_once(stream: trio.abc.SendStream, data: bytes | bytearray | memoryview) -> int:
    """How many of these bytes the kernel took. As a rule all: then there is nothing to wait for, and no round of the
    loop to lose. 0 where there is no room, for a stream that is no plain socket, and for one that is broken or closed:
    trio's own `send_all` waits for what is left, or tells which."""
    if not isinstance(stream, trio.SocketStream):
        return 0
    try:
        return os.write(stream.socket.fileno(), data)
    except OSError:
        return 0


class WholeSends:
    """What goes out on a stream, each piece whole. A send that was cut short, by cancellation or because the peer takes
    nothing for `timeout_s`, is the last one: half a frame went out."""

    def __init__(self, stream: trio.abc.SendStream, timeout_s: float) -> None:
        self._stream, self._timeout_s = stream, timeout_s
        self._cut = False
        """A send is under way, or was cut."""
        self.left: bytes | bytearray = b""
        """The rest of what was posted: it goes out before anything else."""

    def post(self, data: bytearray) -> bool:
        """Send at once, where nothing is being sent; False: nothing of it went out. Somebody must send what is left."""
        if self._cut or self.left:
            return False
        taken = send_at_once(self._stream, data)
        self.left = data[taken:] if taken else b""
        return taken > 0

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, one caller at a time. Raises trio.TooSlowError too, once, and BrokenResourceError ever after."""
        if self._cut:
            raise trio.BrokenResourceError("an earlier send was the last one")
        await trio.lowlevel.checkpoint_if_cancelled()  # so that only what has begun can be cut
        self._cut = True
        if self.left:
            data, self.left = self.left + data, b""
        if (taken := send_at_once(self._stream, data)) < len(data):
            with trio.fail_after(self._timeout_s):
                await self._stream.send_all(memoryview(data)[taken:])
        self._cut = False


class Bell:
    """Wakes the one task that writes to a peer."""

    def __init__(self) -> None:
        self._rung = trio.Event()
        self.waited_for = False
        """The writer waits, and nobody has rung: whoever has a word may post it."""

    def ring(self) -> None:
        self.waited_for = False
        self._rung.set()

    async def wait(self) -> None:
        """Until it rings from now on."""
        self._rung, self.waited_for = trio.Event(), True
        try:
            await self._rung.wait()
        finally:
            self.waited_for = False
