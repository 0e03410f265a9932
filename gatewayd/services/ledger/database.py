"""The ledger's file: opened whatever state it is in, migrated, read back (promises, R5 and R9).

A file that is broken is put aside, what can still be read of it is taken over, and the gateway starts: it is better
to charge with a list that lost a page than not to charge.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gatewayd.services.ledger.schema import MIGRATIONS, TABLES
from gatewayd.site.backlog import Message
from gatewayd.site.tag_list import Tag
from gatewayd.site.transaction import Transaction

log = logging.getLogger(__name__)

PAGE_BYTES = 1024
"""A commit writes whole pages: with 1024 instead of 4096 bytes a meter reading costs 5 KiB of flash instead of 8."""
BUSY_S = 2.0
"""How long a commit waits for somebody who looks into the file with another program."""
LOG_PAGES = 128
"""The write-ahead log begins anew after so many pages. It is written to this size at the start: in a log that grows,
every commit costs 12 KiB more, for the file system's own journal."""
LOG_MAX_BYTES = 1 << 20
"""After a burst the log is cut back to this."""
BROKEN_KEPT = 3
"""Broken files kept for whoever wants to know; a disk that breaks them daily must not be filled with them."""
SIDE_FILES = ("", "-wal", "-shm")
BROKEN_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""Primary result codes that speak of the file; all others speak of the disk. SQLITE_ERROR: no such table."""

Record = TypeVar("Record")


class NewerLedger(Exception):
    """A newer gateway wrote this file; the message says which. Exit code 2: an older one must not touch it."""


@dataclass(slots=True)
class Restored:
    """What the ledger held at the start."""

    facts: dict[str, int | str] = field(default_factory=dict)
    transactions: list[tuple[int, Transaction]] = field(default_factory=list)
    """(charge point, transaction), oldest first."""
    tags: list[Tag] = field(default_factory=list)
    informative: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    """(charge point, sequence, fields), oldest first."""
    messages: list[Message] = field(default_factory=list)
    """For central systems that are away."""
    upstream_ids: list[tuple[int, int, int]] = field(default_factory=list)
    """(charge point, own id, the central system's), in the order they were learned."""
    lossy: bool = False
    """Something may be missing: what must never repeat has to begin beyond anything given before."""


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, and not the disk under it."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in BROKEN_CODES


def open_ledger(path: Path) -> tuple[sqlite3.Connection, bool]:
    """The database, ready for use, and whether something of an earlier one was lost. Raises NewerLedger, and
    sqlite3.Error or OSError while the disk does not let it."""
    _take_back_the_older(path)
    try:
        return _open(path), False
    except sqlite3.DatabaseError as error:
        if not is_broken(error):
            raise
        aside = _put_aside(path, "broken")
        log.error("%s is broken (%s) and was put aside as %s", path.name, error, aside.name)
    database = _open(path)
    _salvage(aside, database)
    return database, True


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
    try:
        _refuse_newer(database, path)
        database.execute(f"PRAGMA page_size={PAGE_BYTES}")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(f"PRAGMA journal_size_limit={LOG_MAX_BYTES}")
        database.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        _migrate(database, path)
        _judge(database)
        _make_room(database)
    except BaseException:
        database.close()
        raise
    return database


def version_of(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def _refuse_newer(database: sqlite3.Connection, path: Path) -> None:
    version = version_of(database)
    if version > len(MIGRATIONS):
        raise NewerLedger(
            f"{path}: written by a newer gateway (schema {version}, this one knows up to {len(MIGRATIONS)})"
        )


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    version = version_of(database)
    if 0 < version < len(MIGRATIONS):
        _keep_a_copy(database, _copy_of(path, version))
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {migration} PRAGMA user_version={number}; COMMIT;")


def _judge(database: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is not what it says it is."""
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(verdict)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    for table, columns in TABLES.items():
        database.execute(f"SELECT {','.join(columns)} FROM {table} LIMIT 0")


def _make_room(database: sqlite3.Connection) -> None:
    """Write the log to its size. Where the disk does not take it, a commit will tell."""
    try:
        database.execute("REPLACE INTO fact VALUES ('room', zeroblob(?))", (LOG_PAGES * PAGE_BYTES,))
        database.execute("DELETE FROM fact WHERE name='room'")
    except sqlite3.Error as error:
        log.warning("the ledger's log could not be made ready: %s", error)


# --- an update that is taken back (promises, R7) ------------------------------------------------------------------


def _copy_of(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.schema-{version}")


def _keep_a_copy(database: sqlite3.Connection, copy: Path) -> None:
    """Before a migration: should the update be taken back, the older gateway finds what it can read."""
    copy.unlink(missing_ok=True)
    with sqlite3.connect(copy) as target:
        database.backup(target)
    target.close()


def _take_back_the_older(path: Path) -> None:
    """This gateway is older than the file, and left a copy of its own when it was updated: go on with that."""
    copy = _copy_of(path, len(MIGRATIONS))
    if not copy.exists() or not path.exists():
        return
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            newer = version_of(database) > len(MIGRATIONS)
        finally:
            database.close()
    except sqlite3.Error:
        return
    if newer:
        aside = _put_aside(path, "newer")
        copy.rename(path)
        log.warning("the update was taken back: %s put aside as %s, back to the copy before it", path.name, aside.name)


# --- broken files -------------------------------------------------------------------------------------------------


def _put_aside(path: Path, why: str) -> Path:
    """Rename the file and what belongs to it; only the newest few of their kind are kept."""
    numbered = sorted((int(p.suffix.removeprefix(f".{why}-")), p) for p in path.parent.glob(f"{path.name}.{why}-*")
                      if p.suffix.removeprefix(f".{why}-").isdecimal())  # fmt: skip
    for _, old in numbered[: max(0, len(numbered) - BROKEN_KEPT + 1)]:
        for side in SIDE_FILES:
            Path(f"{old}{side}").unlink(missing_ok=True)
    aside = path.with_name(f"{path.name}.{why}-{numbered[-1][0] + 1 if numbered else 1}")
    for side in SIDE_FILES:
        if (whole := Path(f"{path}{side}")).exists():
            whole.rename(f"{aside}{side}")
    return aside


def _salvage(aside: Path, database: sqlite3.Connection) -> None:
    """Take over what can still be read, row by row; what it means is judged when it is loaded."""
    broken = sqlite3.connect(aside, timeout=BUSY_S, isolation_level=None)
    try:
        for table, columns in TABLES.items():
            rows, places = 0, ",".join("?" * len(columns))
            into = f"INSERT OR IGNORE INTO {table} ({','.join(columns)}) VALUES ({places})"
            database.execute("BEGIN IMMEDIATE")
            try:
                for row in broken.execute(f"SELECT {','.join(columns)} FROM {table}"):
                    database.execute(into, row)
                    rows += 1
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                log.error("salvaging %s: %s", table, error)
            database.execute("COMMIT")
            log.warning("salvaged %d of %s", rows, table)
    finally:
        broken.close()


# --- reading it back ----------------------------------------------------------------------------------------------


def load(database: sqlite3.Connection) -> Restored:
    """Everything that was durable. A row that makes no sense is left out and logged: it must not keep the gateway
    from starting."""
    execute = database.execute
    restored = Restored()
    for name, value in execute("SELECT name, value FROM fact"):
        if isinstance(value, int | str):
            restored.facts[str(name)] = value
    columns = TABLES["charging_transaction"]
    # By id, in which they were given; by time a clock that was wrong would mix them up (R23).
    for number, *values in execute(f"SELECT {','.join(columns)} FROM charging_transaction ORDER BY id"):
        fields = dict(zip(columns[1:], values, strict=True))
        fields["incomplete"] = bool(fields["incomplete"])
        restored.transactions += [(number, each) for each in _fitting(fields, Transaction)]
    tags = TABLES["tag"][1:]
    for row in execute(f"SELECT {','.join(tags)} FROM tag ORDER BY position, key"):
        restored.tags += _fitting(dict(zip(tags, row, strict=True)), Tag)
    # In the order they were written, which sequences lose when they wrap.
    for number, sequence, kept in execute("SELECT charge_point, sequence, fields FROM informative ORDER BY rowid"):
        try:
            restored.informative.append((number, sequence, msgspec.json.decode(kept, type=dict[str, Any])))
        except (msgspec.DecodeError, TypeError) as error:
            log.error("an informative request of charge point %s makes no sense: %s", number, error)
    columns = TABLES["message"]
    for row in execute(f"SELECT {','.join(columns)} FROM message ORDER BY number"):
        restored.messages += _fitting(dict(zip(columns, row, strict=True)), Message)
    for number, own, upstream in execute("SELECT charge_point, own, upstream FROM upstream_id ORDER BY rowid"):
        if isinstance(own, int) and isinstance(upstream, int):
            restored.upstream_ids.append((number, own, upstream))
    return restored


def load_elsewhere(path: Path) -> Restored:
    """What the file holds, read from a copy in the temporary directory: SQLite cannot read a log where it cannot
    write. Raises as `open_ledger`, and OSError where there is nothing to read or nowhere to copy it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        shutil.copyfile(path, copy)
        log_file = Path(f"{path}-wal")
        if log_file.exists():
            shutil.copyfile(log_file, f"{copy}-wal")
        database, lost = open_ledger(copy)
        with closing(database):
            restored = load(database)
        restored.lossy = lost
        return restored


def _fitting(fields: dict[str, Any], kind: type[Record]) -> Iterator[Record]:
    try:
        yield msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        log.error("a %s of the ledger makes no sense: %s", kind.__name__.lower(), error)
