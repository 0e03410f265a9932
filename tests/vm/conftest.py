"""Tests on the appliance's own root, kernel and initrd, booted under emulation. Only `make vm-smoke` collects them.

An emulated machine takes one core. Each file has a machine of its own, so that two run side by side.

They are not skipped elsewhere but left out: a skip would be counted at every `make test`. They need root, `make root`
and what the Makefile prepares in build/vm.
"""

import os
from collections.abc import Callable

import pytest

WANTED = "GATEWAY_TEST_VM"

collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]

LIMIT_S = 2400.0
"""Against hangs, for a test that names no limit of its own: a start under emulation is two minutes of one whole core,
the first test of a file waits for one, and the machine may be busy with other things. The guest's clock goes by what
the guest does, so its own limits need no such patience."""


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """For a figure that one wants to know when all is well, too: it is printed at the end."""
    return lambda text: record_property("seen", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            for text in (value for name, value in report.user_properties if name == "seen"):
                terminalreporter.line(text)


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("limit") is None:
        item.add_marker(pytest.mark.limit(LIMIT_S))
