"""A BMS that falls silent, or a gateway that dies: what the charge points allow from then on (promises, R11).

`python -m tests.journeys.silence bms|gateway SEED` prints what came of one trial. The whole application in virtual
time, with charge points that obey their profiles by their own rules, and cars at some. Effective limits, the hardware's
and every profile's, are looked at ten times a second; the gateway's registers are not believed.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random

import trio

from tests.journeys.determined import determined
from tests.journeys.plant import Plant, charge_points
from tests.journeys.virtual_clock import VirtualClock
from tests.simulator.bms import Bms
from tests.simulator.charge_point import ChargePoint, Vehicle

CONNECTORS = 2
TIMEOUTS_S = (5, 10, 30, 60, 120)
SAFE_A = (0.0, 6.0, 8.0, 10.0)
LIVE_A = (None, 32.0, 20.0, 13.0, 11.0)
"""None: no limit. All lie above what is safe, so that one which stays is seen."""
WITHIN_S = 5.0
"""After the timeout (promises, R11)."""
LOOK_S = 0.1
AFTERWARDS_S = 120.0
"""The gateway comes back, and its BMS does not: a charge point dials again within 75 s."""


class Gone(Enum):
    """Who."""

    bms = "bms"
    gateway = "gateway"


class Manner(Enum):
    """How a BMS falls silent."""

    hangs_up = "it hangs up"
    hangs = "it keeps its connection and says nothing more"
    reads_on = "it reads on, but its program stands still"


@dataclass
class Silence:
    """What came of one trial."""

    gone: Gone
    seed: int
    timeout_s: int = 0
    safe_a: float = 0.0
    charging: int = 0
    """Cars that charged before."""
    before_a: float = 0.0
    """The highest of the effective limits before."""
    after_s: float = 0.0
    """From the last sign of life until every limit was safe, and stayed so."""
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.gone.value} {self.seed}: timeout {self.timeout_s} s, {self.before_a:g} A before, "
            f"{self.safe_a:g} A after {self.after_s:.1f} s"
        )


def run(gone: Gone, seed: int, broken: Callable[[], AbstractContextManager[object]] = nullcontext) -> Silence:
    """One trial. `broken` is around it: a build that is broken on purpose."""
    found = Silence(gone, seed)
    with tempfile.TemporaryDirectory() as folder, determined(seed), broken():
        trio.run(_trial, found, Path(folder), clock=VirtualClock())
    return found


async def _trial(found: Silence, folder: Path) -> None:
    random = Random(f"R11/{found.gone.value}/{found.seed}")
    async with trio.open_nursery() as nursery:
        count = random.randint(1, 4)
        plant = Plant(nursery, folder, charge_points(count, CONNECTORS), seed=found.seed)
        await plant.start()
        await _Trial(found, plant, random, count).play()
        if plant.running:
            await plant.stop()
        nursery.cancel_scope.cancel()


class _Trial:
    def __init__(self, found: Silence, plant: Plant, random: Random, count: int) -> None:
        self._found, self._plant, self._random = found, plant, random
        self._numbers = range(1, count + 1)
        self._cps: list[ChargePoint] = []

    async def play(self) -> None:
        found, random = self._found, self._random
        found.timeout_s, found.safe_a = random.choice(TIMEOUTS_S), random.choice(SAFE_A)
        bms = await self._plant.bms()
        await self._guard(bms)
        self._cps = [await self._plant.charge_point(f"CP{number:03}") for number in self._numbers]
        await self._settle(bms)
        await self._live(bms, random.uniform(20.0, 20.0 + 2 * found.timeout_s))
        found.before_a = self._highest()
        found.charging = sum(each.charging for cp in self._cps for each in cp.connectors)
        if found.before_a <= found.safe_a:
            found.wrong.append(f"before it was {found.before_a:g} A already")
        await self._vanish(bms)
        await self._watch(3 * found.timeout_s + 60.0)
        if found.gone is Gone.gateway:
            await self._plant.start()
            await self._watch(AFTERWARDS_S, unsafe_until_s=0.0)
            found.wrong += [f"{cp.identity} has not come back" for cp in self._cps if not cp.registered]

    async def _guard(self, bms: Bms) -> None:
        await bms.write("decision_default", 3)
        await bms.write("watchdog_action", 1)
        await bms.write("watchdog_limit", round(10 * self._found.safe_a))
        await bms.write("watchdog_timeout_s", self._found.timeout_s)
        await bms.heartbeat()

    async def _settle(self, bms: Bms) -> None:
        """Limits of all kinds, and some cars."""
        for number, cp in zip(self._numbers, self._cps, strict=True):
            while not cp.registered:
                await self._live(bms, 1.0)
            for connector in range(1, CONNECTORS + 1):
                await bms.heartbeat()
                await bms.set_limit(number, connector, self._random.choice(LIVE_A))
                if self._random.random() < 0.6:
                    cp.plug(connector, Vehicle(max_current_a=32.0))
                    await bms.trigger("start", number, connector)

    async def _live(self, bms: Bms, seconds: float) -> None:
        """The BMS shows that it lives, five times in each timeout."""
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            await bms.heartbeat()
            await trio.sleep(min(self._found.timeout_s / 5, max(0.0, end - trio.current_time())))

    async def _vanish(self, bms: Bms) -> None:
        if self._found.gone is Gone.gateway:
            await self._plant.crash()
            return
        await bms.heartbeat()
        manner = self._random.choice(tuple(Manner))
        if manner is Manner.hangs_up:
            await bms.client.close()
        elif manner is Manner.reads_on:
            self._plant.nursery.start_soon(self._read_on, bms)

    async def _read_on(self, bms: Bms) -> None:
        while True:
            await bms.block("gateway")
            await trio.sleep(1.0)

    def _limits(self) -> list[tuple[str, float]]:
        return [
            (f"{cp.identity}/{connector}", cp.effective_limit_a(connector))
            for cp in self._cps
            for connector in range(1, CONNECTORS + 1)
        ]

    def _highest(self) -> float:
        return max(limit for _, limit in self._limits())

    async def _watch(self, seconds: float, unsafe_until_s: float | None = None) -> None:
        """Nobody is above the safe limit, but for so long."""
        found, began = self._found, trio.current_time()
        allowed_s = found.timeout_s + WITHIN_S if unsafe_until_s is None else unsafe_until_s
        while (passed_s := trio.current_time() - began) < seconds:
            for place, limit in self._limits():
                if limit <= found.safe_a:
                    continue
                if unsafe_until_s is None:
                    found.after_s = passed_s + LOOK_S
                if passed_s > allowed_s:
                    found.wrong.append(f"{place} may take {limit:g} A after {passed_s:.1f} s")
                    return
            await trio.sleep(LOOK_S)


def main() -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    found = run(Gone(sys.argv[1]), int(sys.argv[2]))
    print(found, *found.wrong, sep="\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
