"""R4: flash lasts ten years. 20 charge points x 60 s meter values write at most 100 MiB a day.

Six hours pass in virtual time; what the process wrote to the disk meanwhile is what the kernel counts of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gatewayd.services.ledger.writer import Ledger
from gatewayd.site import reading_pace
from gatewayd.site.journal import Journal, SaveTransaction
from gatewayd.site.transaction import Transaction
from tests.promises.report import seen

HOURS = 6
CHARGE_POINTS, INTERVAL_S = 20, 60.0
DAY_LIMIT_BYTES = 100 << 20
DAY_S = 86_400
BLOCK_BYTES = 4096


def written_bytes() -> int:
    """By this process, as the kernel sent it towards a disk."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes: "):
            return int(line.split()[1])
    raise LookupError("the kernel counts no I/O of processes")


async def day_bytes(folder: Path) -> tuple[float, float, float]:
    """(bytes a day, commits a day, longest wait for an answer in seconds)."""
    journal, ledger = Journal(), Ledger(folder / "ledger.sqlite", threaded=False)
    longest = 0.0

    async def charge_point(number: int) -> None:
        nonlocal longest
        transaction = Transaction(number, 1, f"TAG{number:04}", trio.current_time(), 0, 0, start_stamp="2026-01-01")
        assert await ledger.durable(journal.write(SaveTransaction(number, transaction)))
        await trio.sleep(number * INTERVAL_S / CHARGE_POINTS)
        while True:
            began = trio.current_time()
            transaction.last_wh += 180
            assert await ledger.durable(journal.reading(number, transaction, began))
            longest = max(longest, trio.current_time() - began)
            await trio.sleep_until(began + INTERVAL_S)

    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.run, journal)
        before, commits = written_bytes(), ledger.commits
        for number in range(1, CHARGE_POINTS + 1):
            nursery.start_soon(charge_point, number)
        await trio.sleep(HOURS * 3600)
        share = DAY_S / (HOURS * 3600)
        found = (written_bytes() - before) * share, (ledger.commits - commits) * share, longest
        nursery.cancel_scope.cancel()
    return found


async def test_a_day_of_meter_values(tmp_path: Path, autojump_clock: MockClock) -> None:
    day, commits, longest = await day_bytes(tmp_path)
    assert day > commits * BLOCK_BYTES / 2, "this disk is none: nothing was counted"
    assert day <= DAY_LIMIT_BYTES
    assert longest <= 6
    seen("R4", f"{day / (1 << 20):.0f} MiB a day in {commits:.0f} commits, an answer waits {longest:.1f} s at most")


@pytest.mark.twin("R4")
async def test_the_twin_in_which_no_reading_waits_is_caught(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_pace, "REFILL_S", 0.001)
    day, _, _ = await day_bytes(tmp_path)
    assert day > DAY_LIMIT_BYTES
