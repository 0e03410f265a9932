"""What several tests of the page stand before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hal.test_stewardd import Steward


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    """A real stewardd, in an appliance of its own."""
    directory = tmp_path / "appliance"
    directory.mkdir()
    steward = Steward(directory)
    yield steward
    steward.process.terminate()
    steward.process.communicate(timeout=20)
