"""One transaction, and the memory that tells a repeated message from a new one (quirks T1, T2, T4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.site.codes import StopReason
from gatewayd.site.transaction import KEPT_TRANSACTIONS, TAKEN_OVER_MAX, Transaction, Transactions, lone_stop

START = 1_767_225_600.0
STAMP = "2026-01-01T00:00:00Z"


def transaction(number: int = 1, connector: int = 1, *, start: float = START, meter: int = 1000) -> Transaction:
    return Transaction(number, connector, "TAG", start, meter, meter, start_stamp=STAMP)


def memory(*transactions: Transaction) -> Transactions:
    found = Transactions()
    for each in transactions:
        found.add(each)
    return found


@given(start=st.integers(-(2**53), 2**53), end=st.integers(-(2**53), 2**53))
def test_energy_is_stop_minus_start_to_the_wh_and_never_negative(start: int, end: int) -> None:
    one = transaction(meter=start)
    one.last_wh = max(start, end + 5)
    one.stop(START + 10, end, StopReason.Local)
    assert one.energy_wh == max(0, end - start)


@given(start=st.floats(0, 4e9), end=st.floats(0, 4e9))
def test_no_clock_makes_a_duration_negative(start: float, end: float) -> None:
    one = transaction(start=start)
    assert one.duration_s(end) == max(0, int(end - start))
    one.stop(end, 1000, StopReason.Local)
    assert one.stop_epoch is not None
    assert one.stop_epoch >= start
    assert one.duration_s(0) == max(0, int(end - start))


def test_an_abandoned_one_ends_with_what_was_heard_last_and_may_be_corrected() -> None:
    one = transaction()
    one.last_wh = 1500
    one.abandon(START + 60)
    assert (one.open, one.energy_wh, one.stop_reason, one.incomplete) == (False, 500, StopReason.Other, True)
    one.stop(START + 90, 1700, StopReason.EVDisconnected)
    assert (one.energy_wh, one.stop_reason, one.incomplete) == (700, StopReason.EVDisconnected, False)


@pytest.mark.parametrize(
    "other",
    [
        (2, STAMP, "TAG", 1000),
        (1, "2026-01-01T00:00:01Z", "TAG", 1000),
        (1, STAMP, "tag", 1000),
        (1, STAMP, "TAG", 1001),
    ],
)
def test_a_start_is_known_by_connector_time_tag_and_meter(other: tuple[int, str, str, int]) -> None:
    one = transaction()
    known = memory(one)
    assert known.known_start(1, STAMP, "TAG", 1000) is one
    assert known.known_start(*other) is None


def test_a_start_is_known_after_its_end() -> None:
    one = transaction()
    one.stop(START + 5, 1100, StopReason.Local)
    assert memory(one).known_start(1, STAMP, "TAG", 1000) is one


class TestWhomAStopMeans:
    def test_its_id_first_even_on_another_connector_or_closed(self) -> None:
        one, two = transaction(1), transaction(2, 2)
        two.abandon(START + 1)
        assert memory(one, two).for_stop(2, START + 9, 1200, "x") is two

    @pytest.mark.parametrize("foreign", [7, 2**31, 2**53])
    def test_a_foreign_positive_id_never_another_session(self, foreign: int) -> None:
        assert memory(transaction()).for_stop(foreign, START + 9, 1200, "x") is None

    @pytest.mark.parametrize("unlearned", [0, -1, -7, -(2**53)])
    def test_an_id_that_was_never_learned_the_only_one_that_fits(self, unlearned: int) -> None:
        one, later, higher = transaction(1), transaction(2, 2, start=START + 100), transaction(3, 3, meter=9000)
        assert memory(one).for_stop(unlearned, START + 9, 1200, "x") is one
        assert memory(one, later, higher).for_stop(unlearned, START + 9, 1200, "x") is one
        assert memory(one, transaction(4, 4)).for_stop(unlearned, START + 9, 1200, "x") is None
        assert memory(later).for_stop(unlearned, START + 9, 1200, "x") is None
        assert memory(higher).for_stop(unlearned, START + 9, 1200, "x") is None

    @pytest.mark.parametrize("unlearned", [0, -1])
    def test_of_several_the_one_whose_tag_it_brings_or_whose_connector_is_idle_or_whose_meter_ran_no_further(
        self, unlearned: int
    ) -> None:
        one, two = transaction(1), transaction(2, 2)
        both = memory(one, two)
        assert both.for_stop(unlearned, START + 9, 1200, "x", "", {2}) is two
        assert both.for_stop(unlearned, START + 9, 1200, "x", "", {1, 2}) is None
        two.id_tag = "OTHER"
        assert both.for_stop(unlearned, START + 9, 1200, "x", "other") is two
        assert both.for_stop(unlearned, START + 9, 1200, "x", "third") is None, "any tag of its group may end it"
        one.last_wh = 1201
        assert both.for_stop(unlearned, START + 9, 1200, "x") is two

    @pytest.mark.parametrize("worthless", [0, -1])
    def test_where_all_have_one_id_the_likeliest(self, worthless: int) -> None:
        one, two = transaction(worthless), transaction(worthless, 2)
        both = memory(one, two)
        assert both.for_stop(worthless, START + 9, 1200, "x", "", {1}) is one
        one.last_wh = 1190
        assert both.for_stop(worthless, START + 9, 1200, "x") is one, "its meter was there last"
        assert both.for_stop(worthless, START + 9, 1100, "x") is two
        assert both.for_stop(worthless, START - 1, 1200, "x") is None, "it ended before these began"

    def test_where_all_have_one_id_the_end_of_an_earlier_one_again_ends_no_later_one(self) -> None:
        one, two = transaction(0), transaction(0, start=START + 100, meter=1200)
        two.start_stamp = "2026-01-01T00:01:40Z"
        known = memory(one)
        one.stop(START + 9, 1200, StopReason.Local)
        known.add(two)
        assert known.for_stop(0, START + 9, 1200, "x") is one
        assert known.for_stop(0, START + 200, 1300, "x") is two

    @pytest.mark.parametrize("unlearned", [0, -1, 7])
    def test_a_repetition_the_one_that_it_ended_already(self, unlearned: int) -> None:
        one, two = transaction(1), transaction(2, 2)
        one.stop(START + 9, 1200, StopReason.Local)
        assert memory(one, two).for_stop(unlearned, START + 9, 1200, "x") is one
        assert memory(one).for_stop(unlearned, START + 10, 1200, "x") is None
        assert memory(one).for_stop(unlearned, START + 9, 1201, "x") is None

    def test_a_repetition_whose_time_was_replaced_is_known_by_its_text(self) -> None:
        lone = transaction(1)
        lone.start_stamp = lone_stop("1970-01-01T00:00:00Z")
        lone.stop(START + 9, 1200, StopReason.Local)
        assert memory(lone).for_stop(0, START + 500, 1200, "1970-01-01T00:00:00Z") is lone
        assert memory(lone).for_stop(0, START + 500, 1200, "1970-01-01T00:00:01Z") is None

    @pytest.mark.parametrize(("said", "repeated"), [(2, False), (TAKEN_OVER_MAX + 1, True), (0, True)])
    def test_a_lone_stop_is_kept_under_the_id_it_came_with_where_that_can_be_one(
        self, said: int, repeated: bool
    ) -> None:
        lone = transaction(1)
        lone.start_stamp = lone_stop("x")
        lone.stop(START + 9, 1200, StopReason.Local)
        assert memory(lone).for_stop(said, START + 9, 1200, "x") is (lone if repeated else None)


def test_what_is_kept_is_bounded_and_open_ones_are_never_forgotten() -> None:
    known = Transactions()
    first = transaction(1)
    known.add(first)
    for number in range(2, 10 * KEPT_TRANSACTIONS):
        closed = transaction(number, 2)
        closed.stop(START + number, 1000, StopReason.Local)
        known.add(closed)
    assert known.open() == [first]
    assert known.open_on(1) is first
    assert known.open_on(2) is None
    assert known.by_id(10 * KEPT_TRANSACTIONS - 1) is not None
    assert sum(known.by_id(number) is not None for number in range(10 * KEPT_TRANSACTIONS)) == KEPT_TRANSACTIONS
