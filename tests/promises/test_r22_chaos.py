"""R22: heals from any network weather, and what must hold does so meanwhile. Release form: SEEDS=1000.

Twins: tests/journeys/test_twins.py, one and more for each invariant.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.journeys import chaos

SEEDS = int(os.environ.get("SEEDS", "100"))
FIRST_SEED = 1000  # the short form has the seeds below
RUNS_OF_A_PROCESS = 10  # then a fresh one: the logs of a run are a few MB


def one(seed: int) -> tuple[str, bool, dict[str, float]]:
    logging.disable(logging.CRITICAL)
    found = chaos.run(seed)
    return str(found), bool(found.complaints), found.figures


def test_a_hundred_seeds() -> None:
    totals: dict[str, float] = {}
    wrong = []
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), max_tasks_per_child=RUNS_OF_A_PROCESS
    ) as processes:
        for text, complaints, figures in processes.map(one, range(FIRST_SEED, FIRST_SEED + SEEDS)):
            wrong += [text] * complaints
            for name, value in figures.items():
                totals[name] = totals.get(name, 0) + value
    print(f"R22: {SEEDS} seeds, {', '.join(f'{value:,.0f} {name}' for name, value in totals.items())}")
    assert not wrong, "\n".join(wrong) + "\nEach again: make chaos SEED=n"
