"""Hostile OCPP texts in a short form; and that whoever tries them would notice a broken guard.

The long form, 200,000 texts and the WebSocket below them, is tests/promises/test_ocpp_hostile.py.
"""

from __future__ import annotations

import json

import pytest

from gatewayd.ocpp.session import Session
from tests.ocpp import trial
from tests.ocpp.trial import Found

INPUTS = 1000
"""In which every broken guard below is found."""


@pytest.mark.parametrize("seed", range(2))
def test_a_hostile_charge_point_harms_nobody(seed: int) -> None:
    tried = trial.run(seed, INPUTS)
    assert tried["texts"] == INPUTS
    assert tried["CALLERROR"] > 0
    assert tried["CALLRESULT"] > 0


def naive(session: Session, text: str | bytes, now: float) -> None:
    """Trusts that what comes is JSON."""
    json.loads(text)
    session.received(text, now)


def twice(session: Session, text: str | bytes, now: float) -> None:
    """Answers a Call again that it has just answered."""
    session.received(text, now)
    if isinstance(text, str) and "Heartbeat" in text:
        session.received(text, now)


def meddling(session: Session, text: str | bytes, now: float) -> None:
    """Ends a transaction by its id alone, whoever it belongs to."""
    session.received(text, now)
    if "StopTransaction" in str(text):
        for charge_point in session.charge_point.bank.charge_points.values():
            charge_point.connectors[1].transaction = None
            charge_point.touch_all()


def leaking(session: Session, text: str | bytes, now: float) -> None:
    """Keeps what it heard, and more than a process has free from earlier."""
    session.received(text, now)
    KEPT.append(b"x" * 200_000)


KEPT: list[bytes] = []


@pytest.mark.parametrize("broken", [naive, twice, meddling, leaking])
def test_a_broken_session_is_found(broken: trial.Received) -> None:
    try:
        with pytest.raises((Found, ValueError)):
            trial.run(1, INPUTS, broken)
    finally:
        KEPT.clear()
