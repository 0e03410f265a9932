"""What programs beside the daemon see of it, and may ask of it: introduces the site to `view`, and both to the sockets
(docs/interfaces.md). Nothing here waits on behalf of anybody; what nobody wants to hear costs a comparison.
"""

from __future__ import annotations

import logging
import os
import platform
import resource
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio

from gatewayd.config import Changes, Fault
from gatewayd.config_tables import Config
from gatewayd.modbus.server import Exchanges, TcpSession
from gatewayd.services import events_socket
from gatewayd.services.front_panel import FrontPanel
from gatewayd.services.modbus_tcp import Client
from gatewayd.services.ocpp_listener.listener import End
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import DiskState
from gatewayd.site.model import Site
from gatewayd.site.refusal import Cause, Refusal
from gatewayd.site.transaction import Transaction
from gatewayd.view import exposition, lines, snapshot
from gatewayd.view.publisher import Publisher, line
from gatewayd.view.requests import Do

IDENTIFY_S = 10.0
"""How long the lights blink (hal.panel)."""
SNAPSHOT_AGE_S = 1.0
"""A snapshot is made anew when it is asked for and older than this, or than the last event."""
SNAPSHOT_PAUSE_S = 0.2
"""Between two, whatever happens: one of a thousand charge points takes 40 ms to make."""
MISFIT_EVERY_S, MISFITS_MAX = 10.0, 100
"""A client that polls in vain is told of so often; so many are remembered for that, as many as refusals."""
RELOAD_PAUSE_S = 0.5
"""Between two readings of the configuration that somebody asked for: each may start services anew."""
AGAIN = 1012
"""WebSocket close code "service restart": the charge point dials again."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading the configuration again: `faults`, else what changed."""

    faults: tuple[Fault, ...] = ()
    changes: Changes = field(default_factory=lambda: Changes(frozenset(), frozenset()))

    def members(self) -> dict[str, Any]:
        return {
            "faults": [{"key": fault.key, "what": fault.what} for fault in self.faults],
            "tables": sorted(self.changes.tables),
            "charge_points": sorted(self.changes.charge_points),
        }


Reload = Callable[[], Awaitable[Reading]]
SigningRequest = Callable[[str], Awaitable[Mapping[str, Any]]]
"""A request for a certificate that is also for this name, and what belongs to it. Raises OSError, ValueError."""


class Observers:
    """Hears of everything, tells those who listen, keeps the counts that only they want."""

    def __init__(
        self, site: Site, panel: FrontPanel, config: Config, file: str, reload: Reload, signing_request: SigningRequest
    ) -> None:
        """`panel`: what it shows is told, and it may be asked to `identify`; `file`: the configuration's name."""
        self._site, self._panel, self._reload, self._signing_request = site, panel, reload, signing_request
        self.config, self._file = config, file
        self.reading = Reading()
        """Of the file as it was read last."""
        self._read_at = site.epoch
        self.ports: Mapping[str, int | None] = {}
        self.roster: dict[Client, TcpSession] = {}
        """The clients of Modbus TCP."""
        self._clients: dict[Client, tuple[int, float]] = {}
        """Those that were told of: how many requests at the last tick, and how many a second."""
        self.exchanges = {name: Exchanges(name) for name in ("tcp", "rtu", "page")}
        for each in (self.exchanges["tcp"], self.exchanges["rtu"]):
            each.on_misfit = self.misfit
        self._misfits: dict[tuple[Cause, str], float] = {}
        """When they are told of again, oldest first."""
        self.exceptions: Counter[int] = Counter()
        self._messages: Counter[tuple[int, str]] = Counter()
        self._transactions: lines.Begun = {
            lines.key_of(cp.number, each): True for cp in site.charge_points.values() for each in cp.transactions.open()
        }
        self._traffic = (False, False)
        self._identify_until = 0.0
        self._plant = exposition.Plant(site)
        self._snapshot, self._snapshot_at, self._stale = b"", -SNAPSHOT_AGE_S, True
        self._making, self._reading_again = trio.Lock(), trio.Lock()
        self._read_again_at = -RELOAD_PAUSE_S
        self.publisher = Publisher(self._wanted)
        site.on_trouble = self._trouble
        site.journal.on_transaction = self._transaction

    # --- what the parts tell --------------------------------------------------------------------------------

    def _event(self, event: str, about: int | None, /, **members: Any) -> None:
        now, self._stale = trio.current_time(), True
        told = {"type": "event", "time": self._site.clock.epoch(now), "event": event, **members}
        self.publisher.say("events", lambda: told, now, about)

    def frame(self, charge_point: ChargePoint, direction: str, text: str | bytes) -> None:
        """An OCPP message came or goes."""
        self._messages[charge_point.number, direction] += 1
        if "frames" in self.publisher.wanted:
            now = trio.current_time()
            make = partial(lines.frame, charge_point, direction, text, self._site.clock.epoch(now))
            self.publisher.say("frames", make, now, charge_point.number, min(len(text), lines.SHOWN_CHARACTERS))

    def link(self, charge_point: ChargePoint, end: End | None) -> None:
        """A charge point is connected, or its link ended."""
        who = {"charge_point": charge_point.number, "identity": charge_point.name, "address": charge_point.address}
        if end is None:
            self._event("connected", charge_point.number, **who)
        else:
            reason = end.reason or None
            self._event("disconnected", charge_point.number, **who, code=end.code, reason=reason)

    def refused(self, refusal: Refusal) -> None:
        """Somebody was turned away."""
        known = self._site.charge_points.get(refusal.identity)
        self._event("refused", None if known is None else known.number, **snapshot.refusal(refusal))

    def misfit(self, cause: Cause, client: Hashable, why: str) -> None:
        """A Modbus client gets nowhere, at every request of its; who looks for the fault is told now and then."""
        address, now = str(getattr(client, "address", client)), trio.current_time()
        if now < self._misfits.get((cause, address), now):
            return
        self._misfits.pop((cause, address), None)
        self._misfits[cause, address] = now + MISFIT_EVERY_S
        if len(self._misfits) > MISFITS_MAX:
            del self._misfits[next(iter(self._misfits))]
        log.warning("Modbus client %s: %s", address, why)
        refusal = Refusal(cause, why, address=address)
        self._site.refusals.note(refusal, self._site.clock.epoch(now))
        self.refused(refusal)

    def _trouble(self, name: str, there: bool) -> None:
        self._event("fault" if there else "fault_over", None, fault=name)

    def disk(self, state: DiskState) -> None:
        self._event("disk", None, disk=state.name)

    def _transaction(self, number: int, transaction: Transaction) -> None:
        event = lines.transaction_event(self._transactions, number, transaction)
        if event is not None:
            known = next((cp.name for cp in self._site.charge_points.values() if cp.number == number), None)
            who = {"charge_point": number, "identity": known, "connector": transaction.connector}
            self._event(event, number, **who, transaction=snapshot.transaction(transaction))

    def configuration_read(self, reading: Reading, config: Config) -> None:
        """The file was read again; `config` is what is in force now."""
        self.config, self.reading, self._read_at = config, reading, self._site.epoch
        self._event("configuration_read", None, **reading.members())

    def clients(self) -> None:
        """Clients of Modbus TCP came or went."""
        for client in self.roster.keys() - self._clients.keys():
            self._clients[client] = (0, 0.0)
            self._event("modbus_connected", None, address=client.address, port=client.port)
        for client in self._clients.keys() - self.roster.keys():
            del self._clients[client]
            self._event("modbus_disconnected", None, address=client.address, port=client.port)

    def exception(self, code: int) -> None:
        """A Modbus exception was answered."""
        self.exceptions[code] += 1
        self._site.count("modbus_exceptions")

    def _wanted(self) -> None:
        """Somebody begins or ceases to listen: only then does a server look up who looks on."""
        onlooker = self._exchanged if "modbus" in self.publisher.wanted else None
        for each in self.exchanges.values():
            each.onlooker = onlooker

    def _exchanged(self, over: Exchanges, client: Hashable, unit: int, request: bytes, answer: bytes | None) -> None:
        now = trio.current_time()
        epoch = self._site.clock.epoch(now)
        make = partial(lines.exchange, over.transport, client, unit, request, answer, epoch)
        self.publisher.say("modbus", make, now)

    # --- what is asked --------------------------------------------------------------------------------------

    async def serve(
        self, listener: socket.socket, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """`events.sock`, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            await nursery.start(partial(events_socket.serve, listener, self.publisher, self.snapshot, self._act))
            task_status.started()

    async def _tick(self) -> None:
        """Once a second: rates, and the line for those who want it."""
        while True:
            await trio.sleep(1.0)
            for client, session in self.roster.items():
                before, _ = self._clients.get(client, (0, 0.0))
                self._clients[client] = (session.requests, float(session.requests - before))
            self._traffic = (self._panel.ocpp_seen, self._panel.modbus_seen)
            self._panel.ocpp_seen = self._panel.modbus_seen = False
            self.publisher.say("status", self._status, trio.current_time())

    def _status(self) -> dict[str, Any]:
        unit = self.config.modbus.unit_id
        return {
            "type": "status",
            "time": self._site.clock.epoch(trio.current_time()),
            "gateway": self._gateway(),
            "panel": self._lights(),
            "modbus_clients": self._modbus_clients(),
            "written": snapshot.written(self._site.banks, unit, news_only=True),
        }

    async def snapshot(self) -> bytes:
        """The line, made in pieces so that a large plant delays nobody; the charge points of one bank are of one
        instant."""
        async with self._making:
            if self._stale:
                await trio.sleep_until(self._snapshot_at + SNAPSHOT_PAUSE_S)
            now = trio.current_time()
            if self._stale or now - self._snapshot_at >= SNAPSHOT_AGE_S:
                self._snapshot_at, self._stale = now, False
                self._snapshot = await self._make_snapshot(now)
            return self._snapshot

    async def _make_snapshot(self, now: float) -> bytes:
        site, unit, entries = self._site, self.config.modbus.unit_id, snapshot.entries(self.config)
        head = {
            "type": "snapshot",
            "time": site.clock.epoch(now),
            "gateway": self._gateway(),
            "ports": self.ports,
            "configuration": {"file": self._file, "read": self._read_at, "faults": self.reading.members()["faults"]},
            "panel": self._lights(),
            **snapshot.turned_away(site),
            "modbus_clients": self._modbus_clients(),
            "written": snapshot.written(site.banks, unit),
        }
        pieces = []
        for bank in list(site.banks):
            for cp in sorted(bank.charge_points.values(), key=lambda each: each.number):
                told = snapshot.charge_point(cp, entries.get(cp.number), unit + bank.number - 1)
                pieces.append(line(told)[:-1])
            await trio.lowlevel.checkpoint()
        return line(head)[:-2] + b',"charge_points":[' + b",".join(pieces) + b"]}\n"

    def _gateway(self) -> dict[str, Any]:
        return {**snapshot.gateway(self._site), "python": platform.python_version(), "pid": os.getpid()}

    def _lights(self) -> dict[str, Any]:
        ocpp, modbus = self._traffic
        return lines.lights(
            self._panel.lit,
            ocpp_link=self._panel.linked,
            ocpp_traffic=ocpp,
            modbus_traffic=modbus,
            identify=trio.current_time() < self._identify_until,
            button=self._panel.button,
        )

    def _modbus_clients(self) -> list[dict[str, Any]]:
        epoch = self._site.clock.epoch
        return [
            lines.client(client, session, self._clients.get(client, (0, 0.0))[1], epoch)
            for client, session in self.roster.items()
        ]

    async def _act(self, request: Do) -> dict[str, Any]:
        if request.what == "reload":
            async with self._reading_again:
                await trio.sleep_until(self._read_again_at + RELOAD_PAUSE_S)
                reading = await self._reload()
                self._read_again_at = trio.current_time()
            members = reading.members()
            return request.answer(ok=not reading.faults, **members)
        if request.what == "identify":
            self._panel.identify()
            self._identify_until = trio.current_time() + IDENTIFY_S
            return request.answer(ok=True)
        if request.what == "signing_request":
            try:
                return request.answer(ok=True, **await self._signing_request(request.name))
            except (OSError, ValueError) as error:
                return request.fault(str(error))
        number = request.charge_point
        if number is None:
            return request.fault("charge_point must be the number of one")
        found = next((each for each in self._site.charge_points.values() if each.number == number), None)
        if found is None or found.link is None:
            return request.fault(f"charge point {number} is not connected")
        if found.stand_in is not None:
            return request.fault(f"charge point {number} is a simulated one: it has no connection")
        found.link.close(AGAIN, "closed by hand")
        return request.answer(ok=True)

    # --- metrics --------------------------------------------------------------------------------------------

    def metrics(self) -> Iterator[str]:
        """The figures for Prometheus, in pieces."""
        yield "".join(self._process())
        yield "".join(self._own())
        yield from self._plant.pieces()

    def _process(self) -> Iterable[str]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        with open("/proc/self/statm", "rb") as statm:
            resident = int(statm.read().split()[1]) * resource.getpagesize()
        started = time.time() - (trio.current_time() - self._site.started)
        own, kind = exposition.family, "gauge"
        yield own("process_cpu_seconds_total", "counter", round(usage.ru_utime + usage.ru_stime, 3), "CPU time.")
        yield own("process_resident_memory_bytes", kind, resident, "Resident memory.")
        yield own("process_open_fds", kind, len(os.listdir("/proc/self/fd")), "Open file descriptors.")
        yield own("process_start_time_seconds", kind, round(started, 3), "Start, since 1970.")

    def _own(self) -> Iterable[str]:
        return exposition.gateway(
            self._site,
            python=platform.python_version(),
            now=trio.current_time(),
            answered={name: each.answered for name, each in self.exchanges.items()},
            exceptions=self.exceptions,
            messages=self._messages,
            dropped=self.publisher.dropped_total,
        )
