"""The table at the end of `make test-promises`: each promise, the figure that was seen, and its twin.

A test says what it saw with `seen("R12", …)`; a test of a build that is broken on purpose is marked
`@pytest.mark.twin("R12")`. A twin that was "caught" is one whose test passed: the promise's test fails on that build.
What is said travels with the test's own report, so that it arrives from whichever process the test ran in; KEPT holds
it from one pytest to the next, because `make test-promises` is two: what measures times runs alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

Entry = tuple[str, str, str]
"""Promise, what it is, text."""
FIGURE, TWIN = "figure", "twin"
KEPT = Path("build/promises.json")

_said: list[Entry] = []


def seen(promise: str, figure: str) -> None:
    """`figure` was measured for `promise`, like "R12"."""
    _said.append((promise, FIGURE, figure))


def twin(promise: str, name: str, caught: bool) -> None:
    """A build that is broken on purpose was tried."""
    _said.append((promise, TWIN, f"{'caught' if caught else 'NOT CAUGHT'}: {name}"))


def said() -> list[Entry]:
    """What was said since the last time."""
    found = list(_said)
    _said.clear()
    return found


def keep(entries: Iterable[Entry]) -> list[Entry]:
    """These, behind what an earlier pytest of the same `make test-promises` kept."""
    earlier = [tuple(entry) for entry in json.loads(KEPT.read_text(encoding="utf-8"))] if KEPT.exists() else []
    found = [*earlier, *entries]
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(found), encoding="utf-8")
    return found


ELSEWHERE = {
    "R15": ("make test-root", "tests/root/test_r15_places.py"),
    "R23": ("make test", "tests/journeys/test_clock_faults.py"),
    "R26": ("make test", "tests/services/test_passwords.py (OCPP), tests/web/test_guessing.py (the page)"),
    "R29": ("make test", "tests/services/test_security_profiles.py"),
    "R30": ("make test", "tests/services/test_modbus_tcp.py"),
}
"""Promises whose test in CI takes no minutes, and so runs with all others: which command, which modules."""


def table(entries: list[Entry]) -> Iterator[str]:
    """Lines; none where nothing was measured."""
    promises = {promise for promise, _, _ in entries}
    for promise in sorted(promises | (ELSEWHERE.keys() if entries else set()), key=lambda name: int(name[1:])):
        own = [(what, text) for name, what, text in entries if name == promise]
        figures = [text for what, text in own if what == FIGURE]
        if promise in promises:
            figures = figures or ["NO FIGURE: its test failed or did not run"]
        else:
            figures = ["`{}`: {}".format(*ELSEWHERE[promise])]
        for place, figure in enumerate(figures):
            yield f"{promise if not place else '':<4} {figure}"
        yield from (f"{'':<4}   twin {text}" for what, text in own if what == TWIN)
