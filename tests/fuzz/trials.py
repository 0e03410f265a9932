"""Trials without end: `python -m tests.fuzz.trials modbus|ocpp FIRST_SEED SECONDS` prints how many inputs were tried.

Structure-aware mutation judged answer by answer, the release form of R12 and R13: one seed after the other.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.modbus import trial as modbus
from tests.ocpp import trial as ocpp

PER_SEED = 10_000
"""Inputs of one seed: some seconds."""
FIRST_SEED = 100_000
"""Those below belong to the tests."""

TRIALS: dict[str, Callable[[int, int], Counter[str]]] = {"modbus": modbus.run, "ocpp": ocpp.run}


def main() -> None:
    name, seed, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ends, tried = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        TRIALS[name](seed, PER_SEED)
        seed, tried = seed + 1, tried + PER_SEED
        print(tried, flush=True)


if __name__ == "__main__":
    main()
