"""The agenda: what is due when, in order, and nothing kept that nobody waits for."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.site import agenda as agenda_module
from gatewayd.site.agenda import DEAD_ENTRIES_MIN, Agenda, Entry


def test_what_is_due_is_done_once_in_the_order_of_its_time() -> None:
    agenda = Agenda()
    done: list[tuple[str, float]] = []

    def note(name: str, now: float) -> None:
        done.append((name, now))

    for name, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("b again", 2.0)):
        agenda.at(when, partial(note, name))
    assert agenda.next() == 1.0
    agenda.run(0.9)
    assert done == []
    agenda.run(2.5)
    assert done == [("a", 2.5), ("b", 2.5), ("b again", 2.5)]
    agenda.run(2.5)
    assert len(done) == 3
    agenda.run(3.0)
    assert done[3:] == [("c", 3.0)]
    assert agenda.next() is None


def test_what_was_cancelled_is_not_done() -> None:
    agenda = Agenda()
    done: list[float] = []
    first = agenda.at(1.0, done.append)
    agenda.at(2.0, done.append)
    first.cancel()
    assert not first.waiting
    assert agenda.next() == 2.0
    agenda.run(5.0)
    assert done == [5.0]


def test_an_entry_may_cancel_and_add_others_while_it_is_done() -> None:
    agenda = Agenda()
    done: list[str] = []
    later = agenda.at(2.0, lambda now: done.append("never"))

    def act(now: float) -> None:
        later.cancel()
        agenda.at(now, lambda _: done.append("at once"))
        agenda.at(now + 1, lambda _: done.append("not yet"))

    agenda.at(1.0, act)
    agenda.run(1.5)
    assert done == ["at once"]
    assert agenda.next() == 2.5


def test_a_new_first_deadline_is_announced_and_only_that() -> None:
    agenda = Agenda()
    announced: list[float | None] = []
    agenda.on_earlier = lambda: announced.append(agenda.next())
    agenda.at(5.0, print)
    agenda.at(7.0, print)
    agenda.at(3.0, print)
    assert announced == [5.0, 3.0]


def test_one_that_adds_itself_for_the_same_time_is_a_bug_and_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda_module, "DONE_MAX", 1000)
    agenda = Agenda()

    def again(now: float) -> None:
        agenda.at(now, again)

    agenda.at(1.0, again)
    with pytest.raises(RuntimeError, match="again"):
        agenda.run(1.0)


def test_cancelled_deadlines_do_not_pile_up() -> None:
    """20 charge points × 100 Calls a second, each answered at once, for a minute of unexpired 60 s deadlines."""
    agenda, largest = Agenda(), 0
    kept = [agenda.at(1000.0 + n, print) for n in range(50)]
    for n in range(120_000):
        agenda.at(60.0 + n / 2000, print).cancel()
        largest = max(largest, len(agenda))
    assert largest <= 2 * (len(kept) + 1) + DEAD_ENTRIES_MIN
    assert agenda.next() == 1000.0


def test_cancelling_twice_or_after_it_was_done_counts_nothing() -> None:
    agenda = Agenda()
    done = agenda.at(1.0, lambda now: None)
    agenda.run(1.0)
    twice = agenda.at(2.0, print)
    for _ in range(3 * DEAD_ENTRIES_MIN):
        done.cancel()
        twice.cancel()
    waiting = [agenda.at(3.0, lambda now: None) for _ in range(3)]
    assert agenda.next() == 3.0
    agenda.run(3.0)
    assert len(agenda) == 0
    assert not any(entry.waiting for entry in waiting)


@pytest.mark.parametrize("sweep_often", [False, True])
@given(data=st.data())
def test_any_mixture_does_exactly_what_was_not_cancelled_in_time(sweep_often: bool, data: st.DataObject) -> None:
    agenda = Agenda()
    expected: list[tuple[float, int]] = []
    done: list[int] = []
    entries: list[Entry] = []

    def note(number: int, now: float) -> None:
        done.append(number)

    for number, when in enumerate(data.draw(st.lists(st.integers(0, 20), max_size=60))):
        entries.append(agenda.at(when, partial(note, number)))
        expected.append((when, number))
    if sweep_often:
        for _ in range(2 * DEAD_ENTRIES_MIN):
            agenda.at(10.0, partial(note, -1)).cancel()
    for index in data.draw(st.sets(st.integers(0, max(0, len(entries) - 1)))) if entries else ():
        entries[index].cancel()
        expected.remove((entries[index].when, index))
    for now in range(21):
        agenda.run(now)
    assert done == [number for _, number in sorted(expected)]
