"""Seeded chaos for the bridge: a plant whose central system is slow, half open, gone, or answers twice, while charge
points reconnect and the gateway restarts, under either policy.

`python -m tests.journeys.bridge_chaos buffer|disconnect SEED` runs one and writes its log; the same seed gives the same
log, to the byte.
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import nullcontext, suppress
from enum import Enum
from pathlib import Path
from random import Random
from unittest.mock import patch

import trio

from gatewayd.ocpp.telling import TOLD_TIMEOUT_S
from tests.folders import fast_folder
from tests.journeys.agreement import unequal_books
from tests.journeys.bad_upstream import ODDS, BadCentralSystem, HeardStream, Lines, UpstreamWeather
from tests.journeys.bridge_judges import Bridging, Judges
from tests.journeys.chaos import Broken, Chaos, told
from tests.journeys.determined import determined
from tests.journeys.life import connected_again_and_again, drivers
from tests.journeys.plant import Plant
from tests.journeys.virtual_clock import VirtualClock
from tests.simulator import ocpp_link
from tests.simulator.bms import Bms
from tests.simulator.charge_point import ChargePoint, Traits, Vehicle
from tests.simulator.clock import Clock
from tests.simulator.ocpp_link import CallFailed, LinkLost, NoAnswer
from tests.simulator.script import Payload

POLICIES = ("disconnect", "buffer")
COUNT, CONNECTORS = 3, 1
SETTLE_S, STORM_S = 15.0, 240.0
SLOW_ODDS, TWICE_ODDS = 0.3, 0.2
CALM_S = 60.0
"""So long before the weather heals the central system is slow no more: what it was told is answered, or given up."""
DROPPED_S, LOOK_S = 10.0, 0.5
AWAY_S = 20.0
DRAINED_S, DRAINED = 60.0, "s until drained"
TOML = """
[gateway]
role = "bridge"
[ocpp.upstream]
offline = "{policy}"
local_control = true
"""
CONFIGURATION = {
    "MeterValueSampleInterval": "15",
    "MeterValuesSampledData": "Energy.Active.Import.Register",
    "TransactionMessageAttempts": "1000",
    "TransactionMessageRetryInterval": "5",
}
ASKED: tuple[tuple[str, Payload], ...] = (
    ("GetConfiguration", {}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification"}),
    ("TriggerMessage", {"requestedMessage": "MeterValues"}),
    ("DataTransfer", {"vendorId": "example"}),
)
"""What the central system asks."""


def _table(number: int) -> str:
    """Each has a host name of its own upstream: by that the harness knows for whom it is dialled."""
    return f"""[[charge_point]]
number = {number}
identity = "CP{number:03}"
connectors = {CONNECTORS}
upstream_url = "ws://cp{number:03}.example/ocpp"
"""


def run(policy: str, seed: int, broken: Broken = nullcontext, enough: Enum | None = None) -> Chaos:
    """One seed. `broken` builds the gateway wrong, for a twin of the test."""
    chaos = Chaos(seed, enough)
    began = time.perf_counter()
    given_up = patch.object(ocpp_link, "PEER_CALL_TIMEOUT_S", TOLD_TIMEOUT_S - 1.0)  # by whoever asked, under `buffer`
    with fast_folder() as folder, determined(seed), given_up, broken():
        trio.run(_Storm(chaos, Path(folder), policy).run, clock=VirtualClock())
    chaos.figures["s real time"] = round(time.perf_counter() - began, 1)
    return chaos


class _Storm:
    def __init__(self, chaos: Chaos, folder: Path, policy: str) -> None:
        self._chaos, self._folder, self._policy = chaos, folder, policy
        self._random = Random(f"bridge/{policy}/{chaos.seed}")
        self._judges = Judges(chaos.complain, chaos.log, buffered=policy == "buffer")
        self._cps: list[ChargePoint] = []
        self._late: set[HeardStream] = set()

    async def run(self) -> None:
        chaos, policy = self._chaos, self._policy
        with chaos.scope:
            async with trio.open_nursery() as nursery:
                moods = Random(f"moods/{policy}/{chaos.seed}")
                self._central = BadCentralSystem(moods, nursery, clock=Clock(), first_transaction_id=1000)
                self._judges.on_answer = self._central.answered
                weather = UpstreamWeather(Random(f"line/{policy}/{chaos.seed}"))
                self._lines = Lines(nursery, weather, chaos.log)
                self._lines.witness = self._judges.upstream
                self._lines.listening = lambda _port, stream: nursery.start_soon(self._central.handle, stream)
                toml = TOML.format(policy=policy) + "".join(map(_table, range(1, COUNT + 1)))
                self._plant = Plant(nursery, self._folder, toml, seed=chaos.seed, log=chaos.log)
                self._plant.network.witness = self._judges.downstream
                await self._live(nursery)
                nursery.cancel_scope.cancel()
        chaos.figures |= {
            "s virtual time": round(trio.current_time()),
            "transactions": sum(len(cp.books) for cp in self._cps),
            "messages": self._judges.frames,
            "links upstream": len(self._central.requests),
            "faults": sum(" weather " in line for line in chaos.lines),
        }

    async def _live(self, nursery: trio.Nursery) -> None:
        await self._start()
        for number in range(1, COUNT + 1):
            traits = Traits(features=("Core", "RemoteTrigger", "SmartCharging"), reconnect_s=2.0, reconnect_max_s=8.0)
            self._cps.append(
                await self._plant.charge_point(
                    f"CP{number:03}", traits=traits, configuration=CONFIGURATION, connectors=CONNECTORS
                )
            )
        nursery.start_soon(self._look)
        nursery.start_soon(self._control)
        await trio.sleep(SETTLE_S)
        self._lines.weather.odds = dict(ODDS)
        self._central.moods.slow, self._central.moods.twice = SLOW_ODDS, TWICE_ODDS
        ends = SETTLE_S + STORM_S
        async with trio.open_nursery() as busy:
            for cp in self._cps:
                for connector in range(1, CONNECTORS + 1):
                    random = Random(f"drivers/{self._chaos.seed}/{cp.identity}/{connector}")
                    busy.start_soon(drivers, cp, connector, random, ends)
            for trouble in (self._ask, self._go_away, self._reconnect, self._restart):
                busy.start_soon(trouble)
            await trio.sleep_until(ends - CALM_S)
            self._central.moods.slow = 0.0
            await trio.sleep_until(ends)
            busy.cancel_scope.cancel()
        await self._heal()
        await self._agree()
        self._judges.stopping = True

    async def _start(self) -> None:
        await self._plant.start()
        upstreams = self._plant.gateway.upstreams
        upstreams.open_stream = lambda host, _port: self._lines.dial(host.partition(".")[0].upper())
        upstreams.random = Random(f"pauses/{self._chaos.seed}")
        bms = await self._plant.bms("installer")
        await bms.write("decision_default", 1)
        await bms.client.close()

    # --- trouble --------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        """The central system asks, now and then while its own Call or ours is open."""
        while True:
            await trio.sleep(self._random.uniform(1, 10))
            action, payload = self._random.choice(ASKED)
            self._asking(self._random.choice(self._cps).identity, action, payload)

    def _asking(self, identity: str, action: str, payload: Payload) -> None:
        async def ask() -> None:
            with suppress(LinkLost, NoAnswer, CallFailed):
                await self._central.call(identity, action, payload)

        self._plant.nursery.start_soon(ask)

    async def _go_away(self) -> None:
        """The central system closes all, and is away for a while."""
        while True:
            await trio.sleep(self._random.uniform(20, 80))
            self._chaos.log("central system", "goes")
            self._plant.nursery.start_soon(self._central.go_away)
            await trio.sleep(self._random.uniform(1, 50))
            self._chaos.log("central system", "comes")
            self._central.come_back()

    async def _reconnect(self) -> None:
        """A charge point's own line breaks, or it has no power for a while."""
        while True:
            await trio.sleep(self._random.uniform(5, 40))
            cp = self._random.choice(self._cps)
            self._chaos.log(cp.identity, "accident")
            if self._random.random() < 0.7:
                cp.start_soon(cp.cut)
            else:
                cp.power_cut(self._random.uniform(1, 20))

    async def _restart(self) -> None:
        """The gateway's power is cut, or it is stopped; once at most."""
        await trio.sleep(self._random.uniform(0, 1.5 * STORM_S))
        with trio.CancelScope(shield=True):
            if self._random.random() < 0.5:
                self._lines.cut_all()
                await self._plant.crash()
            else:
                self._judges.stopping = True
                await self._plant.stop()
                self._judges.stopping = False
            await trio.sleep(self._random.uniform(0.1, 10))
            self._judges.restarted()
            await self._start()

    async def _control(self) -> None:
        """The BMS limits, with `local_control`."""
        await connected_again_and_again(self._plant, "controller", self._limit)

    async def _limit(self, bms: Bms) -> None:
        while True:
            number, connector = self._random.randint(1, COUNT), self._random.randint(1, CONNECTORS)
            await bms.set_limit(number, connector, self._random.choice((None, 6.0, 10.0, 16.0)))
            await trio.sleep(self._random.uniform(1, 10))

    # --- what must hold -------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            await trio.sleep(LOOK_S)
            self._judges.look()
            for cp in self._cps if self._policy == "disconnect" else ():
                line = self._lines.last.get(cp.identity)
                if line is None or line in self._late or not cp.connected:
                    continue
                silent_s = trio.current_time() - line.heard_at
                if silent_s > DROPPED_S + LOOK_S:
                    self._late.add(line)
                    what = f"{cp.identity}: nothing of its central system for {silent_s:.1f} s"
                    self._chaos.complain(Bridging.dropped, what)

    async def _heal(self) -> None:
        """Until everything that the charge points and the gateway had to say was heard."""
        self._chaos.log("weather", "heals")
        self._central.come_back()
        self._lines.heal()
        began = trio.current_time()
        with trio.move_on_after(2 * DRAINED_S):
            while len(self._central.links) < COUNT or not all(cp.registered for cp in self._cps):  # noqa: ASYNC110
                await trio.sleep(LOOK_S)
            if self._policy == "disconnect":  # their own queues begin to move now
                began = trio.current_time()
            while self._waiting():  # noqa: ASYNC110
                await trio.sleep(LOOK_S)
        drained_s = self._chaos.figures[DRAINED] = trio.current_time() - began
        if drained_s > DRAINED_S or self._waiting():
            self._chaos.complain(
                Bridging.drained, f"{drained_s:.0f} s after the weather {self._waiting()} messages wait"
            )

    def _waiting(self) -> int:
        site = self._plant.gateway.site
        states = sum(len(each.standing.unheard) for each in site.charge_points.values())
        return len(site.backlog) + states + sum(cp.outbox.waiting_durable for cp in self._cps)

    async def _agree(self) -> None:
        """Everybody has a transaction, some begun while the central system is away; each is called the same by it and
        the registers, and ends when the central system says so by its own number. Then the books are compared."""
        if self._policy == "buffer":
            await self._central.go_away()
        for number, cp in enumerate(self._cps):
            if number % 2 == 0 or cp.transaction(1) is None:
                cp.unplug(1)
                cp.plug(1, Vehicle())
                cp.present_tag_soon("LAST", 1)
        await trio.sleep(AWAY_S)
        self._central.come_back()
        await trio.sleep(DRAINED_S)
        bms = await self._plant.bms("inspector")
        for number, cp in enumerate(self._cps, 1):
            await self._stop(bms, number, cp)
            cp.unplug(1)
        await trio.sleep(DRAINED_S)
        for what in unequal_books(self._central, self._cps):
            self._chaos.complain(Bridging.kept, what)
        self._judges.in_order()

    async def _stop(self, bms: Bms, number: int, cp: ChargePoint) -> None:
        mine = cp.transaction(1)
        if mine is None:
            self._chaos.complain(Bridging.ids, f"{cp.identity} charges no more")
            return
        theirs = [
            each.transaction_id
            for each in self._central.books.values()
            if (each.identity, each.id_tag, each.meter_start_wh) == (cp.identity, mine.id_tag, mine.meter_start_wh)
        ]
        shown = await bms.read("transaction_id", number, 1)
        if theirs != [shown]:
            self._chaos.complain(Bridging.ids, f"{cp.identity}: {shown} in the register, {theirs} in the books")
        for each in theirs:
            with suppress(LinkLost, NoAnswer, CallFailed):
                await self._central.call(cp.identity, "RemoteStopTransaction", {"transactionId": each})
        with trio.move_on_after(LOOK_S):
            while mine.running:  # noqa: ASYNC110
                await trio.sleep(LOOK_S / 10)
        if mine.running:
            self._chaos.complain(Bridging.ids, f"{cp.identity} does not know what {theirs} is")


def main() -> int:
    """The log goes to build/; exit code 1 where something did not hold."""
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    policy, seed = sys.argv[1], int(sys.argv[2])
    return told(run(policy, seed), Path("build") / f"bridge-chaos-{policy}-{seed}.log")


if __name__ == "__main__":
    raise SystemExit(main())
