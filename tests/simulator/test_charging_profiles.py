"""The rules of charging profiles: purposes, stack levels, kinds, periods, validity (OCPP 1.6, 3.13 and 5.16)."""

from __future__ import annotations

from typing import Any

import pytest

from .charge_point.charging_profiles import Capability, ProfileStore, composite_schedule
from .clock import stamp

NOW = 1_793_606_400.0  # Monday 08:00 UTC
HOUR = 3600.0


def profile(number: int, limit: float = 16.0, **changes: Any) -> dict[str, Any]:
    schedule = {
        "chargingRateUnit": changes.pop("unit", "A"),
        "chargingSchedulePeriod": changes.pop("periods", [{"startPeriod": 0, "limit": limit}]),
    }
    for key in ("duration", "startSchedule"):
        if key in changes:
            schedule[key] = changes.pop(key)
    return {
        "chargingProfileId": number,
        "stackLevel": changes.pop("level", 0),
        "chargingProfilePurpose": changes.pop("purpose", "TxDefaultProfile"),
        "chargingProfileKind": changes.pop("kind", "Absolute"),
        "chargingSchedule": schedule,
        **changes,
    }


def store(*entries: tuple[int, dict[str, Any]], busy: bool = True) -> ProfileStore:
    made = ProfileStore()
    for connector, payload in entries:
        assert made.set(connector, payload, NOW, 2, busy) == "Accepted"
    return made


def test_the_highest_stack_level_leads_and_the_own_connector_before_zero() -> None:
    made = store((0, profile(1, 6)), (1, profile(2, 20)), (1, profile(3, 10, level=3)))
    assert made.connector_limit_a(1, NOW, None, 3) == 10
    assert made.connector_limit_a(2, NOW, None, 3) == 6
    assert made.clear({"id": 3}) == "Accepted"
    assert made.connector_limit_a(1, NOW, None, 3) == 20


def test_a_live_limit_with_a_duration_lapses_to_the_fallback() -> None:
    """What the gateway's watchdog builds on: limits that die by themselves."""
    live = profile(2, 32, level=1, duration=30, startSchedule=stamp(NOW))
    made = store((0, profile(1, 6)), (1, live))
    assert made.connector_limit_a(1, NOW + 29, NOW, 3) == 32
    assert made.connector_limit_a(1, NOW + 30, NOW, 3) == 6


def test_tx_profile_overrules_the_default_while_it_lives() -> None:
    made = store((1, profile(1, 10, level=5)), (1, profile(2, 8, purpose="TxProfile", duration=600, kind="Relative")))
    assert made.connector_limit_a(1, NOW + 10, NOW, 3) == 8
    assert made.connector_limit_a(1, NOW + 600, NOW, 3) == 10
    made.end_transaction(1)
    assert [p.profile_id for p in made.profiles] == [1]


def test_relative_counts_from_the_start_of_charging() -> None:
    periods = [{"startPeriod": 0, "limit": 16}, {"startPeriod": 600, "limit": 8}]
    made = store((1, profile(1, kind="Relative", periods=periods)))
    assert made.connector_limit_a(1, NOW + 500, NOW, 3) == 16
    assert made.connector_limit_a(1, NOW + 600, NOW, 3) == 8
    assert made.connector_limit_a(1, NOW + 600, None, 3) == 16  # nobody charges yet


@pytest.mark.parametrize(("every", "days"), [("Daily", 1), ("Weekly", 7)])
def test_recurring_comes_again(every: str, days: int) -> None:
    periods = [{"startPeriod": 0, "limit": 10}, {"startPeriod": 3600, "limit": 20}]
    payload = profile(
        1, kind="Recurring", recurrencyKind=every, periods=periods, startSchedule=stamp(NOW), duration=7200
    )
    made = store((1, payload))
    again = NOW + days * 86_400
    for at, limit in (
        (NOW, 10),
        (NOW + HOUR, 20),
        (NOW + 2 * HOUR, None),
        (again - 1, None),
        (again, 10),
        (NOW - 1, None),
    ):
        assert made.connector_limit_a(1, at, None, 3) == limit


def test_validity_bounds() -> None:
    made = store((1, profile(1, validFrom=stamp(NOW + 60), validTo=stamp(NOW + 120))))
    assert [made.connector_limit_a(1, NOW + s, NOW, 3) for s in (59, 60, 119, 120)] == [None, 16, 16, None]


def test_watts_become_amperes_per_phase() -> None:
    made = store((1, profile(1, 11_040, unit="W")), (2, profile(2, 2_300, unit="W")))
    assert made.connector_limit_a(1, NOW, None, 3) == 16
    assert made.connector_limit_a(2, NOW, None, 1) == 10


def test_what_is_refused() -> None:
    made = ProfileStore(Capability(rate_units=("A",), max_stack_level=2, max_periods=2, max_installed=2, min_limit_a=6))

    def say(connector: int, payload: dict[str, Any], busy: bool = False) -> str:
        return made.set(connector, payload, NOW, 2, busy)

    assert say(3, profile(1)) == "Rejected"
    assert say(1, profile(1, unit="W", limit=20_000)) == "Rejected"
    assert say(1, profile(1, level=3)) == "Rejected"
    assert say(1, profile(1, limit=5)) == "Rejected"
    assert say(1, profile(1, periods=[])) == "Rejected"
    assert say(1, profile(1, periods=[{"startPeriod": 5, "limit": 10}])) == "Rejected"
    assert say(1, profile(1, periods=[{"startPeriod": s, "limit": 10} for s in (0, 1, 2)])) == "Rejected"
    assert say(1, profile(1, kind="Recurring")) == "Rejected"
    assert say(1, profile(1, validFrom="yesterday")) == "Rejected"
    assert say(1, profile(1, purpose="ChargePointMaxProfile")) == "Rejected"
    assert say(1, profile(1, purpose="TxProfile")) == "Rejected"  # nobody charges
    assert say(0, profile(1, purpose="TxProfile"), busy=True) == "Rejected"
    assert say(1, profile(1)) == say(2, profile(2)) == "Accepted"
    assert say(1, profile(3, level=1)) == "Rejected"  # full
    assert say(1, profile(1, level=1)) == "Accepted"  # the same id replaces
    assert say(1, profile(9, level=1)) == "Accepted"  # the same place replaces
    assert sorted(p.profile_id for p in made.profiles) == [2, 9]
    made.capability.purposes = ("TxDefaultProfile",)
    assert say(0, profile(5, purpose="ChargePointMaxProfile")) == "NotSupported"


def test_clearing_by_what_is_named() -> None:
    entries = [(0, profile(1)), (1, profile(2)), (1, profile(3, level=1)), (2, profile(4))]
    for wanted, left in (
        ({"id": 4}, [1, 2, 3]),
        ({"id": 9}, [1, 2, 3, 4]),
        ({"connectorId": 1}, [1, 4]),
        ({"connectorId": 1, "stackLevel": 1}, [1, 2, 4]),
        ({"chargingProfilePurpose": "TxDefaultProfile"}, []),
        ({"chargingProfilePurpose": "TxProfile"}, [1, 2, 3, 4]),
        ({}, []),
    ):
        made = store(*entries)
        assert made.clear(wanted) == ("Accepted" if len(left) < 4 else "Unknown")
        assert [p.profile_id for p in made.profiles] == left


def test_a_composite_schedule_has_a_period_per_change() -> None:
    periods = [{"startPeriod": 0, "limit": 10}, {"startPeriod": 600, "limit": 20}, {"startPeriod": 900, "limit": 20}]
    payload = profile(1, periods=periods, startSchedule=stamp(NOW), duration=1200)
    made = store((1, payload))

    def limit_a(at: float) -> float:
        said = made.connector_limit_a(1, at, None, 3)
        return 32.0 if said is None else said

    found = composite_schedule(made, limit_a, NOW + 300, 1800, "A", 3, None)
    assert found["duration"] == 1800
    assert found["startSchedule"] == stamp(NOW + 300)
    starts = [(p["startPeriod"], p["limit"]) for p in found["chargingSchedulePeriod"]]
    assert starts == [(0, 10), (300, 20), (900, 32)]
    watts = composite_schedule(made, limit_a, NOW, 60, "W", 3, None)
    assert watts["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 6900.0}]
