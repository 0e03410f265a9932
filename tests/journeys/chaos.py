"""Seeded chaos: a plant of 20 charge points and two BMS in bad weather, with everything that must hold looked at.

`python -m tests.journeys.chaos SEED` runs one seed and writes its log; the same seed gives the same log, to the byte.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random

import trio

from tests.folders import fast_folder
from tests.journeys.agreement import disagreements, unbooked
from tests.journeys.determined import determined
from tests.journeys.invariant import Invariant
from tests.journeys.life import Controller, Inquirer, drivers
from tests.journeys.outcomes import Outcomes
from tests.journeys.plant import Plant, charge_points
from tests.journeys.virtual_clock import VirtualClock
from tests.journeys.watch import Watch
from tests.journeys.weather import Kind, Weather
from tests.journeys.witness import Witnesses
from tests.simulator.charge_point import ChargePoint, Traits, Vehicle

CONNECTORS = 2
SETTLE_S = 10.0
ROUGH_UNTIL_S = 40.0
"""So long before the weather heals, garbling ends, and charge points' cables are no longer pulled: what a peer does to
a living connection is noticed when its Calls time out, and that is the peer's time, not the weather's."""
HEALED_S = 30.0
"""promises, R22"""
CALL_TIMEOUT_S = 10.0
SAMPLE_S = 10
TOML = f"""
[ocpp]
call_timeout_s = {CALL_TIMEOUT_S}
ping_interval_s = 8
heartbeat_interval_s = 10
"""
CONFIGURATION = {
    "MeterValueSampleInterval": str(SAMPLE_S),
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import",
    "WebSocketPingInterval": "8",
    "TransactionMessageRetryInterval": "2",
}
ODDS = {
    Kind.cut: 0.004, Kind.blackout: 0.003, Kind.delay: 0.02, Kind.duplicate: 0.01, Kind.echo: 0.01,
    Kind.reorder: 0.01, Kind.garble: 0.006,
}  # fmt: skip
ROUGH = (Kind.garble,)


@dataclass(frozen=True)
class Scale:
    """How much of it. The last two charge points are the neighbours: they charge in peace all the time, and nobody's
    trouble may show in their registers."""

    charge_points: int = 20
    storm_s: float = 150.0

    @property
    def neighbours(self) -> tuple[int, int]:
        return self.charge_points - 1, self.charge_points

    @property
    def troubled(self) -> range:
        return range(1, self.charge_points - 1)

    @property
    def storm_ends(self) -> float:
        return SETTLE_S + self.storm_s


WHOLE = Scale()
SMALL = Scale(8, 90.0)
"""Enough to find what is wrong everywhere."""


@dataclass
class Chaos:
    """What came of one seed; `complaints` name what did not hold by a member of an Enum."""

    seed: int
    enough: Enum | None = None
    """With the first complaint of it the run is over: a twin needs no more."""
    lines: list[str] = field(default_factory=list)
    complaints: list[tuple[Enum, str]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def log(self, who: str, what: str) -> None:
        self.lines.append(f"{trio.current_time():9.3f} {who} {what}")

    def complain(self, invariant: Enum, what: str) -> None:
        self.log("COMPLAINT", f"{invariant.name}: {what}")
        self.complaints.append((invariant, what))
        if invariant is self.enough:
            self.scope.cancel()

    @property
    def broken(self) -> set[Enum]:
        return {invariant for invariant, _ in self.complaints}

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def __str__(self) -> str:
        figures = ", ".join(f"{value:g} {name}" for name, value in self.figures.items())
        head = f"seed {self.seed}: {figures}; log {self.digest[:16]}"
        return "\n".join([head, *(f"  {invariant.value}: {what}" for invariant, what in self.complaints[:20])])


Broken = Callable[[], AbstractContextManager[object]]


def run(seed: int, scale: Scale = WHOLE, broken: Broken = nullcontext, enough: Invariant | None = None) -> Chaos:
    """One seed, in a folder of its own. `broken` builds the gateway wrong, for a twin of the test."""
    chaos = Chaos(seed, enough)
    began = time.perf_counter()
    with fast_folder() as folder, determined(seed), broken():
        trio.run(_Storm(chaos, Path(folder), scale).run, clock=VirtualClock())
    chaos.figures["s real time"] = round(time.perf_counter() - began, 1)
    return chaos


class _Storm:
    def __init__(self, chaos: Chaos, folder: Path, scale: Scale) -> None:
        self._chaos, self._folder, self._scale = chaos, folder, scale
        self._random = Random(f"storm/{chaos.seed}")
        self._weather = Weather(Random(f"weather/{chaos.seed}"))
        self._outcomes = Outcomes(chaos.complain, chaos.log, 4 * CALL_TIMEOUT_S, trio.current_time)
        self._witnesses = Witnesses(chaos.complain, chaos.log, CALL_TIMEOUT_S)
        self._cps: dict[int, ChargePoint] = {}

    async def run(self) -> None:
        chaos, scale = self._chaos, self._scale
        with self._outcomes.watched(), chaos.scope:
            async with trio.open_nursery() as nursery:
                toml = TOML + charge_points(scale.charge_points, CONNECTORS)
                self._plant = Plant(nursery, self._folder, toml, seed=chaos.seed, weather=self._weather, log=chaos.log)
                self._plant.network.witness = self._witnesses.witness
                self._watch = Watch(
                    self._plant, self._witnesses, self._outcomes, chaos.complain,
                    count=scale.charge_points, connectors=CONNECTORS, neighbours=scale.neighbours,
                )  # fmt: skip
                await self._live(nursery)
                nursery.cancel_scope.cancel()
        self._count()

    def _count(self) -> None:
        self._chaos.figures |= {
            "s virtual time": round(trio.current_time()),
            "starts of the gateway": self._plant.starts,
            "Calls": self._witnesses.calls,
            "answers": self._witnesses.answers,
            "commands": self._outcomes.concluded,
            "transactions": sum(len(cp.books) for cp in self._cps.values()),
            "faults": sum(" weather " in line for line in self._chaos.lines),
            "registers read": self._watch.registers_read,
        }

    async def _live(self, nursery: trio.Nursery) -> None:
        plant, scale, storm_ends = self._plant, self._scale, self._scale.storm_ends
        await plant.start()
        for number in range(1, scale.charge_points + 1):
            self._cps[number] = await self._charge_point(number)
        nursery.start_soon(self._watch.run)
        await self._start_neighbours()
        controller = Controller(plant, Random(f"controller/{self._chaos.seed}"), scale.troubled, storm_ends)
        inquirer = Inquirer(plant, Random(f"inquirer/{self._chaos.seed}"), scale.troubled, storm_ends)
        nursery.start_soon(controller.run)
        nursery.start_soon(inquirer.run)
        await trio.sleep_until(SETTLE_S)
        self._look_at_every_row()

        self._weather.sheltered = {f"CP{number:03}" for number in scale.neighbours}
        self._weather.odds = dict(ODDS)
        async with trio.open_nursery() as busy:
            for number in scale.troubled:
                for connector in range(1, CONNECTORS + 1):
                    random = Random(f"drivers/{self._chaos.seed}/{number}/{connector}")
                    busy.start_soon(drivers, self._cps[number], connector, random, storm_ends)
            busy.start_soon(self._accidents, storm_ends)
            busy.start_soon(self._restarts, storm_ends)
            await trio.sleep_until(storm_ends - ROUGH_UNTIL_S)
            for kind in ROUGH:
                del self._weather.odds[kind]
            await trio.sleep_until(storm_ends)
            busy.cancel_scope.cancel()
        await self._heal()
        self._agree(controller)
        await self._close()

    async def _charge_point(self, number: int) -> ChargePoint:
        # A late answer to a Heartbeat would set their clocks back, and what they say then would be older than before.
        traits = Traits(
            call_timeout_s=CALL_TIMEOUT_S, dial_timeout_s=CALL_TIMEOUT_S, reconnect_s=2.0, reconnect_max_s=8.0,
            boot_retry_s=5.0, follows_central_time=False,
        )  # fmt: skip
        return await self._plant.charge_point(
            f"CP{number:03}", traits=traits, configuration=CONFIGURATION, connectors=CONNECTORS
        )

    async def _start_neighbours(self) -> None:
        bms = await self._plant.bms("installer")
        for number in self._scale.neighbours:
            cp = self._cps[number]
            await cp.until(lambda cp=cp: cp.registered)  # type: ignore[misc]
            cp.plug(1, Vehicle(capacity_wh=1e6))
            await bms.until("plugged", True, number, 1)
            await bms.set_limit(number, 1, 13.0)
            await bms.trigger("start", number, 1)
        await bms.client.close()

    # --- trouble --------------------------------------------------------------------------------------------

    async def _accidents(self, until: float) -> None:
        """What happens to charge points."""
        while True:
            await trio.sleep(self._random.uniform(1, 12))
            left_s = until - trio.current_time()
            number = self._random.choice(self._scale.troubled)
            cp = self._cps[number]
            away_s = min(self._random.uniform(1, 60), max(0.0, left_s))
            kind = self._random.choice(("power cut", "dead", "pulled", "closed", "cut", "reset", "away"))
            if kind in ("pulled", "dead") and left_s < ROUGH_UNTIL_S:
                continue
            self._chaos.log(cp.identity, f"accident: {kind}, {away_s:.0f} s")
            match kind:
                case "power cut":
                    cp.power_cut(away_s)
                case "dead":
                    cp.power_cut(away_s, half_open=True)
                case "pulled":
                    cp.pull_network()
                case "closed":
                    cp.start_soon(cp.disconnect)
                case "cut":
                    cp.start_soon(cp.cut)
                case "reset":
                    cp.restart("Reboot")
                case _:
                    cp.stay_away()
                    cp.start_soon(lambda cp=cp, away_s=away_s: _come_back(cp, away_s))  # type: ignore[misc]

    async def _restarts(self, until: float) -> None:
        """What happens to the gateway."""
        for _ in range(self._random.randint(1, 3)):
            await trio.sleep(self._random.uniform(0.1, 0.4) * self._scale.storm_s)
            with trio.CancelScope(shield=True):  # the weather may heal meanwhile; the gateway comes back first
                await (self._plant.crash() if self._random.random() < 0.6 else self._plant.stop())
                await trio.sleep(min(self._random.uniform(0.1, 20), max(0.0, until - trio.current_time())))
                await self._plant.start()

    async def _heal(self) -> None:
        self._chaos.log("weather", "heals")
        self._plant.network.heal()
        for cp in self._cps.values():
            cp.come_back()
        await trio.sleep(HEALED_S)

    # --- what must hold -------------------------------------------------------------------------------------

    def _look_at_every_row(self) -> None:
        self._chaos.figures["rows of the map"] = self._watch.inspector().every_row(
            self._scale.charge_points, CONNECTORS
        )

    def _agree(self, controller: Controller) -> None:
        inspector = self._watch.inspector()
        limits = controller.wanted | {(number, 1): 13.0 for number in self._scale.neighbours}
        for number, cp in self._cps.items():
            for what in disagreements(inspector, number, cp, limits, SAMPLE_S):
                self._chaos.complain(Invariant.consistent, f"{cp.identity} {what}")
        self._look_at_every_row()

    async def _close(self) -> None:
        """Everybody goes home; then the books are compared."""
        self._watch.neighbours = ()
        for cp in self._cps.values():
            for connector in range(1, CONNECTORS + 1):
                cp.unplug(connector)
        await trio.sleep(HEALED_S)
        for cp in self._cps.values():
            for mine in cp.books:
                if not mine.stop_acknowledged:
                    what = f"{cp.identity}: {mine.id_tag} of connector {mine.connector} was never acknowledged"
                    self._chaos.complain(Invariant.energy, what)
        await self._plant.stop()
        for what in unbooked(self._plant.paths.ledger, self._cps):
            self._chaos.complain(Invariant.energy, what)


async def _come_back(cp: ChargePoint, seconds: float) -> None:
    await trio.sleep(seconds)
    cp.come_back()


def told(chaos: Chaos, path: Path) -> int:
    """Prints what came of it and keeps its log there; exit code 1 where something did not hold."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(chaos.lines) + "\n", encoding="utf-8")
    print(chaos)
    print(f"log: {path}")
    return 1 if chaos.complaints else 0


def main() -> int:
    """The log goes to build/chaos-SEED.log; exit code 1 where something did not hold."""
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int.from_bytes(os.urandom(3), "big")
    chaos = run(seed)
    return told(chaos, Path("build") / f"chaos-{seed}.log")


if __name__ == "__main__":
    raise SystemExit(main())
