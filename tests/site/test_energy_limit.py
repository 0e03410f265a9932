"""`energy_limit_wh`: the gateway stops the transaction that reaches it (modbus.md, Limits)."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.site.codes import CommandCode, CommandError, CommandState, Result
from tests.kit import Frame, Kit
from tests.site.taker import ENERGY_LIMIT, ENERGY_LIMIT_U16, Taker

TRIGGER = 3300 + 222


@pytest.fixture
def cp() -> Taker:
    return Taker(Kit())


def stops(frames: list[Frame]) -> list[Any]:
    return [frame.payload["transactionId"] for frame in frames if frame.action == "RemoteStopTransaction"]


def test_the_transaction_that_reaches_it_is_stopped_once(cp: Taker) -> None:
    cp.kit.write_32(3300 + ENERGY_LIMIT, 5000)
    transaction = cp.start(meter_start=1000)
    cp.meter(Wh=5999)
    assert stops(cp.run_for(1)) == []
    cp.meter(Wh=6000)
    assert stops(cp.run_for(1)) == [transaction]
    assert cp.kit.read(TRIGGER, 3) == [CommandCode.RemoteStopTransaction, CommandState.done, Result.Accepted]
    cp.meter(Wh=6100)
    assert stops(cp.run_for(300)) == []


def test_it_holds_for_every_transaction_until_it_is_0(cp: Taker) -> None:
    cp.kit.write(3300 + ENERGY_LIMIT_U16, 50)
    assert cp.kit.read_32(3300 + ENERGY_LIMIT) == 5000
    for _ in range(2):
        transaction = cp.start(meter_start=0)
        cp.meter(Wh=5001)
        assert stops(cp.run_for(1)) == [transaction]
        cp.stop(meter_stop=5001)
        cp.end.status(1, "Available")
        cp.run_for(1)
        cp.kit.site.charge_points["CP001"].connectors[1].meter.energy_active_import_wh = 0
    cp.kit.write_32(3300 + ENERGY_LIMIT, 0)
    cp.start(meter_start=0)
    cp.meter(Wh=9000)
    assert stops(cp.run_for(1)) == []


def test_one_that_is_written_below_what_was_charged_stops_at_once(cp: Taker) -> None:
    transaction = cp.start(meter_start=0)
    cp.meter(Wh=3000)
    cp.run_for(1)
    cp.kit.write_32(3300 + ENERGY_LIMIT, 2000)
    assert stops(cp.pump()) == [transaction]


def test_each_connector_for_itself(cp: Taker) -> None:
    cp.kit.write_32(3600 + ENERGY_LIMIT, 1000)
    cp.start(1)
    second = cp.start(2)
    cp.meter(1, Wh=2000)
    assert stops(cp.run_for(1)) == []
    cp.meter(2, Wh=2000)
    assert stops(cp.run_for(1)) == [second]


def test_a_refusal_is_the_last_word(cp: Taker) -> None:
    cp.refuse = lambda action, _payload: {"status": "Rejected"} if action == "RemoteStopTransaction" else None
    cp.kit.write_32(3300 + ENERGY_LIMIT, 1000)
    cp.start()
    for reading in (1000, 1100, 1200):
        cp.meter(Wh=reading)
        cp.run_for(1)
    assert len(stops(cp.asked)) == 1
    assert cp.kit.read(TRIGGER, 3) == [CommandCode.RemoteStopTransaction, CommandState.done, Result.Rejected]


def test_an_error_is_the_last_word_too(cp: Taker) -> None:
    cp.refuse = lambda action, _payload: "InternalError" if action == "RemoteStopTransaction" else None
    cp.kit.write_32(3300 + ENERGY_LIMIT, 1000)
    cp.start()
    cp.meter(Wh=1500)
    cp.run_for(300)
    assert len(stops(cp.asked)) == 1


def test_what_was_not_heard_is_said_again(cp: Taker) -> None:
    cp.refuse = lambda action, _payload: ... if action == "RemoteStopTransaction" else None
    cp.kit.write_32(3300 + ENERGY_LIMIT, 1000)
    transaction = cp.start()
    cp.meter(Wh=1500)
    cp.run_for(61)
    assert cp.kit.read(TRIGGER, 4)[3] == CommandError.no_answer
    cp.refuse = lambda _action, _payload: None
    assert stops(cp.run_for(60)) == [transaction]


def test_reached_while_offline_it_stops_after_the_reconnect(cp: Taker) -> None:
    cp.kit.write_32(3300 + ENERGY_LIMIT, 1000)
    transaction = cp.start()
    cp.end.disconnect()
    connector = cp.cp.connectors[1]
    assert connector.open_transaction is not None
    connector.open_transaction.last_wh = 2000
    connector.touch()
    cp.kit.run_for(5)
    cp.dial()
    assert stops(cp.asked) == []
    cp.run_for(1)
    assert stops(cp.asked) == [transaction]
