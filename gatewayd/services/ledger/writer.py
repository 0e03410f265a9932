"""What must survive a power cut, in SQLite: transactions, acks, sequences, settings, the list (promises, R9).

WAL with synchronous=FULL: a commit is on the disk when it returns. Entries that come while one commit is on its way
go together into the next, so twenty charge points at once cost few fsyncs. Commits run in a thread: the loop never
waits for a disk. While the disk fails, the newest of everything is kept in memory and tried again (promises, R5);
the file is opened anew for that, since a disk that was read-only for a while leaves no other way.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path

import trio

from gatewayd.services.ledger.database import Restored, load, load_elsewhere, open_ledger
from gatewayd.services.ledger.schema import PRUNE, Key, Statement, key_of, statement
from gatewayd.site.codes import DiskState
from gatewayd.site.journal import Journal

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""A failing disk is tried again this often; it heals without a restart (promises, R5)."""
WATCH_S = 2.0
"""How often the free space is looked at, so that disk_state tells within 5 s (promises, R5)."""
STALLED_S = 3.0
"""A commit that takes longer counts as failing: charge points that need no disk are answered meanwhile."""
FREE_MIN_BYTES = 16 << 20
"""Less is nearly full: the ledger at its largest, its log and a backup of both would not fit any more."""
PRUNE_EVERY = 500
"""Commits between two prunings."""
LAST_COMMIT_S = 2.0
"""At a clean stop, of the 5 s there are: a disk that hangs must not hold the process."""


class Ledger:
    """The database, and the task that writes to it.

    A disk that fails at the start does not keep the gateway from starting: what can be read is restored, and the
    file is opened for writing as soon as it can be. Raises NewerLedger.
    """

    def __init__(
        self,
        path: Path,
        on_disk_state: Callable[[DiskState], None] = lambda _state: None,
        on_loss: Callable[[], None] = lambda: None,
        *,
        threaded: bool = True,
    ) -> None:
        """`on_disk_state` is called when the state changes, `on_loss` when something that was durable could not be
        read. `threaded` False commits on the loop: for a virtual clock, which does not wait for threads."""
        self._path, self._on_disk_state, self._on_loss, self._threaded = path, on_disk_state, on_loss, threaded
        self._one_at_a_time = threading.Lock()
        """A commit that was given up on may still be under way when the last one begins."""
        self._state = DiskState.unknown
        self._news, self._progress = trio.Event(), trio.Event()
        self._journal = Journal()
        self._waiting: dict[Key, Statement] = {}
        """Taken from the journal and not committed yet; a newer statement takes the place of an older one."""
        self._failing = False
        self._began: float | None = None
        """When the commit that is under way began, of the monotonic clock that no test can move."""
        self.commits = 0
        self._lossy = self._told = False
        """Something that was durable could not be read; and somebody was told."""
        self._database: sqlite3.Connection | None = None
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            log.error("the ledger cannot be opened: %s", error)
            self._failing = True

    def _open(self) -> sqlite3.Connection:
        self._database, lost = open_ledger(self._path)
        self._lossy |= lost
        return self._database

    def load(self) -> Restored:
        """Everything that was durable; called once, before anything can be read."""
        try:
            restored = load_elsewhere(self._path) if self._database is None else load(self._database)
        except (sqlite3.Error, OSError) as error:
            log.error("the ledger cannot be read: %s", error)
            restored = Restored(lossy=True)
            self._failing = True
        self._lossy = restored.lossy = restored.lossy or self._lossy
        return restored

    # --- the task -------------------------------------------------------------------------------------------

    async def run(self, journal: Journal, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what the journal holds, for ever; on cancellation what waits is written still."""
        self._journal = journal
        journal.on_write = self._wake
        self._look()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                task_status.started()
                while True:
                    await self._until_due()
                    if not await self._commit_all():
                        await trio.sleep(RETRY_S)
        finally:
            journal.settle(inf, all_of_them=True)
            self._take()
            if self._threaded:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._last_commit)
            else:
                self._last_commit()

    async def _until_due(self) -> None:
        """Wait until something has to be written."""
        while not self._waiting and self._journal.due > trio.current_time():
            self._news = trio.Event()
            with trio.move_on_at(self._journal.due):
                await self._news.wait()

    async def _commit_all(self) -> bool:
        """Commit until nothing waits; False when the disk does not take it."""
        journal = self._journal
        while self._waiting or journal.waiting:
            self._take()
            newest = journal.written
            commit = partial(self._commit, list(self._waiting.values()))
            self._began = time.monotonic()
            try:
                if self._threaded:
                    await trio.to_thread.run_sync(commit, abandon_on_cancel=True)
                else:
                    commit()
            except (sqlite3.Error, OSError) as error:
                if not self._failing:
                    log.error("the ledger cannot be written: %s", error)
                self._fail()
                return False
            finally:
                self._began = None
            if self._failing:
                log.warning("the ledger can be written again")
            self._waiting.clear()
            self._failing = False
            journal.committed = newest
            self._look()
            self._tell()
        return True

    def _take(self) -> None:
        for entry in self._journal.take(trio.current_time()):
            key = key_of(entry)
            self._waiting.pop(key, None)
            self._waiting[key] = statement(entry)

    def _last_commit(self) -> None:
        """In the thread, at a clean stop: at most for a while, by a clock that no test can move."""

        def commit() -> None:
            try:
                if self._waiting:
                    self._commit(list(self._waiting.values()))
                self._close()
            except (sqlite3.Error, OSError) as error:
                log.error("what was said last is lost, the ledger cannot be written: %s", error)

        last = threading.Thread(target=commit, daemon=True)
        last.start()
        last.join(LAST_COMMIT_S)

    def _commit(self, statements: list[Statement]) -> None:
        """In the thread: all of these, or none."""
        with self._one_at_a_time:
            database = self._database or self._open()
            try:
                database.execute("BEGIN IMMEDIATE")
                for sql, values in statements:
                    database.execute(sql, values)
                if self.commits % PRUNE_EVERY == 0:
                    database.execute(PRUNE)
                database.execute("COMMIT")
                self.commits += 1
            except BaseException:
                self._close()  # which rolls back
                raise

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()

    def _wake(self) -> None:
        self._news.set()

    def _tell(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def durable(self, number: int) -> bool:
        """Wait until the journal's entry of this number is on the disk; False while the disk fails."""
        while self._journal.committed < number:
            if self._failing:
                return False
            await self._progress.wait()
        return True

    # --- the state of the disk ------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look at the disk now and then: nobody may write for hours, and a commit may hang."""
        while True:
            await trio.sleep(WATCH_S)
            if not self._failing and self._began is not None and time.monotonic() - self._began > STALLED_S:
                log.error("the disk has not taken a commit for %.0f s", STALLED_S)
                self._fail()
            self._look()

    def _fail(self) -> None:
        """Whoever waits is told no."""
        self._failing = True
        self._look()
        self._tell()

    def _look(self) -> None:
        state = DiskState.failing if self._failing else space(self._path.parent)
        if state is not self._state:
            self._state = state
            self._on_disk_state(state)
        if self._lossy and not self._told:
            self._told = True
            self._on_loss()


def space(folder: Path) -> DiskState:
    """ok, nearly_full or, where nothing can be written at all, failing."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return DiskState.failing
    if disk.f_flag & os.ST_RDONLY:
        return DiskState.failing
    return DiskState.nearly_full if disk.f_bavail * disk.f_frsize < FREE_MIN_BYTES else DiskState.ok
