"""Watches over a plant: once a second at what may never be otherwise, now and then at every register."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import trio

from gatewayd.app import Gateway
from gatewayd.ocpp.session import Session
from gatewayd.services.ocpp_listener.link import WORDS_MAX
from gatewayd.site.agenda import DEAD_ENTRIES_MIN
from gatewayd.site.decision import EXPIRED_KEPT, INFORMATIVE_MAX, WAITING_MAX
from gatewayd.site.transaction import KEPT_TRANSACTIONS
from tests.journeys.inspector import Inspector, Refused
from tests.journeys.invariant import Complain, Invariant
from tests.journeys.outcomes import Outcomes
from tests.journeys.plant import Plant
from tests.journeys.witness import Witnesses
from tests.simulator.bms import POINTS, Value

LOOK_S, SWEEP_S = 1.0, 15.0
BACK_S = 20.0  # so long after a start of the gateway the neighbours are back and charge
KNOWN_S = 60.0  # and so long after it they were asked everything: from now on nothing of theirs changes
COMMANDS_MAX = 32  # a connector has some twenty setpoints and triggers; one of each may wait
WATCHED_MAX = 100  # deadlines of one charge point: its Call, its decisions, and a few for each connector
TRANSACTIONS_UNSAVED_MAX = 1000  # what is said while one commit is under way
MOVING = frozenset(
    {"heartbeat_age_s", "message_age_s", "round_trip_ms", "update_counter", "status_age_s", "meter_age_s", "power_w",
     "energy_wh", "command_age_s", "session_energy_wh", "transaction_duration_s", "soc", "soc_f", "temperature",
     "frequency_mhz", "power_factor", "session_count", "session_time_total_s"}
)  # fmt: skip
"""Points of a charge point that change while it does nothing but charge; what it measures changes, too."""
MEASURED = ("energy_", "power_", "current_", "voltage_", "session_energy_", "limit_active")
LOST_AT_RESTART = frozenset(
    {"connected_since", "vendor", "model", "serial", "firmware", "meter_serial", "link_state", "quirks", "reconnects",
     "security_event", "trigger_command", "trigger_state", "trigger_result", "trigger_error", "command_state",
     "command_result", "response_state", "status_time", "features", "rate_units", "max_stack_level", "list_version",
     "command_r1", "command_text"}
)  # fmt: skip
"""Points that a new start may show otherwise (modbus.md, Types: "Kept over a restart")."""


class Watch:
    """`run` it beside everything else."""

    def __init__(
        self,
        plant: Plant,
        witnesses: Witnesses,
        outcomes: Outcomes,
        complain: Complain,
        *,
        count: int,
        connectors: int,
        neighbours: tuple[int, ...],
    ) -> None:
        self.plant, self.witnesses, self.outcomes, self.complain = plant, witnesses, outcomes, complain
        self.count, self.connectors, self.neighbours = count, connectors, neighbours
        self.registers_read = 0
        self._steady: dict[int, dict[str, Value]] = {}
        self._gateway: Gateway | None = None
        self._began = 0.0
        self._swept = 0.0

    async def run(self) -> None:
        while True:
            await trio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        self.witnesses.look()
        if not self.plant.running:
            return
        gateway = self.plant.gateway
        inspector = Inspector(gateway.modbus_server(gateway.units))
        if gateway is not self._gateway:
            self._gateway, self._began = gateway, trio.current_time()
            self.outcomes.forget()
        self._look_at_buffers(gateway)
        try:
            self.outcomes.look(inspector, self.count)
            if trio.current_time() >= self._swept + SWEEP_S:
                self._swept = trio.current_time()
                self.registers_read += inspector.sweep(self.count, self.connectors)
        except Refused as refused:
            self.complain(Invariant.served, str(refused))
        for number in self.neighbours:
            self._look_at_neighbour(inspector, number)

    # --- neighbours -----------------------------------------------------------------------------------------

    def inspector(self) -> Inspector:
        gateway = self.plant.gateway
        return Inspector(gateway.modbus_server(gateway.units))

    def _look_at_neighbour(self, inspector: Inspector, number: int) -> None:
        since_s = trio.current_time() - self._began
        if since_s < BACK_S:
            return
        now = steady(inspector, number, self.connectors)
        before = self._steady.get(number, now)
        for name, value in now.items():
            if value != before[name] and not (since_s < KNOWN_S and name.split("/")[-1] in LOST_AT_RESTART):
                self.complain(Invariant.neighbours, f"CP{number:03}: {name} was {before[name]} and is {value}")
        self._steady[number] = now

    # --- buffers --------------------------------------------------------------------------------------------

    def _look_at_buffers(self, gateway: Gateway) -> None:
        for name, size, limit in buffers(gateway):
            if size > limit:
                self.complain(Invariant.buffers, f"{name}: {size} of {limit}")


def steady(inspector: Inspector, number: int, connectors: int) -> dict[str, Value]:
    """All points of a charge point that do not move while it charges."""
    blocks = {at: inspector.block(number, at) for at in (*range(connectors + 1), 8, 9)}
    return {
        name: inspector.decode(kind, blocks[at][first:end])
        for name, kind, at, first, end in _steady_points(connectors)
    }  # fmt: skip


@functools.cache
def _steady_points(connectors: int) -> tuple[tuple[str, str, int, int, int], ...]:
    """Name with block, kind, block, first register there, the one behind the last."""
    found = []
    for (block, name), point in POINTS.points.items():
        if name in MOVING or name.startswith(MEASURED) or block in ("gateway", "matrix"):
            continue
        for connector in range(1, connectors + 1) if block == "connector" else (0,):
            at = {"charge_point": 0, "command": 8, "identity": 9}.get(block, connector)
            found.append((f"{at}/{name}", point.kind, at, point.offset, point.offset + point.registers))
    return tuple(found)


def buffers(gateway: Gateway) -> Iterator[tuple[str, int, int]]:
    """What may pile up: (name, how much there is, how much may be)."""
    site = gateway.site
    yield "journal", len(site.journal.waiting), TRANSACTIONS_UNSAVED_MAX
    yield "agenda", len(site.agenda), 2 * WATCHED_MAX * len(site.charge_points) + DEAD_ENTRIES_MIN
    for charge_point in site.charge_points.values():
        name, decisions = charge_point.name, charge_point.decisions
        if isinstance(charge_point.link, Session):
            yield f"{name}: words", len(charge_point.link.words), WORDS_MAX + COMMANDS_MAX
            commands = COMMANDS_MAX * (charge_point.connector_count + 1)
            yield f"{name}: waiting commands", len(charge_point.link.waiting), commands
            yield f"{name}: starting", len(charge_point.link.starting), WAITING_MAX
        yield f"{name}: decisions", len(decisions.waiting), WAITING_MAX
        yield f"{name}: informative", len(decisions.informative), INFORMATIVE_MAX
        yield f"{name}: expired", len(decisions.expired), EXPIRED_KEPT
        open_ones = len(charge_point.transactions.open())
        yield f"{name}: transactions", len(charge_point.transactions), KEPT_TRANSACTIONS + open_ones
