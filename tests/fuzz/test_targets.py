"""The targets of `make fuzz` over their seeds and some bent ones, without a fuzzer: they run, and they can fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest

from gatewayd.modbus import server
from gatewayd.ocpp import frames, handshake
from gatewayd.ocpp.handshake import Upgrade
from tests.fuzz.__main__ import GUIDED, SEEDS
from tests.fuzz.targets import TARGETS

BENT = 20
"""Bent copies of every seed."""


def inputs(name: str) -> Iterator[bytes]:
    random = Random(name)
    yield b""
    for seed in sorted((SEEDS / name).iterdir()):
        data = seed.read_bytes()
        yield data
        for _ in range(BENT):
            at = random.randrange(len(data))
            yield data[:at] + random.randbytes(random.randint(0, 3)) + data[at + random.randint(0, 3) :]


def test_every_target_has_seeds_and_is_run() -> None:
    assert set(TARGETS) == set(GUIDED) == {folder.name for folder in SEEDS.iterdir()}


@pytest.mark.parametrize("name", GUIDED)
def test_seeds_and_bent_seeds_find_nothing(name: str) -> None:
    for data in inputs(name):
        TARGETS[name](data)


def everything(name: str) -> None:
    for data in inputs(name):
        TARGETS[name](data)


def test_a_parser_that_trusts_its_peer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "parse", json.loads)
    with pytest.raises(ValueError):
        everything("ocpp")


def test_a_request_that_is_passed_on_as_it_came_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    read = handshake.read

    def trusting(head: bytes) -> Upgrade:
        return Upgrade("CP001", (), b"", head, read(head).tolerated)

    monkeypatch.setattr(handshake, "read", trusting)
    with pytest.raises(UnicodeDecodeError):
        everything("handshakes")


def test_an_internal_failure_that_is_answered_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "exception", lambda function, _code: bytes((function | 0x80, 4)))
    for name in ("modbus_tcp", "modbus_rtu"):
        with pytest.raises(AssertionError):
            everything(name)
