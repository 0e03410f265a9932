"""The fallback that a charge point holds for a dead gateway, and live limits that lapse (modbus.md, Watchdog; R11)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from gatewayd.site.charging_profile import OWN_PROFILE_IDS
from gatewayd.site.codes import LimitResult, ProfileKind, RateUnit
from tests.kit import Frame, Kit
from tests.simulator.charge_point.charging_profiles import MAX, TX, TX_DEFAULT, Capability
from tests.site.taker import ACTION, HEARTBEAT, TIMEOUT, WATCHDOG_LIMIT, Taker, profile, restarted, said

APPLY = 1
TIMEOUT_S = 30


def held(capability: Capability | None = None, timeout_s: int = TIMEOUT_S) -> Taker:
    cp = Taker(Kit(), capability=capability)
    switch_on(cp, timeout_s)
    return cp


def switch_on(cp: Taker, timeout_s: int = TIMEOUT_S) -> list[Frame]:
    cp.kit.write(ACTION, APPLY)
    cp.kit.write(TIMEOUT, timeout_s)
    return cp.pump()


def alive(cp: Taker, seconds: float, every_s: float = 1.0) -> list[Frame]:
    """Time passes, and the BMS lives."""
    new: list[Frame] = []
    until = cp.kit.now + seconds
    while cp.kit.now < until:
        cp.kit.write(HEARTBEAT, (cp.kit.read(HEARTBEAT) + 1) % 65536)
        new += cp.run_for(min(every_s, until - cp.kit.now))
    return new


def is_fallback(frame: Frame) -> bool:
    return frame.action == "SetChargingProfile" and profile(frame)["chargingProfileId"] == OWN_PROFILE_IDS.start


def live(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.action == "SetChargingProfile" and not is_fallback(frame)]


# --- the fallback -------------------------------------------------------------------------------------------------


def test_it_is_sent_when_switched_on_and_when_its_limit_changes() -> None:
    cp = Taker(Kit())
    cp.kit.write(WATCHDOG_LIMIT, 70)
    cp.kit.write(TIMEOUT, TIMEOUT_S)
    assert cp.pump() == []
    cp.kit.write(ACTION, APPLY)
    fallback = cp.pump()[0]
    assert is_fallback(fallback)
    assert fallback.payload["connectorId"] == 0
    assert profile(fallback)["chargingProfilePurpose"] == TX_DEFAULT
    assert profile(fallback)["stackLevel"] == 0
    assert "duration" not in profile(fallback)["chargingSchedule"]
    assert said([fallback]) == [(0, 7, "A")]
    cp.kit.write(WATCHDOG_LIMIT, 60)
    assert said([f for f in cp.pump() if is_fallback(f)]) == [(0, 6, "A")]


@pytest.mark.parametrize("action", [0, 2, 3])
def test_other_actions_hold_none(action: int) -> None:
    cp = Taker(Kit())
    cp.kit.write(ACTION, action)
    cp.kit.write(TIMEOUT, TIMEOUT_S)
    assert cp.pump() == []


def test_after_a_reconnect_it_is_sent_before_the_live_limits() -> None:
    cp = held()
    cp.write_limit(160)
    cp.pump()
    cp.end.disconnect()
    assert said(cp.dial()) == [(0, 6, "A"), (1, 16, "A"), (2, 32, "A")]


def test_it_never_exceeds_the_ceiling() -> None:
    cp = Taker(Kit('[[charge_point]]\nnumber = 1\nidentity = "CP001"\nmax_current_a = 5\n'))
    assert said([f for f in switch_on(cp) if is_fallback(f)]) == [(0, 5, "A")]


def test_in_watts_where_the_charge_point_takes_nothing_else() -> None:
    cp = Taker(Kit())
    cp.cp.limit_strategy.rate_unit = RateUnit.W
    assert said([f for f in switch_on(cp) if is_fallback(f)]) == [(0, 4140, "W")]


@pytest.mark.parametrize(("register", "value"), [(TIMEOUT, 0), (ACTION, 0), (ACTION, 2)])
def test_switched_off_it_is_cleared_and_limits_lapse_no_more(register: int, value: int) -> None:
    cp = held()
    cp.write_limit(160)
    cp.pump()
    cp.kit.write(register, value)
    sent = cp.pump()
    assert sent[0].action == "ClearChargingProfile"
    assert sent[0].payload == {"id": OWN_PROFILE_IDS.start}
    (limit,) = live(sent)
    assert "duration" not in profile(limit)["chargingSchedule"]
    alive(cp, 5)
    assert (cp.limit_a(1), cp.limit_a(2)) == (16, None)
    assert alive(cp, 100) == []


def test_where_it_cannot_be_cleared_the_ceiling_takes_its_place() -> None:
    cp = held()
    cp.refuse = lambda action, payload: {"status": "Unknown"} if action == "ClearChargingProfile" else None
    cp.kit.write(TIMEOUT, 0)
    cp.run_for(5)
    assert cp.limit_a(1) == 32
    switch_on(cp)
    assert cp.store.connector_limit_a(7, cp.kit.epoch, None, 3) == 6


# --- live limits above it -----------------------------------------------------------------------------------------


def test_live_limits_lie_above_it_and_lapse_by_themselves() -> None:
    cp = held()
    cp.write_limit(160)
    (limit,) = live(cp.pump())
    assert profile(limit)["stackLevel"] == 1
    assert profile(limit)["chargingSchedule"]["duration"] == TIMEOUT_S
    assert cp.limit_a() == 16


def test_a_connector_without_a_limit_does_not_obey_the_fallback_while_the_gateway_lives() -> None:
    cp = held()
    assert alive(cp, 100)
    assert (cp.limit_a(1), cp.limit_a(2)) == (32, 32)


def test_they_are_renewed_at_half_of_it_quietly() -> None:
    cp = held()
    cp.write_limit(160)
    cp.pump()
    times = []
    for _ in range(120):
        if any(frame.payload["connectorId"] == 1 for frame in live(alive(cp, 1))):
            times.append(cp.kit.now)
        assert cp.result() == LimitResult.accepted
        assert cp.limit_a() == 16
    assert [b - a for a, b in pairwise(times)] == [TIMEOUT_S / 2] * (len(times) - 1)
    assert len(times) >= 7


@pytest.mark.parametrize("timeout_s", [5, 6, 7, 60, 3600])
@pytest.mark.parametrize("part", [-1, 0, 1])
def test_renewed_in_time_for_every_timeout_and_with_clocks_that_differ(timeout_s: int, part: int) -> None:
    clock_s = part * (timeout_s / 4 - 0.5)  # stamps have whole seconds
    cp = held(timeout_s=timeout_s)
    cp.write_limit(160)
    for _ in range(12):
        alive(cp, timeout_s / 4, every_s=timeout_s / 8)
        now = cp.kit.epoch + clock_s
        assert cp.store.connector_limit_a(1, now, None, 3) == 16


def test_while_tripped_the_watchdogs_limit_is_renewed_too() -> None:
    cp = held()
    cp.write_limit(160)
    cp.run_for(TIMEOUT_S + 1)
    for _ in range(100):
        cp.run_for(1)
        assert cp.limit_a(1) == cp.limit_a(2) == 6
    assert cp.active() == 60


def test_while_an_increase_waits_for_its_time_the_present_limit_is_renewed() -> None:
    cp = Taker(Kit("ocpp.min_limit_interval_s = 100\n"))
    switch_on(cp)
    for limit in (60, 100, 160):
        cp.write_limit(limit)
        cp.pump()
    for _ in range(80):
        alive(cp, 1)
        assert cp.limit_a() == 10
    alive(cp, 25)
    assert cp.limit_a() == 16


def test_where_more_was_refused_the_present_limit_is_renewed() -> None:
    cp = held()
    cp.write_limit(100)
    cp.pump()
    cp.refuse = lambda action, payload: (
        {"status": "Rejected"}
        if action == "SetChargingProfile"
        and payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 16
        else None
    )
    cp.write_limit(160)
    cp.pump()
    for _ in range(80):
        alive(cp, 1)
        assert cp.limit_a() == 10
        assert (cp.active(), cp.result()) == (100, LimitResult.rejected)


def test_another_timeout_renews_at_its_own_half() -> None:
    cp = held(timeout_s=3600)
    cp.write_limit(160)
    cp.pump()
    cp.kit.write(TIMEOUT, 10)
    (limit, _) = live(cp.pump())
    assert profile(limit)["chargingSchedule"]["duration"] == 10
    for _ in range(60):
        alive(cp, 1)
        assert cp.limit_a() == 16


def test_relative_profiles_end_at_a_time_instead() -> None:
    """A duration would count from the start of the transaction, and no renewal could move that."""
    cp = Taker(Kit())
    cp.cp.limit_strategy.kind = ProfileKind.Relative
    switch_on(cp)
    cp.write_limit(160)
    (limit,) = live(cp.pump())
    assert "duration" not in profile(limit)["chargingSchedule"]
    assert cp.store.connector_limit_a(1, cp.kit.epoch + 1, None, 3) == 16
    assert cp.store.connector_limit_a(1, cp.kit.epoch + TIMEOUT_S, None, 3) == 6


def test_as_tx_profiles_they_lapse_to_the_fallback_as_well() -> None:
    cp = Taker(Kit())
    cp.refuse = lambda action, payload: (
        {"status": "Rejected"}
        if action == "SetChargingProfile"
        and payload["connectorId"]
        and payload["csChargingProfiles"]["chargingProfilePurpose"] == TX_DEFAULT
        else None
    )
    cp.start()
    switch_on(cp)
    cp.write_limit(160)
    cp.pump()
    assert cp.limit_a() == 16
    now = cp.kit.epoch
    assert cp.store.connector_limit_a(1, now + TIMEOUT_S, now, 3) == 6


def test_the_cap_of_the_charge_point_never_lapses() -> None:
    cp = held()
    cp.kit.write(1800, 100)
    (cap,) = live(cp.pump())
    assert profile(cap)["chargingProfilePurpose"] == MAX
    assert "duration" not in profile(cap)["chargingSchedule"]


# --- nothing raises a limit by failing ----------------------------------------------------------------------------


def refusing_fallback(answer: Any) -> Taker:
    cp = Taker(Kit())
    cp.refuse = lambda action, payload: (
        answer if action == "SetChargingProfile" and payload["connectorId"] == 0 else None
    )
    cp.write_limit(160)
    switch_on(cp)
    return cp


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, {"status": "NotSupported"}, "InternalError", ...])
def test_limits_never_lapse_above_a_fallback_that_is_not_surely_there(answer: Any) -> None:
    cp = refusing_fallback(answer)
    alive(cp, 200)
    if answer is ...:
        cp.dial()
        alive(cp, 200)
    assert all("duration" not in profile(frame)["chargingSchedule"] for frame in live(cp.asked))
    assert cp.limit_a() == 16


def test_a_fallback_that_is_refused_later_ends_the_lapsing() -> None:
    cp = held()
    cp.write_limit(160)
    cp.pump()
    cp.end.disconnect()
    cp.store.profiles.clear()
    cp.refuse = lambda action, payload: (
        {"status": "Rejected"} if action == "SetChargingProfile" and payload["connectorId"] == 0 else None
    )
    cp.dial()
    alive(cp, 5)
    assert cp.store.connector_limit_a(1, cp.kit.epoch + 10_000, None, 3) == 16


@pytest.mark.parametrize("level", [0, 1])
def test_a_charge_point_that_takes_only_stack_level_0_gets_none(level: int, caplog: pytest.LogCaptureFixture) -> None:
    cp = Taker(Kit())
    if level:
        cp.cp.limit_strategy.stack_level = 0
    else:
        cp.cp.max_stack_level = 0
    cp.write_limit(160)
    cp.pump()
    assert switch_on(cp) == []
    assert alive(cp, 100) == []
    assert "only one stack level" in caplog.text


def test_a_stack_level_that_becomes_known_takes_the_fallback_away_again() -> None:
    cp = held()
    cp.write_limit(160)
    cp.pump()
    cp.cp.max_stack_level = 0
    cp.cp.touch()
    alive(cp, 5)
    assert (cp.limit_a(1), cp.limit_a(2)) == (16, None)
    assert cp.store.connector_limit_a(1, cp.kit.epoch + 10_000, None, 3) == 16
    assert {p.stack_level for p in cp.store.profiles} == {0}


def test_none_where_limits_are_charge_point_max_profiles() -> None:
    cp = Taker(Kit(), capability=Capability(purposes=(MAX,)))
    cp.write_limit(160)
    cp.pump()
    assert switch_on(cp) == []
    assert cp.limit_a() == 16


def test_limits_that_turn_out_to_be_charge_point_max_profiles_take_the_fallback_away_again() -> None:
    """Level 0 was taken for the fallback, level 1 for no limit above it: ABB, Wallbox (quirk S2)."""
    cp = Taker(Kit())
    cp.refuse = lambda action, payload: (
        {"status": "Rejected"}
        if action == "SetChargingProfile" and payload["csChargingProfiles"]["stackLevel"] > 0
        else None
    )
    switch_on(cp)
    cp.write_limit(160)
    cp.pump()
    alive(cp, 5)
    assert cp.result() == LimitResult.accepted
    assert cp.limit_a() == 16  # not the 6 A of the fallback below


# --- R11 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout_s", [5, 30, 600])
@pytest.mark.parametrize("lived_s", [0.0, 1.3, 2.49, 7.7])
def test_r11_a_dead_gateway_leaves_a_safe_charge_point_within_the_timeout(timeout_s: int, lived_s: float) -> None:
    cp = Taker(Kit())
    cp.start(2)
    switch_on(cp, timeout_s)
    cp.write_limit(160, 1)
    cp.pump()
    alive(cp, lived_s)
    assert (cp.limit_a(1), cp.limit_a(2)) == (16, 32)
    died = cp.kit.epoch  # from here on the charge point hears nothing more
    for connector in (1, 2):
        assert cp.store.connector_limit_a(connector, died + timeout_s, died, 3) == 6


@pytest.mark.parametrize("timeout_s", [5, 30, 600])
def test_r11_a_silent_bms_leaves_a_safe_charge_point_within_the_timeout(timeout_s: int) -> None:
    cp = held(timeout_s=timeout_s)
    cp.write_limit(160, 1)
    alive(cp, 3)
    cp.run_for(timeout_s + 1)
    assert cp.limit_a(1) == cp.limit_a(2) == 6
    cp.run_for(3 * timeout_s)
    assert cp.limit_a(1) == cp.limit_a(2) == 6


def test_r11_a_gateway_that_comes_back_to_a_silent_bms_does_not_raise_the_limit() -> None:
    cp = held()
    cp.write_limit(160)
    alive(cp, 3)
    again = Taker(restarted(cp.kit))
    again.store.profiles = cp.store.profiles
    again.run_for(100)
    assert again.limit_a(1) == again.limit_a(2) == 6
    alive(again, 3)
    assert (again.limit_a(1), again.limit_a(2)) == (16, 32)


def test_r11_with_a_tx_profile() -> None:
    cp = Taker(Kit(), capability=Capability(purposes=(TX_DEFAULT, TX)))
    cp.cp.limit_strategy.purposes = tuple(reversed(cp.cp.limit_strategy.purposes[:2]))
    cp.start()
    switch_on(cp)
    cp.write_limit(160)
    cp.pump()
    now = cp.kit.epoch
    assert cp.limit_a() == 16
    assert cp.store.connector_limit_a(1, now + TIMEOUT_S, now, 3) == 6
