"""Entries in their order, each with a number; settings soon, and not too often (modbus.md, Types: Kept)."""

from __future__ import annotations

from math import inf

from gatewayd.site import kept
from gatewayd.site.journal import AT_ONCE, Journal, SaveFact, SaveReading
from gatewayd.site.reading_pace import BURST, WAIT_MAX_S
from gatewayd.site.transaction import Transaction
from tests.kit import Kit

RUNNING = Transaction(1, 1, "T", 0.0, 0, 0)
ENABLE, LIMIT_U16 = 3300 + 16, 3300 + 118


def started() -> Kit:
    """A gateway whose ledger was empty."""
    kit = Kit()
    kept.restore(kit.site, {})
    kit.site.journal.take(kit.now)
    return kit


def names(journal: Journal, now: float = 0.0) -> list[str]:
    return [entry.name for entry in journal.take(now) if isinstance(entry, SaveFact)]


def test_entries_are_numbered_and_handed_over_once_in_their_order() -> None:
    journal, calls = Journal(), list[int]()
    journal.on_write = lambda: calls.append(journal.written)
    assert [journal.write(SaveFact(name, 1)) for name in "abc"] == [1, 2, 3]
    assert calls == [1, 2, 3]
    assert names(journal) == ["a", "b", "c"]
    assert journal.take(0.0) == []
    assert journal.write(SaveFact("d", 1)) == 4


def test_what_is_due_when() -> None:
    journal = Journal()
    assert journal.due == inf
    for number in range(int(BURST) + 1):
        journal.take(100.0)
        journal.reading(number, RUNNING, 100.0)
    assert journal.due == 100.0 + WAIT_MAX_S
    journal.reading(0, RUNNING, 101.0)  # heard a second ago
    assert journal.due == 101.25
    journal.write(SaveFact("a", 1))
    assert journal.due == AT_ONCE
    assert [type(entry) for entry in journal.take(101.0)] == [SaveReading, SaveReading, SaveFact]
    assert journal.due == inf


def test_what_goes_along_with_something_urgent_costs_no_budget() -> None:
    journal = Journal()
    for number in range(100):
        assert journal.reading(number, RUNNING, 100.0)
        journal.write(SaveFact("a", number))
        journal.take(100.0)
    journal.reading(1, RUNNING, 100.0)
    assert journal.due == 100.0


def test_who_cannot_wait_hurries_what_waits() -> None:
    journal, calls = Journal(), list[float]()
    for number in range(int(BURST) + 1):
        journal.take(100.0)
        entry = journal.reading(number, RUNNING, 100.0)
    journal.on_write = lambda: calls.append(journal.due)
    journal.hurry(entry - 1 - journal.committed)
    assert calls == [AT_ONCE]
    journal.hurry(entry)  # it hurries already
    assert calls == [AT_ONCE]
    journal.take(100.0)
    journal.hurry(entry)  # nothing waits here any more
    assert calls == [AT_ONCE]


def test_what_is_committed_hurries_nobody() -> None:
    journal = Journal()
    for number in range(int(BURST) + 1):
        journal.take(100.0)
        entry = journal.reading(number, RUNNING, 100.0)
    journal.committed = entry - 1
    journal.hurry(entry - 1)
    assert journal.due > 100.0


# --- settings -----------------------------------------------------------------------------------------------------


def test_a_setting_is_journalled_within_a_second_and_again_after_ten() -> None:
    kit = started()
    journal = kit.site.journal
    kit.write(ENABLE, 0)
    kit.run_for(0.9)
    assert names(journal) == ["1/1/enable"]
    for value in (1, 0, 1, 0, 1):  # a BMS that cannot make up its mind
        kit.write(ENABLE, value)
        kit.run_for(1.7)
        assert names(journal) == []
    kit.run_for(10.5 - 0.9 - 8.5)
    (entry,) = journal.take(kit.now)
    assert entry == SaveFact("1/1/enable", 1)
    kit.run_for(60)
    assert journal.take(kit.now) == []


def test_a_setting_that_rested_is_journalled_soon_again() -> None:
    kit = started()
    kit.write(ENABLE, 0)
    kit.run_for(30)
    kit.site.journal.take(kit.now)
    kit.write(ENABLE, 1)
    kit.run_for(0.9)
    assert names(kit.site.journal) == ["1/1/enable"]


def test_other_settings_do_not_wait_for_it() -> None:
    kit = started()
    kit.write(ENABLE, 0)
    kit.run_for(1)
    kit.site.journal.take(kit.now)
    kit.write(ENABLE, 1)
    kit.write(ENABLE + 300, 0)
    kit.run_for(0.9)
    assert names(kit.site.journal) == ["1/2/enable"]


def test_a_burst_of_writes_is_one_entry() -> None:
    kit = started()
    for limit in range(60, 320):
        kit.write(LIMIT_U16, limit)
        kit.run_for(0.001)
    kit.run_for(1)
    entries = [entry for entry in kit.site.journal.take(kit.now) if isinstance(entry, SaveFact)]
    assert [entry.value for entry in entries if entry.name == "1/1/limit.written"] == [319]


def test_a_clean_stop_journals_what_is_not_due() -> None:
    kit = started()
    kit.write(ENABLE, 0)
    kit.site.journal.settle(inf, all_of_them=True)
    assert names(kit.site.journal) == ["1/1/enable"]


def test_a_call_to_the_charge_point_does_not_wait_behind_a_reading() -> None:
    """Answers and Calls go out in order; the answer to a MeterValues that waits for company is hurried."""
    kit = started()
    kit.write(18, 3)  # list_then_accept
    end = kit.connect()
    end.boot()
    end.status(1, "Charging")
    end.send("StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": kit.stamp()})
    kit.run_for(10)
    journal = kit.site.journal
    for number in range(100, 200):  # the budget of readings is spent
        journal.take(kit.now)
        journal.reading(number, RUNNING, kit.now)
    journal.take(kit.now)
    journal.committed = journal.written
    sampled = [{"timestamp": kit.stamp(), "sampledValue": [{"value": "900"}]}]
    end.send("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": sampled})
    assert journal.due == kit.now + WAIT_MAX_S
    kit.write(3320, 1)  # unlock
    assert [call.action for call in end.calls()][-1:] == ["UnlockConnector"]
    assert journal.due == AT_ONCE
