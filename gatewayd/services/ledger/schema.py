"""The ledger's tables, and what each entry of the journal is in SQL."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewayd.site.journal import (
    ClearTags,
    DropInformative,
    DropMessage,
    DropUpstreamId,
    Entry,
    RenumberTransaction,
    SaveFact,
    SaveInformative,
    SaveMessage,
    SaveReading,
    SaveTag,
    SaveTransaction,
    SaveUpstreamId,
)

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
    """
    CREATE TABLE message (
        number INTEGER PRIMARY KEY, charge_point INTEGER NOT NULL, action TEXT NOT NULL, text TEXT NOT NULL,
        transaction_id INTEGER NOT NULL);
    CREATE TABLE upstream_id (
        charge_point INTEGER NOT NULL, own INTEGER NOT NULL, upstream INTEGER NOT NULL,
        PRIMARY KEY (charge_point, own));
    """,
)
"""The schema, version by version; `PRAGMA user_version` says how many of these were applied. Append only."""

TABLES = {
    "fact": ("name", "value"),
    "charging_transaction": (
        "charge_point", "id", "connector", "id_tag", "start_epoch", "meter_start_wh", "last_wh", "stop_epoch",
        "meter_stop_wh", "stop_reason", "start_stamp", "answer", "incomplete",
    ),
    "tag": ("key", "id_tag", "status", "expiry", "parent_id_tag", "position"),
    "informative": ("charge_point", "sequence", "fields"),
    "message": ("number", "charge_point", "action", "text", "transaction_id"),
    "upstream_id": ("charge_point", "own", "upstream"),
}  # fmt: skip
"""Table → its columns, after all migrations."""

TRANSACTION_COLUMNS = TABLES["charging_transaction"]

KEPT_CLOSED = 10_000
"""Closed transactions kept: a year of 20 charge points with more than one session a day each; about 3 MB."""

PRUNE = (
    "DELETE FROM charging_transaction WHERE stop_epoch IS NOT NULL AND stop_epoch <= (SELECT stop_epoch FROM "
    f"charging_transaction WHERE stop_epoch IS NOT NULL ORDER BY stop_epoch DESC LIMIT 1 OFFSET {KEPT_CLOSED})"
)

_UPSERT = (
    f"INSERT INTO charging_transaction ({','.join(TRANSACTION_COLUMNS)}) "
    f"VALUES ({','.join('?' * len(TRANSACTION_COLUMNS))}) ON CONFLICT (charge_point, id) DO UPDATE SET "
)
_WHOLE = _UPSERT + ",".join(f"{column}=excluded.{column}" for column in TRANSACTION_COLUMNS[2:])
_READING = _UPSERT + "last_wh=excluded.last_wh"
"""A reading touches one page; the other columns are there for a ledger that lost the row."""

Statement = tuple[str, tuple[Any, ...]]
Key = tuple[str | int, ...]


def key_of(entry: Entry) -> Key:
    """What the entry is about: of several with the same key only the newest need be written."""
    match entry:
        case SaveTransaction(charge_point, transaction):
            return "transaction", charge_point, transaction.id
        case SaveReading(charge_point, transaction):
            return "reading", charge_point, transaction.id
        case SaveFact(name):
            return "fact", name
        case SaveTag(id_tag):
            return "tag", id_tag.casefold()
        case ClearTags():
            return ("tags",)
        case SaveInformative(charge_point, sequence) | DropInformative(charge_point, sequence):
            return "informative", charge_point, sequence
        case RenumberTransaction(charge_point, former):
            return "number", charge_point, former
        case SaveMessage(_, number) | DropMessage(_, number):
            return "message", number
        case SaveUpstreamId(charge_point, own) | DropUpstreamId(charge_point, own):
            return "upstream_id", charge_point, own


def statement(entry: Entry) -> Statement:
    """One entry as SQL, with the values of now: the thread that runs it sees no record that still changes."""
    match entry:
        case SaveTransaction(charge_point, transaction) | SaveReading(charge_point, transaction):
            values = (charge_point, *(getattr(transaction, column) for column in TRANSACTION_COLUMNS[1:]))
            return _READING if isinstance(entry, SaveReading) else _WHOLE, values
        case SaveFact(name, value):
            return "REPLACE INTO fact VALUES (?,?)", (name, value)
        case SaveTag(id_tag, status, expiry, parent_id_tag, position) if status:
            values = (id_tag.casefold(), id_tag, status, expiry, parent_id_tag, position)
            return "REPLACE INTO tag VALUES (?,?,?,?,?,?)", values
        case SaveTag(id_tag):
            return "DELETE FROM tag WHERE key=?", (id_tag.casefold(),)
        case ClearTags():
            return "DELETE FROM tag", ()
        case SaveInformative(charge_point, sequence, fields):
            return "REPLACE INTO informative VALUES (?,?,?)", (
                charge_point,
                sequence,
                msgspec.json.encode(fields).decode(),
            )
        case DropInformative(charge_point, sequence):
            return "DELETE FROM informative WHERE charge_point=? AND sequence=?", (charge_point, sequence)
        case RenumberTransaction(charge_point, former, number):
            sql = "UPDATE OR REPLACE charging_transaction SET id=? WHERE charge_point=? AND id=?"
            return sql, (number, charge_point, former)
        case SaveMessage(charge_point, number, action, text, transaction_id):
            values = (number, charge_point, action, text, transaction_id)
            return "REPLACE INTO message VALUES (?,?,?,?,?)", values
        case DropMessage(_, number):
            return "DELETE FROM message WHERE number=?", (number,)
        case SaveUpstreamId(charge_point, own, upstream):
            return "REPLACE INTO upstream_id VALUES (?,?,?)", (charge_point, own, upstream)
        case DropUpstreamId(charge_point, own):
            return "DELETE FROM upstream_id WHERE charge_point=? AND own=?", (charge_point, own)
