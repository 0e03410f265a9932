"""The table at the end of `make test-promises`: each promise, the figure that was seen, and its twin.

A test says what it saw with `seen("R12", …)`; a test of a build that is broken on purpose is marked
`@pytest.mark.twin("R12")`. A twin that "caught" is one whose test passed: the promise's test fails on that build.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class _Row:
    figures: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)


ROWS: dict[str, _Row] = {}
"""By promise, what this run has to tell."""


def seen(promise: str, figure: str) -> None:
    """`figure` was measured for `promise`, like "R12"."""
    ROWS.setdefault(promise, _Row()).figures.append(figure)


def twin(promise: str, name: str, caught: bool) -> None:
    """The test of a twin is over."""
    word = "caught" if caught else "NOT CAUGHT"
    ROWS.setdefault(promise, _Row()).twins.append(f"{word}: {name}")


ELSEWHERE = {
    "R11": ("make test", "tests/process/test_kill.py"),
    "R26": ("make test", "tests/ocpp/test_lockout.py"),
    "R29": ("make test", "tests/services/test_security_profiles.py"),
    "R30": ("make test", "tests/services/test_modbus_tcp.py"),
}
"""Promises whose test in CI takes no minutes, and so runs with all others: which command, which module."""


def number(promise: str) -> int:
    return int(promise.removeprefix("R"))


def table() -> Iterator[str]:
    """Lines; none where nothing was measured."""
    if not ROWS:
        return
    for promise in sorted(ROWS, key=number):
        row = ROWS[promise]
        for place, figure in enumerate(row.figures or ["NO FIGURE: its test failed or did not run"]):
            yield f"{promise if not place else '':<4} {figure}"
        for each in row.twins or ["in `make test`, see the test's own words"]:
            yield f"{'':<4}   twin {each}"
    for promise in sorted(ELSEWHERE.keys() - ROWS.keys(), key=number):
        command, module = ELSEWHERE[promise]
        yield f"{promise:<4} `{command}`: {module}"
