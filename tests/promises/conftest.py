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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "twin(promise): a build that is broken on purpose, and must be caught")


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("limit") is None:
        item.add_marker(pytest.mark.limit(LIMIT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    outcome = yield
    mark = item.get_closest_marker("twin")
    if mark is not None and outcome.when == "call":
        report.twin(mark.args[0], item.name, outcome.passed)
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = list(report.table())
    if lines:
        terminalreporter.section("promises: what was seen")
        for line in lines:
            terminalreporter.write_line(line)
