"""Quirk S6: a limit accepted, and no effect (modbus.md, Limits: `no_effect` after 60 s)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gatewayd.site.codes import LimitResult, QuirkBits
from gatewayd.site.limit_strategy import ZeroRefused
from tests.kit import Kit
from tests.site.taker import ENABLE, LIMIT_MATRIX, QUIRKS, Taker, said


def limited(limit: int = 100) -> Taker:
    cp = Taker(Kit())
    cp.start()
    cp.write_limit(limit)
    cp.pump()
    assert cp.result() == LimitResult.accepted
    return cp


def metered(cp: Taker, seconds: float, meter: Callable[[], None], interval_s: float = 10) -> None:
    until = cp.kit.now + seconds
    while cp.kit.now < until:
        cp.run_for(interval_s)
        meter()
    cp.run_for(0.5)


def quirk(cp: Taker) -> bool:
    return bool(cp.kit.read(3000 + QUIRKS) & QuirkBits.profile_without_effect)


@pytest.mark.parametrize(
    "values",
    [
        {"L1": 16.0, "L2": 16.0, "L3": 16.0},
        {"L2": 11.2},
        {"offered_A": 16.0},
        {"L1": 6.0, "offered_A": 16.0},
        {"offered_W": 11_040.0},
        {"W": 11_040.0},
        {"A": 16.0},
    ],
)
def test_s6_what_goes_on_above_the_limit_has_no_effect_after_60_s(values: dict[str, float]) -> None:
    cp = limited()
    metered(cp, 50, lambda: cp.meter(1, **values))
    assert (cp.result(), quirk(cp)) == (LimitResult.accepted, False)
    metered(cp, 10, lambda: cp.meter(1, **values))
    assert (cp.result(), quirk(cp)) == (LimitResult.no_effect, True)
    assert cp.active() == 100, "it was accepted all the same"


@pytest.mark.parametrize(
    "values",
    [
        {"L1": 10.0, "L2": 10.0, "L3": 10.0},
        {"L1": 10.9},
        {"L1": 6.0, "offered_A": 10.0},
        {"W": 6900.0},
        {"V": 230.0},
    ],
)
def test_s6_what_keeps_to_it_has_effect(values: dict[str, float]) -> None:
    cp = limited()
    metered(cp, 300, lambda: cp.meter(1, **values))
    assert (cp.result(), quirk(cp)) == (LimitResult.accepted, False)


def test_s6_what_was_measured_before_the_limit_says_nothing_however_late_it_comes() -> None:
    cp = limited()
    before = cp.kit.stamp(30)
    for _ in range(8):  # an offline queue
        cp.run_for(10)
        sample = {"measurand": "Power.Active.Import", "unit": "W", "value": "11000"}
        values = [{"timestamp": before, "sampledValue": [sample]}]
        cp.end.send("MeterValues", {"connectorId": 1, "transactionId": cp.transactions[1], "meterValue": values})
    assert (cp.result(), quirk(cp)) == (LimitResult.accepted, False)


def test_s6_the_last_value_of_a_session_says_nothing_after_it() -> None:
    cp = limited()
    metered(cp, 10, lambda: cp.meter(1, W=11_000.0))
    cp.end.status(1, "Finishing")
    cp.stop()
    metered(cp, 120, lambda: cp.meter(1, Wh=7.0))
    assert (cp.result(), quirk(cp)) == (LimitResult.accepted, False)


def test_s6_one_late_value_is_enough() -> None:
    cp = limited()
    cp.run_for(100)
    cp.meter(L1=16)
    cp.run_for(0.5)
    assert cp.result() == LimitResult.no_effect


def test_s6_values_of_before_the_limit_prove_nothing() -> None:
    cp = Taker(Kit())
    cp.start()
    cp.meter(L1=16, offered_A=32)
    cp.write_limit(100)
    cp.pump()
    cp.run_for(2)
    cp.meter(L1=16)  # the car has 5 s to follow
    cp.run_for(100)
    assert cp.result() == LimitResult.accepted
    metered(cp, 100, lambda: cp.meter(L1=10))
    assert cp.result() == LimitResult.accepted, "Current.Offered was not repeated"


def test_s6_a_car_that_follows_late_and_an_excess_that_passes() -> None:
    cp = limited()
    metered(cp, 30, lambda: cp.meter(L1=16))
    metered(cp, 60, lambda: cp.meter(L1=10))
    metered(cp, 40, lambda: cp.meter(L1=16))
    assert cp.result() == LimitResult.accepted
    metered(cp, 30, lambda: cp.meter(L1=16))
    assert cp.result() == LimitResult.no_effect
    metered(cp, 10, lambda: cp.meter(L1=10))
    assert (cp.result(), quirk(cp)) == (LimitResult.accepted, True), "it has effect after all"


def test_s6_a_new_limit_is_judged_anew() -> None:
    cp = limited()
    metered(cp, 70, lambda: cp.meter(L1=16))
    cp.write_limit(90)
    cp.pump()
    assert cp.result() == LimitResult.accepted
    metered(cp, 50, lambda: cp.meter(L1=16))
    assert cp.result() == LimitResult.accepted
    metered(cp, 20, lambda: cp.meter(L1=16))
    assert cp.result() == LimitResult.no_effect


def test_s6_the_same_value_again_is_no_new_sending() -> None:
    cp = limited()
    metered(cp, 70, lambda: cp.meter(L1=16))
    cp.write_limit(100)
    assert cp.run_for(3) == []


def test_s6_the_cap_of_the_charge_point_is_judged_by_all_its_connectors() -> None:
    cp = Taker(Kit())
    cp.kit.write(LIMIT_MATRIX, 160)
    cp.start(1)
    cp.start(2)

    def both(each: float) -> Callable[[], None]:
        def meter() -> None:
            cp.meter(1, L1=each)
            cp.meter(2, L1=each)

        return meter

    metered(cp, 100, both(8))
    assert (cp.result(0), cp.result(1)) == (LimitResult.accepted, LimitResult.accepted)
    metered(cp, 100, both(10))
    assert (cp.result(0), cp.result(1)) == (LimitResult.no_effect, LimitResult.no_effect)


def test_s3_6_a_is_not_sent_where_less_is_drawn() -> None:
    cp = limited(0)
    metered(cp, 100, lambda: cp.meter(L1=5))
    assert cp.result() == LimitResult.no_effect
    assert said(cp.asked) == [(1, 0, "A")]


@pytest.mark.parametrize(("policy", "then"), [(ZeroRefused.minimum, [(1, 6, "A")]), (ZeroRefused.nothing, [])])
def test_s3_where_0_is_accepted_and_ignored_6_a_is_sent(
    policy: ZeroRefused, then: list[tuple[int, float, str]]
) -> None:
    cp = limited(160)
    cp.cp.limit_strategy.when_zero_refused = policy
    cp.kit.write(3300 + ENABLE, 0)
    cp.pump()
    before = len(cp.asked)
    metered(cp, 70, lambda: cp.meter(L1=16))
    assert said(cp.asked[before:]) == then
    assert cp.result() == LimitResult.no_effect
    metered(cp, 200, lambda: cp.meter(L1=6))
    assert cp.result() == LimitResult.no_effect, "0 is what was wanted"
    assert said(cp.asked[before:]) == then
