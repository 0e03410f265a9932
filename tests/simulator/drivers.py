"""People with cars, for demonstrations: they come, charge, and leave again, for ever."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import trio

from .charge_point import ChargePoint, Vehicle

# A car comes with this much to charge and leaves after this long at the latest: a demonstration is watched for
# minutes, so its cars have small batteries.
CAPACITY_WH = 6_000.0
STAY_S = (180.0, 420.0)
PAUSE_S = (10.0, 30.0)
REACH_FOR_CARD_S = 2.0


class Drivers:
    """The traffic at one charge point: one connector after the other, every second driver with a card."""

    def __init__(self, charge_point: ChargePoint, seed: int, first_after_s: float, say: Callable[[str], None]) -> None:
        self._cp = charge_point
        self._random = Random(f"drivers/{seed}/{charge_point.identity}")
        self._first_after_s = first_after_s
        self._say = say
        self._visits = seed

    async def run(self) -> None:
        await trio.sleep(self._first_after_s)
        while True:
            for connector in range(1, len(self._cp.connectors) + 1):
                await self._visit(connector)
                await trio.sleep(self._random.uniform(*PAUSE_S))

    async def _visit(self, connector: int) -> None:
        self._visits += 1
        car = Vehicle(CAPACITY_WH, self._random.uniform(30.0, 75.0), max_current_a=self._random.choice((16.0, 32.0)))
        self._cp.plug(connector, car)
        if self._visits % 2 == 0:
            await trio.sleep(REACH_FOR_CARD_S)
            outcome = await self._cp.present_tag(f"DRIVER{self._visits:03}", connector)
            self._say(f"{self._cp.identity}/{connector}: the driver's card is {outcome}")
        with trio.move_on_after(self._random.uniform(*STAY_S)):
            while car.soc_percent < 100.0:  # noqa: ASYNC110  nobody rings when a battery is full
                await trio.sleep(5)
        self._cp.unplug(connector)
