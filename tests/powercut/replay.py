"""One log, replayed: so many of its states, each put before the next start and judged."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tests.powercut import deeds, judge
from tests.powercut.boot import bench
from tests.powercut.log import entries
from tests.powercut.states import State, states

TRIES, TRIES_RESET, TRIES_BROKEN = 3, 10, 7
"""States after each request. A factory reset makes few requests, and large ones; a broken build lives for a few deeds
only, and is to be noticed at the first."""

NO_DEED: Final = frozenset({"first start", "settle"})
"""A broken build is none before it saves."""

CHUNK: Final = 200
"""States that one process judges before it tells: what an interrupted run has to do again."""


@dataclass(slots=True)
class Tally:
    """What came of states, by build: `ours`, and those broken on purpose."""

    states: Counter[str] = field(default_factory=Counter)
    resets: Counter[str] = field(default_factory=Counter)
    """Of those, states in which a factory reset had begun to erase, or was done."""
    faults: dict[str, Counter[str]] = field(default_factory=dict)
    """By build and what was wrong."""
    examples: list[str] = field(default_factory=list)

    def note(self, number: int, state: State, fault: str, *, erased: bool) -> None:
        moment = state.moment
        self.states[moment.build] += 1
        self.resets[moment.build] += erased
        if fault:
            self.faults.setdefault(moment.build, Counter())[fault] += 1
            if moment.build == deeds.OURS:
                where = f"after request {state.index}, {state.lost} blocks lost, {moment.deed or 'between deeds'}"
                self.examples.append(f"state {number} ({where}): {fault}")

    def add(self, other: Tally) -> None:
        self.states += other.states
        self.resets += other.resets
        for build, faults in other.faults.items():
            self.faults.setdefault(build, Counter()).update(faults)
        self.examples += other.examples

    def bad(self, build: str) -> int:
        return sum(self.faults.get(build, Counter()).values())

    def as_json(self) -> dict[str, Any]:
        return {"states": self.states, "resets": self.resets, "faults": self.faults, "examples": self.examples}

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> Tally:
        return cls(
            Counter(kept["states"]),
            Counter(kept["resets"]),
            {build: Counter(faults) for build, faults in kept["faults"].items()},
            list(kept["examples"]),
        )


def tries(moment: deeds.Moment) -> int:
    """How many states after each request."""
    if moment.build == deeds.OURS:
        return TRIES_RESET if moment.erased else TRIES
    return 0 if moment.build == deeds.NOBODY or moment.deed in NO_DEED else TRIES_BROKEN


def of_log(log: Path, seed: str) -> Iterator[State]:
    requests = list(entries(log))
    return states(requests, deeds.moments(requests), tries, seed)


def count(log: Path, seed: str) -> int:
    """How many states there are."""
    return sum(1 for _ in of_log(log, seed))


def judged(log: Path, seed: str, chunk: int) -> Tally:
    """What comes of the states of one chunk. In a process of its own: its mounts are."""
    tally, first = Tally(), chunk * CHUNK
    with open(log.with_name("e2fsck.log"), "ab") as said:
        os.dup2(said.fileno(), 2)
    with bench(str(chunk)) as place:
        for number, state in enumerate(islice(of_log(log, seed), first, first + CHUNK), first):
            found = place.start(state)
            erased = state.moment.erased and not judge.untouched(state.moment, found)
            tally.note(number, state, judge.fault(state.moment, found), erased=erased)
    return tally
