"""What must survive a power cut, in SQLite: transactions, acks, sequences, settings, the list (promises, R9).

WAL with synchronous=FULL: a commit is on the disk when it returns. Entries that come while one commit is on its way
go together into the next, so twenty charge points at once cost few fsyncs. Commits run in a thread: the loop never
waits for a disk. While the disk fails, nothing is lost that still fits the memory, and it is tried again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from gatewayd.site.codes import DiskState
from gatewayd.site.journal import (
    ClearTags,
    Entry,
    Journal,
    SaveFact,
    SaveInformative,
    SaveTag,
    SaveTransaction,
)
from gatewayd.site.tag_list import Tag
from gatewayd.site.transaction import Transaction

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""A failing disk is tried again this often; it heals without a restart (promises, R5)."""
KEPT_CLOSED = 10_000
"""Closed transactions kept: a year of 20 charge points with more than one session a day each; about 3 MB."""
PRUNE_EVERY = 500
"""Commits between two prunings."""

MIGRATIONS = (
    """
    CREATE TABLE fact (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    CREATE TABLE charging_transaction (
        charge_point INTEGER NOT NULL, id INTEGER NOT NULL, connector INTEGER NOT NULL, id_tag TEXT NOT NULL,
        start_epoch REAL NOT NULL, meter_start_wh INTEGER NOT NULL, last_wh INTEGER NOT NULL,
        stop_epoch REAL, meter_stop_wh INTEGER, stop_reason INTEGER NOT NULL, start_stamp TEXT NOT NULL,
        answer TEXT NOT NULL, incomplete INTEGER NOT NULL, PRIMARY KEY (charge_point, id)) WITHOUT ROWID;
    CREATE INDEX open_transaction ON charging_transaction (stop_epoch);
    CREATE TABLE tag (
        key TEXT PRIMARY KEY, id_tag TEXT NOT NULL, status INTEGER NOT NULL, expiry INTEGER NOT NULL,
        parent_id_tag TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE informative (
        charge_point INTEGER NOT NULL, sequence INTEGER NOT NULL, fields TEXT NOT NULL,
        PRIMARY KEY (charge_point, sequence));
    """,
    "ALTER TABLE tag ADD COLUMN position INTEGER NOT NULL DEFAULT 0;",
)
"""The schema, version by version; `PRAGMA user_version` says how many of these were applied."""

TRANSACTION_COLUMNS = (
    "id", "connector", "id_tag", "start_epoch", "meter_start_wh", "last_wh", "stop_epoch", "meter_stop_wh",
    "stop_reason", "start_stamp", "answer", "incomplete",
)  # fmt: skip

Statement = tuple[str, tuple[Any, ...]]


def statement(entry: Entry) -> Statement:
    """One entry as SQL; made on the loop, so that the thread sees no record that still changes."""
    if isinstance(entry, SaveTransaction):
        values = (entry.charge_point, *(getattr(entry.transaction, column) for column in TRANSACTION_COLUMNS))
        places = ",".join("?" * len(values))
        return (
            f"REPLACE INTO charging_transaction (charge_point,{','.join(TRANSACTION_COLUMNS)}) VALUES ({places})",
            values,
        )
    if isinstance(entry, SaveFact):
        return "REPLACE INTO fact VALUES (?,?)", (entry.name, entry.value)
    if isinstance(entry, SaveTag):
        key = entry.id_tag.casefold()
        if not entry.status:
            return "DELETE FROM tag WHERE key=?", (key,)
        return "REPLACE INTO tag VALUES (?,?,?,?,?,?)", (
            key, entry.id_tag, entry.status, entry.expiry, entry.parent_id_tag, entry.position,
        )  # fmt: skip
    if isinstance(entry, ClearTags):
        return "DELETE FROM tag", ()
    if isinstance(entry, SaveInformative):
        fields = msgspec.json.encode(entry.fields).decode()
        return "REPLACE INTO informative VALUES (?,?,?)", (entry.charge_point, entry.sequence, fields)
    return "DELETE FROM informative WHERE charge_point=? AND sequence=?", (entry.charge_point, entry.sequence)


@dataclass(slots=True)
class Restored:
    """What the ledger held at the start."""

    facts: dict[str, int | str] = field(default_factory=dict)
    transactions: list[tuple[int, Transaction]] = field(default_factory=list)
    """(charge point, transaction), oldest first."""
    tags: list[Tag] = field(default_factory=list)
    informative: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    """(charge point, sequence, fields), oldest first."""


class Ledger:
    """The database, and the task that writes to it."""

    def __init__(self, path: Path, on_disk_state: Callable[[DiskState], None] = lambda _state: None) -> None:
        self._path = path
        self._on_disk_state = on_disk_state
        self._news = trio.Event()
        self._progress = trio.Event()
        self._committed = 0
        self._failed_at = 0
        """Newest entry that a failed commit held: whoever waits for one up to it is told no."""
        self._commits = 0
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise RuntimeError(f"{self._path.name} was written by a newer gateway (schema {version})")
        for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
            database.executescript(f"BEGIN; {migration} PRAGMA user_version={number}; COMMIT;")
        return database

    def load(self) -> Restored:
        """Everything that was durable; called once, before anything can be read."""
        execute = self._database.execute
        restored = Restored(dict(execute("SELECT name, value FROM fact").fetchall()))
        columns = ",".join(TRANSACTION_COLUMNS)
        for number, *values in execute(f"SELECT charge_point,{columns} FROM charging_transaction ORDER BY start_epoch"):
            fields = dict(zip(TRANSACTION_COLUMNS, values, strict=True))
            fields["incomplete"] = bool(fields["incomplete"])
            restored.transactions.append((number, Transaction(**fields)))
        restored.tags = [
            Tag(*row)
            for row in execute("SELECT id_tag, status, expiry, parent_id_tag, position FROM tag ORDER BY position, key")
        ]
        # In the order they were written, which sequences lose when they wrap.
        for number, sequence, kept in execute("SELECT charge_point, sequence, fields FROM informative ORDER BY rowid"):
            restored.informative.append((number, sequence, msgspec.json.decode(kept)))
        return restored

    async def run(self, journal: Journal, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what the journal holds, for ever; on cancellation what waits is written still."""
        journal.on_write = self._wake
        waiting: list[Statement] = []
        task_status.started()
        try:
            while True:
                await self._news.wait()
                self._news = trio.Event()
                waiting = await self._commit_all(journal, waiting)
                if waiting:
                    await trio.sleep(RETRY_S)
                    self._wake()
        finally:
            with trio.CancelScope(shield=True):
                journal.settle(float("inf"), all_of_them=True)
                await self._commit_all(journal, waiting)
                self._database.close()

    async def _commit_all(self, journal: Journal, waiting: list[Statement]) -> list[Statement]:
        """Commit until the journal is empty; returns what could not be written."""
        while waiting or journal.waiting:
            waiting = waiting + [statement(entry) for entry in journal.take()]
            newest = journal.written
            try:
                await trio.to_thread.run_sync(partial(self._commit, waiting))
            except sqlite3.Error as error:
                log.error("the ledger cannot be written: %s", error)
                self._failed_at = newest
                self._on_disk_state(DiskState.failing)
                self._tell()
                return coalesced(waiting)
            waiting = []
            self._committed = newest
            self._on_disk_state(DiskState.ok)
            self._tell()
        return []

    def _commit(self, statements: list[Statement]) -> None:
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                database.execute(sql, values)
            self._commits += 1
            if self._commits % PRUNE_EVERY == 0:
                database.execute(
                    "DELETE FROM charging_transaction WHERE stop_epoch IS NOT NULL AND stop_epoch < (SELECT stop_epoch "
                    "FROM charging_transaction WHERE stop_epoch IS NOT NULL ORDER BY stop_epoch DESC LIMIT 1 OFFSET ?)",
                    (KEPT_CLOSED,),
                )
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def _wake(self) -> None:
        self._news.set()

    def _tell(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def durable(self, number: int) -> bool:
        """Wait until the journal's entry of this number is on the disk; False when its commit failed."""
        while self._committed < number:
            if self._failed_at >= number:
                return False
            await self._progress.wait()
        return True


def coalesced(statements: list[Statement]) -> list[Statement]:
    """Only the newest statement for each row, so that a failing disk costs bounded memory."""
    newest: dict[tuple[str, Any], Statement] = {}
    for sql, values in statements:
        key = values[:2] if "charging_transaction" in sql or "informative" in sql else values[:1]
        table = sql.split("INTO ")[-1].split("FROM ")[-1].split()[0]
        newest.pop((table, key), None)
        newest[table, key] = (sql, values)
    return list(newest.values())
