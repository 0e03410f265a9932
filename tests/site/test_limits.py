"""Written limits on the wire and in the registers (modbus.md, Limits and Types)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from gatewayd.site.charging_profile import OWN_PROFILE_IDS
from gatewayd.site.codes import LimitResult
from gatewayd.site.limit_sending import RETRY_S
from tests.kit import Kit
from tests.simulator.charge_point.charging_profiles import Capability
from tests.site.taker import (
    ENABLE,
    LIMIT,
    LIMIT_MATRIX,
    LIMIT_OK,
    LIMIT_U16,
    PHASES,
    UNIT,
    Taker,
    profile,
    said,
)

NOT_AVAILABLE = -0x80000000


@pytest.fixture
def cp() -> Taker:
    return Taker(Kit())


def only(what: str, answer: Any) -> Any:
    """A refusal of one action."""
    return lambda action, payload: answer if action == what else None


# --- one limit ----------------------------------------------------------------------------------------------------


def test_a_written_limit_goes_out_and_is_shown(cp: Taker) -> None:
    assert (cp.kit.read_32(3400, signed=True), cp.active(), cp.result()) == (-1, NOT_AVAILABLE, LimitResult.none)
    cp.write_limit(163)
    assert cp.result() == LimitResult.pending
    (frame,) = cp.pump()
    assert frame.action == "SetChargingProfile"
    assert frame.payload["connectorId"] == 1
    assert profile(frame)["chargingProfileId"] in OWN_PROFILE_IDS
    assert profile(frame)["chargingProfilePurpose"] == "TxDefaultProfile"
    assert profile(frame)["chargingProfileKind"] == "Absolute"
    assert profile(frame)["stackLevel"] == 0
    assert "transactionId" not in profile(frame)
    schedule = profile(frame)["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "A"
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16.3}]
    assert "duration" not in schedule
    assert (cp.active(), cp.result(), cp.kit.read(3300 + LIMIT_OK)) == (163, LimitResult.accepted, 1)
    assert cp.limit_a() == 16.3


def test_the_schedule_is_in_force_at_once_even_for_a_charge_point_hours_behind(cp: Taker) -> None:
    cp.write_limit(100)
    (frame,) = cp.pump()
    start = profile(frame)["chargingSchedule"]["startSchedule"]
    assert start == cp.kit.stamp(86_400)


def test_setting_the_clock_does_not_move_a_limit_into_a_future_that_the_charge_point_does_not_know(cp: Taker) -> None:
    before = cp.kit.stamp(86_400)
    cp.kit.site.clock.offset_s += 10 * 86_400
    cp.write_limit(100)
    (frame,) = cp.pump()
    assert profile(frame)["chargingSchedule"]["startSchedule"] == before
    cp.end.send("Heartbeat", {})
    cp.write_limit(90)
    (frame,) = cp.pump()
    assert profile(frame)["chargingSchedule"]["startSchedule"] == cp.kit.stamp(86_400)


def test_the_same_value_again_is_no_change(cp: Taker) -> None:
    cp.write_limit(160)
    cp.pump()
    cp.write_limit(160)
    assert cp.run_for(5) == []
    assert cp.result() == LimitResult.accepted


def test_with_notify_always_every_write_goes_out() -> None:
    cp = Taker(Kit('modbus.notify = "always"\n'))
    cp.write_limit(160)
    assert said(cp.pump()) == [(1, 16, "A")]
    cp.write_limit(160)
    assert cp.result() == LimitResult.pending
    assert said(cp.pump()) == [(1, 16, "A")]


def test_the_profile_keeps_its_id_and_each_connector_has_its_own(cp: Taker) -> None:
    ids = []
    for connector, limit in ((1, 160), (1, 150), (2, 160), (1, 140)):
        cp.write_limit(limit, connector)
        ids += [profile(frame)["chargingProfileId"] for frame in cp.pump()]
    assert ids[0] == ids[1] == ids[3] != ids[2]


def test_no_limit_clears_our_profile(cp: Taker) -> None:
    cp.write_limit(160)
    (sent,) = cp.pump()
    cp.write_limit(-1)
    (frame,) = cp.pump()
    assert frame.action == "ClearChargingProfile"
    assert frame.payload == {"id": profile(sent)["chargingProfileId"]}
    assert (cp.active(), cp.result(), cp.limit_a()) == (-1, LimitResult.accepted, None)


@pytest.mark.parametrize("answer", [{"status": "Unknown"}, "NotSupported", "InternalError"])
def test_where_clearing_fails_the_ceiling_is_sent(cp: Taker, answer: Any) -> None:
    cp.write_limit(160)
    cp.pump()
    cp.refuse = only("ClearChargingProfile", answer)
    cp.write_limit(-1)
    assert said(cp.pump()) == [(1, -1, ""), (1, 32, "A")]
    assert (cp.active(), cp.result(), cp.limit_a()) == (320, LimitResult.accepted, 32)
    assert cp.run_for(120) == []


def test_without_a_limit_nothing_ever_goes_out(cp: Taker) -> None:
    cp.write_limit(-1)
    cp.start()
    cp.meter(L1=16, V=230)
    cp.stop()
    cp.end.disconnect()
    cp.dial()
    assert cp.run_for(20) == []
    assert cp.asked == []
    assert cp.result() == LimitResult.none


# --- unit, phases, the 16-bit twins -------------------------------------------------------------------------------


def test_unit_and_phases_take_effect_with_the_next_limit(cp: Taker) -> None:
    cp.kit.write(3300 + UNIT, 1)
    cp.kit.write(3300 + PHASES, 1)
    assert cp.run_for(3) == []
    cp.write_limit(37_005)
    (frame,) = cp.pump()
    schedule = profile(frame)["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "W"
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 3700.5, "numberPhases": 1}]
    assert cp.active() == 37_005
    cp.kit.write(3300 + PHASES, 3)
    assert cp.run_for(3) == []
    cp.write_limit(37_005)
    (frame,) = cp.pump()
    assert profile(frame)["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] == 3


def test_all_three_in_one_request(cp: Taker) -> None:
    cp.kit.write(3300 + LIMIT, 0, 41_400, 1, 2)
    assert said(cp.pump()) == [(1, 4140, "W")]
    assert cp.limit_a() == 9


def test_the_16_bit_twins_are_the_same_setpoint_in_amperes(cp: Taker) -> None:
    cp.kit.write(3300 + UNIT, 1)
    cp.write_limit(50_000)
    assert cp.kit.read(3300 + LIMIT_U16) == cp.kit.read(LIMIT_MATRIX + 1) == 0xFFFF, "a limit in W: not available"
    cp.pump()
    cp.kit.write(3300 + LIMIT_U16, 100)
    assert said(cp.pump()) == [(1, 10, "A")]
    assert cp.kit.read_32(3400) == 100
    assert cp.kit.read(3300 + UNIT) == 0
    assert cp.kit.read(LIMIT_MATRIX + 1) == 100
    cp.kit.write(LIMIT_MATRIX + 1, 80)
    assert said(cp.pump()) == [(1, 8, "A")]
    cp.kit.write(LIMIT_MATRIX + 1, 65534)
    assert said(cp.run_for(3)) == [(1, -1, "")]
    assert cp.kit.read_32(3400, signed=True) == -1
    assert cp.kit.read(3300 + LIMIT_U16) == 65534


# --- ceiling and enable -------------------------------------------------------------------------------------------


def test_a_limit_above_the_ceiling_is_clamped_not_refused() -> None:
    cp = Taker(Kit('[[charge_point]]\nnumber = 1\nidentity = "CP001"\nmax_current_a = 25\n'))
    cp.write_limit(400)
    assert said(cp.pump()) == [(1, 25, "A")], "the first limit is always sent"
    assert cp.kit.read_32(3400) == 400
    assert (cp.active(), cp.result()) == (250, LimitResult.accepted)
    cp.write_limit(500)
    assert cp.run_for(5) == [], "nothing changed for the charge point"
    assert cp.result() == LimitResult.accepted


def test_a_limit_in_watts_is_clamped_too() -> None:
    cp = Taker(Kit('[[charge_point]]\nnumber = 1\nidentity = "CP001"\nmax_current_a = 16\n'))
    cp.kit.write(3300 + LIMIT, 3, 0, 1, 0)  # 19,660.8 W
    assert said(cp.pump()) == [(1, 11_040, "W")]
    assert cp.active() == 110_400


def test_enable_0_is_a_limit_of_0(cp: Taker) -> None:
    cp.kit.write(3300 + ENABLE, 0)
    assert said(cp.pump()) == [(1, 0, "A")]
    assert cp.active() == 0
    cp.write_limit(160)
    assert cp.run_for(3) == []
    cp.kit.write(3300 + ENABLE, 1)
    assert said(cp.pump()) == [(1, 16, "A")]
    cp.write_limit(-1)
    cp.run_for(3)
    cp.kit.write(3300 + ENABLE, 0)
    cp.kit.write(3300 + ENABLE, 1)
    assert said(cp.run_for(3)) == [(1, 0, "A"), (1, -1, "")]


# --- coalescing ---------------------------------------------------------------------------------------------------


def test_while_a_call_is_open_the_newest_value_wins(cp: Taker) -> None:
    cp.write_limit(300)
    (first,) = cp.end.calls()
    for limit in range(290, 100, -10):
        cp.write_limit(limit)
    assert cp.end.calls() == []
    cp.end.answer(first, {"status": "Accepted"})
    assert (cp.active(), cp.result()) == (300, LimitResult.pending)
    assert said(cp.pump()) == [(1, 11, "A")]
    assert (cp.active(), cp.result()) == (110, LimitResult.accepted)


def test_increases_wait_reductions_do_not(cp: Taker) -> None:
    cp.write_limit(60)
    cp.pump()
    cp.write_limit(100)
    assert said(cp.pump()) == [(1, 10, "A")], "the first increase finds none before it"
    cp.write_limit(120)
    cp.write_limit(130)
    assert cp.result() == LimitResult.pending
    assert cp.run_for(1.5) == []
    assert said(cp.run_for(1)) == [(1, 13, "A")]
    assert cp.result() == LimitResult.accepted
    cp.write_limit(160)
    assert cp.run_for(0.5) == []
    cp.write_limit(70)
    assert said(cp.pump()) == [(1, 7, "A")], "at once, in place of the increase"
    assert cp.run_for(5) == []


def test_an_increase_taken_back_leaves_what_was_accepted(cp: Taker) -> None:
    for limit in (60, 100, 120, 100):
        cp.write_limit(limit)
        cp.pump()
    assert cp.run_for(5) == []
    assert (cp.active(), cp.result()) == (100, LimitResult.accepted)


def test_taking_the_limit_away_is_an_increase(cp: Taker) -> None:
    for limit in (60, 100, -1):
        cp.write_limit(limit)
        cp.pump()
    assert cp.result() == LimitResult.pending
    assert said(cp.run_for(3)) == [(1, -1, "")]


def test_the_interval_is_configured() -> None:
    cp = Taker(Kit("ocpp.min_limit_interval_s = 30\n"))
    for limit in (60, 100, 120):
        cp.write_limit(limit)
        cp.pump()
    assert cp.run_for(29) == []
    assert said(cp.run_for(2)) == [(1, 12, "A")]


# --- outcomes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"status": "Rejected"}, LimitResult.rejected),
        ({"status": "NotSupported"}, LimitResult.not_supported),
        ({"status": "SomethingElse"}, LimitResult.rejected),
        ("NotImplemented", LimitResult.not_supported),
        ("NotSupported", LimitResult.not_supported),
        ("InternalError", LimitResult.call_error),
    ],
)
def test_what_the_charge_point_says_is_shown(cp: Taker, answer: Any, result: LimitResult) -> None:
    cp.refuse = only("SetChargingProfile", answer)
    cp.write_limit(160)
    cp.pump()
    assert (cp.active(), cp.result(), cp.kit.read(3300 + LIMIT_OK)) == (NOT_AVAILABLE, result, 0)


def test_a_refused_limit_leaves_the_accepted_one_shown(cp: Taker) -> None:
    cp.write_limit(160)
    cp.pump()
    cp.refuse = only("SetChargingProfile", {"status": "Rejected"})
    cp.write_limit(100)
    cp.pump()
    assert (cp.active(), cp.result()) == (160, LimitResult.rejected)


def test_no_answer(cp: Taker) -> None:
    cp.refuse = only("SetChargingProfile", ...)
    cp.write_limit(160)
    cp.run_for(61)
    assert cp.result() == LimitResult.no_answer


def test_a_late_answer_to_an_older_value_changes_no_result(cp: Taker) -> None:
    cp.write_limit(300)
    (first,) = cp.end.calls()
    cp.write_limit(200)
    cp.end.answer(first, {"status": "Rejected"})
    assert cp.result() == LimitResult.pending
    cp.pump()
    assert (cp.active(), cp.result()) == (200, LimitResult.accepted)


def test_the_same_value_is_sent_again_when_its_last_sending_failed(cp: Taker) -> None:
    cp.refuse = only("SetChargingProfile", "InternalError")
    cp.write_limit(160)
    cp.pump()
    cp.refuse = lambda _action, _payload: None
    cp.write_limit(160)
    assert said(cp.pump()) == [(1, 16, "A")]
    assert cp.result() == LimitResult.accepted


def test_a_same_value_that_has_to_wait_for_its_time_is_sent_again_too(cp: Taker) -> None:
    cp.write_limit(60)
    cp.pump()
    cp.refuse = only("SetChargingProfile", "InternalError")
    cp.write_limit(100)
    cp.pump()
    cp.refuse = lambda _action, _payload: None
    cp.write_limit(100)
    assert cp.result() == LimitResult.pending
    assert said(cp.run_for(3)) == [(1, 10, "A")]
    assert cp.result() == LimitResult.accepted


def test_a_reduction_that_failed_is_tried_again_by_itself_ever_more_slowly(cp: Taker) -> None:
    cp.write_limit(160)
    cp.pump()
    cp.refuse = only("SetChargingProfile", {"status": "Rejected"})
    cp.write_limit(100)
    cp.pump()
    times = []
    for _ in range(int(8 * RETRY_S)):
        if cp.run_for(1):
            times.append(cp.kit.now - 1000)
    assert [round(b - a) for a, b in pairwise([0.0, *times])] == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S]
    assert cp.result() == LimitResult.rejected, "a quiet try shows nothing new"
    cp.refuse = lambda _action, _payload: None
    assert said(cp.run_for(16 * RETRY_S)) == [(1, 10, "A")]
    assert (cp.active(), cp.result()) == (100, LimitResult.accepted)


def test_an_increase_that_failed_waits_for_the_bms(cp: Taker) -> None:
    cp.write_limit(100)
    cp.pump()
    cp.refuse = only("SetChargingProfile", {"status": "Rejected"})
    cp.write_limit(160)
    cp.pump()
    assert cp.run_for(4000) == []
    assert (cp.active(), cp.result()) == (100, LimitResult.rejected)


# --- the link -----------------------------------------------------------------------------------------------------


def test_offline_a_limit_is_kept_and_sent_after_the_reconnect(cp: Taker) -> None:
    cp.end.disconnect()
    cp.write_limit(160)
    assert cp.result() == LimitResult.offline
    cp.write_limit(150)
    assert said(cp.dial()) == [(1, 15, "A")]
    assert cp.result() == LimitResult.accepted


def test_before_boot_is_answered_a_limit_is_pending() -> None:
    kit = Kit()
    end = kit.connect()
    kit.write_32(3300 + LIMIT, 160)
    assert kit.read(3300 + 106) == LimitResult.pending
    assert end.calls() == []
    end.disconnect()
    assert kit.read(3300 + 106) == LimitResult.offline


def test_s7_limits_again_after_every_reconnect_and_every_boot(cp: Taker) -> None:
    for connector, limit in ((1, 160), (2, 80)):
        cp.write_limit(limit, connector)
        cp.pump()
    cp.end.disconnect()
    assert cp.result() == LimitResult.accepted, "what was accepted was accepted"
    cp.store.profiles.clear()
    assert said(cp.dial()) == [(1, 16, "A"), (2, 8, "A")]
    cp.end.boot()
    assert said(cp.pump()) == [(1, 16, "A"), (2, 8, "A")]


def test_a_limit_on_its_way_when_the_link_breaks_is_offline(cp: Taker) -> None:
    cp.write_limit(160)
    cp.end.disconnect()
    assert cp.result() == LimitResult.offline
    assert said(cp.dial()) == [(1, 16, "A")]


def test_a_limit_taken_away_while_offline_is_cleared_after_the_reconnect(cp: Taker) -> None:
    cp.write_limit(60)
    cp.pump()
    cp.end.disconnect()
    cp.write_limit(-1)
    assert cp.result() == LimitResult.offline
    assert said(cp.dial()) == [(1, -1, "")]
    cp.end.disconnect()
    assert said(cp.dial()) == []


# --- k = 0 --------------------------------------------------------------------------------------------------------


def test_k_0_caps_the_charge_point_by_a_charge_point_max_profile(cp: Taker) -> None:
    cp.kit.write(LIMIT_MATRIX, 200)
    assert cp.result(0) == LimitResult.pending
    (frame,) = cp.pump()
    assert frame.payload["connectorId"] == 0
    assert profile(frame)["chargingProfilePurpose"] == "ChargePointMaxProfile"
    assert said([frame]) == [(0, 20, "A")]
    assert (cp.result(0), cp.result(1)) == (LimitResult.accepted, LimitResult.none)
    cp.kit.write(LIMIT_MATRIX, 400)
    assert said(cp.run_for(3)) == [(0, 32, "A")], "the ceiling holds here too"
    cp.kit.write(LIMIT_MATRIX, 65534)
    assert said(cp.run_for(3)) == [(0, -1, "")]


def test_k_0_is_shared_between_the_connectors_that_charge(cp: Taker) -> None:
    cp.kit.write(LIMIT_MATRIX, 200)
    cp.pump()
    cp.start(1)
    assert cp.active(1) == 200
    cp.start(2)
    assert (cp.active(1), cp.active(2)) == (100, 100)
    cp.write_limit(60, 1)
    cp.pump()
    assert (cp.active(1), cp.active(2)) == (60, 100), "the lowest counts for each"
    cp.stop(2)
    cp.end.status(2, "Available")
    cp.write_limit(-1, 1)
    cp.run_for(5)
    assert (cp.active(1), cp.active(2)) == (200, -1)


def test_a_refused_cap_still_bounds_the_connectors() -> None:
    cp = Taker(Kit(), capability=Capability(purposes=("TxDefaultProfile",)))
    cp.kit.write(LIMIT_MATRIX, 160)
    cp.pump()
    assert cp.result(0) == LimitResult.not_supported
    cp.start(1)
    cp.start(2)
    assert cp.result(0) == LimitResult.not_supported
    assert (cp.active(1), cp.active(2), cp.limit_a(1), cp.limit_a(2)) == (80, 80, 8, 8)
