"""The BMS sets the clock (modbus.md, Time)."""

from __future__ import annotations

import calendar
from itertools import islice

import pytest

from gatewayd.site.clock import COMMIT_WINDOW_S
from gatewayd.site.codes import TimeResult
from tests.kit import Kit
from tests.site.gateway_block import read, write

DATE = {"utc_year": 2027, "utc_month": 2, "utc_day": 28, "utc_hour": 10, "utc_minute": 20, "utc_second": 30}
THEN = calendar.timegm((2027, 2, 28, 10, 20, 30))


def test_six_and_a_commit_set_it_at_once() -> None:
    kit = Kit()
    write(kit, DATE | {"time_commit": 1})
    assert (read(kit, "utc_epoch"), read(kit, "time_result")) == (THEN, TimeResult.set)
    assert read(kit, "time_commit") == 0


def test_six_alone_set_it_fifteen_seconds_after_the_first() -> None:
    kit = Kit()
    write(kit, dict(islice(DATE.items(), 1)))
    kit.run_for(10)
    write(kit, dict(islice(DATE.items(), 1, None)))
    kit.run_for(4)
    assert read(kit, "time_result") == TimeResult.none
    kit.run_for(1)
    assert (read(kit, "utc_epoch"), read(kit, "time_result")) == (THEN, TimeResult.set)


@pytest.mark.parametrize("written", range(1, 6))
def test_some_alone_are_judged_incomplete_fifteen_seconds_after_the_first(written: int) -> None:
    kit = Kit()
    before = kit.epoch
    write(kit, dict(islice(DATE.items(), written)))
    kit.run_for(COMMIT_WINDOW_S - 1)
    assert read(kit, "time_result") == TimeResult.none
    kit.run_for(1)
    assert read(kit, "time_result") == TimeResult.incomplete
    assert read(kit, "utc_epoch") == before + COMMIT_WINDOW_S
    assert read(kit, "utc_year") == 2027  # reads back what was written


def test_some_that_a_commit_judged_are_not_judged_again() -> None:
    kit = Kit()
    write(kit, {"utc_year": 2027, "time_commit": 1})
    assert read(kit, "time_result") == TimeResult.incomplete
    write(kit, DATE | {"time_commit": 1})
    kit.run_for(2 * COMMIT_WINDOW_S)
    assert read(kit, "time_result") == TimeResult.set
