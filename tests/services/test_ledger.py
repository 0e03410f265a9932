"""The ledger: what was acknowledged is on the disk, whatever state disk and file are in (promises, R4, R5, R9)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gatewayd import assembly
from gatewayd.services.ledger import database as file
from gatewayd.services.ledger import writer
from gatewayd.services.ledger.database import NewerLedger, Restored
from gatewayd.services.ledger.schema import KEPT_CLOSED, MIGRATIONS, TABLES
from gatewayd.services.ledger.writer import Ledger
from gatewayd.site.codes import DiskState
from gatewayd.site.journal import (
    ClearTags,
    DropInformative,
    Journal,
    SaveFact,
    SaveInformative,
    SaveReading,
    SaveTag,
    SaveTransaction,
)
from gatewayd.site.transaction import Transaction
from tests.folders import fast_folder
from tests.kit import EPOCH, Kit
from tests.services.test_ledger_list import SCHEMA_1

OPEN = Transaction(7, 1, "TAG", 1_767_225_600.25, 1000, 1500, start_stamp="2026-01-01T00:00:00Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """On a disk that needs no time, where there is one: for tests with very many commits."""
    with fast_folder() as folder:
        yield Path(folder) / "ledger.sqlite"


@asynccontextmanager
async def running(ledger: Ledger, journal: Journal) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.run, journal)
        yield
        nursery.cancel_scope.cancel()


async def write(path: Path, *entries: object) -> None:
    """One life of a ledger that commits these."""
    journal = Journal()
    ledger = Ledger(path)
    async with running(ledger, journal):
        for entry in entries:
            journal.write(entry)  # type: ignore[arg-type]
        assert await ledger.durable(journal.written)


def loaded(path: Path) -> Restored:
    ledger = Ledger(path)
    try:
        return ledger.load()
    finally:
        ledger._close()


def sql(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)


# --- what is written comes back -----------------------------------------------------------------------------------


async def test_every_kind_of_entry_comes_back(path: Path) -> None:
    stopped = Transaction(8, 2, "", 1.5, 0, 20, 99.5, 20, 4, "stamp", "Invalid", incomplete=True)
    await write(
        path,
        SaveFact("command_ack/3", 9),
        SaveFact("3/1/start_id_tag", "TAG"),
        SaveTransaction(3, OPEN),
        SaveTransaction(3, stopped),
        SaveTag("Tag1", 1, 0, ""),
        SaveTag("Tag2", 2, 5, "P", 1),
        SaveInformative(3, 65_535, {"type": 3, "timestamp": 1.5, "id_tag": "T", "meter_wh": None}),
        SaveInformative(3, 1, {"type": 3}),
    )
    found = loaded(path)
    assert found.facts == {"command_ack/3": 9, "3/1/start_id_tag": "TAG"}
    assert found.transactions == [(3, OPEN), (3, stopped)]
    assert [(tag.id_tag, tag.status, tag.expiry, tag.parent_id_tag) for tag in found.tags] == [
        ("Tag1", 1, 0, ""),
        ("Tag2", 2, 5, "P"),
    ]
    assert found.informative == [
        (3, 65_535, {"type": 3, "timestamp": 1.5, "id_tag": "T", "meter_wh": None}),
        (3, 1, {"type": 3}),
    ]
    assert not found.lossy


async def test_later_entries_replace_and_drop_earlier_ones(path: Path) -> None:
    await write(path, SaveFact("a", 1), SaveTag("X", 1, 0, ""), SaveTag("Y", 1, 0, "", 1), SaveInformative(1, 5, {}))
    await write(path, SaveFact("a", 2), SaveTag("x", 0, 0, ""), DropInformative(1, 5))
    found = loaded(path)
    assert (found.facts, [tag.id_tag for tag in found.tags], found.informative) == ({"a": 2}, ["Y"], [])
    await write(path, SaveTag("Z", 1, 0, ""), ClearTags(), SaveTag("V", 1, 0, ""))
    assert [tag.id_tag for tag in loaded(path).tags] == ["V"]


async def test_a_reading_changes_the_meter_of_its_transaction_alone(path: Path) -> None:
    transaction = Transaction(7, 1, "TAG", 10.0, 1000, 1000)
    await write(path, SaveTransaction(1, transaction))
    sql(path, "UPDATE charging_transaction SET id_tag='as it was'")
    transaction.last_wh = 1234
    await write(path, SaveReading(1, transaction))
    ((_, found),) = loaded(path).transactions
    assert (found.last_wh, found.id_tag) == (1234, "as it was")


async def test_a_reading_brings_back_a_row_that_was_lost(path: Path) -> None:
    await write(path, SaveTransaction(1, OPEN))
    sql(path, "DELETE FROM charging_transaction")
    await write(path, SaveReading(1, OPEN))
    assert loaded(path).transactions == [(1, OPEN)]


async def test_a_clean_stop_writes_what_nobody_waited_for(path: Path) -> None:
    journal = Journal()
    async with running(Ledger(path), journal):
        journal.write(SaveFact("a", 1))
        journal.keep("b", 2, trio.current_time())  # due in half a second
        journal.reading(1, OPEN, trio.current_time())
    found = loaded(path)
    assert found.facts == {"a": 1, "b": 2}
    assert found.transactions == [(1, OPEN)]


async def test_what_was_written_before_it_ran_is_committed_unasked(path: Path) -> None:
    journal, ledger = Journal(), Ledger(path)
    number = journal.write(SaveFact("a", 1))
    async with running(ledger, journal):
        assert await ledger.durable(number)


# --- few commits --------------------------------------------------------------------------------------------------


async def test_what_comes_together_is_committed_together(path: Path) -> None:
    journal, ledger = Journal(), Ledger(path)
    async with running(ledger, journal):
        for number in range(1, 21):
            journal.write(SaveTransaction(number, OPEN))
        assert await ledger.durable(20)
    assert ledger.commits == 1


async def test_twenty_at_once_cost_few_commits(path: Path) -> None:
    """Each of twenty says something when its answer before has gone out, as charge points do."""
    journal, ledger = Journal(), Ledger(path)
    rounds = 10

    async def charge_point(number: int) -> None:
        for _ in range(rounds):
            assert await ledger.durable(journal.write(SaveTransaction(number, OPEN)))

    async with running(ledger, journal), trio.open_nursery() as nursery:
        for number in range(1, 21):
            nursery.start_soon(charge_point, number)
    assert rounds <= ledger.commits <= 2 * rounds + 2
    assert len(loaded(path).transactions) == 20


async def test_readings_wait_for_company_when_the_budget_is_spent(path: Path, autojump_clock: MockClock) -> None:
    """A quarter of an hour of twenty charge points, each measuring every minute: R4."""
    journal, ledger = Journal(), Ledger(path, threaded=False)
    waited: list[float] = []

    async def charge_point(number: int) -> None:
        await trio.sleep(number * 3 + number * number % 7 / 10)
        for _ in range(15):
            began = trio.current_time()
            assert await ledger.durable(journal.reading(number, OPEN, began))
            waited.append(trio.current_time() - began)
            await trio.sleep(60)

    async with running(ledger, journal), trio.open_nursery() as nursery:
        for number in range(1, 21):
            nursery.start_soon(charge_point, number)
    assert len(waited) == 300
    assert max(waited) <= 6
    assert ledger.commits <= 160  # 15 minutes of 8.6, and 20 at the beginning


async def test_the_first_readings_do_not_wait(path: Path, autojump_clock: MockClock) -> None:
    journal, ledger = Journal(), Ledger(path, threaded=False)
    async with running(ledger, journal):
        for number in range(1, 11):
            began = trio.current_time()
            assert await ledger.durable(journal.reading(number, OPEN, began))
            assert trio.current_time() == began


async def test_a_reading_goes_along_with_whatever_is_urgent(path: Path, autojump_clock: MockClock) -> None:
    journal, ledger = Journal(), Ledger(path, threaded=False)
    async with running(ledger, journal):
        began = trio.current_time()
        for number in count(1):  # until the budget is spent
            entry = journal.reading(number, OPEN, began)
            if journal.due > began:
                break
            assert await ledger.durable(entry)
        number = journal.reading(999, OPEN, began)
        journal.hurry(entry)
        assert await ledger.durable(number)
        assert trio.current_time() == began


async def test_the_log_stays_small(quick_path: Path) -> None:
    journal, ledger = Journal(), Ledger(quick_path)
    async with running(ledger, journal):
        for value in range(2500):
            assert await ledger.durable(journal.write(SaveFact("a", value)))
        assert quick_path.with_name(quick_path.name + "-wal").stat().st_size < 1 << 19
    assert ledger.commits == 2500


async def test_old_transactions_are_pruned_and_open_ones_never(quick_path: Path) -> None:
    closed = [
        SaveTransaction(1, Transaction(n, 1, "T", float(n), 0, 0, float(n + 1), 5)) for n in range(1, KEPT_CLOSED + 51)
    ]
    await write(quick_path, SaveTransaction(2, Transaction(1, 1, "T", 0.0, 0, 0)), *closed)
    found = loaded(quick_path).transactions
    assert len(found) == KEPT_CLOSED + 1
    assert (found[0][1].id, found[0][1].open) == (1, True)
    assert (found[1][1].id, found[-1][1].id) == (51, KEPT_CLOSED + 50)


# --- schema -------------------------------------------------------------------------------------------------------


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return file.version_of(database)


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    assert loaded(path) == Restored()
    assert version(path) == len(MIGRATIONS)


async def test_an_older_ledger_is_migrated_and_a_copy_kept(path: Path) -> None:
    sql(path, SCHEMA_1 + "PRAGMA user_version=1; INSERT INTO fact VALUES ('command_ack/1', 5);")
    await write(path, SaveFact("command_ack/1", 6))
    assert version(path) == len(MIGRATIONS)
    assert loaded(path).facts == {"command_ack/1": 6}
    with closing(sqlite3.connect(path.with_name("ledger.sqlite.schema-1"))) as copy:
        assert copy.execute("SELECT * FROM fact").fetchall() == [("command_ack/1", 5)]
        assert file.version_of(copy) == 1


def test_a_migration_that_is_cut_off_is_done_at_the_next_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sql(path, SCHEMA_1 + "PRAGMA user_version=1; INSERT INTO fact VALUES ('a', 5);")
    monkeypatch.setattr(file, "MIGRATIONS", (*MIGRATIONS[:1], "ALTER TABLE tag ADD COLUMN half; SELECT nonsense;"))
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        file._open(path)
    monkeypatch.undo()
    assert loaded(path).facts == {"a": 5}
    assert version(path) == len(MIGRATIONS)


def test_every_version_leads_to_the_same_tables(path: Path) -> None:
    loaded(path)
    with closing(sqlite3.connect(path)) as database:
        for table, columns in TABLES.items():
            names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            assert tuple(names) == columns


def test_a_newer_ledger_is_refused_and_left_alone(path: Path) -> None:
    sql(path, f"CREATE TABLE future (x); PRAGMA user_version={len(MIGRATIONS) + 1};")
    before = path.read_bytes()
    with pytest.raises(
        NewerLedger, match=rf"ledger.sqlite: written by a newer gateway \(schema {len(MIGRATIONS) + 1}, this one knows"
    ):
        Ledger(path)
    assert path.read_bytes() == before


async def test_an_update_that_is_taken_back_finds_its_own_ledger(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await write(path, SaveFact("a", 1))
    with monkeypatch.context() as newer_gateway:
        newer_gateway.setattr(file, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE future (x);"))
        await write(path, SaveFact("a", 2))
    assert loaded(path).facts == {"a": 1}
    assert "update was taken back" in caplog.text
    with closing(sqlite3.connect(path.with_name("ledger.sqlite.newer-1"))) as newer:
        assert newer.execute("SELECT * FROM fact").fetchall() == [("a", 2)]


# --- broken files -------------------------------------------------------------------------------------------------


def aside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob("*.broken-*"))


@pytest.mark.parametrize("content", [b"garbage", b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 4080], ids=repr)
def test_a_file_that_is_none_is_put_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found = loaded(path)
    assert found.lossy
    assert found.facts == {}
    assert aside(path) == ["ledger.sqlite.broken-1"]
    assert path.with_name("ledger.sqlite.broken-1").read_bytes() == content
    assert not loaded(path).lossy  # the next start finds a good one


def test_what_can_be_read_of_a_broken_file_is_taken_over(path: Path) -> None:
    many = [SaveFact(f"fact/{n:04}", "x" * 60) for n in range(400)]
    trio.run(write, path, SaveTransaction(1, OPEN), SaveTag("T", 1, 0, ""), SaveInformative(1, 3, {"type": 3}), *many)
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name='fact'").fetchone()
    pages = bytearray(path.read_bytes())
    pages[(root - 1) * file.PAGE_BYTES : root * file.PAGE_BYTES] = b"\xa5" * file.PAGE_BYTES
    path.write_bytes(pages)
    found = loaded(path)
    assert found.lossy
    assert found.transactions == [(1, OPEN)]
    assert [tag.id_tag for tag in found.tags] == ["T"]
    assert found.informative == [(1, 3, {"type": 3})]
    assert aside(path) == ["ledger.sqlite.broken-1"]


def test_any_broken_page_lets_the_gateway_start(quick_path: Path) -> None:
    facts = [SaveFact(f"fact/{n:04}", "x" * 60) for n in range(100)]
    trio.run(write, quick_path, SaveTransaction(1, OPEN), SaveTag("T", 1, 0, ""), SaveInformative(1, 3, {}), *facts)
    good = quick_path.read_bytes()
    found_whole, pages = 0, 32  # the rest of the file is empty
    for at in range(0, pages * file.PAGE_BYTES, file.PAGE_BYTES):
        for junk in (b"\0", b"\xff", b"\x0d"):
            for old in quick_path.parent.iterdir():
                old.unlink()
            quick_path.write_bytes(good[:at] + junk * file.PAGE_BYTES + good[at + file.PAGE_BYTES :])
            found = loaded(quick_path)
            found_whole += found.transactions == [(1, OPEN)]
            assert found.lossy or len(found.facts) == 100
    assert found_whole > pages  # most of the pages are of others


def test_a_file_cut_short_lets_the_gateway_start(path: Path) -> None:
    trio.run(write, path, *(SaveFact(f"fact/{n:04}", "x" * 60) for n in range(100)))
    good = path.read_bytes()
    for length in range(100, len(good), 5001):
        path.write_bytes(good[:length])
        found = loaded(path)
        assert found.lossy or len(found.facts) == 100  # what was cut off may be empty pages
    path.write_bytes(good[: len(good) // 20])
    assert loaded(path).lossy


async def test_a_foreign_database_is_none_of_ours(path: Path) -> None:
    sql(path, f"CREATE TABLE holiday (photo); PRAGMA user_version={len(MIGRATIONS)};")
    assert loaded(path).lossy
    await write(path, SaveFact("a", 1))
    assert loaded(path).facts == {"a": 1}


def test_only_the_newest_broken_files_are_kept(path: Path) -> None:
    for n in range(1, 6):
        path.write_bytes(b"garbage %d" % n)
        loaded(path)
    assert aside(path) == [f"ledger.sqlite.broken-{n}" for n in (3, 4, 5)]


async def test_a_file_that_breaks_while_it_is_used_is_replaced(path: Path, autojump_clock: MockClock) -> None:
    await write(path, SaveTransaction(1, OPEN))
    journal, losses = Journal(), list[int]()
    ledger = Ledger(path, on_loss=lambda: losses.append(1), threaded=False)
    async with running(ledger, journal):
        sql(path, "DROP TABLE fact")
        assert not await ledger.durable(journal.write(SaveFact("a", 1)))
        await trio.sleep(1.5)
        assert await ledger.durable(journal.written)
    assert losses == [1]
    assert loaded(path).facts == {"a": 1}
    assert loaded(path).transactions == [(1, OPEN)]


async def test_rows_that_make_no_sense_are_left_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await write(path, SaveTransaction(1, OPEN), SaveFact("good", 1))
    sql(
        path,
        """
        INSERT INTO charging_transaction SELECT 1, 8, 'one', id_tag, start_epoch, 5, 5, NULL, NULL, 0, '', '', 0
            FROM charging_transaction;
        INSERT INTO fact VALUES ('blob', x'00ff'), ('float', 1.5);
        INSERT INTO tag VALUES ('k', 'K', 'text', 0, '', 0);
        INSERT INTO informative VALUES (1, 1, '{no json'), (1, 2, '[]'), (1, 3, 4), (1, 4, '{"type":3}');
        """,
    )
    found = loaded(path)
    assert found.transactions == [(1, OPEN)]
    assert found.facts == {"good": 1}
    assert found.tags == []
    assert found.informative == [(1, 4, {"type": 3})]
    assert caplog.text.count("makes no sense") == 5


def test_a_gateway_that_lost_its_ledger_repeats_no_id(path: Path) -> None:
    path.write_bytes(b"garbage")
    kit = Kit()
    assembly.restore_site(kit.site, loaded(path))
    seconds = int(EPOCH) - assembly.IDS_SINCE
    assert kit.site.new_transaction_id() == seconds
    assert kit.site.charge_points["CP001"].decisions.sequence == seconds % 0xFFFF


async def test_facts_of_the_wrong_kind_are_left_out(path: Path) -> None:
    await write(
        path,
        SaveFact("command_ack/1", "nine"),
        SaveFact("next_transaction_id", "many"),
        SaveFact("site/decision_default", 77),
        SaveFact("site/watchdog_limit", "sixty"),
        SaveFact("1/1/start_id_tag", 5),
        SaveTransaction(1, Transaction(1 << 40, 1, "T", 0.0, 0, 0)),
    )
    kit = Kit()
    assembly.restore_site(kit.site, loaded(path))
    assert kit.read(5400 + 110) == 0
    assert kit.read(18) == 2
    assert kit.read(15) == 60
    assert kit.site.new_transaction_id() == 1


# --- a disk that fails --------------------------------------------------------------------------------------------


@pytest.fixture
def missing(tmp_path: Path) -> Path:
    """A ledger on a disk that is not there yet."""
    return tmp_path / "disk" / "ledger.sqlite"


async def test_a_missing_disk_keeps_nobody_from_starting_and_heals(missing: Path, autojump_clock: MockClock) -> None:
    states = list[DiskState]()
    journal, ledger = Journal(), Ledger(missing, states.append, threaded=False)
    assert ledger.load() == Restored(lossy=True)
    async with running(ledger, journal):
        began = trio.current_time()
        number = journal.write(SaveFact("a", 1))
        assert not await ledger.durable(number)
        assert trio.current_time() == began  # told at once
        assert states == [DiskState.failing]
        for value in range(100):
            journal.write(SaveFact("b", value))
            await trio.sleep(0.5)
        missing.parent.mkdir()
        await trio.sleep(1.5 * writer.RETRY_S)
        assert await ledger.durable(journal.written)
        assert states == [DiskState.failing, DiskState.ok]
    assert loaded(missing).facts == {"a": 1, "b": 99}


def test_what_cannot_be_opened_is_read_from_a_copy(path: Path) -> None:
    """As on a disk that is full or read-only, with what a kill left in the log."""
    database, _ = file.open_ledger(path)
    with closing(database):
        database.execute("INSERT INTO fact VALUES ('a', 1)")
        before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
        found = file.load_elsewhere(path)
        assert (found.facts, found.lossy) == ({"a": 1}, False)
        assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    path.write_bytes(b"garbage")
    assert file.load_elsewhere(path).lossy
    assert aside(path) == []


async def test_a_failing_disk_costs_bounded_memory(missing: Path, autojump_clock: MockClock) -> None:
    journal, ledger = Journal(), Ledger(missing, threaded=False)
    async with running(ledger, journal):
        for value in range(3000):
            journal.write(SaveFact("a", value))
            journal.reading(1, OPEN, trio.current_time())
            await trio.sleep(0.1)
        assert len(ledger._waiting) + len(journal.waiting) < 50


async def test_who_waits_is_told_no_when_the_commit_fails(path: Path, autojump_clock: MockClock) -> None:
    """Somebody holds the file: the commit fails after its time, and what it held is written later."""
    states = list[DiskState]()
    journal, ledger = Journal(), Ledger(path, states.append, threaded=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with running(ledger, journal):
            assert await ledger.durable(journal.write(SaveFact("a", 1)))
            ledger._close()  # the next commit opens it anew and will not wait
            file_busy = file.BUSY_S
            file.BUSY_S = 0.01
            try:
                other.execute("BEGIN EXCLUSIVE")
                number = journal.write(SaveFact("a", 2))
                assert not await ledger.durable(number)
                assert states == [DiskState.ok, DiskState.failing]
                other.execute("ROLLBACK")
                await trio.sleep(1.5 * writer.RETRY_S)
                assert await ledger.durable(number)
            finally:
                file.BUSY_S = file_busy
            assert states == [DiskState.ok, DiskState.failing, DiskState.ok]
    assert loaded(path).facts == {"a": 2}


async def test_a_disk_that_is_nearly_full_says_so(
    path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = list[DiskState]()
    async with running(Ledger(path, states.append, threaded=False), Journal()):
        monkeypatch.setattr(writer, "FREE_MIN_BYTES", 1 << 60)
        await trio.sleep(5)  # promises, R5: within 5 s
        assert states == [DiskState.ok, DiskState.nearly_full]
        monkeypatch.undo()
        await trio.sleep(5)
        assert states == [DiskState.ok, DiskState.nearly_full, DiskState.ok]


async def test_a_folder_that_vanishes_is_noticed_though_nobody_writes(missing: Path, autojump_clock: MockClock) -> None:
    missing.parent.mkdir()
    states = list[DiskState]()
    async with running(Ledger(missing, states.append, threaded=False), Journal()):
        missing.parent.rename(missing.parent.with_name("elsewhere"))
        await trio.sleep(5)
        assert states == [DiskState.ok, DiskState.failing]
        missing.parent.with_name("elsewhere").rename(missing.parent)


async def test_a_commit_that_hangs_counts_as_failing(path: Path) -> None:
    """In real time: the thread hangs in a lock of the database, as it would in a disk that does not answer."""
    states = list[DiskState]()
    journal, ledger = Journal(), Ledger(path, states.append)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with running(ledger, journal):
            assert ledger._database is not None
            ledger._database.execute("PRAGMA busy_timeout=60000")
            other.execute("BEGIN EXCLUSIVE")
            with trio.fail_after(10):
                assert not await ledger.durable(journal.write(SaveFact("a", 1)))
            assert states == [DiskState.ok, DiskState.failing]
            other.execute("ROLLBACK")
            with trio.fail_after(10):
                while len(states) < 3:
                    await trio.testing.wait_all_tasks_blocked(0.01)
            assert states[2] is DiskState.ok
    assert loaded(path).facts == {"a": 1}
