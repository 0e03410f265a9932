"""What `make run` shows: the BMS program, the drivers, the view of the registers."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from .bms import Bms, Demo, ModbusClient, demo
from .conftest import Plant
from .drivers import Drivers
from .live_view import LiveView
from .modbus_judge import UNIT, ModbusJudge


async def test_the_bms_accepts_starts_and_limits(
    judge: ModbusJudge, client: ModbusClient, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "START_AFTER_S", 0.0)
    monkeypatch.setattr(demo, "CYCLE_S", 0.01)
    said: list[str] = []
    judge.put(32, [0, 2])  # charge point 2 is connected
    judge.put(6036, [2])  # and has two connectors
    judge.put(6308, [1])  # a car waits at the first
    judge.put(6605, [1])  # and one charges at the second
    judge.put(6060, [9, 1, 1])  # somebody asks
    judge.put(6074, [0x5441, 0x4731])
    program = Demo(Bms(client), said.append)
    nursery.start_soon(program.run)
    expected = [(6, 9, [1]), (5, 6318, [True]), (16, 6700, [0, 320, 0, 0])]
    with trio.fail_after(10):
        while not all(write in judge.writes for write in expected):  # noqa: ASYNC110
            await trio.sleep(0.01)
    nursery.cancel_scope.cancel()
    assert "charge point 2: Authorize of TAG1 accepted (idle)" in said
    assert "charge point 2, connector 1: start" in said
    assert program.accepted >= program.started == 1
    beats = [values[0] for function, address, values in judge.writes if address == 9]
    assert beats == list(range(1, len(beats) + 1))


async def test_drivers_come_and_go(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    said: list[str] = []
    drivers = Drivers(cp, seed=1, first_after_s=4, say=said.append)
    plant.nursery.start_soon(drivers.run)
    await trio.sleep(3600)
    assert len(cp.books) >= 3
    assert all(t.id_tag.startswith("DRIVER") for t in cp.books)
    # who comes without a card waits for the BMS
    assert {"Preparing", "Charging", "Finishing"} <= set(cp.connector(1).history)
    assert set(cp.connector(2).history) == {"Available", "Preparing"}
    assert said[0] == "CP001/1: the driver's card is Accepted"


@pytest.mark.parametrize("terminal", [False, True])
async def test_the_view(judge: ModbusJudge, nursery: trio.Nursery, terminal: bool) -> None:
    client = await ModbusClient.connect("127.0.0.1", judge.port, UNIT)
    judge.put(8, [77])
    judge.put(44, [0, 11040])
    judge.put(3332, [3])
    judge.put(3366, [0, 11040])
    judge.put(3400, [0, 160])
    judge.put(3305, [1])
    judge.put(3354, [0x5441, 0x4731])
    judge.put(3666, [0x8000, 0])
    judge.put(3700, [0xFFFF, 0xFFFF])
    shown: list[str] = []
    view = LiveView(terminal, shown.append)
    nursery.start_soon(view.run, Bms(client), [(1, 1), (1, 2)])
    with trio.fail_after(10):
        while len(shown) < (2 if terminal else 1):
            view.say("something happened") if terminal else None
            await trio.sleep(0.05)
    nursery.cancel_scope.cancel()
    await client.close()
    text = shown[-1]
    assert "77" in text
    assert "11.04 kW" in text
    assert "16.0 A" in text
    assert "TAG1" in text or not terminal
    if terminal:
        assert "something happened" in text
        assert text.startswith("\x1b[")  # drawn over the table before
        assert "1, connector 2" in text
        assert " - " in text  # what is not available
