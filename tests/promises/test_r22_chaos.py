"""R22: heals from any network weather, and what must hold does so meanwhile. Release form: SEEDS=1000.

Twins: tests/journeys/test_twins.py, one and more for each invariant.
"""

from __future__ import annotations

import logging
import os

import pytest

from tests.journeys import chaos
from tests.processes import in_processes
from tests.promises.report import seen

SEEDS = int(os.environ.get("SEEDS", "100"))
FIRST_SEED = 1000  # the short form has the seeds below
SEED_LIMIT_S = 180.0
"""A seed takes some seconds on a quiet core."""
RUNS_OF_A_PROCESS = 10  # then a fresh one: the logs of a run are a few MB


def one(seed: int) -> tuple[str, bool, dict[str, float]]:
    logging.disable(logging.CRITICAL)
    found = chaos.run(seed)
    return str(found), bool(found.complaints), found.figures


@pytest.mark.limit(60 + 20 * SEEDS)
def test_a_hundred_seeds() -> None:
    totals: dict[str, float] = {}
    wrong = []
    seeds = range(FIRST_SEED, FIRST_SEED + SEEDS)
    for text, complaints, figures in in_processes(one, seeds, limit_s=SEED_LIMIT_S, life=RUNS_OF_A_PROCESS):
        wrong += [text] * complaints
        for name, value in figures.items():
            totals[name] = totals.get(name, 0) + value
    assert not wrong, "\n".join(wrong) + "\nEach again: make chaos SEED=n"
    seen("R22", f"{SEEDS} seeds, {', '.join(f'{value:,.0f} {name}' for name, value in totals.items())}")
