"""Hostile connections against the real listener in virtual time, in crowds: `run(count, seed)`.

Whatever leaves a connection ends the run. A connection that had to be contained because the WebSocket library
stumbled over it is counted: no head and no frame should reach it in a state that it cannot bear.
"""

from __future__ import annotations

import itertools
import logging
from contextlib import suppress
from typing import NamedTuple

import trio
from trio.testing import MockClock

from tests.services import hostile_wire
from tests.services.ocpp_peer import Peer, request, stand

CROWD = 20
"""Connections at the same time: they also fight for one identity's place."""
PATIENCE_S = 20.0
"""Virtual time that a crowd has to be answered or cut."""


class Outcome(NamedTuple):
    """Of one run: connections, and how many were contained after the library had stumbled."""

    connections: int
    contained: list[str]


class _Broken(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "a connection broke" in (message := record.getMessage()):
            self.messages.append(message)


async def _speak(peer: Peer, pieces: list[bytes]) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        for piece in pieces:
            await peer.send(piece)
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(PATIENCE_S):
            await peer.close_code()
    await peer.stream.aclose()


async def _crowds(count: int, seed: int) -> None:
    streams = itertools.islice(hostile_wire.connections(seed), count)
    async with trio.open_nursery() as nursery:
        it = await stand(nursery, charge_points=2)
        while crowd := list(itertools.islice(streams, CROWD)):
            async with trio.open_nursery() as talking:
                for pieces in crowd:
                    talking.start_soon(_speak, await it.dial(), pieces)
            it.bank.read(0, 105)
            it.bank.read(3000, 125)
            it.refused.clear()
            it.links.clear()
            it.bank.records.site.journal.take(trio.current_time())
        await trio.sleep(PATIENCE_S)
        good = await it.dial()
        with trio.fail_after(PATIENCE_S):
            assert await good.upgrade(request(b"/ocpp/CP002")) == 101
            assert (await good.boot())["status"] == "Accepted"
        nursery.cancel_scope.cancel()


def run(count: int, seed: int) -> Outcome:
    """Raises what left a connection."""
    broken, ours = _Broken(), logging.getLogger("gatewayd")
    ours.addHandler(broken)
    ours.propagate = False
    try:
        trio.run(_crowds, count, seed, clock=MockClock(autojump_threshold=0))
    finally:
        ours.propagate = True
        ours.removeHandler(broken)
    return Outcome(count, broken.messages)
