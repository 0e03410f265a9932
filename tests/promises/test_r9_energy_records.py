"""R9: no acknowledged energy record is lost or doubled, SIGKILL at random under load. Release form: KILLS=1000."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.process.kill_trial import Trial
from tests.promises.report import seen

KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("SEED", "9"))

ACKNOWLEDGES_TOO_EARLY = """
import sys, trio
from gatewayd.__main__ import main
from gatewayd.services.ledger.writer import Ledger

async def durable(self, number):
    return True

async def lazily(self, properly=Ledger._until_due):
    await trio.sleep(0.3)
    await properly(self)

Ledger.durable, Ledger._until_due = durable, lazily
sys.exit(main())
"""


@pytest.mark.limit(120 + 20 * KILLS)
async def test_fifty_kills(tmp_path: Path) -> None:
    trial = Trial(tmp_path, SEED)
    faults = await trial.run(KILLS)
    books = trial.books
    assert faults == []
    assert books.kills >= KILLS
    assert trial.sessions >= 2 * KILLS
    assert books.looked_at >= KILLS // 2
    seen(
        "R9",
        f"{books.kills} kills, {trial.sessions} sessions, {len(books.readings)} with acknowledged readings, "
        f"{books.looked_at} looked at right after a restart, {len(faults)} faults (seed {SEED})",
    )


@pytest.mark.twin("R9")
async def test_the_twin_that_acknowledges_before_the_commit_is_caught(tmp_path: Path) -> None:
    trial = Trial(tmp_path, SEED, [sys.executable, "-c", ACKNOWLEDGES_TOO_EARLY])
    assert await trial.run(8) != []
