"""A central system in a bad mood, behind a bad line: slow, half open, gone, and one that answers twice.

A slow one answers pings at once, and Calls after a while. Half open, nothing is carried either way, or one way only,
and neither end sees the connection end. What it answers twice comes at once, later, or on the next connection.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import trio

from tests.journeys.frames import Frame
from tests.journeys.network import OCPP, Network
from tests.journeys.weather import Fault, Kind, Weather
from tests.simulator.central_system import CentralSystem
from tests.simulator.ocpp_link import LinkLost
from tests.simulator.script import Rule, Script

SLOW_S, TOO_LATE_S = (5.0, 25.0), (31.0, 58.0)
HALF_OPEN_S = (2.0, 60.0)
AGAIN_S = (0.1, 30.0)
ODDS = {Kind.cut: 0.006, Kind.blackout: 0.01, Kind.delay: 0.01}


class Moods(Script):
    """With the odds `slow` an answer is late, one in ten of these so late that nobody waits any more under `buffer`.
    With the odds `twice` it is said again."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.slow = self.twice = 0.0
        self._random = random

    def for_answer(self, action: str) -> Rule:
        if self._random.random() < self.slow:
            late = TOO_LATE_S if self._random.random() < 0.1 else SLOW_S
            return Rule(None, delay_s=self._random.uniform(*late))
        return super().for_answer(action)


class UpstreamWeather(Weather):
    """Of the lines to a central system: cut, or half open, both ways (blackout) or one way (delay)."""

    def _fault(self, kind: Kind, direction: str, frame: Frame) -> Fault:
        return Fault(kind, 0.0 if kind is Kind.cut else self.random.uniform(*HALF_OPEN_S))


class HeardStream(trio.abc.HalfCloseableStream):
    """The gateway's end of a line to its central system; knows when something last came."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream
        self.heard_at = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self._stream.receive_some(max_bytes))
        if data:
            self.heard_at = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class BadCentralSystem(CentralSystem):
    """Says its answers once more, with the odds `moods.twice`: at once, later, or on a later link."""

    def __init__(self, random: Random, nursery: trio.Nursery, **options: Any) -> None:
        super().__init__(**options)
        self.moods = self.script = Moods(random)
        self._nursery_of_ours, self._chance = nursery, random

    def answered(self, identity: str, text: str) -> None:
        """It said this answer."""
        if self._chance.random() < self.moods.twice:
            later_s = self._chance.choice((0.0, self._chance.uniform(*AGAIN_S)))
            self._nursery_of_ours.start_soon(self._again, identity, text, later_s)

    async def _again(self, identity: str, text: str, later_s: float) -> None:
        await trio.sleep(later_s)
        link = self.links.get(identity)
        if link is not None:
            with suppress(LinkLost):
                await link.send_raw(text)


class Lines(Network):
    """From the gateway to its central system, one for each charge point."""

    def __init__(self, nursery: trio.Nursery, weather: Weather, log: Callable[[str, str], None]) -> None:
        super().__init__(nursery, weather, log)
        self.last: dict[str, HeardStream] = {}
        """Identity → the line that was opened last."""

    async def dial(self, identity: str) -> HeardStream:
        """OSError while nobody listens."""
        stream = HeardStream(await self.dialler(identity, OCPP)())
        self.last[identity] = stream
        return stream
