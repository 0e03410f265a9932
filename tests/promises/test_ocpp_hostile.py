"""R13: no OCPP or WebSocket input crashes or confuses the gateway.

200,000 hostile inputs: texts against a session, between buttons, decisions and time (tests/ocpp/hostile.py: nesting,
NaN, huge integers, half surrogates, doubled keys, broken answers), and whole connections against the listener in
virtual time (tests/services/hostile_wire.py: bent requests, fragments, lengths up to 2^64, closes of every kind). An
endless head is tests/services/test_ocpp_listener.py. `make fuzz` goes on from there.

Twins: tests/ocpp/test_session.py finds a session that trusts its peer in 1,500 texts, tests/services/
test_hostile_wire.py a listener that passes requests on as they came in 200 connections; here both again, through the
same worker processes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from gatewayd.ocpp import handshake, schema
from gatewayd.ocpp.handshake import Upgrade
from tests.ocpp import hostile_run
from tests.processes import in_processes
from tests.promises.report import seen
from tests.services import hostile_wire_run

INPUTS = int(os.environ.get("HOSTILE_OCPP_INPUTS", "200000"))
CONNECTIONS_SHARE = 20  # one input of so many is a whole connection
SEEDS = 20
FIRST_SEED = 1000  # the short forms have the seeds below
SEED_LIMIT_S = 240.0
"""A seed takes some seconds on a quiet core."""


def texts(seed: int, count: int) -> int:
    logging.disable(logging.CRITICAL)
    hostile_run.run(count, seed)
    return count


def connections(seed: int, count: int) -> int:
    outcome = hostile_wire_run.run(count, seed)
    assert outcome.contained == []
    return outcome.connections


def texts_to_a_session_without_schemas(seed: int, count: int) -> int:
    def blind(action: str, raw: bytes) -> object:
        return schema.REQUESTS[action]()

    schema.decode_request = blind  # type: ignore[assignment]
    return texts(seed, count)


def connections_to_a_trusting_listener(seed: int, count: int) -> int:
    strict = handshake.read

    def trusting(head: bytes) -> Upgrade:
        return replace(strict(head), head=head)

    handshake.read = trusting
    return connections(seed, count)


def all_seeds(one: partial[int], seeds: int = SEEDS) -> int:
    """How many inputs they had."""
    return sum(in_processes(one, range(FIRST_SEED, FIRST_SEED + seeds), limit_s=SEED_LIMIT_S))


@pytest.mark.limit(900)
def test_two_hundred_thousand_hostile_inputs() -> None:
    wires = INPUTS // CONNECTIONS_SHARE
    said = all_seeds(partial(texts, count=(INPUTS - wires) // SEEDS))
    came = all_seeds(partial(connections, count=wires // SEEDS))
    assert said + came >= INPUTS
    seen("R13", f"{said:,} texts and {came:,} connections, 0 unhandled")


@pytest.mark.twin("R13")
@pytest.mark.parametrize("broken", [texts_to_a_session_without_schemas, connections_to_a_trusting_listener])
def test_a_broken_guard_is_found(broken: Callable[..., int]) -> None:
    with pytest.raises((TypeError, AssertionError)):
        all_seeds(partial(broken, count=500), seeds=2)
