"""Hostile connections, the short form: nothing leaves a connection or reaches the library that it cannot bear.

The long form is tests/promises/test_ocpp_hostile.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.ocpp import handshake
from gatewayd.ocpp.handshake import Upgrade
from tests.services import hostile_wire_run

CONNECTIONS = 200


@pytest.mark.parametrize("seed", range(2))
def test_hostile_connections_end_where_they_began(seed: int) -> None:
    assert hostile_wire_run.run(CONNECTIONS, seed) == (CONNECTIONS, [])


def test_a_listener_that_passes_requests_on_as_they_came_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = handshake.read

    def trusting(head: bytes) -> Upgrade:
        return replace(strict(head), head=head)

    monkeypatch.setattr(handshake, "read", trusting)
    assert hostile_wire_run.run(CONNECTIONS, 0).contained != []
