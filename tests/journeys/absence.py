"""A plant whose central system is away for days, in virtual time, under either policy; or there, and hung (promises,
R10).

`python -m tests.journeys.absence buffer|disconnect|hung HOURS` prints what came of it; `hung`: under the policy buffer
the central system takes links and BootNotifications and answers no StartTransaction. 20 charge points are used all the
time; the whole gateway, its ledger in a real file, is started anew in the middle. When the central system is back, how
long it takes until it has heard everything is counted, and its books are compared with the charge points' own.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

import trio

from gatewayd import app
from gatewayd.services import ocpp_upstream
from gatewayd.services.ledger import writer
from tests.folders import fast_folder
from tests.journeys.agreement import unequal_books
from tests.journeys.determined import determined
from tests.journeys.plant import Plant, charge_points
from tests.journeys.virtual_clock import VirtualClock
from tests.simulator.central_system import CentralSystem
from tests.simulator.charge_point import ChargePoint, Traits, Vehicle
from tests.simulator.clock import Clock

COUNT, CONNECTORS = 20, 2
START = "StartTransaction"
HEARTBEAT_S = 900
"""Told by either; what a simulated central system tells of itself, a minute, would be most of all messages."""
TOML = f"""
[gateway]
role = "bridge"
[ocpp]
heartbeat_interval_s = {HEARTBEAT_S}
ping_interval_s = 1800
[ocpp.upstream]
url = "ws://central.example/ocpp"
offline = "{{policy}}"
"""
CONFIGURATION = {
    "MeterValueSampleInterval": "600",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import",
}
STAY_S, PAUSE_S = (1200.0, 4800.0), (600.0, 6000.0)
BEFORE_S = 900.0
"""With the central system, before it goes."""
PATIENCE_S = 1200.0
QUIET_S = 60.0
"""After everything was heard, so that what comes twice would be seen."""
HUNG = "hung"
TICK_S, DISK_LOOK_S = 60.0, 300.0
RECONNECT_MAX_S = 300.0
"""Of the charge points: they stay away about as long as the central system is."""


@dataclass
class Absence:
    """What came of it."""

    sessions: int = 0
    returned_s: float = PATIENCE_S
    """From the return of the central system until all charge points are linked with it."""
    drained_s: float = PATIENCE_S
    """From the return, or where the charge points keep their own queues from their links, until all was heard."""
    most_waiting: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.sessions} sessions, at most {self.most_waiting} messages waiting in the gateway, "
            f"{self.lost} readings lost, all linked after {self.returned_s:.0f} s, "
            f"all heard after {self.drained_s:.0f} s, {len(self.wrong)} faults"
        )


def run(policy: str, hours: float, seed: int = 1, count: int = COUNT) -> Absence:
    """One absence of so many hours."""
    absence = Absence()
    with fast_folder() as folder, determined(seed), unhurried():
        trio.run(_Run(absence, policy, hours * 3600.0, Path(folder), seed, count).run, clock=VirtualClock())
    return absence


@contextmanager
def unhurried() -> Iterator[None]:
    """Inside, three things happen rarely that are most of an idle day's work and of no consequence here: pings to a
    central system, since no link dies without a word; ages, which nobody reads; looks at a disk that stays as it is."""
    with (
        patch.object(ocpp_upstream, "PING_INTERVAL_S", 10 * ocpp_upstream.PING_INTERVAL_S),
        patch.object(ocpp_upstream, "DEAD_S", 10 * ocpp_upstream.DEAD_S),
        patch.object(app, "TICK_S", TICK_S),
        patch.object(writer, "WATCH_S", DISK_LOOK_S),
    ):
        yield


class _Run:
    def __init__(self, absence: Absence, policy: str, away_s: float, folder: Path, seed: int, count: int) -> None:
        self._absence, self._away_s = absence, away_s
        self._hung, self._policy = policy == HUNG, "buffer" if policy == HUNG else policy
        self._folder, self._seed, self._count = folder, seed, count
        self._random = Random(f"absence/{seed}")
        self._cps: list[ChargePoint] = []

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._central = CentralSystem(clock=Clock(), first_transaction_id=1000, heartbeat_interval_s=HEARTBEAT_S)
            await nursery.start(self._central.run)
            toml = TOML.format(policy=self._policy) + charge_points(self._count, CONNECTORS)
            self._plant = Plant(nursery, self._folder, toml, seed=self._seed)
            await self._start()
            for number in range(1, self._count + 1):
                traits = Traits(step_s=600.0, features=("Core",), reconnect_max_s=RECONNECT_MAX_S)
                cp = await self._plant.charge_point(
                    f"CP{number:03}", traits=traits, configuration=CONFIGURATION, connectors=CONNECTORS
                )
                self._cps.append(cp)
            ends = trio.current_time() + BEFORE_S + self._away_s
            async with trio.open_nursery() as life:
                for cp in self._cps:
                    for connector in range(1, CONNECTORS + 1):
                        life.start_soon(self._drivers, cp, connector, ends)
                await trio.sleep(BEFORE_S)
                await self._central_goes()
                await trio.sleep(self._away_s / 2)
                self._look()
                await self._plant.stop()
                await self._start()
                await trio.sleep(self._away_s / 2)
                self._look()
                life.cancel_scope.cancel()
            await self._central_returns()
            for cp in self._cps:
                for connector in range(1, CONNECTORS + 1):
                    cp.unplug(connector)
            await trio.sleep(QUIET_S)
            self._compare()
            nursery.cancel_scope.cancel()

    async def _start(self) -> None:
        await self._plant.start()
        self._plant.gateway.upstreams.open_stream = self._dial
        self._plant.gateway.upstreams.random = Random(f"pauses/{self._seed}")
        bms = await self._plant.bms()
        await bms.write("decision_default", 1)
        await bms.client.close()

    async def _dial(self, _host: str, _port: int) -> trio.abc.HalfCloseableStream:
        stream = await self._central.open_stream()
        assert isinstance(stream, trio.StapledStream)
        return stream

    async def _drivers(self, cp: ChargePoint, connector: int, until: float) -> None:
        while trio.current_time() < until:
            await trio.sleep(self._random.uniform(*PAUSE_S))
            cp.plug(connector, Vehicle(soc_percent=self._random.uniform(10, 60)))
            await cp.present_tag(f"TAG{self._random.randrange(1000)}", connector)
            await trio.sleep(self._random.uniform(*STAY_S))
            cp.unplug(connector)

    async def _central_goes(self) -> None:
        if self._hung:
            self._central.script.drop(START, acts=False)
            return
        self._central.accepting = False
        for link in list(self._central.links.values()):
            await link.close()

    async def _central_returns(self) -> None:
        """Counts until everything that the charge points and the gateway had to say was heard."""
        self._central.accepting = True
        self._central.script.forget(START)
        began = trio.current_time()
        with trio.move_on_after(PATIENCE_S):
            while len(self._central.links) < self._count:  # noqa: ASYNC110  nobody announces it
                await trio.sleep(0.5)
            self._absence.returned_s = trio.current_time() - began
            since = began if self._policy == "buffer" else trio.current_time()
            while self._waiting():  # noqa: ASYNC110
                await trio.sleep(0.5)
            self._absence.drained_s = trio.current_time() - since

    def _waiting(self) -> int:
        backlog = self._plant.gateway.site.backlog
        return len(backlog) + sum(cp.outbox.waiting_durable for cp in self._cps)

    def _look(self) -> None:
        backlog = self._plant.gateway.site.backlog
        self._absence.most_waiting = max(self._absence.most_waiting, len(backlog))
        self._absence.lost += backlog.lost

    def _compare(self) -> None:
        """Every transaction of the charge points stands in the central system's books, once and to the Wh."""
        self._absence.sessions = sum(len(cp.books) for cp in self._cps)
        self._absence.lost += self._plant.gateway.site.backlog.lost
        wrong = self._absence.wrong
        wrong += unequal_books(self._central, self._cps)
        wrong += self._central.violations
        wrong += [f"a stray answer: {each}" for each in self._central.strays]


def main() -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    policy, hours = sys.argv[1], float(sys.argv[2])
    absence = run(policy, hours)
    print(absence, *absence.wrong[:20], sep="\n")
    return 1 if absence.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
