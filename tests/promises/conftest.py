"""The measured promises (promises.md, column CI). They take minutes: only `make test-promises` collects them."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests.promises import report

WANTED = "GATEWAY_TEST_PROMISES"

collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]

LIMIT_S = 300.0
"""Against hangs, for a test that names no limit of its own."""
SAID = "promises"
_heard: list[report.Entry] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "twin(promise): a build that is broken on purpose, and must be caught")


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("limit") is None:
        item.add_marker(pytest.mark.limit(LIMIT_S))


def _limit(item: pytest.Item) -> float:
    mark = item.get_closest_marker("limit")
    return float(mark.args[0]) if mark else 0.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, because it has one process only; those that use all cores by themselves at the end."""
    items.sort(key=_limit)
    if items:
        items.insert(0, items.pop())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    outcome = yield
    if outcome.when == "call":
        mark = item.get_closest_marker("twin")
        if mark is not None:
            report.twin(mark.args[0], item.name, outcome.passed)
        outcome.user_properties.append((SAID, report.said()))
    return outcome


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    outcome: str = report.outcome
    if report.when == "call" and outcome != "rerun":  # what a try saw that is made again counts for nothing
        for name, value in report.user_properties:
            if name == SAID and isinstance(value, list):
                _heard.extend(value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _heard and not hasattr(terminalreporter.config, "workerinput"):
        terminalreporter.section("promises: what was seen")
        for line in report.table(report.keep(_heard)):
            terminalreporter.write_line(line)
