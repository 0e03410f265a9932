"""R10 in bad company: a central system that is slow, half open, gone, or answers twice, while charge points and gateway
restart, under both policies. Other numbers of seeds: SEEDS=n.

Twins: a build for each invariant, and one more where the policies keep it in two places.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections import deque
from typing import Any
from unittest.mock import patch

import pytest

from gatewayd.ocpp import buffered_bridge
from gatewayd.ocpp.bridge import Bridge
from gatewayd.ocpp.buffered_bridge import BufferedBridge
from gatewayd.ocpp.session import Send, Session, Word
from gatewayd.services import ocpp_upstream
from gatewayd.services.ocpp_upstream import Past
from gatewayd.site.backlog import Backlog, Message
from gatewayd.site.upstream_ids import UpstreamIds
from tests.journeys import bridge_chaos
from tests.journeys.bridge_judges import Bridging
from tests.journeys.test_twins import Patch, instead
from tests.processes import in_processes
from tests.promises.report import seen

SEEDS = int(os.environ.get("SEEDS", "20"))
FIRST_SEED = 1000  # tests/journeys has the seeds below
SEED_LIMIT_S = 300.0
"""Some seconds on a quiet core."""
TWIN_SEEDS = range(1, 7)
"""One storm need not touch what is broken; the first that does is enough."""


def one(task: tuple[str, int]) -> tuple[str, bool, dict[str, float]]:
    logging.disable(logging.CRITICAL)
    found = bridge_chaos.run(*task)
    return f"{task[0]} {found}", bool(found.complaints), found.figures


@pytest.mark.limit(60 + 2 * SEED_LIMIT_S * max(1, SEEDS // 4))
def test_seeds_under_both_policies() -> None:
    tasks = [(policy, seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS) for policy in bridge_chaos.POLICIES]
    totals: dict[str, float] = {}
    slowest_s, wrong = 0.0, []
    for text, complaints, figures in in_processes(one, tasks, limit_s=SEED_LIMIT_S):
        wrong += [text] * complaints
        slowest_s = max(slowest_s, figures.pop(bridge_chaos.DRAINED))
        for name, value in figures.items():
            totals[name] = totals.get(name, 0) + value
    assert not wrong, "\n".join(wrong) + "\nEach again: python -m tests.journeys.bridge_chaos POLICY SEED"
    figures_said = ", ".join(f"{value:,.0f} {name}" for name, value in totals.items())
    seen("R10", f"bridge, {SEEDS} seeds under each policy: {figures_said}, drained after {slowest_s:.0f} s at most")


# --- twins --------------------------------------------------------------------------------------------------------


@instead(Bridge, "_tell_upstream")
def loses_an_end_now_and_then(proper: Any, bridge: Bridge, word: Word) -> None:
    """And answers it, so that the charge point does not repeat it."""
    if isinstance(word, Send) and "StopTransaction" in str(word.text):
        bridge._send(json.dumps([3, json.loads(word.text)[1], {}]))
    else:
        proper(bridge, word)


@instead(UpstreamIds, "upstream")
def does_not_renumber(_proper: Any, _ids: UpstreamIds, transaction_id: int) -> int:
    return transaction_id


@instead(Backlog, "first")
def tells_the_newest_first(_proper: Any, backlog: Backlog, charge_point: int) -> Message | None:
    return next(reversed(list(backlog._waiting.get(charge_point, {}).values())), None)


@instead(BufferedBridge, "upstream_closed")
def drops_the_charge_point(_proper: Any, bridge: BufferedBridge, now: float) -> None:
    bridge._take_back()
    Bridge.upstream_closed(bridge, now)


@instead(BufferedBridge, "_take_back")
def forgets_what_was_open(proper: Any, bridge: BufferedBridge) -> list[Any]:
    proper(bridge)
    return []


@instead(Past, "failed")
def dials_seldom(proper: Any, past: Past, now: float, chance: float) -> None:
    proper(past, now, chance)
    past.until = now + 300.0


@instead(Bridge, "_is_ours")
def passes_on_what_answers_its_own_calls(_proper: Any, bridge: Bridge, frame: Any) -> bool:
    return False


class Everything(deque[str]):
    """Every id is in it."""

    def __contains__(self, _id: object) -> bool:
        return True

    def remove(self, _id: str) -> None:
        pass


@instead(BufferedBridge, "opened")
def passes_on_every_answer(proper: Any, bridge: BufferedBridge, now: float) -> None:
    bridge.unanswered = Everything()
    proper(bridge, now)


@instead(Bridge, "_pump")
def asks_while_the_central_system_does(_proper: Any, bridge: Bridge, now: float) -> None:
    while bridge.held:
        bridge._ask(*bridge.held.popleft(), now)
    Session._pump(bridge, now)


@instead(Bridge, "_tell_upstream")
def spells_anew(proper: Any, bridge: Bridge, word: Word) -> None:
    proper(bridge, Send(json.dumps(json.loads(word.text))) if isinstance(word, Send) else word)


def hears_silence_late() -> Any:
    return patch.object(ocpp_upstream, "DEAD_S", 30.0)


def keeps_no_start() -> Any:
    return patch.object(buffered_bridge, "KEPT", buffered_bridge.KEPT - {"StartTransaction"})


TWINS: tuple[tuple[Bridging, str, Patch], ...] = (
    (Bridging.kept, "buffer", keeps_no_start),
    (Bridging.kept, "disconnect", loses_an_end_now_and_then),
    (Bridging.ids, "buffer", does_not_renumber),
    (Bridging.order, "buffer", tells_the_newest_first),
    (Bridging.dropped, "disconnect", hears_silence_late),
    (Bridging.served, "buffer", drops_the_charge_point),
    (Bridging.served, "buffer", forgets_what_was_open),
    (Bridging.drained, "buffer", dials_seldom),
    (Bridging.leaks, "disconnect", passes_on_what_answers_its_own_calls),
    (Bridging.once, "buffer", passes_on_every_answer),
    (Bridging.one_call, "disconnect", asks_while_the_central_system_does),
    (Bridging.verbatim, "disconnect", spells_anew),
)


def _name(value: object) -> str | None:
    if isinstance(value, functools.partial):
        return str(value.args[2].__closure__[0].cell_contents.__name__)
    return getattr(value, "__name__", None)


@pytest.mark.twin("R10")
@pytest.mark.parametrize(("invariant", "policy", "broken"), TWINS, ids=_name)
def test_a_broken_bridge_is_complained_of(invariant: Bridging, policy: str, broken: Patch) -> None:
    storms = (bridge_chaos.run(policy, seed, broken, enough=invariant) for seed in TWIN_SEEDS)
    assert any(invariant in found.broken for found in storms), f"{invariant.value}: nothing noticed"


@pytest.mark.twin("R10")
def test_no_invariant_is_without_a_twin() -> None:
    assert {invariant for invariant, _, _ in TWINS} == set(Bridging)
