"""Every profile replays what its threads tell: frames to the listener, registers from Modbus, in the whole application.

Where a switch of the profile is what helps, the same replay goes wrong with the profile `standard`, and without that
switch alone.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from gatewayd import quirk_profiles, quirks
from gatewayd.site.quirk_profile import STANDARD
from tests.quirks.stage import Replay, perform, profiled
from tests.quirks.threads_limits import LIMITS
from tests.quirks.threads_messages import CONNECTIONS, MESSAGES, TRANSACTIONS

REPLAYS = (*CONNECTIONS, *MESSAGES, *TRANSACTIONS, *LIMITS)
SWITCHED = tuple(replay for replay in REPLAYS if replay.switch)
IN_WORDS = frozenset(
    {
        "ChargeTimeEU/Java-OCA-OCPP/issues/74",
        "evcc-io/evcc/issues/12083",
        "evcc-io/evcc/issues/15533",
        "evcc-io/evcc/issues/15581",
        "evcc-io/evcc/issues/6817",
        "evcc-io/evcc/pull/25069",
        "goecharger/go-eCharger-API-v2/issues/217",
        "lbbrhzn/ocpp/issues/1503",
        "lbbrhzn/ocpp/issues/1679",
        "lbbrhzn/ocpp/issues/211",
        "lbbrhzn/ocpp/issues/514",
        "lbbrhzn/ocpp/pull/2073",
    }
)
"""Threads of which no frame was at hand: what happened is told in words, and the frames here were made to fit."""
GITHUB = "https://github.com/"
PROFILES = sorted(quirks.names() - {"standard"})


def name_of(replay: Replay) -> str:
    return replay.name


def written(profile: str) -> dict[str, Any]:
    """The switches in its file."""
    return quirk_profiles.model(profile).switches


def switches(profile: str) -> set[str]:
    """Those that make it other than the standard."""
    own = quirk_profiles.profile(profile)
    names = (each.name for each in dataclasses.fields(own) if each.name != "name")
    return {name for name in names if getattr(own, name) != getattr(STANDARD, name)}


@pytest.mark.parametrize("replay", REPLAYS, ids=name_of)
async def test_a_thread_is_replayed(replay: Replay, tmp_path: Path, autojump_clock: MockClock) -> None:
    await perform(replay, profiled(replay.profile, {}), tmp_path)


@pytest.mark.parametrize("replay", SWITCHED, ids=name_of)
async def test_it_goes_wrong_with_the_standard_profile(
    replay: Replay, tmp_path: Path, autojump_clock: MockClock
) -> None:
    with pytest.raises(AssertionError):
        await perform(replay, profiled("standard", {}), tmp_path)


@pytest.mark.parametrize("replay", SWITCHED, ids=name_of)
async def test_it_goes_wrong_without_that_switch_alone(
    replay: Replay, tmp_path: Path, autojump_clock: MockClock
) -> None:
    others = {name: value for name, value in written(replay.profile).items() if name != replay.switch}
    with pytest.raises(AssertionError):
        await perform(replay, profiled("standard", others), tmp_path)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_and_each_of_its_switches_has_a_replay(profile: str) -> None:
    own = [replay for replay in REPLAYS if replay.profile == profile]
    assert own, "no replay"
    assert {replay.switch for replay in own} - {""} == switches(profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_replays_are_of_threads_that_the_profile_cites(profile: str) -> None:
    cited = {thread for habit in quirk_profiles.model(profile).habits for thread in habit.threads}
    assert {GITHUB + replay.thread for replay in REPLAYS if replay.profile == profile} <= cited


def test_what_was_told_in_words_is_replayed() -> None:
    assert {replay.thread for replay in REPLAYS} >= IN_WORDS
