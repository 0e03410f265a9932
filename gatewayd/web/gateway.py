"""The gateway as the pages see it: gatewayd's two sockets and the configuration file, behind one object."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from gatewayd import config as configuration
from gatewayd.config_tables import Config
from gatewayd.points.exports.listing import Listed
from gatewayd.web.events_client import EventsClient, Watcher
from gatewayd.web.points_client import PointsClient
from gatewayd.web.points_table import PointsTable, Shown, runs_of
from gatewayd.web.settings import Settings
from gatewayd.web.unix_socket import GatewayAway

__all__ = ["Gateway", "GatewayAway"]


class Gateway:
    """What may be asked of gatewayd. Everything raises GatewayAway while it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._points = PointsClient(settings.points_socket)
        self._events = EventsClient(settings.events_socket)
        self._table: tuple[bytes, PointsTable, Config] | None = None

    async def run(self) -> None:
        """Keeps hearing; until cancelled."""
        await self._events.run()

    @property
    def up(self) -> bool:
        """Whether gatewayd was heard last."""
        return self._events.up

    async def snapshot(self) -> dict[str, Any]:
        """What is true now (docs/interfaces.md, the snapshot): half a second old at most."""
        return await self._events.snapshot()

    def watch(self, *streams: str, charge_point: int | None = None) -> AbstractContextManager[Watcher]:
        """Live lines of `events`, `frames`, `modbus`, `status`; `with` it, and `async for` over what it gives.

        Raises TooManyWatchers.
        """
        return self._events.watch(*streams, charge_point=charge_point)

    async def reload(self) -> dict[str, Any]:
        """gatewayd reads its configuration again; `ok`, and `faults` if it does not like it."""
        return await self._events.ask({"do": "reload"})

    async def identify(self) -> dict[str, Any]:
        """All lights blink for 10 s."""
        return await self._events.ask({"do": "identify"})

    async def signing_request(self, name: str) -> dict[str, Any]:
        """A request for a certificate, PEM, for all names of the gateway and this one ("": for those alone)."""
        return await self._events.ask({"do": "signing_request", "name": name})

    async def disconnect(self, charge_point: int) -> dict[str, Any]:
        """Closes the link of one charge point; it dials again."""
        return await self._events.ask({"do": "disconnect", "charge_point": charge_point})

    # --- points ---------------------------------------------------------------------------------------------

    async def points(self) -> list[Shown]:
        """Every live point and its value, by unit id and address."""
        table = self.table()
        readings = {run: await self._points.read(run.unit, run.address, run.registers) for run in table.runs}
        return list(table.shown(readings))

    async def read(self, listed: Listed) -> Shown:
        """One point as it reads now."""
        data = await self._points.read(listed.unit, listed.address, listed.point.registers)
        return Shown(listed, *self.table().read(listed.point, data))

    async def read_many(self, listed: Sequence[Listed]) -> list[Shown]:
        """Several points as they read now, in the order given; neighbours in one request."""
        runs = runs_of(listed)
        readings = {run: await self._points.read(run.unit, run.address, run.registers) for run in runs}
        return self.table().shown_in(listed, readings)

    async def write(self, listed: Listed, value: int | float | str) -> None:
        """Writes one point, as a BMS does. Raises BadValue, ModbusRefused."""
        data = self.table().written(listed.point, value)
        await self._points.write(listed.unit, listed.address, data)

    def find(self, unit: int, address: int) -> Listed | None:
        """The point that begins at this register."""
        return self.table().by_place.get((unit, address))

    def config(self) -> Config:
        """The configuration as the file has it, or the last that was good."""
        self.table()
        assert self._table is not None
        return self._table[2]

    def table(self) -> PointsTable:
        """Of the configuration as the file has it. What is wrong there is gatewayd's to say: the last good stays."""
        text = self._settings.config.read_bytes()
        if self._table is None or self._table[0] != text:
            try:
                config = configuration.parse(text, self._settings.config.name)
            except configuration.ConfigError:
                if self._table is None:
                    config = Config()
                else:
                    return self._table[1]
            self._table = text, PointsTable(config), config
        return self._table[1]
