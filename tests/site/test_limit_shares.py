"""`site_limit_w`, shared equally between the connectors that charge (modbus.md, Limits)."""

from __future__ import annotations

import pytest

from gatewayd.site.codes import LimitResult
from tests.kit import Kit
from tests.site.taker import SITE_LIMIT, SITE_LIMIT_U16, SITE_RESULT, Taker, said

TWO = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n[[charge_point]]\nnumber = 21\nidentity = "CP021"\n'
EQUAL_W = 11_040
"""16 A on three phases of 230 V."""


def site_limit(cp: Taker, watts: int) -> None:
    cp.kit.write_32(SITE_LIMIT, watts)


def test_the_one_that_charges_has_all_of_it() -> None:
    cp = Taker(Kit())
    site_limit(cp, EQUAL_W)
    assert cp.run_for(1) == []
    assert cp.kit.read(SITE_RESULT) == LimitResult.accepted, "nobody to limit"
    cp.start()
    assert said(cp.asked)[-1] == (1, 16, "A")
    assert cp.active() == 160
    assert cp.kit.read(SITE_RESULT) == LimitResult.accepted


def test_a_second_car_halves_it_and_its_end_gives_it_back() -> None:
    cp = Taker(Kit())
    site_limit(cp, EQUAL_W)
    cp.start(1)
    cp.end.status(2, "Preparing")
    cp.run_for(0.5)
    assert (cp.active(1), cp.active(2)) == (160, 80), "a car that may begin begins with its part, not with the ceiling"
    cp.start(2)
    assert (cp.active(1), cp.active(2)) == (80, 80)
    cp.stop(2)
    cp.run_for(3)
    assert (cp.active(1), cp.active(2)) == (160, 80)
    cp.end.status(2, "Available")
    cp.run_for(3)
    assert (cp.active(1), cp.active(2)) == (160, -1), "without a car no share"


@pytest.mark.parametrize(("status", "first"), [("SuspendedEV", 160), ("SuspendedEVSE", 80), ("Charging", 80)])
def test_who_charges(status: str, first: int) -> None:
    """A full car leaves its part to others; one that waits for current does not."""
    cp = Taker(Kit())
    site_limit(cp, EQUAL_W)
    cp.start(1)
    cp.start(2)
    cp.end.status(2, status)
    cp.run_for(3)
    assert (cp.active(1), cp.active(2)) == (first, 80)


def test_it_is_shared_over_all_charge_points_and_banks() -> None:
    kit = Kit(TWO)
    one, other = Taker(kit, "CP001"), Taker(kit, "CP021")
    kit.write_32(SITE_LIMIT, EQUAL_W, unit=2)
    one.start(1)
    assert one.active(1) == 160
    other.end.status(1, "Charging")
    other.run_for(0.5)
    one.pump()
    assert one.active(1) == 80
    assert kit.read_32(3300 + 104, unit=2) == 80
    assert kit.read_32(SITE_LIMIT) == kit.read_32(SITE_LIMIT, unit=2) == EQUAL_W


def test_a_charge_point_that_is_away_keeps_its_part() -> None:
    kit = Kit(TWO)
    one, other = Taker(kit, "CP001"), Taker(kit, "CP021")
    site_limit(one, EQUAL_W)
    other.end.status(1, "Charging")
    one.start(1)
    assert one.active(1) == 80
    other.pump()
    other.end.disconnect()
    one.run_for(10)
    assert one.active(1) == 80
    assert kit.read(SITE_RESULT) == LimitResult.accepted


def test_measured_voltage_and_phases_count() -> None:
    cp = Taker(Kit())
    site_limit(cp, 7360)
    cp.start(1)
    assert cp.active() == 106, "three phases of 230 V"
    cp.meter(L1=10.6, L2=0, L3=0, V=230)
    cp.run_for(3)
    assert cp.active() == 320, "one phase"
    cp.meter(L1=10.6, L2=0, L3=0, V=240)
    cp.run_for(3)
    assert cp.active() == 306
    cp.meter(L1=10.6, L2=0, L3=0, V=241)
    assert cp.run_for(3) == [], "noise"


def test_the_ceiling_and_a_lower_limit_hold_beside_the_share() -> None:
    cp = Taker(Kit())
    cp.write_limit(100)
    cp.pump()
    site_limit(cp, 10_000_000)
    cp.start()
    assert cp.active() == 100
    cp.write_limit(-1)
    cp.run_for(3)
    assert cp.active() == 320


def test_a_limit_in_watts_and_a_share() -> None:
    cp = Taker(Kit())
    cp.kit.write(3402, 1)
    cp.write_limit(110_400)
    cp.pump()
    site_limit(cp, 5000)
    cp.start()
    assert said(cp.asked)[-1] == (1, 5000, "W")
    assert cp.active() == 50_000


def test_taken_away_the_share_is_gone() -> None:
    cp = Taker(Kit())
    site_limit(cp, EQUAL_W)
    cp.start()
    site_limit(cp, -1)
    assert said(cp.run_for(3)) == [(1, -1, "")]
    assert cp.kit.read(SITE_RESULT) == LimitResult.none


def test_the_16_bit_twin_counts_100_w() -> None:
    cp = Taker(Kit())
    assert cp.kit.read(SITE_LIMIT_U16) == 65534
    cp.kit.write(SITE_LIMIT_U16, 110)
    assert cp.kit.read_32(SITE_LIMIT) == 11_000
    cp.kit.write(SITE_LIMIT_U16, 65534)
    assert cp.kit.read_32(SITE_LIMIT, signed=True) == -1


def test_the_site_shows_the_worst_result_and_writes_again_what_failed() -> None:
    cp = Taker(Kit())
    cp.refuse = lambda action, payload: (
        {"status": "Rejected"} if action == "SetChargingProfile" and payload["connectorId"] == 2 else None
    )
    site_limit(cp, EQUAL_W)
    cp.start(1)
    assert cp.kit.read(SITE_RESULT) == LimitResult.accepted
    cp.start(2)
    assert (cp.result(1), cp.result(2)) == (LimitResult.accepted, LimitResult.rejected)
    assert cp.kit.read(SITE_RESULT) == LimitResult.rejected
    cp.refuse = lambda _action, _payload: None
    site_limit(cp, EQUAL_W)
    assert cp.kit.read(SITE_RESULT) == LimitResult.pending
    cp.pump()
    assert cp.kit.read(SITE_RESULT) == LimitResult.accepted
    site_limit(cp, EQUAL_W)
    assert cp.run_for(3) == []


def test_a_transaction_that_replaces_another_moves_no_limit() -> None:
    """Between the end of the one and the start of the other, at one instant, nobody is given the free part."""
    cp = Taker(Kit())
    site_limit(cp, EQUAL_W)
    cp.start(1)
    cp.start(2)
    before = len(cp.asked)
    cp.kit.write(3300 + 18, 1)
    cp.pump()
    request = {"connectorId": 1, "idTag": "GATEWAY", "meterStart": 5, "timestamp": cp.kit.stamp()}
    cp.end.send("StartTransaction", request)
    cp.run_for(3)
    assert said(cp.asked[before:]) == []
