"""What goes on in a plant: drivers come and go, one BMS controls, another one asks questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import trio

from tests.journeys.plant import Plant
from tests.simulator.bms import BadAnswer, Bms, ConnectionLost, ModbusError
from tests.simulator.charge_point import ChargePoint, Vehicle

TROUBLE = (ConnectionLost, BadAnswer, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError)
"""After these a Modbus connection is of no more use."""
REDIAL_S = 1.0
PLACES_AT_A_TIME = 4
QUESTIONS = ("GetConfiguration", "ClearCache", "TriggerMessage", "ChangeConfiguration", "GetLocalListVersion")
LIMITS_A = (None, 32.0, 20.0, 13.0, 10.5, 8.0, 6.0, 0.0)


async def drivers(cp: ChargePoint, connector: int, random: Random, until: float) -> None:
    """One car after the other at this connector, some with a card, some waiting for the BMS to start them."""
    visits = 0
    while trio.current_time() < until:
        await trio.sleep(random.uniform(1, 15))
        visits += 1
        tag = f"T{cp.identity}-{connector}-{visits}"
        cp.plug(connector, Vehicle(max_current_a=random.choice((16.0, 32.0)), soc_percent=random.uniform(10, 70)))
        with_card = random.random() < 0.6
        if with_card:
            await trio.sleep(random.uniform(0.5, 3))
            cp.present_tag_soon(tag, connector)
        await trio.sleep(random.uniform(5, 50))
        lot = random.random()
        if lot < 0.2:
            cp.emergency_stop(connector)
        elif lot < 0.4 and with_card:
            cp.present_tag_soon(tag, connector)
            await trio.sleep(random.uniform(0.1, 5))
        cp.unplug(connector)


@dataclass
class Controller:
    """The BMS that decides, starts, stops and limits; and believes of its setpoints only what it read back."""

    plant: Plant
    random: Random
    numbers: range
    until: float
    wanted: dict[tuple[int, int], float | None] = field(default_factory=dict)
    """(charge point, connector) → the limit that shall hold there, in A."""
    written: set[tuple[int, int]] = field(default_factory=set)
    """Of these, what the gateway confirmed over the present connection."""
    _looked_at: int = 0

    async def run(self) -> None:
        await connected_again_and_again(self.plant, "controller", self._work)

    async def _work(self, bms: Bms) -> None:
        self.written.clear()
        await bms.write("decision_default", 3)  # the list, and accept strangers
        while True:
            await bms.heartbeat()
            for number in await bms.waiting():
                await self._decide(bms, number)
            if trio.current_time() < self.until:
                await self._whims(bms)
            for place in [place for place in sorted(self.wanted) if place not in self.written]:
                await self._set(bms, place)
            await self._again(bms)
            await trio.sleep(self.random.choice((0.5, 1.0, 2.0, 10.0)) if trio.current_time() < self.until else 1.0)

    async def _decide(self, bms: Bms, number: int) -> None:
        request = await bms.request(number)
        if request is not None and not request.informative and self.random.random() < 0.9:
            await bms.respond(request, "Accepted" if self.random.random() < 0.9 else "Blocked")

    async def _whims(self, bms: Bms) -> None:
        number, connector = self.random.choice(self.numbers), self.random.choice((1, 2))
        self.wanted[number, connector] = self.random.choice(LIMITS_A)
        self.written.discard((number, connector))
        number = self.random.choice(self.numbers)
        if await bms.read("needs_authorization", number, connector):
            await bms.trigger("start", number, connector)
        elif self.random.random() < 0.2 and await bms.read("transaction_active", number, connector):
            await bms.trigger("stop", number, connector)
        request = await bms.request(number)
        if request is not None and request.informative:
            await bms.respond(request)

    async def _set(self, bms: Bms, place: tuple[int, int]) -> None:
        wanted = self.wanted[place]
        await bms.set_limit(*place, wanted)
        if await bms.read("limit", *place) == (-1 if wanted is None else round(wanted * 10)):
            self.written.add(place)

    async def _again(self, bms: Bms) -> None:
        """A limit that did not get through is written again; and what was said on an older connection may come late.
        A few places at a time."""
        places = sorted(self.written)
        for at in range(self._looked_at, self._looked_at + min(PLACES_AT_A_TIME, len(places))):
            place = places[at % len(places)]
            wanted = self.wanted[place]
            failed = await bms.limit_result(*place) in ("rejected", "no_answer", "call_error")
            if failed or await bms.read("limit", *place) != (-1 if wanted is None else round(wanted * 10)):
                self.written.discard(place)
        self._looked_at += PLACES_AT_A_TIME


@dataclass
class Inquirer:
    """Another BMS, at the command mailboxes; sometimes it begins to fill one and leaves it so."""

    plant: Plant
    random: Random
    numbers: range
    until: float

    async def run(self) -> None:
        await connected_again_and_again(self.plant, "inquirer", self._work)

    async def _work(self, bms: Bms) -> None:
        while True:
            await trio.sleep(self.random.uniform(0.2, 4.0))
            if trio.current_time() > self.until:
                continue
            number = self.random.choice(self.numbers)
            lot = self.random.random()
            with suppress(ModbusError):
                if lot < 0.1:
                    _, address = bms.points.find("command_code", number)
                    await bms.client.write_registers(address, [9, 1])
                elif lot < 0.2:
                    await bms.trigger("refresh", number, self.random.choice((1, 2)))
                else:
                    await self._ask(bms, number)

    async def _ask(self, bms: Bms, number: int) -> None:
        what = self.random.choice(QUESTIONS)
        trigger = what == "TriggerMessage"
        await bms.command(
            number,
            what,
            connector=int(trigger),
            p1=self.random.randint(1, 6) if trigger else 0,
            key="HeartbeatInterval" if "Configuration" in what else "",
            value="10" if what == "ChangeConfiguration" else "",
            by_register=self.random.random() < 0.2,
            timeout_s=60,
        )


async def connected_again_and_again(plant: Plant, name: str, work: Callable[[Bms], Awaitable[None]]) -> None:
    while True:
        with suppress(OSError, *TROUBLE):
            bms = await plant.bms(name)
            try:
                await work(bms)
            except ModbusError as error:
                plant.log(name, f"refused: {error}")
            finally:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(bms.client.stream)
        await trio.sleep(REDIAL_S)
