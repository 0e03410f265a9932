"""The authorization list in the ledger: in the order in which tags were put, over restarts and migrations."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import trio

from gatewayd.services.ledger.writer import Ledger
from gatewayd.site.journal import Journal
from gatewayd.site.tag_list import Tag, TagList

SCHEMA_1 = """
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
"""
"""As the first gateways wrote it."""


async def written(path: Path, journal: Journal) -> None:
    """One life of the ledger; its clean stop writes what waits."""
    ledger = Ledger(path, lambda _state: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.run, journal)
        nursery.cancel_scope.cancel()


def restored(path: Path) -> TagList:
    tags = TagList()
    found = Ledger(path, lambda _state: None).load()
    tags.restore(found.tags, int(found.facts.get("list_version", 0)))
    return tags


async def test_tags_come_back_in_their_order(tmp_path: Path) -> None:
    path, journal, tags = tmp_path / "ledger.sqlite", Journal(), TagList()
    for id_tag in ("z", "m", "a", "TAG10", "TAG2"):
        tags.put(Tag(id_tag, 1), journal)
    tags.put(Tag("M", 2, 1_800_000_000, "parent"), journal)
    tags.delete("a", journal)
    await written(path, journal)
    again = restored(path)
    assert [*again.entries.values()] == [*tags.entries.values()]
    assert [tag.id_tag for tag in again.entries.values()] == ["z", "M", "TAG10", "TAG2"]
    assert again.version == tags.version == 7
    journal = Journal()
    again.put(Tag("b", 1), journal)
    await written(path, journal)
    assert [tag.id_tag for tag in restored(path).entries.values()] == ["z", "M", "TAG10", "TAG2", "b"]


async def test_a_clear_forgets_them(tmp_path: Path) -> None:
    path, journal, tags = tmp_path / "ledger.sqlite", Journal(), TagList()
    tags.put(Tag("a", 1), journal)
    tags.clear(journal)
    tags.put(Tag("b", 1), journal)
    await written(path, journal)
    assert [*restored(path).entries] == ["b"]


async def test_a_list_of_the_first_schema_comes_along(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    database = sqlite3.connect(path)
    database.executescript(f"BEGIN; {SCHEMA_1} PRAGMA user_version=1; COMMIT;")
    database.execute("INSERT INTO tag VALUES ('b', 'B', 1, 0, ''), ('a', 'A', 2, 5, 'p')")
    database.commit()
    database.close()
    tags = restored(path)
    assert [*tags.entries.values()] == [Tag("A", 2, 5, "p"), Tag("B", 1)]
    journal = Journal()
    tags.put(Tag("0", 1), journal)
    await written(path, journal)
    assert [*restored(path).entries] == ["a", "b", "0"]
