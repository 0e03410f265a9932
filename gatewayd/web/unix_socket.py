"""Dialling a UNIX socket whose path may be longer than the 107 bytes that the kernel takes."""

from __future__ import annotations

import os
from pathlib import Path

import trio


class GatewayAway(Exception):
    """gatewayd does not answer on its socket; the text says how that was noticed."""


async def dial(path: Path) -> trio.SocketStream:
    """A stream to the socket at `path`. Raises GatewayAway."""
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise GatewayAway(f"{path.parent}: {error.strerror}") from None
    try:
        return await trio.open_unix_socket(f"/proc/self/fd/{directory}/{path.name}")
    except OSError as error:
        raise GatewayAway(f"{path.name}: {error.strerror or error}") from None
    finally:
        os.close(directory)
