"""Which services listen where, by their names in `ports.json`, and what of the configuration starts them anew."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

import trio

from gatewayd.config_tables import Config, Metrics, ModbusTcp
from gatewayd.services import modbus_tcp
from gatewayd.services.ocpp_listener import Rules

log = logging.getLogger(__name__)


class PortTaken(Exception):
    """A TCP port cannot be had; the message names it. Exit code 3."""


def bind(what: str, host: str, port: int) -> list[socket.socket]:
    """Raises PortTaken."""
    try:
        return modbus_tcp.open_listener(host, port)
    except OSError as error:
        raise PortTaken(f"{what}: {host}:{port} cannot be had: {error.strerror or error}") from error


def listener_rules(config: Config) -> Rules:
    """What the listener needs to know of the configuration."""
    ocpp = config.ocpp
    return Rules(
        ocpp.call_timeout_s,
        ocpp.heartbeat_interval_s,
        ocpp.ping_interval_s,
        ocpp.max_message_bytes,
        frozenset(ocpp.ask_bms),
        {entry.identity: entry.password for entry in config.charge_points if entry.password},
        {entry.identity: entry.min_security_profile for entry in config.charge_points},
    )


def _modbus_place(config: Config) -> tuple[str, int] | None:
    tcp = config.modbus.tcp
    return (tcp.host, tcp.port) if tcp.enabled else None


def _ocpp_place(config: Config) -> tuple[str, int] | None:
    return (config.ocpp.host, config.ocpp.port) if config.ocpp.port >= 0 else None


def _ocpp_tls_place(config: Config) -> tuple[str, int] | None:
    return (config.ocpp.host, config.ocpp.tls.port) if config.ocpp.tls.port >= 0 else None


def _metrics_place(config: Config) -> tuple[str, int] | None:
    return (config.metrics.host, config.metrics.port) if config.metrics.port >= 0 else None


SERVED: dict[str, Callable[[Config], tuple[str, int] | None]] = {
    "modbus_tcp": _modbus_place,
    "ocpp": _ocpp_place,
    "ocpp_tls": _ocpp_tls_place,
    "metrics": _metrics_place,
}
"""Service by its name in `ports.json` → where it listens, None = off; in the order of starting, Modbus first."""


def open_ports(config: Config, ports: Mapping[str, int | None]) -> dict[str, int]:
    """Those of the `ports` that are bound, by their names in `ports.json`, that other machines are to reach."""
    places = {name: place(config) for name, place in SERVED.items()}
    return {
        name: port
        for name, place in places.items()
        if place is not None and (port := ports[name]) is not None and not _this_machine_only(place[0])
    }


def _this_machine_only(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def nobody_asked_for(name: str, config: Config) -> bool:
    """Whether this service only has the port that it has without being configured. The metrics' is a guess that other
    exporters make too: that one is taken is no reason not to start."""
    return name == "metrics" and config.metrics == Metrics()


RESTARTED_BY = {
    "modbus_tcp": frozenset({"modbus", "modbus.tcp"}),
    "ocpp": frozenset({"ocpp"}),
    "ocpp_tls": frozenset({"ocpp", "ocpp.tls"}),
    "metrics": frozenset({"metrics"}),
}
"""Which tables of the configuration a service hears of when they change at SIGHUP; only one that is to listen elsewhere
starts anew."""

RTU = "modbus_rtu"
"""The serial line among the services, and among the troubles while its port is missing."""
RTU_RESTARTED_BY = frozenset({"modbus", "modbus.rtu"})


class _Running(NamedTuple):
    """A service that runs: what ends it, that it ended, where it was asked to listen, who takes what is new."""

    scope: trio.CancelScope
    gone: trio.Event
    place: tuple[str, int] | None = None
    configure: Callable[[ModbusTcp], None] | None = None


class RunningServices:
    """The services that can be ended and started anew, by their names in `ports.json`."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def place(self, name: str) -> tuple[str, int] | None:
        """Where it was asked to listen."""
        return self._running[name].place

    def configure(self, name: str, modbus_tcp: ModbusTcp) -> None:
        """It goes on where it is; what else is new, Modbus TCP takes here. The others hear of it by `Rules`."""
        configure = self._running[name].configure
        if configure is not None:
            configure(modbus_tcp)

    async def start(
        self,
        nursery: trio.Nursery,
        name: str,
        service: Callable[..., Awaitable[None]],
        place: tuple[str, int] | None = None,
    ) -> None:
        """Returns when it has started."""

        async def scoped(task_status: trio.TaskStatus[Any]) -> None:
            running = self._running[name] = _Running(trio.CancelScope(), trio.Event())
            try:
                with running.scope:
                    await service(task_status=task_status)
            finally:
                running.gone.set()

        configure = await nursery.start(scoped)
        self._running[name] = self._running[name]._replace(place=place, configure=configure)
        if place is not None:
            log.info("%s serves at %s:%d", name, *place)

    async def end(self, name: str) -> None:
        """Returns when it has ended; at once where it does not run."""
        running = self._running.pop(name, None)
        if running is not None:
            running.scope.cancel()
            await running.gone.wait()
