"""A program beside the daemon, as the page is one: its two UNIX sockets, spoken byte by byte."""

from __future__ import annotations

import json
import os
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

PATIENCE_S = 20.0


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[trio.SocketStream]:
    """A connection to a socket, however deep its directory lies."""
    here = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        stream = await trio.open_unix_socket(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)
    async with stream:
        yield stream


class Events:
    """`events.sock`, one line at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._received = b""
        self._held: deque[dict[str, Any]] = deque()
        """Lines that came before an answer that was waited for."""

    async def line(self) -> dict[str, Any]:
        """The next line; EOFError when there will be none."""
        return self._held.popleft() if self._held else await self._arriving()

    async def _arriving(self) -> dict[str, Any]:
        with trio.fail_after(PATIENCE_S):
            while b"\n" not in self._received:
                data = await self._stream.receive_some(65536)
                if not data:
                    raise EOFError
                self._received += bytes(data)
        text, _, self._received = self._received.partition(b"\n")
        told: dict[str, Any] = json.loads(text)
        return told

    async def until(self, **members: Any) -> dict[str, Any]:
        """The next line with these members; others are passed over."""
        while True:
            told = await self.line()
            if all(told.get(name) == value for name, value in members.items()):
                return told

    async def say(self, **members: Any) -> None:
        await self._stream.send_all(json.dumps(members).encode() + b"\n")

    async def ask(self, do: str, **members: Any) -> dict[str, Any]:
        """The answer; what came before it is still to be had."""
        await self.say(do=do, **members)
        return await self._answer("snapshot" if do == "snapshot" else "answer")

    async def _answer(self, kind: str) -> dict[str, Any]:
        while (told := await self._arriving())["type"] != kind:
            self._held.append(told)
        return told

    async def subscribe(self, *streams: str, charge_point: int | None = None) -> None:
        await self.say(streams=streams, charge_point=charge_point)
        await self._answer("subscribed")


async def modbus(stream: trio.abc.Stream, pdu: bytes, unit: int = 1) -> bytes:
    """One request and its answer."""
    await stream.send_all(struct.pack(">HHHB", 7, 0, len(pdu) + 1, unit) + pdu)
    received = b""
    with trio.fail_after(PATIENCE_S):
        while len(received) < 6 or len(received) < 6 + int.from_bytes(received[4:6], "big"):
            data = await stream.receive_some(512)
            if not data:
                raise EOFError
            received += bytes(data)
    return received[7:]
