"""The composition root: makes everything, introduces it, runs it in one nursery. Knows everyone; nobody knows it."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from gatewayd import bridging, programs, served
from gatewayd import config as configuration
from gatewayd.assembly import arrange_line, build_site, build_units, rearrange, reconfigure, restore_site
from gatewayd.certificates import Certificates
from gatewayd.config_tables import Config
from gatewayd.host_clock import HostClock
from gatewayd.modbus.server import Exchanges, Server
from gatewayd.observers import Observers, Reading
from gatewayd.ocpp import certificate_signing
from gatewayd.ocpp.questions import Questions
from gatewayd.ocpp.session import Session
from gatewayd.ocpp.stand_in import StandIn
from gatewayd.points.bank import Units
from gatewayd.points.gateway import MAP_MAGIC
from gatewayd.served import RTU, PortTaken, RunningServices, bind
from gatewayd.services import metrics, modbus_rtu, modbus_tcp
from gatewayd.services.front_panel import FrontPanel, factory_reset_at_start, open_board, process_age_s
from gatewayd.services.ledger.writer import Ledger
from gatewayd.services.ocpp_listener import Listener
from gatewayd.services.watchdog import Watchdog
from gatewayd.site.codes import DiskState
from gatewayd.site.journal import SaveFact
from gatewayd.site.model import CONFIGURATION
from gatewayd.site.refusal import Refusal
from gatewayd.state_directory import Paths, announce, keep_good, restored_from, wipe
from gatewayd.view.exposition import CONTENT_TYPE

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often ages and heartbeats move on; they count seconds (modbus.md, Gateway block)."""


async def run(
    config: Config, paths: Paths, board: str | None, say: Callable[[str], None] = print, *, good: bool = True
) -> None:
    """The daemon: returns after SIGTERM or SIGINT. `good` False: `config` is not what the file says, because that was
    refused. Raises PortTaken."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        lines = open_board(board)
        async with trio.open_nursery() as nursery:
            gateway: list[Gateway] = []

            async def obey() -> None:
                async for number in signals:
                    if number != signal.SIGHUP:
                        log.info("stopping")
                        nursery.cancel_scope.cancel()
                    elif gateway:
                        await gateway[0].reload()

            nursery.start_soon(obey)
            await factory_reset_at_start(lines, partial(wipe, paths), held_before_s=process_age_s())
            panel = FrontPanel(lines)
            await nursery.start(panel.run)
            gateway.append(Gateway(config, paths, panel))
            await gateway[0].run(say, good=good)


class Gateway:
    """The parts of one running daemon, and who hears what from whom."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        panel: FrontPanel,
        *,
        wall: Callable[[], float] = time.time,
        threads: bool = True,
    ) -> None:
        """`wall` tells the time, epoch seconds. `threads` False does everything on the loop: a virtual clock does not
        wait for threads."""
        self._config, self._paths, self._panel = config, paths, panel
        started, epoch = trio.current_time(), wall()  # side by side: what lies between them is an error of the clock
        self._ledger = Ledger(
            paths.ledger, self._disk_state, lambda: self.site.trouble("ledger", there=True), threaded=threads
        )
        restored = self._ledger.load()
        serial = str(restored.facts.get("gateway_serial") or secrets.token_hex(8).upper())
        self.site = build_site(config, started, epoch, serial)
        self.site.on_registered += [Questions().registered, certificate_signing.registered]
        restore_site(self.site, restored, restored_from(paths.state))
        if "gateway_serial" not in restored.facts:
            self.site.journal.write(SaveFact("gateway_serial", serial))
        self.units = build_units(self.site, config)
        self.line_units = Units(self.units.banks(), config.modbus.unit_id)
        arrange_line(self.line_units, self.units, config)
        self.observers = Observers(
            self.site, panel, config, str(paths.config), self.reload_soon,
            lambda name: self._certificates.signing_request(self._config, name),
        )  # fmt: skip
        self._exchanges = self.observers.exchanges
        self.upstreams = bridging.upstreams(config)
        self.listener = Listener(
            self.site,
            served.listener_rules(config),
            durable=self._ledger.durable,
            on_traffic=panel.ocpp_traffic,
            on_links=lambda count: panel.ocpp_link(count > 0),
            on_refused=self._refused,
            dial=self.upstreams.dial,
            may_dial=self.upstreams.may_dial,
            on_frame=self.observers.frame,
            on_link=self.observers.link,
        )
        self._certificates = Certificates(paths.state, self.site, self.listener.show_certificate, paths.run)
        self._ports: dict[str, int | None] = dict.fromkeys(("modbus_tcp", "ocpp", "ocpp_tls", "web", "metrics"))
        self.observers.ports = self._ports
        self._running = RunningServices()
        self._network = self.modbus_server(self.units, self._exchanges["tcp"])
        self._earlier = trio.Event()
        self._reloading = trio.Lock()
        self._watchdog = Watchdog()
        self._host_clock = HostClock(self.site, wall)
        self.site.clock.on_set = self._clock_was_set

    async def run(self, say: Callable[[str], None], *, good: bool = True) -> None:
        """Bind everything, say where, say ready; then run until cancelled."""
        async with self.live():
            modbus, *others = served.SERVED
            await self._serve_at_start(modbus)
            await self._serve_line()
            # A first start makes keys, which takes the module seconds: only charge points that need them wait.
            await self._certificates.begin(self._config)
            for name in others:
                await self._serve_at_start(name)
            await self._serve_programs()
            self._announce()
            self._stand_in(frozenset(entry.number for entry in self._config.charge_points))
            self.site.ready = True
            self.site.touch()
            if good:
                keep_good(self._paths, self._config)
            else:
                await self.reload()  # which shows what is wrong with the file, and changes nothing
            await self._services.start(self._watchdog.run, self._is_well, self._status)
            try:
                await self._services.start(self._certificates.keep, lambda: self._config)
                say("ready")  # to scripts, which may look at the authority's certificate then
                await trio.sleep_forever()
            finally:
                self._watchdog.stopping()

    def _is_well(self) -> bool:
        """A read of register 0 gives what it always gives."""
        return self.units.banks()[0].read(0, 1) == MAP_MAGIC.to_bytes(2, "big")

    def _status(self) -> str:
        links = sum(charge_point.connected for charge_point in self.site.charge_points.values())
        return f"{self.site.state.name}, {links} charge points, {self.site.counters.modbus_tcp_clients} Modbus clients"

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """All but the services: what is due is done, what is said is written; what is started in `links` ends with it.
        The ledger goes last: what the others say while they stop is still written."""
        async with trio.open_nursery() as keeping:
            writing = await keeping.start(self._write)
            try:
                async with trio.open_nursery() as self.links, trio.open_nursery() as self._services:
                    await self._services.start(self._keep_time)
                    yield
                    self._services.cancel_scope.cancel()
                    self.links.cancel_scope.cancel()
            finally:
                writing.cancel()

    async def _write(self, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        """The ledger, which only the scope that this starts with ends."""
        with trio.CancelScope(shield=True) as writing:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._ledger.run, self.site.journal)
                task_status.started(writing)

    # --- services -------------------------------------------------------------------------------------------

    async def _serve(self, name: str) -> None:
        """Start one of the services as configured, in place of the one that runs; raises PortTaken. One that listens
        there already goes on, and only hears what is new."""
        wanted = served.SERVED[name](self._config)
        if name in self._running and self._running.place(name) == wanted:
            self._running.configure(name, self._config.modbus.tcp)
            return
        if name in self._running and wanted is not None and wanted[1] not in (0, self._ports[name]):
            sockets = bind(name, *wanted)  # before the old one goes: it stays if this fails
        else:
            sockets = []
        await self._running.end(name)
        self._ports[name] = None
        if wanted is None:
            return
        sockets = sockets or bind(name, *wanted)
        self._ports[name] = sockets[0].getsockname()[1]
        await self._running.start(self._services, name, self._service(name, sockets), wanted)

    async def _serve_at_start(self, name: str) -> None:
        """As `_serve`; a port that nobody asked for may be somebody else's."""
        try:
            await self._serve(name)
        except PortTaken as error:
            if not served.nobody_asked_for(name, self._config):
                raise
            log.warning("%s; choose another port, or -1 for none", error)

    def _announce(self) -> None:
        announce(self._paths, self._ports, served.open_ports(self._config, self._ports))

    async def _serve_line(self) -> None:
        """Start Modbus RTU as configured, in place of what runs. A missing port is no reason not to be ready."""
        await self._running.end(RTU)
        site, config = self.site, self._config
        site.trouble(RTU, there=False)
        if not config.modbus.rtu.enabled:
            return
        service = partial(
            modbus_rtu.serve,
            config.modbus.rtu,
            self.modbus_server(self.line_units, self._exchanges["rtu"]),
            self.line_units,
            count=site.count,
            on_port=lambda there: site.trouble(RTU, there=not there),
        )
        await self._running.start(self._services, RTU, service)

    def modbus_server(self, units: Units, exchanges: Exchanges | None = None, *, writes: bool | None = None) -> Server:
        """Answers from these units. What the page is refused is in nobody's books but its own."""
        ours = exchanges is not self._exchanges["page"]
        return Server(
            units,
            writes=self._config.modbus.writes if writes is None else writes,
            on_exception=self.observers.exception if ours else lambda _code: None,
            exchanges=exchanges,
            journal=self.site.journal,
        )

    def _service(self, name: str, sockets: list[socket.socket]) -> Callable[..., Awaitable[None]]:
        if name == "modbus_tcp":
            return partial(
                modbus_tcp.serve,
                sockets,
                self._network,
                self._config.modbus.tcp,
                on_traffic=self._panel.modbus_traffic,
                on_clients=self._modbus_clients,
                on_refused=self._modbus_refused,
                roster=self.observers.roster,
                durable=self._ledger.durable,
            )
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]
        if name == "metrics":
            return partial(metrics.serve, listeners, self.observers.metrics, CONTENT_TYPE)
        return partial(self.listener.serve, listeners, self.links, tls=name == "ocpp_tls")

    async def _serve_programs(self) -> None:
        """The sockets for programs on this machine. The gateway works on without them."""
        # `writes = false` fences the network; who writes here was asked for a password by the page.
        server = self.modbus_server(self.units, self._exchanges["page"], writes=True)
        await self._services.start(
            programs.serve,
            self._paths.sockets,
            server,
            self._ledger.durable,
            self.observers.serve,
            lambda missing: self.site.trouble("sockets", there=missing),
        )

    def _stand_in(self, numbers: frozenset[int]) -> None:
        """Simulated charge points stand in for those of these numbers that are configured so."""
        for entry in self._config.charge_points:
            if entry.simulated and entry.number in numbers:
                charge_point = self.site.charge_points[entry.identity]
                session = Session(charge_point, "own-", ask_bms=self.listener.rules.ask_bms)
                StandIn(charge_point, session).start(trio.current_time())

    # --- SIGHUP ---------------------------------------------------------------------------------------------

    async def reload_soon(self) -> Reading:
        """Have it read again by a task of ours: who asked may leave before it is done."""
        found, read = [Reading()], trio.Event()

        async def read_again() -> None:
            found[0] = await self.reload()
            read.set()

        self._services.start_soon(read_again)
        await read.wait()
        return found[0]

    async def reload(self) -> Reading:
        """Read the configuration again. A bad one changes nothing but `state`; links that did not change stay."""
        async with self._reloading:
            reading = await self._reload()
            self.observers.configuration_read(reading, self._config)
            return reading

    async def _reload(self) -> Reading:
        file = str(self._paths.config)
        try:
            config = configuration.parse(self._paths.config.read_bytes(), file)
        except configuration.ConfigError as error:
            for line in str(error).splitlines():
                log.error("%s", line)
            self.site.trouble(CONFIGURATION, there=True)
            return Reading(error.faults)
        except OSError as error:
            what = error.strerror or str(error)
            log.error("%s: %s", file, what)
            self.site.trouble(CONFIGURATION, there=True)
            return Reading((configuration.Fault(file, "file", what),))
        changes = configuration.changed(self._config, config)
        anew = changes.charge_points | bridging.changed(self._config, config)
        self._config = config
        self.upstreams.places = bridging.places(config)
        reconfigure(self.site, config, anew)
        rearrange(self.units, self.site, config)
        arrange_line(self.line_units, self.units, config)
        self._stand_in(anew)
        self.listener.rules = served.listener_rules(config)
        self._network.allow_writes(config.modbus.writes)
        await self._certificates.look(config)
        taken: list[configuration.Fault] = []
        for name, tables in served.RESTARTED_BY.items():
            if tables & changes.tables:
                try:
                    await self._serve(name)
                except PortTaken as error:
                    log.error("%s", error)
                    taken.append(configuration.Fault(file, name, str(error)))
                self.site.trouble(name, there=self._ports[name] is None and served.SERVED[name](config) is not None)
        if served.RTU_RESTARTED_BY & changes.tables:
            await self._serve_line()
        self._announce()
        self.site.trouble(CONFIGURATION, there=False)
        if not taken:
            keep_good(self._paths, config)
        log.info("configuration read again: %s", ", ".join(sorted(changes.tables)) or "charge points only")
        return Reading(tuple(taken), changes)

    # --- what the parts tell --------------------------------------------------------------------------------

    def _disk_state(self, state: DiskState) -> None:
        if self.site.disk_state != state:
            self.site.disk_state = state
            self.site.trouble("disk", there=state is DiskState.failing)
            self.observers.disk(state)
            self.site.touch()

    def _clock_was_set(self) -> None:
        """The BMS set the clock: on the appliance the host's clock is to follow (modbus.md, Time)."""
        if self._host_clock.keeps_time:
            self._services.start_soon(self._host_clock.ask, self.site.epoch)

    def _refused(self, refusal: Refusal) -> None:
        self.site.refusals.note(refusal, self.site.epoch)
        self.observers.refused(refusal)

    def _modbus_refused(self, refusal: Refusal) -> None:
        self.site.count("modbus_refused")
        self._refused(refusal)

    def _modbus_clients(self, count: int) -> None:
        self.site.counters.modbus_tcp_clients = count
        self.site.touch()
        self.observers.clients()

    async def _keep_time(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what the agenda says when it is due; every TICK_S let ages and heartbeats move on."""
        site = self.site
        site.agenda.on_earlier = lambda: self._earlier.set()
        task_status.started()
        tick = site.started + TICK_S
        while True:
            now = trio.current_time()
            site.advance(now)
            site.agenda.run(now)
            site.journal.settle(now)
            if now >= tick:
                tick += TICK_S * (int((now - tick) / TICK_S) + 1)
                self._host_clock.follow(now)
                self.units.tick()
            due = site.agenda.next()
            self._earlier = trio.Event()
            with trio.move_on_at(tick if due is None else min(tick, due)):
                await self._earlier.wait()
