"""A simulated charge point stands in, drives everything a real one would, and goes when the real one comes."""

from __future__ import annotations

from gatewayd.ocpp.session import Session
from gatewayd.ocpp.stand_in import CAR_TAKES_A, StandIn
from gatewayd.site.codes import CommandState, Result, Status
from tests.kit import Kit

CONNECTOR_1 = 3300


def standing() -> Kit:
    kit = Kit()
    charge_point = kit.site.charge_points["CP001"]
    StandIn(charge_point, Session(charge_point, "own-")).start(kit.now)
    kit.run_for(2)
    return kit


def test_it_boots_and_says_that_it_is_simulated() -> None:
    kit = standing()
    assert kit.read(3000, 2) == [1, 1]
    assert kit.read(3009) == 1
    assert kit.read(CONNECTOR_1 + 32) == Status.Available
    assert kit.read_text(5734, 10) == "stand-in"


def test_a_car_asks_charges_and_leaves() -> None:
    kit = standing()
    kit.write(18, 1)  # decision_default: accept
    kit.run_for(60)
    assert kit.read(CONNECTOR_1 + 32) == Status.Charging
    assert kit.read(CONNECTOR_1 + 5) == 1
    assert kit.read_32(CONNECTOR_1 + 72, signed=True) == CAR_TAKES_A * 1000
    energy = kit.read_32(CONNECTOR_1 + 48)
    kit.run_for(60)
    assert kit.read_32(CONNECTOR_1 + 48) > energy
    kit.run_for(3600)
    assert kit.read_32(CONNECTOR_1 + 228) >= 1


def test_start_and_stop_from_registers() -> None:
    kit = standing()
    kit.write(CONNECTOR_1 + 18, 1)
    kit.run_for(2)
    assert kit.read(CONNECTOR_1 + 222, 4) == [1, CommandState.done, Result.Accepted, 0]
    assert kit.read(CONNECTOR_1 + 5) == 1
    assert kit.read_text(CONNECTOR_1 + 54, 10) == "GATEWAY"
    kit.write(CONNECTOR_1 + 19, 1)
    kit.run_for(2)
    assert kit.read(CONNECTOR_1 + 5) == 0


def test_what_a_start_and_a_limit_do_shows_within_two_seconds() -> None:
    kit = standing()
    kit.write(CONNECTOR_1 + 18, 1)
    kit.run_for(2)
    assert kit.read_32(CONNECTOR_1 + 72, signed=True) == CAR_TAKES_A * 1000
    kit.write(CONNECTOR_1 + 118, 80)
    kit.run_for(2)
    assert kit.read_32(CONNECTOR_1 + 72, signed=True) == 8000
    kit.write(CONNECTOR_1 + 16, 0)
    kit.run_for(2)
    assert (kit.read_32(CONNECTOR_1 + 72, signed=True), kit.read(CONNECTOR_1 + 32)) == (0, Status.SuspendedEVSE)
    kit.run_for(60)
    kit.write(CONNECTOR_1 + 19, 1)
    kit.run_for(2)
    assert kit.read_32(CONNECTOR_1 + 48) < 16 * 3 * 230 * 10 / 3600


def test_the_real_one_takes_over() -> None:
    kit = standing()
    kit.write(CONNECTOR_1 + 18, 1)
    kit.run_for(2)
    real = kit.connect()
    real.boot()
    assert kit.read(3009) == 0
    assert kit.read(3000, 2) == [1, 1]
    assert kit.read(CONNECTOR_1 + 5) == 0, "what was simulated has ended"
    kit.run_for(300)
    assert [call.action for call in real.calls() if call.action == "BootNotification"] == []
    assert kit.read(3000) == 1


def test_a_silent_bms_brings_the_fallback_and_a_heartbeat_the_limit() -> None:
    kit = standing()
    kit.write(18, 1)
    kit.write(15, 60)
    kit.write(14, 1)
    kit.write(12, 10)
    kit.write(CONNECTOR_1 + 18, 1)
    kit.write_32(CONNECTOR_1 + 100, 120)
    for beat in range(1, 40):
        kit.write(9, beat)
        kit.run_for(2)
    assert kit.read_32(CONNECTOR_1 + 72, signed=True) == 12_000
    kit.run_for(60)
    assert kit.read_32(CONNECTOR_1 + 72, signed=True) == 6_000
    for beat in range(100, 130):
        kit.write(9, beat)
        kit.run_for(2)
    assert kit.read_32(CONNECTOR_1 + 72, signed=True) == 12_000
