"""The BMS watchdog (modbus.md, Watchdog): a silent BMS trips it, a living one releases it, nothing raises a limit."""

from __future__ import annotations

import pytest

from gatewayd.points.bank import IllegalValue
from gatewayd.site.codes import WatchdogAction, WatchdogState
from tests.kit import Frame, Kit
from tests.site.taker import (
    ACTION,
    ENABLE,
    HEARTBEAT,
    LIMIT,
    OPERATIVE,
    STATE,
    TIMEOUT,
    TRIPS,
    WATCHDOG_LIMIT,
    Taker,
    restarted,
    said,
)

NONE, APPLY, ZERO, INOPERATIVE = WatchdogAction


@pytest.fixture
def cp() -> Taker:
    return Taker(Kit())


def watched(action: int = ZERO, timeout_s: int = 30, toml: str = "") -> Taker:
    cp = Taker(Kit(toml))
    cp.kit.write(ACTION, action)
    cp.kit.write(TIMEOUT, timeout_s)
    cp.pump()
    return cp


def beat(cp: Taker) -> None:
    cp.kit.write(HEARTBEAT, (cp.kit.read(HEARTBEAT) + 1) % 65536)


def state(cp: Taker) -> list[int]:
    """Watchdog state and trips."""
    return [cp.kit.read(STATE), cp.kit.read(TRIPS)]


def availability(frames: list[Frame]) -> list[tuple[int, str]]:
    return [(f.payload["connectorId"], f.payload["type"]) for f in frames if f.action == "ChangeAvailability"]


# --- state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 2, 3, 4, 3601, 65535])
def test_timeouts_that_make_no_sense_are_refused(cp: Taker, value: int) -> None:
    with pytest.raises(IllegalValue):
        cp.kit.write(TIMEOUT, value)


def test_off_until_a_timeout_is_written(cp: Taker) -> None:
    cp.kit.write(ACTION, ZERO)
    cp.run_for(4000)
    assert state(cp) == [WatchdogState.off, 0]
    cp.kit.write(TIMEOUT, 5)
    assert state(cp) == [WatchdogState.ok, 0]
    cp.kit.write(TIMEOUT, 0)
    cp.run_for(10)
    assert state(cp) == [WatchdogState.off, 0]
    assert cp.asked == []


def test_a_heartbeat_that_changes_in_time_keeps_it_quiet() -> None:
    cp = watched(timeout_s=10)
    for _ in range(20):
        cp.run_for(9.5)
        beat(cp)
    assert state(cp) == [WatchdogState.ok, 0]


def test_a_heartbeat_that_does_not_change_is_none() -> None:
    cp = watched(timeout_s=10)
    for _ in range(20):
        cp.run_for(0.5)
        cp.kit.write(HEARTBEAT, 0)
    cp.run_for(0.5)
    assert state(cp) == [WatchdogState.tripped, 1]


@pytest.mark.parametrize("timeout_s", [5, 30, 3600])
def test_it_trips_when_the_time_is_over_and_counts(timeout_s: int) -> None:
    cp = watched(timeout_s=timeout_s)
    cp.run_for(2)
    beat(cp)
    cp.run_for(timeout_s - 0.5)
    assert state(cp) == [WatchdogState.ok, 0]
    cp.run_for(1)
    assert state(cp) == [WatchdogState.tripped, 1]
    cp.run_for(3 * timeout_s)
    assert state(cp) == [WatchdogState.tripped, 1]
    beat(cp)
    assert state(cp) == [WatchdogState.ok, 1]
    cp.run_for(timeout_s + 0.5)
    assert state(cp) == [WatchdogState.tripped, 2]


def test_settings_written_in_a_cycle_are_no_sign_of_life() -> None:
    cp = watched(timeout_s=10)
    for _ in range(22):
        cp.run_for(0.5)
        cp.kit.write(TIMEOUT, 10)
        cp.kit.write(ACTION, ZERO)
    assert state(cp) == [WatchdogState.tripped, 1]


def test_a_new_timeout_begins_anew_but_does_not_release() -> None:
    cp = watched(timeout_s=10)
    cp.run_for(9)
    cp.kit.write(TIMEOUT, 20)
    cp.run_for(19)
    assert state(cp) == [WatchdogState.ok, 0]
    cp.run_for(2)
    cp.kit.write(TIMEOUT, 3600)
    assert state(cp) == [WatchdogState.tripped, 1]
    cp.kit.write(TIMEOUT, 0)
    assert state(cp) == [WatchdogState.off, 1]


def test_it_watches_on_all_banks() -> None:
    cp = watched(
        toml='[[charge_point]]\nnumber = 1\nidentity = "CP001"\n[[charge_point]]\nnumber = 21\nidentity = "B"\n'
    )
    cp.run_for(31)
    assert cp.kit.read(STATE, unit=2) == WatchdogState.tripped
    cp.kit.write(HEARTBEAT, 77, unit=2)
    assert cp.kit.read(STATE) == WatchdogState.ok


# --- what it does -------------------------------------------------------------------------------------------------


def test_action_0_only_shows() -> None:
    cp = watched(NONE)
    cp.run_for(100)
    assert state(cp) == [WatchdogState.tripped, 1]
    assert cp.asked == []


def test_limit_zero_on_every_connector_and_back() -> None:
    cp = watched(ZERO)
    cp.write_limit(160)
    assert said(cp.run_for(31)) == [(1, 16, "A"), (1, 0, "A"), (2, 0, "A")]
    assert (cp.active(1), cp.active(2), cp.kit.read_32(3400)) == (0, 0, 160)
    beat(cp)
    assert said(cp.pump()) == [(1, 16, "A"), (2, -1, "")]
    assert (cp.active(1), cp.active(2)) == (160, -1)


def test_the_watchdogs_limit_on_every_connector_and_back() -> None:
    cp = watched(APPLY)
    cp.kit.write(WATCHDOG_LIMIT, 80)
    cp.write_limit(160, 1)
    cp.write_limit(60, 2)
    cp.run_for(1)
    assert (cp.active(1), cp.active(2)) == (160, 60)
    cp.run_for(30)
    assert (cp.active(1), cp.active(2)) == (80, 60), "a lower limit stays"
    cp.kit.write(WATCHDOG_LIMIT, 70)
    cp.run_for(0.5)
    assert (cp.active(1), cp.active(2)) == (70, 60)
    beat(cp)
    cp.run_for(3)
    assert (cp.active(1), cp.active(2)) == (160, 60)


def test_a_limit_written_while_tripped_waits_for_the_release() -> None:
    cp = watched(ZERO)
    cp.run_for(31)
    cp.write_limit(200)
    assert cp.run_for(5) == []
    beat(cp)
    cp.run_for(0.5)
    assert cp.active(1) == 200


def test_inoperative_on_every_connector_and_back_as_written() -> None:
    cp = watched(INOPERATIVE)
    cp.kit.write(3600 + OPERATIVE, 0)
    assert availability(cp.pump()) == [(2, "Inoperative")]
    assert availability(cp.run_for(31)) == [(1, "Inoperative")], "the other one is already"
    assert cp.kit.read(3300 + OPERATIVE) == 1, "as written"
    beat(cp)
    assert availability(cp.run_for(1)) == [(1, "Operative")]


def test_inoperative_is_said_when_the_link_comes_back_and_taken_back_too() -> None:
    cp = watched(INOPERATIVE)
    cp.end.disconnect()
    cp.kit.run_for(31)
    assert availability(cp.dial()) == [(1, "Inoperative"), (2, "Inoperative")]
    cp.end.disconnect()
    cp.kit.run_for(1)
    beat(cp)
    assert availability(cp.dial()) == [(1, "Operative"), (2, "Operative")]
    cp.end.disconnect()
    assert availability(cp.dial()) == []


def test_operative_written_while_tripped_waits_for_the_release() -> None:
    cp = watched(INOPERATIVE)
    cp.run_for(31)
    cp.kit.write(3300 + OPERATIVE, 0)
    cp.kit.write(3600 + OPERATIVE, 0)
    cp.pump()
    cp.kit.write(3300 + OPERATIVE, 1)
    assert cp.run_for(1) == []
    beat(cp)
    assert availability(cp.run_for(1)) == [(1, "Operative")]


def test_inoperative_that_failed_is_tried_again() -> None:
    cp = watched(INOPERATIVE)
    cp.refuse = lambda action, _payload: {"status": "Rejected"} if action == "ChangeAvailability" else None
    assert availability(cp.run_for(31)) == [(1, "Inoperative"), (2, "Inoperative")]
    cp.refuse = lambda _action, _payload: None
    assert availability(cp.run_for(60)) == [(1, "Inoperative"), (2, "Inoperative")]
    assert availability(cp.run_for(300)) == []


def test_another_action_while_tripped_takes_the_place_of_the_old() -> None:
    cp = watched(INOPERATIVE)
    cp.run_for(31)
    cp.kit.write(ACTION, ZERO)
    sent = cp.run_for(1)
    assert availability(sent) == [(1, "Operative"), (2, "Operative")]
    assert said(sent) == [(1, 0, "A"), (2, 0, "A")]
    cp.kit.write(ACTION, NONE)
    assert said(cp.run_for(3)) == [(1, -1, ""), (2, -1, "")]


def test_switched_off_while_tripped_limits_are_restored() -> None:
    cp = watched(ZERO)
    cp.run_for(31)
    cp.kit.write(TIMEOUT, 0)
    assert said(cp.run_for(3)) == [(1, -1, ""), (2, -1, "")]


def test_a_charge_point_that_connects_while_tripped_is_limited_at_once() -> None:
    cp = watched(ZERO)
    cp.end.disconnect()
    cp.kit.run_for(31)
    cp.kit.write_32(3300 + LIMIT, 160)
    assert said(cp.dial()) == [(1, 0, "A"), (2, 0, "A")]


# --- restarts -----------------------------------------------------------------------------------------------------


def test_after_a_restart_it_stands_tripped_until_the_bms_shows_that_it_lives() -> None:
    """A gateway that restarts again and again must not grant a silent BMS a new deadline each time."""
    cp = watched(ZERO)
    cp.write_limit(160)
    cp.pump()
    again = Taker(restarted(cp.kit))
    assert state(again) == [WatchdogState.tripped, 0], "no trip, but no trust either"
    assert said(again.asked) == [(1, 0, "A"), (2, 0, "A")]
    beat(again)
    assert said(again.pump()) == [(1, 16, "A"), (2, -1, "")]
    again.run_for(31)
    assert state(again) == [WatchdogState.tripped, 1]


def test_after_a_restart_without_a_watchdog_limits_are_as_before() -> None:
    cp = Taker(Kit())
    cp.write_limit(160)
    cp.kit.write(3600 + ENABLE, 0)
    cp.kit.write_32(50, 9000)
    cp.run_for(1)
    again = Taker(restarted(cp.kit))
    assert state(again) == [WatchdogState.off, 0]
    assert said(again.asked) == [(1, 16, "A"), (2, 0, "A")]
    assert again.kit.read_32(50) == 9000


def test_a_limit_taken_away_in_the_last_life_is_still_cleared_in_this_one() -> None:
    cp = Taker(Kit())
    cp.write_limit(60)
    cp.pump()
    cp.end.disconnect()
    cp.write_limit(-1)
    kit = restarted(cp.kit)
    again = Taker(kit)
    assert said(again.asked)[0] == (1, -1, "")


def test_inoperative_of_the_last_life_is_taken_back_in_this_one() -> None:
    cp = watched(INOPERATIVE)
    cp.run_for(31)
    again = restarted(cp.kit, watchdog_timeout_s=0)
    assert availability(Taker(again).asked) == [(1, "Operative"), (2, "Operative")]
