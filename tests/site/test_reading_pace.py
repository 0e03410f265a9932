"""Readings wait for company only when flash would suffer, and never long (promises, R4)."""

from __future__ import annotations

import pytest

from gatewayd.site.reading_pace import BURST, REFILL_S, WAIT_MAX_S, ReadingPace

START = 5000.0


def spent(now: float = START) -> ReadingPace:
    """A pace whose budget is used up."""
    pace = ReadingPace()
    for _ in range(int(BURST)):
        pace.spend(now)
    return pace


def test_after_a_quiet_time_nothing_waits() -> None:
    pace = ReadingPace()
    for number in range(int(BURST)):
        assert pace.until(number, START) == START
        pace.spend(START)
    assert pace.until(999, START) > START


def test_a_few_charge_points_never_wait() -> None:
    """Eight that measure every minute are below what the budget gains."""
    pace = ReadingPace()
    for minute in range(600):
        for number in range(8):
            now = START + 60 * minute + 7.5 * number
            assert pace.until(number, now) == now
            pace.spend(now)


def test_when_the_budget_is_spent_a_reading_waits_a_quarter_of_its_interval() -> None:
    pace = spent()
    assert pace.until(1, START) == START + WAIT_MAX_S  # heard for the first time
    assert pace.until(1, START + 0.2) == pytest.approx(START + 0.25)
    assert pace.until(1, START + 4.2) == pytest.approx(START + 5.2)
    assert pace.until(2, START + 4.2) == START + 4.2 + WAIT_MAX_S


def test_nobody_waits_longer_than_the_limit() -> None:
    pace = spent()
    pace.until(1, START)
    pace.spend(START + 3600)
    pace = spent(START + 3600)
    pace._heard[1] = START
    assert pace.until(1, START + 3600) == START + 3600 + WAIT_MAX_S


def test_the_budget_comes_back() -> None:
    pace = spent()
    now = START + REFILL_S
    assert pace.until(1, now) == now
    pace.spend(now)
    assert pace.until(1, now) >= now
    assert pace.until(2, now) == now + WAIT_MAX_S


def test_an_offline_queue_is_drained_at_once() -> None:
    """Each message goes out with the answer to the one before: 500 of them wait less than a second together."""
    pace, now = spent(), START
    waited = []
    for _ in range(500):
        until = pace.until(1, now)
        waited.append(until - now)
        now = until + 0.005  # the commit and the way of the frames
    assert max(waited) <= WAIT_MAX_S
    assert sum(waited[1:]) < 3


def test_seven_connectors_every_ten_seconds_keep_their_pace() -> None:
    pace, now = spent(), START
    for round_ in range(60):
        began = now = max(now, START + 10 * round_)
        for _ in range(7):
            now = pace.until(1, now) + 0.01
        if round_:
            assert now - began < 5


def test_a_clock_that_stands_still_gives_nothing() -> None:
    pace = spent()
    for _ in range(100):
        pace.spend(START)
    assert pace.until(77, START) == START + WAIT_MAX_S
