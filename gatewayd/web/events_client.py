"""gatewayd's `events.sock` (docs/interfaces.md): snapshots, requests, and streams shared by all who watch.

However many pages are open, gatewayd has two listeners: one that asks, one that hears. Frames are asked for only while
somebody looks at them. A watcher that does not keep up loses lines, is told how many, and holds up nobody.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from gatewayd.web.unix_socket import GatewayAway, dial

log = logging.getLogger(__name__)

LINE_MOST_BYTES: Final = 8 * 1024 * 1024
"""A snapshot of the largest site there can be has a tenth of it."""
FRESH_S: Final = 0.5
"""A snapshot this young serves the next who asks as well: twenty pages are not twenty snapshots."""
PATIENCE_S: Final = 5.0
REDIAL_S: Final = 1.0
WAITING_MOST: Final = 500
"""Lines that one watcher may be behind: a second of the most that gatewayd sends."""
WATCHERS_MOST: Final = 64
"""Twenty viewers with three streams each; of more the newcomer is refused."""
STREAMS: Final = ("events", "frames", "modbus", "status")

Line = dict[str, Any]


class TooManyWatchers(Exception):
    """As many streams are open as may be."""


class _Lines:
    """JSON lines of one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def send(self, line: Line) -> None:
        await self._stream.send_all(msgspec.json.encode(line) + b"\n")

    async def next(self) -> Line:
        """Raises GatewayAway at the end."""
        searched = 0
        while (at := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > LINE_MOST_BYTES:
                raise GatewayAway("events.sock: a line without an end")
            more = await self._stream.receive_some(65536)
            if not more:
                raise GatewayAway("events.sock: the gateway hung up")
            self._buffer += more
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 1]
        try:
            found = msgspec.json.decode(line)
        except msgspec.DecodeError:
            raise GatewayAway("events.sock: a line that is no JSON") from None
        if not isinstance(found, dict):
            raise GatewayAway("events.sock: a line that is no object")
        return found


class Watcher:
    """One who hears streams; iterate over it. `type` "dropped" says how many lines were lost, "away" and "back" that
    the gateway went and came."""

    def __init__(self, streams: frozenset[str], charge_point: int | None) -> None:
        self.streams, self.charge_point = streams, charge_point
        self._waiting: deque[Line] = deque()
        self._dropped = 0
        self._woken = trio.Event()

    def wants(self, line: Line) -> bool:
        kind = {"event": "events", "frame": "frames"}.get(str(line.get("type")), str(line.get("type")))
        if kind in STREAMS and kind not in self.streams:
            return False
        about = line.get("charge_point")
        return self.charge_point is None or about is None or about == self.charge_point

    def hear(self, line: Line) -> None:
        if len(self._waiting) >= WAITING_MOST:
            self._dropped += 1
            return
        if self._dropped:
            self._waiting.append({"type": "dropped", "dropped": self._dropped})
            self._dropped = 0
        self._waiting.append(line)
        self._woken.set()

    def __aiter__(self) -> AsyncIterator[Line]:
        return self

    async def __anext__(self) -> Line:
        while not self._waiting:
            self._woken = trio.Event()
            await self._woken.wait()
        return self._waiting.popleft()


class EventsClient:
    """`run` keeps the hearing connection up; `ask` and `snapshot` have one of their own, dialled when needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = trio.Lock()
        self._asking: tuple[trio.SocketStream, _Lines] | None = None
        self._snapshot: tuple[float, Line] | None = None
        self._watchers: set[Watcher] = set()
        self._changed = trio.Event()
        self.up = False
        """Whether the gateway was heard last."""

    # --- asking ---------------------------------------------------------------------------------------------

    async def snapshot(self) -> Line:
        """What is true now, half a second old at most. Raises GatewayAway."""
        async with self._turn:
            if self._snapshot is None or trio.current_time() - self._snapshot[0] > FRESH_S:
                found = await self._exchange({"do": "snapshot"}, lambda line: line.get("type") == "snapshot")
                self._snapshot = trio.current_time(), found
            return self._snapshot[1]

    async def ask(self, request: Line) -> Line:
        """The answer to a request (docs/interfaces.md, Requests). Raises GatewayAway."""
        async with self._turn:
            self._snapshot = None  # whatever it does, the next look shall see it
            return await self._exchange(request, lambda line: line.get("type") in ("answer", "error"))

    async def _exchange(self, request: Line, is_answer: Callable[[Line], bool]) -> Line:
        fresh = self._asking is None
        try:
            return await self._exchange_once(request, is_answer)
        except GatewayAway:
            if fresh:
                raise
        return await self._exchange_once(request, is_answer)

    async def _exchange_once(self, request: Line, is_answer: Callable[[Line], bool]) -> Line:
        try:
            with trio.fail_after(PATIENCE_S):
                if self._asking is None:
                    stream = await dial(self._path)
                    self._asking = stream, _Lines(stream)
                    await self._asking[1].next()  # the snapshot that everybody gets first
                lines = self._asking[1]
                await lines.send(request)
                while True:
                    line = await lines.next()
                    if is_answer(line):
                        return line
        except trio.TooSlowError:
            await self._hang_up()
            raise GatewayAway("events.sock: no answer") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._hang_up()
            raise GatewayAway("events.sock: the connection broke") from None
        except BaseException:
            await self._hang_up()
            raise

    async def _hang_up(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            await trio.aclose_forcefully(asking[0])

    # --- hearing --------------------------------------------------------------------------------------------

    @contextmanager
    def watch(self, *streams: str, charge_point: int | None = None) -> Iterator[Watcher]:
        """Hears these of STREAMS, and of `charge_point` only. Raises TooManyWatchers."""
        if len(self._watchers) >= WATCHERS_MOST:
            raise TooManyWatchers(f"{WATCHERS_MOST} live views are open; close one")
        watcher = Watcher(frozenset(streams), charge_point)
        self._watchers.add(watcher)
        self._changed.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled: dial, hear, tell; and again when the gateway comes back."""
        while True:
            try:
                stream = await dial(self._path)
                async with stream, trio.open_nursery() as nursery:
                    lines = _Lines(stream)
                    await lines.next()
                    self._tell_up(True)
                    nursery.start_soon(self._choose, lines)
                    while True:
                        line = await lines.next()
                        for watcher in self._watchers:
                            if watcher.wants(line):
                                watcher.hear(line)
            except* (GatewayAway, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            self._tell_up(False)
            await trio.sleep(REDIAL_S)

    async def _choose(self, lines: _Lines) -> None:
        """Asks for what somebody watches, and no more."""
        chosen: set[str] = set()
        while True:
            self._changed = trio.Event()
            wanted = {stream for watcher in self._watchers for stream in watcher.streams}
            if wanted != chosen:
                await lines.send({"streams": sorted(wanted)})
                chosen = wanted
            await self._changed.wait()

    def _tell_up(self, up: bool) -> None:
        if up == self.up:
            return
        self.up = up
        if not up:
            log.warning("the gateway does not answer on %s", self._path.name)
        for watcher in self._watchers:
            watcher.hear({"type": "back" if up else "away"})
