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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import pytest

from gatewayd.ocpp import handshake, schema
from gatewayd.ocpp.handshake import Upgrade
from tests.ocpp import hostile_run
from tests.services import hostile_wire_run

INPUTS = int(os.environ.get("HOSTILE_OCPP_INPUTS", "200000"))
CONNECTIONS_SHARE = 20  # one input of so many is a whole connection
SEEDS = 20
FIRST_SEED = 1000  # the short forms have the seeds below


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


def in_processes(one: partial[int], seeds: int = SEEDS) -> int:
    """All seeds, as many at a time as there are cores; how many inputs they had."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return sum(pool.map(one, range(FIRST_SEED, FIRST_SEED + seeds)))


def test_two_hundred_thousand_hostile_inputs() -> None:
    wires = INPUTS // CONNECTIONS_SHARE
    said = in_processes(partial(texts, count=(INPUTS - wires) // SEEDS))
    came = in_processes(partial(connections, count=wires // SEEDS))
    print(f"\nR13: {said:,} texts and {came:,} connections, 0 unhandled")
    assert said + came >= INPUTS


@pytest.mark.parametrize("broken", [texts_to_a_session_without_schemas, connections_to_a_trusting_listener])
def test_a_broken_guard_is_found(broken: Callable[..., int]) -> None:
    with pytest.raises((TypeError, AssertionError)):
        in_processes(partial(broken, count=500), seeds=2)
