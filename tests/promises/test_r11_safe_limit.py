"""R11: a silent BMS or a dead gateway leaves safe limits within the timeout + 5 s. Release form: TRIALS=100.

Of each kind TRIALS trials, every one with another timeout, safe limit, number of charge points and cars, live limits
above the safe one, and moment (tests/journeys/silence.py). What counts is what the charge points allow by their own
rules. A gateway that comes back to a silent BMS raises nothing either.

Twins: a watchdog that looks at no clock; live limits that do not lapse; a fallback that says the ceiling; a gateway
that after a restart waits for the first heartbeat. Each must be caught in every one of TWIN_TRIALS.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest

from gatewayd.site import fallback, limit_strategy, watchdog
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import WatchdogState
from gatewayd.site.limit import Wanted
from gatewayd.site.limit_policy import tenths
from gatewayd.site.model import Site
from tests.journeys import silence
from tests.journeys.silence import Gone, Silence
from tests.processes import in_processes
from tests.promises.report import seen

TRIALS = int(os.environ.get("TRIALS", "10"))
TWIN_TRIALS = max(3, TRIALS // 10)
"""A twin is caught in the first trial already; the others show that this was no accident."""
TRIAL_LIMIT_S = 120.0
"""A trial takes a second or two on a quiet core."""
Patch = Callable[[], AbstractContextManager[object]]


def one(task: tuple[Gone, int, str]) -> Silence:
    logging.disable(logging.CRITICAL)
    gone, seed, twin = task
    return silence.run(gone, seed, TWINS[twin][1]) if twin else silence.run(gone, seed)


def trials(gone: Gone, twin: str = "") -> Iterator[Silence]:
    seeds = range(1, (TWIN_TRIALS if twin else TRIALS) + 1)
    return in_processes(one, [(gone, seed, twin) for seed in seeds], limit_s=TRIAL_LIMIT_S)


def looks_at_no_clock(site: Site) -> None:
    pass


def never_wanted(cp: ChargePoint) -> bool:
    return False


def says_the_ceiling(cp: ChargePoint, proper: Any = fallback.wanted_of) -> Wanted:
    return fallback._saying(cp, tenths(cp.max_current_a)) if not proper(cp).nothing else proper(cp)


def waits_for_the_first_heartbeat(site: Site, proper: Any = watchdog.restored) -> None:
    proper(site)
    site.watchdog_state = WatchdogState.ok


def instead(owner: Any, name: str, broken: Callable[..., object]) -> Patch:
    return functools.partial(patch.object, owner, name, broken)


TWINS: dict[str, tuple[Gone, Patch]] = {
    "a watchdog that looks at no clock": (Gone.bms, instead(watchdog, "_watch", looks_at_no_clock)),
    "limits that do not lapse": (Gone.gateway, instead(limit_strategy, "fallback_wanted", never_wanted)),
    "a fallback that says the ceiling": (Gone.gateway, instead(fallback, "wanted_of", says_the_ceiling)),
    "after a restart it waits for a heartbeat": (
        Gone.gateway, instead(watchdog, "restored", waits_for_the_first_heartbeat),
    ),
}  # fmt: skip


@pytest.mark.limit(TRIAL_LIMIT_S * TRIALS)
@pytest.mark.parametrize("gone", Gone)
def test_limits_are_safe_in_time(gone: Gone) -> None:
    found = sorted(trials(gone), key=lambda each: each.seed)
    assert [f"{each}: {each.wrong}" for each in found if each.wrong] == []
    late = max(each.after_s - each.timeout_s for each in found)
    cars = sum(each.charging for each in found)
    seen(
        "R11",
        f"{gone.value} gone, {len(found)} trials, {cars} cars: safe {late:+.1f} s after the timeout at the latest",
    )


@pytest.mark.twin("R11")
@pytest.mark.limit(TRIAL_LIMIT_S * TRIALS)
@pytest.mark.parametrize("twin", TWINS)
def test_caught_in_every_trial(twin: str) -> None:
    assert [str(each) for each in trials(TWINS[twin][0], twin) if not each.wrong] == []
