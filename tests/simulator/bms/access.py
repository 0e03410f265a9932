"""Points by name: typed reads and writes over one Modbus connection."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from .client import ModbusClient
from .points import POINTS, Point, PointMap
from .values import Coding, Value

MAX_READ = 125  # registers in one FC3


class PointAccess:
    """`poll_s` is how often it looks while it waits for something."""

    def __init__(
        self, client: ModbusClient, coding: Coding | None = None, points: PointMap = POINTS, poll_s: float = 0.2
    ) -> None:
        self.client = client
        self.coding = coding or Coding()
        self.points = points
        self.poll_s = poll_s

    async def read(self, name: str, charge_point: int = 0, connector: int | None = None) -> Value:
        """None when the gateway says "not available"."""
        point, address = self.points.find(name, charge_point, connector)
        return self.coding.decode(point.kind, await self.client.read_registers(address, point.registers))

    async def number(self, name: str, charge_point: int = 0, connector: int | None = None) -> int:
        """A whole number that has to be there. ValueError when it is not available."""
        value = await self.read(name, charge_point, connector)
        if value is None:
            raise ValueError(f"{name} is not available")
        return int(value)

    async def write(self, name: str, value: Value, charge_point: int = 0, connector: int | None = None) -> None:
        """FC5 for a bit, FC6 for one register, FC16 for more."""
        point, address = self.points.find(name, charge_point, connector)
        if point.kind == "bit":
            await self.client.write_coil(address, bool(value))
            return
        registers = self.coding.encode(point.kind, value)
        if len(registers) == 1:
            await self.client.write_register(address, registers[0])
        else:
            await self.client.write_registers(address, registers)

    async def trigger(self, name: str, charge_point: int, connector: int | None = None) -> None:
        """Write 1, then 0, so that the next 1 acts again whatever `notify` says."""
        await self.write(name, 1, charge_point, connector)
        await self.write(name, 0, charge_point, connector)

    async def block(self, block: str, charge_point: int = 0, connector: int | None = None) -> dict[str, Value]:
        """Every point of a block ("gateway", "charge_point", "connector", "command", "identity") by name."""
        points = sorted((p for p in self.points.points.values() if p.block == block), key=lambda p: p.offset)
        values: dict[str, Value] = {}
        for group in _groups(points):
            first, last = group[0], group[-1]
            _, address = self.points.find(first.name, charge_point, connector)
            registers = await self.client.read_registers(address, last.offset + last.registers - first.offset)
            for point in group:
                start = point.offset - first.offset
                values[point.name] = self.coding.decode(point.kind, registers[start : start + point.registers])
        return values

    async def until(
        self, name: str, value: Value, charge_point: int = 0, connector: int | None = None, timeout_s: float = 30.0
    ) -> None:
        """Poll until a point reads that value. trio.TooSlowError."""
        with trio.fail_after(timeout_s):
            while await self.read(name, charge_point, connector) != value:  # noqa: ASYNC110  polling is what a BMS does
                await trio.sleep(self.poll_s)


def _groups(points: Iterable[Point]) -> Iterable[list[Point]]:
    """Runs of points that fit one read."""
    group: list[Point] = []
    for point in points:
        if group and point.offset + point.registers - group[0].offset > MAX_READ:
            yield group
            group = []
        group.append(point)
    if group:
        yield group
