"""A BMS program for demonstrations: lets everybody charge, starts waiting cars, moves the limit up and down."""

from __future__ import annotations

from collections.abc import Callable

import trio

from .bms import Bms

# A step of the limit each so many seconds: long enough to see the power follow, short enough not to be bored.
LIMIT_STEP_S = 20.0
LIMITS_A = (32.0, 13.0, 8.0, 10.5, 16.0)
START_AFTER_S = 3.0  # a waiting car is started by us when nobody has held a card to the reader until then
CYCLE_S = 1.0


class Demo:
    """`run` works until cancelled. `say` gets a line for everything that it does."""

    def __init__(self, bms: Bms, say: Callable[[str], None]) -> None:
        self.accepted = 0
        self.started = 0
        self._bms = bms
        self._say = say
        self._waiting_since: dict[tuple[int, int], float] = {}
        self._limited: dict[tuple[int, int], float | None] = {}

    async def run(self) -> None:
        began = trio.current_time()
        while True:
            await self._bms.heartbeat()
            step = int((trio.current_time() - began) / LIMIT_STEP_S)
            for charge_point in await self._connected():
                await self._decide(charge_point)
                for connector in range(1, await self._bms.number("connector_count", charge_point) + 1):
                    await self._work(charge_point, connector, LIMITS_A[step % len(LIMITS_A)])
            await trio.sleep(CYCLE_S)

    async def _connected(self) -> list[int]:
        mask = await self._bms.number("connected_mask")
        return [bit + 1 for bit in range(20) if mask >> bit & 1]

    async def _decide(self, charge_point: int) -> None:
        request = await self._bms.request(charge_point)
        if request is None:
            return
        state = await self._bms.respond(request, "Accepted")
        if request.informative:
            self._say(
                f"charge point {charge_point}: session of {request.session_energy_wh} Wh noted ({request.reason})"
            )
        else:
            self.accepted += 1
            self._say(f"charge point {charge_point}: {request.type} of {request.id_tag} accepted ({state})")

    async def _work(self, charge_point: int, connector: int, limit_a: float) -> None:
        place = (charge_point, connector)
        if not await self._bms.read("needs_authorization", *place):
            self._waiting_since.pop(place, None)
        elif trio.current_time() - self._waiting_since.setdefault(place, trio.current_time()) >= START_AFTER_S:
            self._waiting_since[place] = trio.current_time() + 30.0  # patience before another try
            self.started += 1
            self._say(f"charge point {charge_point}, connector {connector}: start")
            await self._bms.trigger("start", *place)
        wanted = limit_a if await self._bms.read("transaction_active", *place) else None
        if wanted != self._limited.get(place):
            self._limited[place] = wanted
            self._say(f"charge point {charge_point}, connector {connector}: limit {f'{wanted} A' if wanted else 'off'}")
            await self._bms.set_limit(charge_point, connector, wanted)
