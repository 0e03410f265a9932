"""R13, the other half: a hostile charge point moves no register of another one, and nothing grows.

40,000 texts in ten trials (tests/ocpp/trial.py): after each, every register of the other charge point is what it was,
an answer answers what was asked, once; and what the process holds after a third of a trial is what it holds at its end.

Twin: tests/ocpp/test_hostile.py breaks the session in four ways and sees that each is found in 1,000 texts; here one of
them again, through the same worker processes.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from tests.ocpp import trial
from tests.ocpp.test_hostile import meddling
from tests.ocpp.trial import Found

TEXTS = int(os.environ.get("HOSTILE_TEXTS", "40000"))
SEEDS = 10
FIRST_SEED = 2000  # the others have the seeds below


def in_processes(one: partial[Counter[str]]) -> Counter[str]:
    """All seeds, as many at a time as there are cores."""
    tried: Counter[str] = Counter()
    with ProcessPoolExecutor(mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for each in pool.map(one, range(FIRST_SEED, FIRST_SEED + SEEDS)):
            tried += each
    return tried


def test_a_hostile_charge_point_harms_no_other() -> None:
    tried = in_processes(partial(trial.run, inputs=TEXTS // SEEDS))
    print(f"\nR13: {tried['texts']:,} texts, no register of the neighbour moved, nothing grew;", dict(tried))
    assert tried["texts"] >= TEXTS


def test_one_that_meddles_is_found() -> None:
    with pytest.raises(Found):
        in_processes(partial(trial.run, inputs=1000, received=meddling))
