"""R10: a central system that is away for 72 hours costs no transaction, under either policy. Other lengths: HOURS=n.

Twin: a gateway that keeps no StartTransaction for it.
"""

from __future__ import annotations

import logging
import os

import pytest

from gatewayd.ocpp import buffered_bridge
from tests.journeys import absence
from tests.processes import in_processes
from tests.promises.report import seen

HOURS = float(os.environ.get("HOURS", "72"))
DRAINED_MAX_S = 60.0
LIMIT_S = 900.0
"""Of one of them; two minutes on a quiet core."""


def one(policy: str) -> tuple[str, str, float, list[str]]:
    logging.disable(logging.CRITICAL)
    found = absence.run(policy, HOURS)
    return policy, str(found), found.drained_s, found.wrong


@pytest.mark.limit(2 * LIMIT_S)
def test_seventy_two_hours() -> None:
    for policy, text, drained_s, wrong in in_processes(one, ("buffer", "disconnect"), limit_s=LIMIT_S):
        assert wrong == [], policy  # a Start or Stop that was dropped is one; readings may be thinned
        assert drained_s <= DRAINED_MAX_S, f"{policy}: {text}"
        seen("R10", f"{policy}, {HOURS:.0f} h: {text}")


@pytest.mark.twin("R10")
def test_a_gateway_that_keeps_no_start_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffered_bridge, "KEPT", buffered_bridge.KEPT - {"StartTransaction"})
    assert absence.run("buffer", 2.0, count=3).wrong != []
