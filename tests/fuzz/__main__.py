"""Everything that is fuzzed, for a while each: `python -m tests.fuzz [--seconds N] [NAME ...]`, or `make fuzz`.

Coverage-guided (atheris) where bytes come in, structure-aware trials where whole conversations are judged. Every run
goes on where the last one stopped: what was found interesting stays in build/fuzz/corpus, what was counted in
build/fuzz/runs.json. A finding stops its target, and the command says how to repeat it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.trials import FIRST_SEED, PER_SEED, TRIALS

BUILD = Path("build/fuzz")
SEEDS = Path(__file__).parent / "corpus"
COUNTS = BUILD / "runs.json"
GUIDED = ("modbus_tcp", "modbus_rtu", "ocpp", "handshakes", "configuration")
"""As in targets.py, which must not be imported before atheris is."""
TRIED = tuple(f"{name}_trial" for name in TRIALS)

SECONDS = 60
MAX_LENGTH = {"handshakes": 8192}
LENGTH = 4096
"""Bytes of an input: some frames of everything."""
INPUT_TIMEOUT_S, MEMORY_MIB = 10, 1024
"""An input that takes so long, or so much, is a finding."""


class Outcome(NamedTuple):
    """Of one target: inputs of this time, and what it said where something was found."""

    name: str
    inputs: int
    found: str


def guided(name: str, seconds: int) -> Outcome:
    corpus = BUILD / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "tests.fuzz.guided", name, f"-max_total_time={seconds}", "-print_final_stats=1",
        f"-max_len={MAX_LENGTH.get(name, LENGTH)}", f"-timeout={INPUT_TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}",
        f"-artifact_prefix={BUILD / name}-", str(corpus), str(SEEDS / name),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    counted = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    if done.returncode == 0 and counted:
        return Outcome(name, int(counted[1]), "")
    return Outcome(name, int(counted[1]) if counted else 0, done.stdout[-1500:] + done.stderr[-2500:])


def tried(name: str, seconds: int, before: int) -> Outcome:
    first = FIRST_SEED + before // PER_SEED
    command = [sys.executable, "-m", "tests.fuzz.trials", name.removesuffix("_trial"), str(first), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    inputs = int(done.stdout.split()[-1]) if done.stdout else 0
    return Outcome(name, inputs, "" if done.returncode == 0 else done.stderr[-3000:])


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzzing that goes on where it stopped")
    parser.add_argument("names", nargs="*", choices=[*GUIDED, *TRIED, []], help="all by default")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each, %(default)s")
    arguments = parser.parse_args()
    names = arguments.names or [*GUIDED, *TRIED]
    BUILD.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}

    def one(name: str) -> Outcome:
        return (
            guided(name, arguments.seconds) if name in GUIDED else tried(name, arguments.seconds, counts.get(name, 0))
        )

    found = []
    print(f"{'':<16}{'inputs now':>14}{'in all':>16}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for outcome in pool.map(one, names):
            counts[outcome.name] = counts.get(outcome.name, 0) + outcome.inputs
            COUNTS.write_text(json.dumps(counts, indent=1) + "\n")
            word = "   FOUND SOMETHING" if outcome.found else ""
            print(f"{outcome.name:<16}{outcome.inputs:>14,}{counts[outcome.name]:>16,}{word}", flush=True)
            found += [outcome] if outcome.found else []
    for outcome in found:
        print(f"\n{outcome.name}:\n{outcome.found}")
        if outcome.name in GUIDED:
            print(f"To repeat: PYTHONPATH=build/fuzz/lib {sys.executable} -m tests.fuzz.guided {outcome.name} FILE")
            print(f"with the newest file {BUILD / outcome.name}-*")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
