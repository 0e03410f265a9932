"""The messages that wait for a central system: their order, their bound, and what goes first."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.site import backlog as module
from gatewayd.site.backlog import Backlog, Message
from gatewayd.site.journal import DropMessage, Journal, SaveMessage


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "MESSAGES_MAX", 5)
    return 5


def texts(backlog: Backlog, charge_point: int = 1) -> list[str]:
    return [each.text for each in backlog.of(charge_point)]


def test_the_oldest_meter_values_go_first_then_other_messages(few: int) -> None:
    backlog, journal = Backlog(), Journal()
    for action, text in [
        ("StartTransaction", "start"), ("SecurityEventNotification", "event"), ("MeterValues", "m1"),
        ("MeterValues", "m2"), ("StopTransaction", "stop"),
    ]:  # fmt: skip
        assert backlog.add(1, action, text, journal, 0.0)
    assert backlog.add(1, "MeterValues", "m3", journal, 0.0)
    assert texts(backlog) == ["start", "event", "m2", "stop", "m3"]
    assert backlog.add(2, "StartTransaction", "start 2", journal, 0.0)
    assert backlog.add(2, "StopTransaction", "stop 2", journal, 0.0)
    assert texts(backlog) == ["start", "event", "stop"]
    assert backlog.add(2, "StartTransaction", "start 3", journal, 0.0)
    assert texts(backlog) == ["start", "stop"]
    assert (backlog.lost, len(backlog)) == (4, few)


def test_no_start_or_stop_is_dropped_and_a_new_one_is_not_taken(few: int) -> None:
    backlog, journal = Backlog(), Journal()
    for number in range(few):
        assert backlog.add(1, "StopTransaction", f"{number}", journal, 0.0)
    before = journal.written
    for action in ("StartTransaction", "StopTransaction", "MeterValues"):
        assert backlog.add(2, action, "one more", journal, 0.0) == 0
    assert texts(backlog) == ["0", "1", "2", "3", "4"]
    assert (backlog.lost, journal.written) == (0, before), "who is not answered keeps it"
    first = backlog.first(1)
    assert first is not None
    backlog.delivered(first, journal)
    assert backlog.add(2, "StopTransaction", "one more", journal, 0.0)


def test_a_few_long_messages_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 100)
    backlog, journal = Backlog(), Journal()
    for letter in "abc":
        backlog.add(1, "MeterValues", letter * 40, journal, 0.0)
    assert texts(backlog) == ["b" * 40, "c" * 40]
    assert (backlog.bytes, backlog.lost) == (80, 1)


def test_the_journal_hears_of_everything() -> None:
    backlog, journal = Backlog(), Journal()
    number = backlog.add(3, "StartTransaction", "text", journal, 0.0, 77)
    assert number == journal.written
    first = backlog.first(3)
    assert first is not None
    backlog.delivered(first, journal)
    backlog.delivered(first, journal)
    assert journal.waiting == [SaveMessage(3, 1, "StartTransaction", "text", 77), DropMessage(3, 1)]
    assert (backlog.first(3), len(backlog), backlog.bytes, backlog.lost) == (None, 0, 0, 0)


def test_after_a_restart_the_order_and_the_numbers_go_on() -> None:
    backlog, journal = Backlog(), Journal()
    backlog.restore([Message(9, 1, "MeterValues", "second"), Message(4, 1, "StopTransaction", "first")])
    backlog.add(1, "MeterValues", "third", journal, 0.0)
    assert texts(backlog) == ["first", "second", "third"]
    assert [each.number for each in backlog.of(1)] == [4, 9, 10]


def test_with_a_start_that_is_set_aside_goes_its_transaction_and_nothing_else() -> None:
    backlog, journal = Backlog(), Journal()
    for action, text, transaction in [
        ("StartTransaction", "start", 9), ("MeterValues", "m", 9), ("StartTransaction", "other", 8),
        ("MeterValues", "m 8", 8), ("StopTransaction", "known upstream", 0), ("StopTransaction", "stop", 9),
    ]:  # fmt: skip
        backlog.add(1, action, text, journal, 0.0, transaction)
    backlog.add(2, "StartTransaction", "of a neighbour", journal, 0.0, 9)
    written = journal.written
    start = backlog.first(1)
    assert start is not None
    backlog.set_aside(start)
    assert (backlog.aside(1), backlog.aside(2), len(backlog), journal.written) == (3, 0, 7, written)
    assert backlog.lies_aside(1, 9)
    assert not backlog.lies_aside(1, 8)
    backlog.add(1, "MeterValues", "one more of it", journal, 0.0, 9)
    told = []
    while (message := backlog.first(1)) is not None:
        told.append(message.text)
        backlog.delivered(message, journal)
    assert told == ["other", "m 8", "known upstream"]
    assert texts(backlog) == ["start", "m", "stop", "one more of it"], "kept, and in order"
    backlog.take_up(1)
    assert backlog.first(1) is start
    assert (backlog.aside(1), texts(backlog)) == (0, ["start", "m", "stop", "one more of it"])
    again = Backlog()
    again.restore(backlog.of(1))
    assert again.first(1) is start, "a restart tries it anew"


def test_a_stop_that_is_set_aside_goes_alone_and_readings_set_aside_may_still_be_dropped(few: int) -> None:
    backlog, journal = Backlog(), Journal()
    for action, text, transaction in [
        ("StopTransaction", "of before", 0), ("StartTransaction", "start", 9), ("MeterValues", "m", 9),
        ("StopTransaction", "stop", 9),
    ]:  # fmt: skip
        backlog.add(1, action, text, journal, 0.0, transaction)
    for _ in range(2):
        first = backlog.first(1)
        assert first is not None
        backlog.set_aside(first)
    assert backlog.first(1) is None
    for number in range(2):
        assert backlog.add(2, "StopTransaction", f"{number}", journal, 0.0)
    assert (texts(backlog), len(backlog), backlog.lost) == (["of before", "start", "stop"], few, 1)
    start = next(each for each in backlog.of(1) if each.text == "start")
    backlog.drop(start, journal)
    assert (texts(backlog), backlog.lost) == (["of before", "stop"], 2)


ACTIONS = st.sampled_from(["StartTransaction", "StopTransaction", "MeterValues", "SecurityEventNotification"])


@given(st.lists(st.tuples(st.integers(1, 3), ACTIONS, st.booleans()), max_size=40))
def test_whatever_comes_it_stays_bounded_and_counted(said: list[tuple[int, str, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MESSAGES_MAX", 6)
        backlog, journal = Backlog(), Journal()
        taken: Counter[str] = Counter()
        delivered: Counter[str] = Counter()
        for charge_point, action, deliver in said:
            taken[action] += bool(backlog.add(charge_point, action, "x", journal, 0.0))
            first = backlog.first(charge_point)
            if deliver and first is not None:
                backlog.delivered(first, journal)
                delivered[first.action] += 1
            assert len(backlog) <= 6
        left = Counter(each.action for number in (1, 2, 3) for each in backlog.of(number))
        for action in ("StartTransaction", "StopTransaction"):
            assert left[action] + delivered[action] == taken[action]
        assert sum(left.values()) + sum(delivered.values()) + backlog.lost == sum(taken.values())
        assert backlog.bytes == len(backlog) == sum(left.values())


def test_what_waits_of_nobody_is_counted() -> None:
    backlog, journal = Backlog(), Journal()
    for charge_point in (1, 2, 2):
        assert backlog.add(charge_point, "StopTransaction", "stop", journal, 0.0)
    backlog.set_aside(next(backlog.of(2)))
    assert [backlog.stranded(known) for known in ({1, 2}, {1}, ())] == [{}, {2: 2}, {1: 1, 2: 2}]
