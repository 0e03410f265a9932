"""A plant that runs for days in virtual time, and what of the process may not grow meanwhile (promises, R20).

`python -m tests.journeys.months DAYS` prints a line for every day. People charge all day long, connections are lost
now and then, a BMS polls; what the simulated charge points have in their books is compared with the ledger every night
and then thrown away, so that only the gateway could grow.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

import trio
import trio.testing

from gatewayd import app
from gatewayd.services.ledger import writer
from gatewayd.services.ledger.schema import KEPT_CLOSED, PRUNE
from tests.folders import fast_folder
from tests.journeys.agreement import unbooked
from tests.journeys.determined import determined
from tests.journeys.plant import Plant, charge_points
from tests.journeys.virtual_clock import VirtualClock
from tests.simulator.bms import Bms
from tests.simulator.charge_point import ChargePoint, Traits, Vehicle

COUNT, CONNECTORS = 20, 2
DAY_S = 86_400.0
TOML = """
[ocpp]
heartbeat_interval_s = 3600
ping_interval_s = 3600
"""
"""Slower than in a plant: what happens a thousand times less happens often enough, and a day takes seconds."""
CONFIGURATION = {
    "MeterValueSampleInterval": "900",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import",
}
STAY_S, PAUSE_S = (1800.0, 9000.0), (1800.0, 12_000.0)
POLL_S = 600.0
LOSSES_A_DAY = 80
KEPT = 1000
"""Ended transactions in the ledger: it is full after some days instead of after forty."""
DISK_LOOK_S = 300.0
"""How often the ledger looks at a disk that does not change here; else it would be a third of a day's work."""
TICK_S = 60.0
"""How often ages move on, which nobody reads in between; each second would be half of all turns of the loop."""
PAGE = os.sysconf("SC_PAGE_SIZE")
A_DAY_AT_MOST = {
    "rss_bytes": float(1 << 20),  # promises, R20
    "descriptors": 0.1,
    "tasks": 0.2,
    "agenda": 0.5,
    "objects": 15.0,  # one for every sixteenth session: each charge point keeps so many of the last, and no more
    "ledger_bytes": float(8 << 10),  # as with the objects; SQLite takes 4 KiB at a time
}
"""What a field of Night may grow by, once everything that keeps the last few is full."""


@dataclass(frozen=True)
class Night:
    """What there is at the end of a day, nobody being in the middle of anything."""

    day: int
    rss_bytes: int
    descriptors: int
    tasks: int
    agenda: int
    ledger_bytes: int
    objects: int
    """Of the gateway's own classes."""
    sessions: int
    """Since the beginning."""

    def __str__(self) -> str:
        return (
            f"day {self.day:2}: RSS {self.rss_bytes / 2**20:.1f} MiB, {self.descriptors} descriptors, "
            f"{self.tasks} tasks, agenda {self.agenda}, ledger {self.ledger_bytes / 1024:.0f} KiB, "
            f"{self.objects} objects, {self.sessions} sessions"
        )


@dataclass
class Months:
    """What came of it."""

    days: float
    nights: list[Night] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    say: Callable[[str], None] = lambda _text: None

    def a_day(self, what: str, first: int) -> float:
        """How a field of the nights grows, from that night on: the slope of the straight line through all of them."""
        points = [(night.day, float(getattr(night, what))) for night in self.nights if night.day >= first]
        middle_x = sum(x for x, _ in points) / len(points)
        middle_y = sum(y for _, y in points) / len(points)
        return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)

    def grown(self, first: int) -> list[str]:
        """What grows more than it may, from that night on."""
        slopes = {what: self.a_day(what, first) for what in A_DAY_AT_MOST}
        return [
            f"{what}: {slope:,.2f} a day, {A_DAY_AT_MOST[what]:,.2f} at most"
            for what, slope in slopes.items()
            if slope > A_DAY_AT_MOST[what]
        ]


def run(days: float, seed: int = 1, say: Callable[[str], None] = lambda _text: None) -> Months:
    """So many days from one seed; less than one has one night, at its end."""
    months = Months(days, say=say)
    rarely = patch.object(writer, "WATCH_S", DISK_LOOK_S)
    ages = patch.object(app, "TICK_S", TICK_S)
    few = patch.object(writer, "PRUNE", PRUNE.replace(str(KEPT_CLOSED), str(KEPT)))
    with fast_folder() as folder, determined(seed), rarely, few, ages:
        trio.run(_Days(months, Path(folder), seed).run, clock=VirtualClock())
    return months


class _Days:
    def __init__(self, months: Months, folder: Path, seed: int) -> None:
        self._months, self._folder, self._seed = months, folder, seed
        self._random = Random(f"months/{seed}")
        self._cps: dict[int, ChargePoint] = {}
        self._sessions = 0
        self._asleep = False

    async def run(self) -> None:
        months = self._months
        async with trio.open_nursery() as nursery:
            self._plant = Plant(nursery, self._folder, TOML + charge_points(COUNT, CONNECTORS), seed=self._seed)
            await self._plant.start()
            bms = await self._plant.bms()
            await bms.write("decision_default", 1)
            for number in range(1, COUNT + 1):
                traits = Traits(step_s=900.0, features=("Core", "SmartCharging"))
                self._cps[number] = await self._plant.charge_point(
                    f"CP{number:03}", traits=traits, configuration=CONFIGURATION, connectors=CONNECTORS
                )
            nursery.start_soon(self._poll, bms)
            for day in range(1, max(1, round(months.days)) + 1):
                length_s = min(1.0, months.days) * DAY_S
                await self._day(length_s)
                await self._night(day)
            nursery.cancel_scope.cancel()

    async def _day(self, length_s: float) -> None:
        """Half an hour before its end everybody has gone."""
        ends = trio.current_time() + length_s
        async with trio.open_nursery() as nursery:
            for cp in self._cps.values():
                for connector in range(1, CONNECTORS + 1):
                    nursery.start_soon(self._drivers, cp, connector, ends - 1800.0)
            nursery.start_soon(self._losses, ends - 1800.0)
        await trio.sleep_until(ends)

    async def _drivers(self, cp: ChargePoint, connector: int, until: float) -> None:
        while True:
            await trio.sleep(self._random.uniform(*PAUSE_S))
            stay_s = self._random.uniform(*STAY_S)
            if trio.current_time() + stay_s > until:
                return
            cp.plug(connector, Vehicle(soc_percent=self._random.uniform(10, 60)))
            await cp.present_tag(f"TAG{self._random.randrange(1000)}", connector)
            await trio.sleep(stay_s)
            cp.unplug(connector)

    async def _losses(self, until: float) -> None:
        """Connections are lost, some without a word, and charge points are started anew."""
        while trio.current_time() < until:
            cp = self._random.choice(tuple(self._cps.values()))
            match self._random.randrange(4):
                case 0:
                    cp.restart("Reboot")
                case 1:
                    cp.power_cut(60.0, half_open=True)
                case _:
                    cp.start_soon(cp.cut)
            await trio.sleep(DAY_S / LOSSES_A_DAY)

    async def _poll(self, bms: Bms) -> None:
        while True:
            await bms.heartbeat()
            await bms.client.read_registers(0, 60)
            number = self._random.randrange(1, COUNT + 1)
            await bms.set_limit(number, self._random.randint(1, CONNECTORS), self._random.choice((None, 10.0, 16.0)))
            request = await bms.request(number)
            if request is not None:
                await bms.respond(request)
            await trio.sleep(POLL_S)

    async def _night(self, day: int) -> None:
        await trio.testing.wait_all_tasks_blocked()
        for cp in self._cps.values():
            if not cp.registered or cp.outbox.waiting_durable or any(mine.running for mine in cp.books):
                self._months.wrong.append(f"day {day}: {cp.identity} does not sleep")
            self._sessions += len(cp.books)
        self._months.wrong += [
            f"day {day}: {what}" for what in unbooked(self._plant.paths.ledger, self._cps, since=self._since)
        ]
        self._since = self._plant.wall()
        for cp in self._cps.values():
            _forget(cp)
        self._months.nights.append(self._look(day))
        self._months.say(str(self._months.nights[-1]))

    _since = 0.0
    """When the books were compared last, epoch seconds."""

    def _look(self, day: int) -> Night:
        gc.collect()
        gateway = self._plant.gateway
        own = Counter(type(each).__module__.startswith("gatewayd.") for each in gc.get_objects())
        return Night(
            day,
            int(Path("/proc/self/statm").read_text().split()[1]) * PAGE,
            len(os.listdir("/proc/self/fd")),
            trio.lowlevel.current_statistics().tasks_living,
            len(gateway.site.agenda),
            sum(file.stat().st_size for file in self._folder.iterdir()),
            own[True],
            self._sessions,
        )


def _forget(cp: ChargePoint) -> None:
    """What was compared, and what nobody asks about."""
    cp.books.clear()
    for place in cp.connectors:
        place.history.clear()
    session = cp.session
    for notes in (session.refusals, session.trouble, session.early_calls, session.violations, session.strays,
                  session.close_codes):  # fmt: skip
        notes.clear()


def main() -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    days = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    began = time.perf_counter()
    months = run(days, say=print)
    print(f"{time.perf_counter() - began:.0f} s", *months.wrong, sep="\n")
    return 1 if months.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
