"""What happens, as JSON lines on a UNIX socket (docs/interfaces.md, events.sock).

Containment boundary `one program's events connection`: whatever comes, or is not taken, ends at its own connection. The
daemon waits for none of them: `Publisher.say` only puts lines into bounded queues.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio

from gatewayd.view.publisher import Publisher, Subscriber, line
from gatewayd.view.requests import DOABLE, LONGEST, Do, NoRequest, Subscribe, read

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 32
"""The page needs one, and twenty who look at it may have one each."""
KERNEL_BYTES = 0x8000
"""What the kernel may keep of lines on their way, doubled by it; left alone it would keep 200 kB for everybody who does
not read."""
UNTAKEN_TIMEOUT_S = 60.0
"""Whoever takes nothing for so long, while there is something, is gone."""
PACE_S = 0.05
"""Between two sends to one program, in which lines gather: to be woken costs the daemon more than a line, and twenty
who read 800 lines a second, each by itself, would take most of its time. Nobody sees 50 ms."""
REQUESTS_AT_ONCE, REQUESTS_PER_S = 20.0, 10.0
"""Looked at on one connection; who asks faster is not read meanwhile. A person clicks, twenty pages are drawn."""
RECEIVE_BYTES = 4096
ACCEPT_PAUSE_S = 0.1
"""After accept() failed for want of descriptors."""
LAST_WORD_S = 1.0
"""For the error that a connection is closed with."""

Snapshot = Callable[[], Awaitable[bytes]]
"""One JSON line, at most a second old."""
Act = Callable[[Do], Awaitable[dict[str, Any]]]
"""Does what is doable, and says what came of it."""


async def serve(
    listener: socket.socket,
    publisher: Publisher,
    snapshot: Snapshot,
    act: Act,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled."""
    listening = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    async with listening, trio.open_nursery() as nursery:
        task_status.started()
        while True:
            try:
                stream = await listening.accept()
            except OSError as error:
                log.error("%s cannot accept: %s", "events.sock", error)
                await trio.sleep(ACCEPT_PAUSE_S)
                continue
            if len(publisher.subscribers) >= CONNECTIONS_MAX:
                log.warning("events.sock: %d programs are connected, another is turned away", CONNECTIONS_MAX)
                await trio.aclose_forcefully(stream)
                continue
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
            subscriber = Subscriber()
            publisher.enter(subscriber)
            nursery.start_soon(Connection(stream, publisher, subscriber, snapshot, act).run)


class Connection:
    """One program, from its first line to its end."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        publisher: Publisher,
        subscriber: Subscriber,
        snapshot: Snapshot,
        act: Act,
    ) -> None:
        self._stream, self._publisher, self._subscriber = stream, publisher, subscriber
        self._snapshot, self._act = snapshot, act
        self._line = trio.Event()
        """Set when there is something to send."""
        self._moved = trio.Event()
        """Set, and made anew, whenever something was sent."""
        self._idle = True
        subscriber.on_line = lambda: self._line.set()

    async def run(self) -> None:
        """What the peer does ends here; the subscriber leaves the publisher with it."""
        try:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, nursery.cancel_scope)
                    self._subscriber.put(await self._snapshot())
                    await self._read()
                    nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._publisher.leave(self._subscriber)
            with suppress(Exception):
                await trio.aclose_forcefully(self._stream)

    async def _write(self, scope: trio.CancelScope) -> None:
        subscriber = self._subscriber
        while True:
            while not (lines := subscriber.take()):
                self._line = trio.Event()
                await self._line.wait()
            self._idle = False
            with trio.move_on_after(UNTAKEN_TIMEOUT_S) as sending:
                await self._stream.send_all(lines)
            if sending.cancelled_caught:
                log.info("events.sock: a program that takes no lines is disconnected")
                scope.cancel()
            self._idle = True
            self._progress()
            await trio.sleep(PACE_S)

    def _progress(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    async def _read(self) -> None:
        """Requests, each after the one before was answered, and there is room for the next answer."""
        left, filled_at = REQUESTS_AT_ONCE, trio.current_time()
        async for text in self._lines():
            now = trio.current_time()
            left = min(REQUESTS_AT_ONCE, left + (now - filled_at) * REQUESTS_PER_S)
            filled_at = now
            if left < 1:
                await trio.sleep((1 - left) / REQUESTS_PER_S)
            left -= 1
            try:
                await self._answer(read(text))
            except NoRequest as error:
                await self._refuse(str(error))
                return

    async def _answer(self, request: Subscribe | Do) -> None:
        subscriber = self._subscriber
        if isinstance(request, Subscribe):
            self._publisher.subscribe(subscriber, request.streams, request.charge_point)
            told = {"streams": sorted(request.streams), "charge_point": request.charge_point}
            answer = line({"type": "subscribed", **told})
        elif request.what == "snapshot":
            answer = await self._snapshot()
        elif request.what in DOABLE:
            answer = line(await self._act(request))
        else:
            answer = line(request.fault(f"what can be done is {', '.join(DOABLE)}"))
        subscriber.put(answer)
        while subscriber.full:
            await self._moved.wait()

    async def _refuse(self, error: str) -> None:
        """The last line, if it is taken; then the connection ends."""
        self._subscriber.put(line({"type": "error", "error": error}))
        with trio.move_on_after(LAST_WORD_S):
            while self._subscriber.waits or not self._idle:
                await self._moved.wait()

    async def _lines(self) -> AsyncIterator[bytes]:
        received = b""
        while True:
            text, newline, rest = received.partition(b"\n")
            if newline:
                received = rest
                if text.strip():
                    yield text
                continue
            if len(received) > LONGEST:
                await self._refuse(f"a line has at most {LONGEST} bytes")
                return
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if not data:
                return
            received += bytes(data)
