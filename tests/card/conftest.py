"""Tests of the card image, most of them in the tools root. Only `make test-image` collects them: they take minutes, and
what they look at is made by `make image`. What is not made yet is skipped and says so.
"""

import os

import pytest

WANTED = "GATEWAY_TEST_IMAGE"

collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]

LIMIT_S = 300.0
"""Against hangs, for a test that names no limit of its own."""


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("limit") is None:
        item.add_marker(pytest.mark.limit(LIMIT_S))
