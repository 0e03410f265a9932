"""R13, the other half: a hostile charge point moves no register of another one, and nothing grows.

40,000 texts in ten trials (tests/ocpp/trial.py): after each, every register of the other charge point is what it was,
an answer answers what was asked, once; and what the process holds after a third of a trial is what it holds at its end.

Twin: tests/ocpp/test_hostile.py breaks the session in four ways and sees that each is found in 1,000 texts; here one of
them again, through the same worker processes.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import partial

import pytest

from tests.ocpp import trial
from tests.ocpp.test_hostile import meddling
from tests.ocpp.trial import Found
from tests.processes import in_processes
from tests.promises.report import seen

TEXTS = int(os.environ.get("HOSTILE_TEXTS", "40000"))
SEEDS = 10
FIRST_SEED = 2000  # the others have the seeds below
SEED_LIMIT_S = 120.0
"""A seed takes some seconds on a quiet core."""


def all_seeds(one: partial[Counter[str]]) -> Counter[str]:
    """Each in a process of its own, whose memory is looked at."""
    tried: Counter[str] = Counter()
    for each in in_processes(one, range(FIRST_SEED, FIRST_SEED + SEEDS), limit_s=SEED_LIMIT_S, life=1):
        tried += each
    return tried


def test_a_hostile_charge_point_harms_no_other() -> None:
    tried = all_seeds(partial(trial.run, inputs=TEXTS // SEEDS))
    assert tried["texts"] >= TEXTS
    seen("R13", f"{tried['texts']:,} texts of a hostile charge point, no register of its neighbour moved, nothing grew")


@pytest.mark.twin("R13")
def test_one_that_meddles_is_found() -> None:
    with pytest.raises(Found):
        all_seeds(partial(trial.run, inputs=1000, received=meddling))
