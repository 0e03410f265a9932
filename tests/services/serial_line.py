"""A serial line between ptys: whoever is plugged in hears what the others send, once the time to send it is over."""

from __future__ import annotations

import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class SerialLine:
    """One pair of wires."""

    def __init__(self, nursery: trio.Nursery, character_s: float) -> None:
        self._nursery, self._character_s = nursery, character_s
        self._ends: dict[str, tuple[int, int]] = {}

    def plug(self, *, returns: bool = False) -> str:
        """A new port on the line: its device. `returns`: its transceiver listens to itself too, as cheap ones do."""
        inner, outer = os.openpty()
        tty.setraw(outer)  # and it stays open, so that the pty outlives the programs that use it
        os.set_blocking(inner, False)
        device = os.ttyname(outer)
        self._ends[device] = (inner, outer)
        self._nursery.start_soon(self._carry, device, returns)
        return device

    def say(self, data: bytes, to: str) -> None:
        """Bytes from somewhere, heard at one port."""
        os.write(self._ends[to][0], data)

    def cut(self) -> None:
        for inner, outer in self._ends.values():
            os.close(inner)
            os.close(outer)
        self._ends.clear()

    async def _carry(self, device: str, returns: bool) -> None:
        inner, _ = self._ends[device]
        while True:
            await trio.lowlevel.wait_readable(inner)
            data = os.read(inner, 512)
            if returns:
                os.write(inner, data)  # one hears oneself while one sends
            await trio.sleep(len(data) * self._character_s)
            for other, (end, _) in self._ends.items():
                if other != device:
                    os.write(end, data)


@asynccontextmanager
async def serial_line(character_s: float) -> AsyncIterator[SerialLine]:
    async with trio.open_nursery() as nursery:
        line = SerialLine(nursery, character_s)
        try:
            yield line
        finally:
            nursery.cancel_scope.cancel()
            line.cut()
