"""The short form of R9: three kills; fifty are in the promises."""

from __future__ import annotations

from pathlib import Path

from tests.process.kill_trial import Trial


async def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    trial = Trial(tmp_path, seed=3)
    assert await trial.run(kills=3) == []
    assert trial.books.kills >= 3
    assert trial.sessions >= 8
