"""A whole plant in one trio run, under a virtual clock: the gateway with its ledger, charge points, and BMS clients.

Everything is real but the sockets and the clock: `app.Gateway` as the daemon makes it, its SQLite file, its listener
and Modbus server; the simulated peers; between them a network in memory that has weather.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import trio

from gatewayd import config
from gatewayd.app import Gateway
from gatewayd.services.front_panel import FrontPanel
from gatewayd.state_directory import Paths
from tests.journeys.modbus_edge import serve
from tests.journeys.network import MODBUS, OCPP, Network
from tests.journeys.weather import Weather
from tests.simulator.bms import Bms, ModbusClient
from tests.simulator.charge_point import ChargePoint
from tests.simulator.clock import DEFAULT_OFFSET_S


def _unheard(who: str, what: str) -> None:
    return None


def charge_points(count: int, connectors: int = 2) -> str:
    """The tables of CP001, CP002, … for a configuration."""
    return "".join(
        f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\nconnectors = {connectors}\n'
        for number in range(1, count + 1)
    )


class Plant:
    """`start` the gateway, add charge points and BMS clients, `stop` it, start it again on what it left behind."""

    def __init__(
        self,
        nursery: trio.Nursery,
        folder: Path,
        toml: str = "",
        *,
        seed: int = 0,
        weather: Weather | None = None,
        log: Callable[[str, str], None] = _unheard,
    ) -> None:
        """`log(who, what)` hears of everything."""
        self.nursery = nursery
        self.log = log
        self.paths = Paths(folder / "gateway.toml", folder)
        self.seed = seed
        self.network = Network(nursery, weather or Weather(Random(seed)), log)
        self.charge_points: dict[str, ChargePoint] = {}
        self.starts = 0
        self._config = config.parse(toml or charge_points(1), "plant.toml")
        self._gateway: Gateway | None = None
        self._scope = trio.CancelScope()
        self._gone = trio.Event()
        self._clients = 0

    @property
    def gateway(self) -> Gateway:
        """The one that runs."""
        assert self._gateway is not None, "the gateway is not running"
        return self._gateway

    @property
    def running(self) -> bool:
        return self._gateway is not None

    async def start(self) -> None:
        """Switch the gateway on; returns when it is ready."""
        await self.nursery.start(self._run)

    async def stop(self) -> None:
        """A clean stop, as after SIGTERM."""
        self.log("gateway", "stops")
        self._scope.cancel()
        await self._gone.wait()

    async def crash(self) -> None:
        """As after SIGKILL: what is on the disk at this instant is all that remains."""
        self.log("gateway", "is killed")
        aside = self.paths.state / "at the end"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for file in self._ledger_files():
            shutil.copy(file, aside)
        self.network.listening = None
        self.network.cut_all()
        self._scope.cancel()
        await self._gone.wait()
        for file in self._ledger_files():
            file.unlink()
        for file in aside.iterdir():
            shutil.move(file, self.paths.state)

    async def charge_point(self, identity: str = "CP001", **options: Any) -> ChargePoint:
        """A charge point that is switched on now."""
        dial = self.network.dialler(identity, OCPP)
        made = ChargePoint(identity, dial, seed=self.seed, say=partial(self.log, identity), **options)
        self.charge_points[identity] = made
        await self.nursery.start(made.run)
        return made

    async def bms(self, name: str = "bms", timeout_s: float = 5.0) -> Bms:
        """A BMS with a connection of its own."""
        stream = await self.network.dialler(name, MODBUS)()
        return Bms(ModbusClient(stream, timeout_s=timeout_s))

    def wall(self) -> float:
        """The time of day, epoch seconds, by which everybody's clock is set."""
        return DEFAULT_OFFSET_S + trio.current_time()

    # --- the gateway ----------------------------------------------------------------------------------------

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        self._scope, self._gone = trio.CancelScope(), trio.Event()
        gateway = Gateway(self._config, self.paths, FrontPanel(None), wall=self.wall, threads=False)
        try:
            with self._scope:
                async with gateway.live():
                    gateway.site.ready = True
                    gateway.site.touch()
                    self._gateway = gateway
                    self.starts += 1
                    self.network.listening = self._connected
                    self.log("gateway", "is ready")
                    task_status.started()
                    try:
                        await trio.sleep_forever()
                    finally:
                        self.network.listening = None
        finally:
            self._gateway = None
            self._gone.set()

    def _connected(self, port: str, stream: trio.abc.HalfCloseableStream) -> None:
        gateway = self.gateway
        if port == OCPP:
            gateway.links.start_soon(gateway.listener.connection, stream)
            return
        self._clients += 1
        gateway.links.start_soon(serve, stream, gateway.modbus_server(gateway.units), self._clients)

    def _ledger_files(self) -> Iterator[Path]:
        return self.paths.state.glob(f"{self.paths.ledger.name}*")
