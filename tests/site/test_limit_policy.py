"""The effective limit is the lowest of all that applies (modbus.md, Limits)."""

from __future__ import annotations

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.site.codes import RateUnit
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.limit_policy import Bounds, converted, effective, tenths
from gatewayd.site.meter import Meter
from gatewayd.site.supply import NOMINAL_WATTS_PER_AMPERE, Supply

A, W = RateUnit.A, RateUnit.W


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(32), 320),
        (Bounds(32, 160), 160),
        (Bounds(32, 400), 320),
        (Bounds(32, 0), 0),
        (Bounds(32, 160, enabled=False), 0),
        (Bounds(32, enabled=False), 0),
        (Bounds(32, 160, watchdog_a=6), 60),
        (Bounds(32, 50, watchdog_a=6), 50),
        (Bounds(32, watchdog_a=0), 0),
        (Bounds(32, 160, whole_share_a=10.06), 100),
        (Bounds(32, 160, site_share_w=6900), 100),
        (Bounds(32, 160, site_share_w=6899), 99),
        (Bounds(32, site_share_w=3680, watts_per_ampere=230), 160),
        (Bounds(32, 110_400, W), 110_400),
        (Bounds(16, 500_000, W), 110_400),
        (Bounds(32, 110_400, W, watchdog_a=6), 41_400),
        (Bounds(32, 110_400, W, site_share_w=5000.04), 50_000),
        (Bounds(32, 110_400, W, enabled=False), 0),
        (Bounds(32, 160, upstream=100), 100),
        (Bounds(32, 160, upstream=200), 160),
        (Bounds(32, 160, upstream=41_400, upstream_unit=W), 60),
        (Bounds(32, 110_400, W, upstream=60), 41_400),
        (Bounds(16.1, 170), 161),
    ],
)
def test_the_lowest_wins(bounds: Bounds, expected: int) -> None:
    assert effective(bounds) == expected


@pytest.mark.parametrize(
    ("bounds", "asked"),
    [
        (Bounds(32), False),
        (Bounds(32, upstream=60), False),
        (Bounds(32, 320), True),
        (Bounds(32, enabled=False), True),
        (Bounds(32, whole_share_a=99), True),
        (Bounds(32, site_share_w=9e6), True),
        (Bounds(32, watchdog_a=99), True),
    ],
)
def test_the_ceiling_alone_asks_for_nothing(bounds: Bounds, asked: bool) -> None:
    assert bounds.asked is asked


amperes = st.floats(0, 1000)
shares = st.none() | amperes
limits = st.just(NO_LIMIT) | st.integers(0, 100_000_000)
units = st.sampled_from([A, W])
ANY = st.builds(
    Bounds,
    st.floats(1, 1000),
    limits,
    units,
    limits,
    units,
    st.booleans(),
    shares,
    st.none() | st.floats(0, 1e7),
    shares,
    st.floats(100, 900),
)


@given(ANY)
def test_it_never_exceeds_any_of_its_inputs(bounds: Bounds) -> None:
    found = effective(bounds)
    assert found >= 0
    per_ampere = bounds.watts_per_ampere
    found_a = found / 10 if bounds.shown_unit == A else found / 10 / per_ampere
    inputs = [bounds.ceiling_a, bounds.whole_share_a, bounds.watchdog_a, 0.0 if not bounds.enabled else None]
    inputs += [None if bounds.site_share_w is None else bounds.site_share_w / per_ampere]
    for limit, unit in ((bounds.limit, bounds.unit), (bounds.upstream, bounds.upstream_unit)):
        inputs += [None if limit == NO_LIMIT else limit / 10 / (1 if unit == A else per_ampere)]
    given_a = [each for each in inputs if each is not None]
    assert all(found_a <= each or isclose(found_a, each, rel_tol=1e-6, abs_tol=1e-6) for each in given_a)
    # ... and loses no more than the tenth that it was rounded down by, once for every conversion.
    assert found_a >= min(given_a) - 0.1 * (1 if bounds.shown_unit == A else 1 / per_ampere) - 0.1 - 1e-6


@given(st.integers(0, 100_000_000), units, units, st.floats(100, 900))
def test_a_conversion_never_lets_through_more(limit: int, unit: RateUnit, to: RateUnit, per_ampere: float) -> None:
    assert converted(limit, unit, unit, per_ampere) == limit
    back = converted(converted(limit, unit, to, per_ampere), to, unit, per_ampere)
    assert back <= limit + 1


@given(st.integers(0, 10_000))
def test_whole_tenths_survive_binary_fractions(limit: int) -> None:
    assert tenths(limit / 10) == limit


# --- what an ampere means -----------------------------------------------------------------------------------------


def learned(meter: Meter, before: Supply | None = None, *, in_session: bool = True) -> Supply:
    supply = before or Supply()
    supply.learn(meter, in_session=in_session)
    return supply


def test_230_v_and_three_phases_where_nothing_is_known() -> None:
    assert NOMINAL_WATTS_PER_AMPERE == Supply().watts_per_ampere(0) == 690


@pytest.mark.parametrize(("phases", "expected"), [(1, 230), (2, 460), (3, 690)])
def test_written_phases_count_while_none_are_measured(phases: int, expected: float) -> None:
    assert Supply().watts_per_ampere(phases) == expected
    assert learned(Meter(current_l1_a=10.0)).watts_per_ampere(phases) == 230


def test_measured_voltages_and_phases() -> None:
    volts = {"voltage_l1_v": 231.0, "voltage_l2_v": 229.0, "voltage_l3_v": 233.0}
    assert learned(Meter(**volts)).watts_per_ampere(0) == 693
    one = Meter(**volts, current_l1_a=16.0, current_l2_a=0.1, current_l3_a=0.0)
    assert learned(one).watts_per_ampere(0) == 231
    assert learned(Meter(**volts, current_l2_a=16.0, current_l3_a=16.0)).watts_per_ampere(0) == 462
    assert learned(Meter(voltage_l1_v=240.0)).watts_per_ampere(0) == 720, "one stands for all"


@pytest.mark.parametrize("volts", [0.0, 12.0, 400.0])
def test_what_cannot_be_a_phase_voltage_is_not_believed(volts: float) -> None:
    assert learned(Meter(voltage_l1_v=volts)).watts_per_ampere(0) == 690


def test_noise_of_the_voltage_changes_nothing_a_real_change_does() -> None:
    supply = learned(Meter(voltage_l1_v=230.0))
    assert learned(Meter(voltage_l1_v=232.0), supply).watts_per_ampere(0) == 690
    assert learned(Meter(voltage_l1_v=234.0), supply).watts_per_ampere(0) == 702


def test_phases_are_remembered_through_a_pause_but_not_for_the_next_car() -> None:
    supply = learned(Meter(current_l1_a=16.0))
    assert learned(Meter(current_l1_a=0.0), supply).watts_per_ampere(0) == 230
    assert learned(Meter(current_l1_a=0.0), supply, in_session=False).watts_per_ampere(0) == 690
