"""The composition root: makes everything, introduces it, runs it in one nursery. Knows everyone; nobody knows it."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from gatewayd.assembly import build_site, build_units, restore_site
from gatewayd.config_tables import Config
from gatewayd.modbus.server import Server
from gatewayd.services import modbus_tcp
from gatewayd.services.front_panel import FrontPanel, factory_reset_at_start, open_board, process_age_s
from gatewayd.services.ledger import Ledger
from gatewayd.services.ocpp_listener import Listener, Rules
from gatewayd.site.codes import DiskState

log = logging.getLogger(__name__)

STOP_S = 4.0
"""A clean stop takes at most this long (interface.md: within 5 s)."""


class PortTaken(Exception):
    """A TCP port cannot be had; the message names it. Exit code 3."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the daemon keeps things."""

    config: Path
    state: Path

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.sqlite"

    @property
    def ports(self) -> Path:
        return self.state / "ports.json"


def bind(what: str, host: str, port: int) -> list[socket.socket]:
    try:
        return modbus_tcp.open_listener(host, port)
    except OSError as error:
        raise PortTaken(f"{what}: {host}:{port} cannot be had: {error.strerror or error}") from error


def wipe(paths: Paths) -> None:
    """Factory reset of the state directory; the configuration file stays (interface.md, The simulated board)."""
    for path in sorted(paths.state.rglob("*"), key=lambda each: len(each.parts), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


async def run(config: Config, paths: Paths, board: str | None, say: Callable[[str], None] = print) -> None:
    """The daemon: returns after SIGTERM or SIGINT. Raises PortTaken."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        lines = open_board(board)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, signals, nursery.cancel_scope)
            await factory_reset_at_start(lines, partial(wipe, paths), held_before_s=process_age_s())
            panel = FrontPanel(lines)
            await nursery.start(panel.run)
            await Gateway(config, paths, panel).run(nursery, say)


class Gateway:
    """The parts of one running daemon, and who hears what from whom."""

    def __init__(self, config: Config, paths: Paths, panel: FrontPanel) -> None:
        self._config, self._paths, self._panel = config, paths, panel
        now = trio.current_time()
        self.site = build_site(config, now, time.time(), "")
        self._ledger = Ledger(paths.ledger, self._disk_state)
        restore_site(self.site, self._ledger.load())
        self.units = build_units(self.site, config)
        self._earlier = trio.Event()

    def _disk_state(self, state: DiskState) -> None:
        if self.site.disk_state != state:
            self.site.disk_state = state
            self.site.trouble("disk", there=state is DiskState.failing)
            self.site.touch()

    def _modbus_clients(self, count: int) -> None:
        self.site.counters.modbus_tcp_clients = count
        self.site.touch()

    async def run(self, nursery: trio.Nursery, say: Callable[[str], None]) -> None:
        """Bind everything, say where, say ready; the tasks go on in the nursery."""
        config, site = self._config, self.site
        ports: dict[str, int | None] = dict.fromkeys(("modbus_tcp", "ocpp", "ocpp_tls", "web", "metrics"))
        await nursery.start(self._ledger.run, site.journal)
        await nursery.start(self._keep_time)
        if config.modbus.tcp.enabled:
            sockets = bind("modbus.tcp.port", config.modbus.tcp.host, config.modbus.tcp.port)
            ports["modbus_tcp"] = sockets[0].getsockname()[1]
            server = Server(
                self.units, writes=config.modbus.writes, on_exception=lambda _code: site.count("modbus_exceptions")
            )
            serve = partial(
                modbus_tcp.serve,
                sockets,
                server,
                config.modbus.tcp,
                on_traffic=self._panel.modbus_traffic,
                on_clients=self._modbus_clients,
                on_refused=lambda _address, _why: site.count("modbus_refused"),
            )
            await nursery.start(serve)
        if config.ocpp.port >= 0:
            sockets = bind("ocpp.port", config.ocpp.host, config.ocpp.port)
            ports["ocpp"] = sockets[0].getsockname()[1]
            listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]
            await nursery.start(self._listener().serve, listeners)
        self._announce(ports)
        site.ready = True
        site.touch()
        say("ready")

    def _listener(self) -> Listener:
        ocpp = self._config.ocpp
        rules = Rules(
            ocpp.call_timeout_s,
            ocpp.heartbeat_interval_s,
            ocpp.ping_interval_s,
            ocpp.max_message_bytes,
            frozenset(ocpp.ask_bms),
            {entry.identity: entry.password for entry in self._config.charge_points if entry.password},
        )
        return Listener(
            self.site,
            rules,
            durable=self._ledger.durable,
            on_traffic=self._panel.ocpp_traffic,
            on_links=lambda count: self._panel.ocpp_link(count > 0),
        )

    def _announce(self, ports: dict[str, int | None]) -> None:
        """`ports.json`, whole or not at all."""
        partial_file = self._paths.ports.with_suffix(".new")
        partial_file.write_text(json.dumps(ports) + "\n", encoding="utf-8")
        os.replace(partial_file, self._paths.ports)

    async def _keep_time(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what the agenda says when it is due; once a second let ages and heartbeats move on."""
        site = self.site
        site.agenda.on_earlier = lambda: self._earlier.set()
        task_status.started()
        second = int(trio.current_time() - site.started)
        while True:
            now = trio.current_time()
            site.advance(now)
            site.agenda.run(now)
            site.journal.settle(now)
            if int(now - site.started) != second:
                second = int(now - site.started)
                self.units.tick()
            due = site.agenda.next()
            tick = site.started + second + 1
            self._earlier = trio.Event()
            with trio.move_on_at(tick if due is None else min(tick, due)):
                await self._earlier.wait()


async def _stop_on_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            log.warning("SIGHUP: reading the configuration again is not active yet")
            continue
        log.info("stopping")
        scope.cancel()
        return
