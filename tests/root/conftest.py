"""Tests that need root: network namespaces, loop devices, real services. Only `make test-root` collects them.

They are not skipped elsewhere but left out: a skip would be counted at every `make test`. Asked for and not possible,
they fail and say what is missing.
"""

import os

import pytest

WANTED = "GATEWAY_TEST_ROOT"

collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]

LIMIT_S = 180.0
"""Against hangs, for a test that names no limit of its own."""


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("limit") is None:
        item.add_marker(pytest.mark.limit(LIMIT_S))
