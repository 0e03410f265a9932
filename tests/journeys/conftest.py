"""A plant for each journey. A test that uses `plant` names `autojump_clock` as well: pytest-trio looks for the clock
among a test's own arguments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.journeys.plant import Plant


@pytest.fixture
async def plant(nursery: trio.Nursery, tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[Plant]:
    made = Plant(nursery, tmp_path)
    await made.start()
    yield made
    if made.running:
        await made.stop()
