"""What every test runs under."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.hang_limit import limited, terminal

# The same examples every time, and no deadline: a busy machine must not turn a good test red.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")

_TERMINAL = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "limit(seconds): after so long the test hangs, and the run ends with its name")
    config.addinivalue_line("markers", "alone: it measures times, and nothing may run beside it")
    config.stash[_TERMINAL] = terminal()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    mark = item.get_closest_marker("limit")
    if mark is None:
        return (yield)
    tries = 1 + (item.config.getoption("reruns", None) or 0)  # all of them are one protocol
    with limited(item.nodeid, tries * float(mark.args[0]), item.config.stash[_TERMINAL]):
        return (yield)
