"""What the edge does with a socket when it need not wait for it."""

from __future__ import annotations

import os

import trio
from wsproto.frame_protocol import FrameProtocol

text_of_server = FrameProtocol(client=False, extensions=[]).send_data
text_of_client = FrameProtocol(client=True, extensions=[]).send_data
"""A whole message as one frame (RFC 6455, 5.2), for what goes out without the library."""


def send_at_once(stream: trio.abc.Stream, data: bytes | bytearray | memoryview) -> int:
    """How many of these bytes the kernel took. As a rule all: then there is nothing to wait for, and no round of the
    loop to lose. 0 where there is no room, for a stream that is no plain socket, and for one that is broken or closed:
    trio's own `send_all` waits for what is left, or tells which."""
    if not isinstance(stream, trio.SocketStream):
        return 0
    try:
        return os.write(stream.socket.fileno(), data)
    except OSError:
        return 0
