"""Tests on the appliance's own root, kernel and initrd, booted under emulation. Only `make vm-smoke` collects them.

They are not skipped elsewhere but left out: a skip would be counted at every `make test`. They need root, `make root`
and what the Makefile prepares in build/vm.
"""

import os
from collections.abc import Iterator

import pytest

from tests.vm.machine import Machine

WANTED = "GATEWAY_TEST_VM"

collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]

LIMIT_S = 1500.0
"""Against hangs, for a test that names no limit of its own: a start under emulation is two minutes of one whole core,
the first test of a file waits for one, and the machine may be busy with other things. The guest's clock goes by what
the guest does, so its own limits need no such patience."""


@pytest.fixture(scope="session")
def vm() -> Iterator[Machine]:
    """One machine for all, as after the first power-on."""
    machine = Machine("smoke")
    machine.start()
    try:
        yield machine
    finally:
        machine.remove()


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("limit") is None:
        item.add_marker(pytest.mark.limit(LIMIT_S))
