"""Charging profiles as plain records: the ceiling, the ids, what a clearing means."""

from __future__ import annotations

from itertools import product

import pytest

from gatewayd.site.charging_profile import (
    OWN_PROFILE_IDS,
    ClearProfiles,
    Period,
    Profile,
    ceiling,
    picked_id,
)
from gatewayd.site.codes import ProfileKind, ProfilePurpose, RateUnit

PROFILE = Profile(5, ProfilePurpose.TxProfile, ProfileKind.Relative, 2, RateUnit.A, (Period(0, 60),))


@pytest.mark.parametrize(
    ("max_current_a", "unit", "phases", "highest"),
    [
        (32.0, RateUnit.A, None, 320),
        (32.3, RateUnit.A, 1, 323),
        (0.1, RateUnit.A, 3, 1),
        (16.05, RateUnit.A, None, 160),
        (32.0, RateUnit.W, None, 220_800),
        (32.0, RateUnit.W, 3, 220_800),
        (32.0, RateUnit.W, 1, 73_600),
    ],
)
def test_the_ceiling(max_current_a: float, unit: RateUnit, phases: int | None, highest: int) -> None:
    assert ceiling(max_current_a, unit, phases) == highest


def test_every_place_has_an_id_of_its_own_apart_from_the_limits() -> None:
    places = list(product(range(8), list(ProfilePurpose)[1:], (0, 1, 8, 65_534, 65_535)))
    ids = {picked_id(*place) for place in places}
    assert len(ids) == len(places)
    assert not ids & set(OWN_PROFILE_IDS)
    assert max(ids) < 2**31


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (ClearProfiles(), True),
        (ClearProfiles(id=5, connector=9, purpose=ProfilePurpose.TxDefaultProfile, stack_level=9), True),
        (ClearProfiles(id=6, connector=1), False),
        (ClearProfiles(connector=1, purpose=ProfilePurpose.TxProfile, stack_level=2), True),
        (ClearProfiles(connector=2), False),
        (ClearProfiles(connector=1, purpose=ProfilePurpose.TxDefaultProfile), False),
        (ClearProfiles(connector=1, stack_level=0), False),
    ],
)
def test_what_a_clearing_means(wanted: ClearProfiles, matches: bool) -> None:
    assert wanted.matches(1, PROFILE) == matches
