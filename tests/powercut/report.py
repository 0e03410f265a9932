"""build/powercut/report.json: what all runs have seen, and where the next one goes on; printed as a few lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.powercut.deeds import OURS
from tests.powercut.judge import SECRETS_LEFT
from tests.powercut.replay import CHUNK, Tally

BUILD: Final = Path(__file__).parents[2] / "build/powercut"
TWINS: Final = {"no fsync": "R1", "in place": "R1", "deletes only": "R24"}
"""Builds that are broken on purpose, and the promise whose check must notice."""
EXAMPLES: Final = 10


@dataclass(slots=True)
class Round:
    """One guest's log, which is being judged."""

    seed: str
    plan: str
    states: int = 0
    """0: the guest has not come to its end yet."""
    chunks: list[int] = field(default_factory=list)
    """Judged."""

    @property
    def directory(self) -> Path:
        return BUILD / f"round-{self.seed}"

    @property
    def left(self) -> list[int]:
        return [chunk for chunk in range(-(-self.states // CHUNK)) if chunk not in self.chunks]


@dataclass(slots=True)
class Report:
    """`parts`: of the other parts, by their names, as each keeps it."""

    rounds: int = 0
    current: Round | None = None
    tally: Tally = field(default_factory=Tally)
    parts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Report:
        path = BUILD / "report.json"
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text())
        current = Round(**kept["current"]) if kept["current"] else None
        return cls(kept["rounds"], current, Tally.of_json(kept["tally"]), kept["parts"])

    def save(self) -> None:
        """Whole, whenever this is stopped."""
        current = self.current
        kept = {
            "rounds": self.rounds,
            "current": {
                "seed": current.seed, "plan": current.plan, "states": current.states, "chunks": current.chunks
            } if current else None,
            "tally": self.tally.as_json(),
            "parts": self.parts,
        }  # fmt: skip
        BUILD.mkdir(parents=True, exist_ok=True)
        new = BUILD / "report.new"
        new.write_text(json.dumps(kept, indent=1) + "\n")
        new.replace(BUILD / "report.json")


def replayed(now: Tally, all_time: Tally) -> Iterator[str]:
    """R1 and R24, of this run and of all; and whether the broken builds were noticed."""
    for name, counted in (("now", now), ("in all", all_time)):
        yield f"R1  {name:<7} {counted.states[OURS]:>7,} states, {counted.bad(OURS)} bad"
        yield f"R24 {name:<7} {counted.resets[OURS]:>7,} of them erased by a factory reset, with secrets left: " + str(
            counted.faults.get(OURS, Counter())[SECRETS_LEFT]
        )
    yield from (f"    BAD {example}" for example in all_time.examples[:EXAMPLES])
    for build, promise in TWINS.items():
        bad, tried = all_time.bad(build), all_time.states[build]
        word = "caught" if bad else "NOT CAUGHT" if tried else "not tried yet"
        yield f"{promise:<3} twin    {word}: {build}, {bad} of {tried} states bad"
        yield from (f"              {count:>5} {what}" for what, count in all_time.faults.get(build, {}).items())


def failed(tally: Tally) -> bool:
    """A state of ours is bad, or a broken build was not noticed."""
    return tally.bad(OURS) > 0 or any(not tally.bad(build) for build in TWINS)
