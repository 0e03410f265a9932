"""One charge point and one central system in memory, under virtual time, with every frame judged by the schemas;
and a Modbus server of another house for the BMS.

A test that uses `plant` names `autojump_clock` as well: pytest-trio looks for the clock among a test's own arguments.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from .bms import ModbusClient
from .central_system import CentralSystem
from .charge_point import ChargePoint, Vehicle
from .modbus_judge import UNIT, ModbusJudge
from .schema_judge import SchemaJudge


@dataclass
class Plant:
    """`charge_point(...)` makes one and runs it; `judge` hears all that it says and is told."""

    nursery: trio.Nursery
    central: CentralSystem
    judge: SchemaJudge = field(default_factory=SchemaJudge)
    said: list[str] = field(default_factory=list)

    async def charge_point(self, identity: str = "CP001", **options: Any) -> ChargePoint:
        charge_point = ChargePoint(
            identity, self.central.open_stream, trace=self.judge.trace, say=self.said.append, **options
        )
        await self.nursery.start(charge_point.run)
        return charge_point

    async def registered(self, **options: Any) -> ChargePoint:
        """A charge point that has booted and said everything."""
        charge_point = await self.charge_point(**options)
        await charge_point.until(lambda: charge_point.registered)
        await trio.sleep(1)
        return charge_point

    async def charging(self, **options: Any) -> ChargePoint:
        """A charge point that has a transaction on connector 1."""
        charge_point = await self.registered(**options)
        charge_point.plug(1, Vehicle())
        assert await charge_point.present_tag("TAG1") == "Accepted"
        await charge_point.until(lambda: bool(charge_point.books and charge_point.books[0].start_acknowledged))
        return charge_point


@pytest.fixture
async def plant(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncIterator[Plant]:
    central = CentralSystem()
    await nursery.start(central.run)
    made = Plant(nursery, central)
    yield made
    assert made.judge.frames > 0
    assert made.judge.faults == []


@pytest.fixture
def judge() -> Iterator[ModbusJudge]:
    made = ModbusJudge()
    yield made
    made.close()


@pytest.fixture
async def client(judge: ModbusJudge) -> AsyncIterator[ModbusClient]:
    made = await ModbusClient.connect("127.0.0.1", judge.port, UNIT)
    yield made
    await made.close()
