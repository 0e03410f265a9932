"""A handful of seeds; a hundred are in tests/promises, any one is `make chaos SEED=n`."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from tests.journeys import chaos

SEEDS = (1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_holds_in_bad_weather(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    found = chaos.run(seed)
    assert not found.complaints, str(found)
    assert found.figures["faults"] > 100
    assert found.figures["transactions"] > 50
    assert found.figures["starts of the gateway"] > 1


def test_the_same_seed_gives_the_same_log_to_the_byte(caplog: pytest.LogCaptureFixture) -> None:
    """In another process, where every object lies elsewhere and every text hashes otherwise."""
    caplog.set_level(logging.CRITICAL)
    here = chaos.run(5, chaos.SMALL)
    program = "from tests.journeys import chaos; print(chaos.run(5, chaos.SMALL).digest)"
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.split() == [here.digest]
    assert chaos.run(6, chaos.SMALL).digest != here.digest
