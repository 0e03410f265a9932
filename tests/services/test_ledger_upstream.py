"""What waits for a central system, and the ids that it gave later, in the ledger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from gatewayd.services.ledger.schema import MIGRATIONS
from gatewayd.site.backlog import Backlog
from gatewayd.site.journal import (
    DropUpstreamId,
    Journal,
    RenumberTransaction,
    SaveReading,
    SaveTransaction,
    SaveUpstreamId,
)
from gatewayd.site.transaction import Transaction
from tests.services.test_ledger import loaded, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_messages_come_back_in_order_without_those_delivered(path: Path) -> None:
    backlog, journal = Backlog(), Journal()
    for number, text in enumerate(("one", "two", "drei \u00fc", "vier")):
        backlog.add(1 + number % 2, "MeterValues" if number else "StartTransaction", text, journal, 0.0, 9 - number)
    first = backlog.first(2)
    assert first is not None
    backlog.delivered(first, journal)
    trio.run(write, path, *journal.waiting)
    again = Backlog()
    again.restore(loaded(path).messages)
    assert [(m.number, m.action, m.text, m.transaction_id) for m in again.of(1)] == [
        (1, "StartTransaction", "one", 9),
        (3, "MeterValues", "drei ü", 7),
    ]
    assert [m.text for m in again.of(2)] == ["vier"]


def test_pairs_of_ids_come_back_in_the_order_they_were_learned(path: Path) -> None:
    pairs = [SaveUpstreamId(1, 9, 0), SaveUpstreamId(2, 9, -3), SaveUpstreamId(1, 8, 0), SaveUpstreamId(1, 7, 1)]
    trio.run(write, path, *pairs, DropUpstreamId(1, 7))
    assert loaded(path).upstream_ids == [(1, 9, 0), (2, 9, -3), (1, 8, 0)]


@pytest.mark.parametrize("committed", [False, True], ids=["one commit", "two commits"])
def test_a_transaction_that_is_renumbered_is_there_once(path: Path, committed: bool) -> None:
    transaction = Transaction(1_500_000_000, 1, "TAG", 1.0, 0, 10)
    before = [SaveTransaction(1, transaction), SaveTransaction(2, Transaction(1_500_000_000, 1, "T", 1.0, 0, 1))]
    if committed:
        trio.run(write, path, *before)
        before = []
    trio.run(_renumbered, path, before, transaction)
    assert [(number, t.id, t.last_wh) for number, t in loaded(path).transactions] == [
        (1, 4711, 20),
        (2, 1_500_000_000, 1),
    ]


async def _renumbered(path: Path, before: list[SaveTransaction], transaction: Transaction) -> None:
    transaction.last_wh = 15
    reading = SaveReading(1, transaction)
    transaction.id, transaction.last_wh = 4711, 20
    await write(path, *before, reading, RenumberTransaction(1, 1_500_000_000, 4711), SaveReading(1, transaction))


def test_a_ledger_of_before_is_migrated(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            f"{MIGRATIONS[0]}{MIGRATIONS[1]} PRAGMA user_version=2; REPLACE INTO fact VALUES ('a', 1);"
        )
    found = loaded(path)
    assert (found.facts, found.messages, found.upstream_ids, found.lossy) == ({"a": 1}, [], [], False)
