"""A ledger out of a backup, looked at before it is put to use: in memory, never on the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from gatewayd.backup.container import BadBackup, Cause

SCHEMA: Final = 3
"""The newest schema that gatewayd of this version reads; a test holds it against gatewayd's own."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a person wants to know of it."""

    transactions: int = 0
    running: int = 0
    """Transactions that had not ended."""
    highest_id: int = 0
    acks: int = 0
    """Mailboxes whose last command is known to be done."""


def look(content: bytes) -> Look:
    """Raises BadBackup for a ledger that gatewayd could not use."""
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.deserialize(content)
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA:
                versions = f"ledger {version}, this one reads {SCHEMA}"
                raise BadBackup(Cause.newer, f"a newer gateway made this backup ({versions}): update this one first")
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise BadBackup(Cause.unusable, f"the ledger in it is broken: {verdict}")
            count, running, highest = database.execute(
                "SELECT count(*), count(*) FILTER (WHERE stop_epoch IS NULL), coalesce(max(id), 0)"
                " FROM charging_transaction"
            ).fetchone()
            next_id = _number(database, "SELECT value FROM fact WHERE name = 'next_transaction_id'")
            acks = _number(database, "SELECT count(*) FROM fact WHERE name GLOB '*_ack*' AND value > 0")
        except sqlite3.Error as wrong:
            raise BadBackup(Cause.unusable, f"the ledger in it is broken: {wrong}") from None
    return Look(count, running, max(int(highest), next_id - 1), acks)


def _number(database: sqlite3.Connection, question: str) -> int:
    found = database.execute(question).fetchone()
    return found[0] if found is not None and isinstance(found[0], int) else 0
