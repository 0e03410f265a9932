"""One storm under each policy; more, and the twins, are in tests/promises."""

from __future__ import annotations

import logging

import pytest

from tests.journeys import bridge_chaos


@pytest.mark.parametrize("policy", bridge_chaos.POLICIES)
def test_the_bridge_holds_whatever_its_central_system_does(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    found = bridge_chaos.run(policy, 1)
    assert not found.complaints, str(found)
    assert found.figures["transactions"] > 10
    assert found.figures["links upstream"] > 3 * bridge_chaos.COUNT


def test_the_same_seed_gives_the_same_log_to_the_byte(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert bridge_chaos.run("buffer", 2).digest == bridge_chaos.run("buffer", 2).digest
