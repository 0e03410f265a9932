"""What a central system's charging profiles mean at a given time (OCPP 1.6, 3.13; modbus.md, `limit_upstream`)."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from msgspec.structs import replace

from gatewayd.site import limit_upstream
from gatewayd.site.charging_profile import ClearProfiles, Period, Profile
from gatewayd.site.codes import ProfileKind, ProfilePurpose, ProfileRecurrency, RateUnit
from gatewayd.site.limit_upstream import HELD_MAX, limit_at
from gatewayd.site.transaction import Transaction
from tests.kit import EPOCH, Kit

MAX, DEFAULT, TX = ProfilePurpose.ChargePointMaxProfile, ProfilePurpose.TxDefaultProfile, ProfilePurpose.TxProfile
START = 1_000_000
STEPS = Profile(
    1, DEFAULT, ProfileKind.Absolute, 0, RateUnit.A, (Period(0, 160), Period(100, 80)), start_schedule=START
)


@pytest.mark.parametrize(
    ("changes", "at", "began", "limit", "until"),
    [
        ({}, START - 1, None, None, START),
        ({}, START, None, 160, START + 100),
        ({}, START + 99.9, None, 160, START + 100),
        ({}, START + 100, None, 80, inf),
        ({"duration_s": 150}, START + 100, None, 80, START + 150),
        ({"duration_s": 150}, START + 150, None, None, inf),
        ({"duration_s": 50}, START, None, 160, START + 50),
        ({"valid_from": START + 10}, START + 5, None, None, START + 10),
        ({"valid_to": START + 10}, START + 5, None, 160, START + 10),
        ({"valid_to": START + 10}, START + 10, None, None, inf),
        ({"periods": (Period(30, 10),)}, START + 5, None, None, START + 30),
        ({"periods": ()}, START + 5, None, None, inf),
        ({"kind": ProfileKind.Relative}, START, None, 160, START + 100),
        ({"kind": ProfileKind.Relative}, START, START - 100, 80, inf),
        ({"start_schedule": None}, START, START - 50, 160, START + 50),
    ],
)
def test_a_schedule(changes: dict[str, Any], at: float, began: float | None, limit: int | None, until: float) -> None:
    assert limit_at(replace(STEPS, **changes), at, began) == (limit, until)


@pytest.mark.parametrize(
    ("recurrency", "every"), [(ProfileRecurrency.Daily, 86_400), (ProfileRecurrency.Weekly, 604_800)]
)
def test_a_schedule_that_recurs(recurrency: ProfileRecurrency, every: int) -> None:
    profile = replace(STEPS, kind=ProfileKind.Recurring, recurrency=recurrency, duration_s=200)
    assert limit_at(profile, START - 5, None) == (None, START)
    for again in (0, 1, 5):
        began = START + again * every
        assert limit_at(profile, began + 10, None) == (160, began + 100)
        assert limit_at(profile, began + 110, None) == (80, began + 200)
        assert limit_at(profile, began + 250, None) == (None, began + every)


def shown(kit: Kit, connector: int = 1) -> tuple[int, RateUnit]:
    limit = kit.site.charge_points["CP001"].connectors[connector].limit
    return limit.upstream, RateUnit(limit.upstream_unit)


def flat(profile_id: int, purpose: ProfilePurpose, level: int, limit: int, **more: Any) -> Profile:
    return replace(STEPS, id=profile_id, purpose=purpose, stack_level=level, periods=(Period(0, limit),), **more)


def test_which_profile_counts() -> None:
    kit = Kit()
    cp = kit.site.charge_points["CP001"]

    def put(number: int, profile: Profile) -> None:
        limit_upstream.put(cp, number, profile, kit.now)

    put(0, flat(1, DEFAULT, 0, 200))
    assert (shown(kit, 1), shown(kit, 2)) == ((200, RateUnit.A), (200, RateUnit.A))
    put(1, flat(2, DEFAULT, 0, 300))
    assert (shown(kit, 1), shown(kit, 2)) == ((300, RateUnit.A), (200, RateUnit.A)), "a connector's own comes first"
    put(1, flat(3, DEFAULT, 5, 120))
    assert shown(kit)[0] == 120, "the highest level"
    put(1, flat(4, TX, 0, 250, transaction_id=9))
    assert shown(kit)[0] == 120, "no such transaction"
    cp.connectors[1].transaction = Transaction(9, 1, "T", EPOCH, 0, 0)
    put(1, flat(4, TX, 0, 250, transaction_id=9))
    assert shown(kit)[0] == 250
    put(0, flat(5, MAX, 0, 100))
    assert (shown(kit, 1)[0], shown(kit, 2)[0]) == (100, 100)
    put(0, flat(5, MAX, 0, 220_000, rate_unit=RateUnit.W))
    assert shown(kit)[0] == 250, "22 kW are more than that"
    limit_upstream.clear(cp, ClearProfiles(purpose=MAX), kit.now)
    assert shown(kit)[0] == 250
    cp.connectors[1].transaction.stop(EPOCH, 10, 0)
    limit_upstream.reconsider(cp, kit.now)
    assert shown(kit)[0] == 120
    limit_upstream.clear(cp, ClearProfiles(), kit.now)
    assert (shown(kit), cp.upstream_profiles.held) == ((-1, RateUnit.A), {})


def test_an_id_is_one_profile() -> None:
    kit = Kit()
    cp = kit.site.charge_points["CP001"]
    limit_upstream.put(cp, 1, flat(1, DEFAULT, 4, 100), kit.now)
    limit_upstream.put(cp, 2, flat(1, DEFAULT, 0, 90), kit.now)
    assert (shown(kit, 1)[0], shown(kit, 2)[0]) == (-1, 90)


def test_a_central_system_cannot_fill_the_memory() -> None:
    kit = Kit()
    cp = kit.site.charge_points["CP001"]
    for number in range(3 * HELD_MAX):
        limit_upstream.put(cp, 1, flat(number, DEFAULT, number, 100), kit.now)
    assert len(cp.upstream_profiles.held) == HELD_MAX


def test_it_changes_by_itself_when_it_is_time() -> None:
    kit = Kit()
    cp = kit.site.charge_points["CP001"]
    start = round(kit.epoch)
    limit_upstream.put(cp, 1, replace(STEPS, start_schedule=start + 50, duration_s=200), kit.now)
    seen = []
    for _ in range(30):
        seen.append(shown(kit)[0])
        kit.run_for(10)
    assert seen == [-1] * 5 + [160] * 10 + [80] * 10 + [-1] * 5
    assert cp.upstream_profiles.look is None
