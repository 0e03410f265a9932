"""How a charge point takes its limits, and how that is learned (quirks S1 to S5)."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.site.codes import LimitResult, ProfileKind, ProfilePurpose, RateUnit
from gatewayd.site.limit_strategy import HIGHEST, ZeroRefused
from tests.kit import Kit
from tests.simulator.charge_point.charging_profiles import MAX, TX, TX_DEFAULT, Capability
from tests.site.taker import ENABLE, LIMIT_MATRIX, Taker, profile, restarted, said


def takes(*purposes: str, **more: Any) -> Taker:
    return Taker(Kit(), capability=Capability(purposes=purposes, **more))


def purposes(frames: list[Any]) -> list[str]:
    return [profile(frame)["chargingProfilePurpose"] for frame in frames if frame.action == "SetChargingProfile"]


# --- S1: purposes -------------------------------------------------------------------------------------------------


def test_s1_the_purposes_are_tried_in_order_until_one_is_accepted() -> None:
    cp = takes(TX)
    transaction = cp.start()
    cp.write_limit(160)
    sent = cp.pump()
    assert purposes(sent) == [TX_DEFAULT, TX]
    assert profile(sent[-1])["transactionId"] == transaction
    assert (cp.active(), cp.result(), cp.limit_a()) == (160, LimitResult.accepted, 16)


def test_s1_what_was_learned_is_not_tried_again() -> None:
    cp = takes(TX)
    cp.start()
    cp.write_limit(160)
    cp.pump()
    cp.write_limit(150)
    assert purposes(cp.pump()) == [TX]
    cp.write_limit(120, 2)
    assert purposes(cp.pump()) == [], "the other connector waits for its transaction"
    assert cp.result(2) == LimitResult.pending
    cp.start(2)
    assert cp.limit_a(2) == 12


def test_s1_a_tx_profile_is_said_again_in_every_transaction() -> None:
    cp = takes(TX)
    cp.start()
    cp.write_limit(160)
    cp.pump()
    cp.stop()
    cp.end.status(1, "Available")
    cp.run_for(3)
    assert cp.result() == LimitResult.pending
    before = len(cp.asked)
    transaction = cp.start()
    (frame,) = cp.asked[before:]
    assert profile(frame)["transactionId"] == transaction
    assert cp.limit_a() == 16


def test_s1_taken_away_without_a_transaction_there_is_nothing_to_clear() -> None:
    cp = takes(TX)
    cp.start()
    cp.write_limit(160)
    cp.pump()
    cp.stop()
    cp.write_limit(-1)
    assert cp.run_for(3) == []
    assert cp.result() == LimitResult.none


def test_s1_without_a_transaction_the_tx_profile_is_left_out() -> None:
    cp = takes(MAX)
    cp.write_limit(160)
    assert purposes(cp.pump()) == [TX_DEFAULT, MAX]


def test_s1_the_charge_points_profile_carries_the_lowest_of_its_connectors() -> None:
    cp = takes(MAX)
    cp.write_limit(160, 1)
    assert said(cp.pump())[-1] == (0, 16, "A")
    assert (cp.active(1), cp.result(1), cp.result(0)) == (160, LimitResult.accepted, LimitResult.none)
    cp.write_limit(100, 2)
    assert said(cp.pump()) == [(0, 10, "A")]
    assert (cp.active(1), cp.active(2), cp.result(2)) == (100, 100, LimitResult.accepted)
    cp.kit.write(LIMIT_MATRIX, 80)
    assert said(cp.pump()) == [(0, 8, "A")]
    assert cp.result(0) == LimitResult.accepted
    cp.kit.write(LIMIT_MATRIX, 65534)
    cp.write_limit(-1, 2)
    assert said(cp.run_for(5))[-1] == (0, 16, "A")
    assert (cp.active(1), cp.active(2)) == (160, -1)
    cp.end.disconnect()
    assert said(cp.dial()) == [(0, 16, "A")]


def test_s1_refused_for_every_purpose() -> None:
    cp = takes()
    cp.start()
    cp.write_limit(160)
    assert purposes(cp.pump()) == [TX_DEFAULT, TX, MAX]
    assert cp.result() == LimitResult.not_supported
    assert cp.run_for(4000) == [], "tried once"
    cp.write_limit(150)
    assert purposes(cp.pump()) == [TX_DEFAULT, TX, MAX]


def test_s1_rejected_for_every_purpose_is_tried_again_later() -> None:
    cp = takes(TX_DEFAULT, min_limit_a=20)
    cp.write_limit(160)
    assert purposes(cp.pump()) == [TX_DEFAULT, MAX]
    assert cp.result() == LimitResult.not_supported
    cp.store.capability = Capability(min_limit_a=20)
    cp.write_limit(159)
    assert purposes(cp.pump()) == [TX_DEFAULT, MAX]
    assert cp.result() == LimitResult.rejected
    cp.store.capability = Capability()
    assert purposes(cp.run_for(61)) == [TX_DEFAULT]
    assert (cp.active(), cp.result()) == (159, LimitResult.accepted)


def test_s1_once_accepted_a_refusal_means_the_limit_not_the_purpose() -> None:
    cp = takes(TX_DEFAULT, TX, MAX, min_limit_a=6)
    cp.write_limit(160)
    cp.pump()
    cp.write_limit(50)
    assert purposes(cp.pump()) == [TX_DEFAULT]
    assert (cp.active(), cp.result()) == (160, LimitResult.rejected)


def test_s1_a_link_that_broke_while_it_was_learned_teaches_nothing() -> None:
    cp = Taker(Kit())
    cp.refuse = lambda _action, payload: (
        {"status": "Rejected"} if payload["csChargingProfiles"]["chargingProfilePurpose"] == TX_DEFAULT else ...
    )
    cp.write_limit(160)
    assert purposes(cp.pump()) == [TX_DEFAULT, MAX]
    cp.end.disconnect()
    assert cp.result() == LimitResult.offline
    cp.refuse = lambda _action, _payload: None
    assert said(cp.dial()) == [(1, 16, "A"), (0, -1, ""), (0, 32, "A")], "what may stand there is cleared"
    assert cp.cp.limit_strategy.learned == ProfilePurpose.TxDefaultProfile


def test_s1_but_not_supported_means_the_purpose() -> None:
    cp = takes(TX_DEFAULT)
    cp.write_limit(160)
    cp.pump()
    cp.store.capability = Capability(purposes=(MAX,))
    cp.write_limit(150)
    assert purposes(cp.pump()) == [TX_DEFAULT, MAX]
    assert (cp.active(), cp.result()) == (150, LimitResult.accepted)


def test_s1_what_was_learned_is_kept_over_a_restart() -> None:
    cp = takes(MAX)
    cp.write_limit(160)
    cp.pump()
    later = Taker(restarted(cp.kit), capability=Capability(purposes=(MAX,)))
    assert purposes(later.asked) == [MAX]
    assert later.cp.limit_strategy.learned == ProfilePurpose.ChargePointMaxProfile


def test_s1_relative_where_a_quirk_profile_says_so() -> None:
    cp = Taker(Kit())
    cp.cp.limit_strategy.kind = ProfileKind.Relative
    cp.write_limit(160)
    (frame,) = cp.pump()
    assert profile(frame)["chargingProfileKind"] == "Relative"
    assert "startSchedule" not in profile(frame)["chargingSchedule"]


def test_a_profile_left_under_another_id_is_cleared_when_the_new_one_stands() -> None:
    cp = Taker(Kit())
    cp.start()
    cp.write_limit(160)
    cp.pump()
    cp.cp.limit_strategy.purposes = (ProfilePurpose.TxProfile,)
    cp.write_limit(120)
    assert said(cp.pump()) == [(1, 12, "A"), (1, -1, "")]
    assert [p.purpose for p in cp.store.profiles] == [TX]
    assert (cp.active(), cp.result()) == (120, LimitResult.accepted)


# --- S2: stack levels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixed", "highest", "level"), [(None, 8, 0), (3, None, 3), (HIGHEST, 8, 8), (HIGHEST, None, 0)]
)
def test_s2_the_stack_level(fixed: int | None, highest: int | None, level: int) -> None:
    cp = Taker(Kit())
    cp.cp.limit_strategy.stack_level, cp.cp.max_stack_level = fixed, highest
    cp.write_limit(160)
    (frame,) = cp.pump()
    assert profile(frame)["stackLevel"] == level


def test_s2_a_highest_level_that_becomes_known_is_used_at_once() -> None:
    cp = Taker(Kit())
    cp.cp.limit_strategy.stack_level = HIGHEST
    cp.write_limit(160)
    cp.pump()
    cp.cp.max_stack_level = 5
    cp.cp.touch()
    (frame,) = cp.run_for(0.5)
    assert profile(frame)["stackLevel"] == 5


# --- S3: 0 A ------------------------------------------------------------------------------------------------------


def zero_refused(policy: ZeroRefused) -> Taker:
    cp = Taker(Kit(), capability=Capability(min_limit_a=6))
    cp.cp.limit_strategy.when_zero_refused = policy
    cp.write_limit(160)
    cp.start()
    cp.kit.write(3300 + ENABLE, 0)
    return cp


def test_s3_where_0_is_refused_6_a_is_sent() -> None:
    cp = zero_refused(ZeroRefused.minimum)
    assert said(cp.pump()) == [(1, 0, "A"), (1, 6, "A")]
    assert (cp.active(), cp.result(), cp.limit_a()) == (60, LimitResult.rejected, 6)
    cp.kit.write(3300 + ENABLE, 1)
    assert said(cp.run_for(3)) == [(1, 16, "A")]


def test_s3_or_nothing() -> None:
    cp = zero_refused(ZeroRefused.nothing)
    assert said(cp.pump()) == [(1, 0, "A")]
    assert (cp.active(), cp.result()) == (160, LimitResult.rejected)


def test_s3_or_the_transaction_is_stopped_once() -> None:
    cp = zero_refused(ZeroRefused.stop)
    sent = cp.run_for(200)
    stops = [frame.payload for frame in sent if frame.action == "RemoteStopTransaction"]
    assert stops == [{"transactionId": cp.transactions[1]}]
    assert cp.active() == 60


def test_s3_or_the_connector_is_inoperative_while_0_is_wanted() -> None:
    cp = zero_refused(ZeroRefused.inoperative)
    sent = cp.run_for(1)
    changes = [frame.payload for frame in sent if frame.action == "ChangeAvailability"]
    assert changes == [{"connectorId": 1, "type": "Inoperative"}]
    assert cp.kit.read(3300 + 17) == 1, "`operative` shows what was written"
    cp.kit.write(3300 + ENABLE, 1)
    sent = cp.run_for(3)
    changes = [frame.payload for frame in sent if frame.action == "ChangeAvailability"]
    assert changes == [{"connectorId": 1, "type": "Operative"}]


def test_s3_6_a_is_never_more_than_what_holds_or_the_ceiling() -> None:
    cp = Taker(Kit('[[charge_point]]\nnumber = 1\nidentity = "CP001"\nmax_current_a = 5\n'))
    cp.store.capability = Capability(min_limit_a=1)
    cp.kit.write(3300 + ENABLE, 0)
    assert all(limit == 0 for _, limit, _ in said(cp.run_for(100)))


def test_s3_0_refused_by_all_purposes_teaches_nothing() -> None:
    cp = Taker(Kit(), capability=Capability(min_limit_a=6))
    cp.refuse = lambda action, payload: (
        {"status": "Accepted"}
        if action == "SetChargingProfile" and payload["csChargingProfiles"]["chargingProfilePurpose"] == MAX
        else None
    )
    cp.kit.write(3300 + ENABLE, 0)
    cp.pump()
    assert cp.cp.limit_strategy.learned == ProfilePurpose.unset


# --- S4, S5: units ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_units", "unit", "limit", "sent", "active"),
    [
        (0b00, RateUnit.A, 160, (1, 16, "A"), 160),
        (0b11, RateUnit.W, 110_400, (1, 11_040, "W"), 110_400),
        (0b10, RateUnit.A, 160, (1, 11_040, "W"), 160),
        (0b01, RateUnit.W, 110_400, (1, 16, "A"), 110_400),
        (0b01, RateUnit.W, 110_000, (1, 15.9, "A"), 109_710),
    ],
)
def test_s4_a_unit_that_the_charge_point_lacks_is_converted(
    rate_units: int, unit: RateUnit, limit: int, sent: tuple[int, float, str], active: int
) -> None:
    cp = Taker(Kit())
    cp.cp.rate_units = rate_units
    cp.kit.write(3402, unit)
    cp.write_limit(limit)
    assert said(cp.pump()) == [sent]
    assert (cp.active(), cp.result()) == (active, LimitResult.accepted)


def test_s4_converted_with_measured_voltage_and_phases() -> None:
    cp = Taker(Kit())
    cp.cp.rate_units = 0b10
    cp.start()
    cp.meter(L1=10, L2=0, L3=0, V=240)
    cp.run_for(0.5)
    cp.write_limit(160)
    assert said(cp.pump()) == [(1, 3840, "W")]


def test_s4_units_that_become_known_change_what_stands() -> None:
    cp = Taker(Kit(), capability=Capability(rate_units=("W",)))
    cp.write_limit(160)
    cp.pump()
    assert cp.result() == LimitResult.rejected
    cp.cp.rate_units = 0b10
    cp.cp.touch()
    assert said(cp.run_for(0.5)) == [(1, 11_040, "W")]
    assert cp.result() == LimitResult.accepted


def test_s4_only_one_unit_where_a_quirk_profile_says_so() -> None:
    cp = Taker(Kit())
    cp.cp.limit_strategy.rate_unit = RateUnit.W
    cp.write_limit(100)
    cp.kit.write(LIMIT_MATRIX, 200)
    assert said(cp.pump()) == [(1, 6900, "W"), (0, 13_800, "W")]


def test_s5_one_decimal_at_most() -> None:
    cp = Taker(Kit())
    cp.kit.write_32(50, 1001)
    cp.start()
    assert said(cp.asked)[-1] == (1, 1.4, "A")
