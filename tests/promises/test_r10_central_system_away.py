"""R10: a central system that is away for 72 hours costs no transaction, under either policy. Other lengths: HOURS=n.

One that hangs, so that it takes links and answers no StartTransaction, costs none either; HUNG_HOURS=72 for as long.

Twins: a gateway that keeps no StartTransaction for it; one that drops what is not answered.
"""

from __future__ import annotations

import logging
import os

import pytest

from gatewayd.ocpp import buffered_bridge, telling
from gatewayd.services.ocpp_upstream import LONGEST_PAUSE_S
from tests.journeys import absence
from tests.processes import in_processes
from tests.promises.report import seen

HOURS = float(os.environ.get("HOURS", "72"))
HUNG_HOURS = float(os.environ.get("HUNG_HOURS", min(HOURS, 2.0)))
"""Links are dialled again all the time: this costs as much as days of absence."""
DRAINED_MAX_S = 60.0
HUNG_DRAINED_MAX_S = 2 * telling.TOLD_TIMEOUT_S + LONGEST_PAUSE_S + DRAINED_MAX_S
"""What is open then, a told Call or a message that was passed on, must be given up, and the link dialled after its
pause, before it is known to be well."""
LIMIT_S = 900.0
"""Of one of them; two minutes on a quiet core."""
HUNG_LIMIT_S = LIMIT_S * max(1.0, HUNG_HOURS / 2.0)


def one(policy: str) -> tuple[str, str, float, list[str]]:
    logging.disable(logging.CRITICAL)
    found = absence.run(policy, HUNG_HOURS if policy == absence.HUNG else HOURS)
    return policy, str(found), found.drained_s, found.wrong


@pytest.mark.limit(2 * LIMIT_S)
def test_seventy_two_hours() -> None:
    for policy, text, drained_s, wrong in in_processes(one, ("buffer", "disconnect"), limit_s=LIMIT_S):
        assert wrong == [], policy  # a Start or Stop that was dropped is one; readings may be thinned
        assert drained_s <= DRAINED_MAX_S, f"{policy}: {text}"
        seen("R10", f"{policy}, {HOURS:.0f} h: {text}")


@pytest.mark.limit(2 * HUNG_LIMIT_S)
def test_a_central_system_that_hangs() -> None:
    ((policy, text, drained_s, wrong),) = in_processes(one, (absence.HUNG,), limit_s=HUNG_LIMIT_S)
    assert wrong == []
    assert drained_s <= HUNG_DRAINED_MAX_S, text
    seen("R10", f"{policy}, {HUNG_HOURS:.0f} h: {text}")


@pytest.mark.twin("R10")
def test_a_gateway_that_keeps_no_start_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffered_bridge, "KEPT", buffered_bridge.KEPT - {"StartTransaction"})
    assert absence.run("buffer", 2.0, count=3).wrong != []


@pytest.mark.twin("R10")
def test_a_gateway_that_drops_what_is_not_answered_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "NEVER_DROPPED", frozenset())
    assert absence.run(absence.HUNG, 1.0, count=3).wrong != []
