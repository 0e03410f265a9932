"""Who gets a place when all are taken (modbus.md, Six TCP clients)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.modbus.places import Place, place_to_take

NOW = 1000.0
NEWCOMER = "192.0.2.1"


def place(address: str = "192.0.2.9", *, idle: float = 0, half_closed: bool = False, silent: float = 0) -> Place:
    return Place(address, NOW - idle, half_closed, silent)


def taken_by(newcomer: str, *places: Place) -> int | None:
    return place_to_take(newcomer, places, NOW)


def test_six_that_ask_keep_their_places() -> None:
    assert taken_by(NEWCOMER, *[place(idle=59.9)] * 6) is None


@pytest.mark.parametrize("dead", [place(NEWCOMER, half_closed=True), place(NEWCOMER, silent=10)])
def test_a_dead_connection_of_the_same_address_goes_first(dead: Place) -> None:
    assert taken_by(NEWCOMER, place(idle=500), place(), dead, place()) == 2


@pytest.mark.parametrize("dead", [place(half_closed=True), place(silent=100), place(NEWCOMER, silent=9.9)])
def test_nobody_takes_the_place_of_anothers_dead_connection(dead: Place) -> None:
    assert taken_by(NEWCOMER, dead, *[place()] * 5) is None


def test_of_several_dead_ones_the_one_idle_longest_goes() -> None:
    dead = [place(NEWCOMER, silent=20, idle=idle) for idle in (20, 40, 30)]
    assert taken_by(NEWCOMER, *dead) == 1


def test_without_a_dead_one_the_one_idle_longest_goes_after_a_minute() -> None:
    assert taken_by(NEWCOMER, place(idle=60), place(idle=3600), place(NEWCOMER, idle=61)) == 1
    assert taken_by(NEWCOMER, place(), place(idle=60)) == 1


places = st.builds(
    Place,
    st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
    st.floats(NOW - 200, NOW),
    st.booleans(),
    st.floats(0, 30),
)


@given(st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.lists(places, min_size=1, max_size=6))
def test_who_polls_and_lives_never_loses_its_place(newcomer: str, taken: list[Place]) -> None:
    index = place_to_take(newcomer, taken, NOW)
    if index is None:
        assert all(NOW - place.last_request_s < 60 for place in taken)
        return
    chosen = taken[index]
    dead = chosen.address == newcomer and (chosen.half_closed or chosen.unacknowledged_s >= 10)
    assert dead or NOW - chosen.last_request_s >= 60
