"""The backup's file: what comes out is what went in, or nothing, with the cause."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd.backup import container
from gatewayd.backup.container import (
    FORMAT,
    MAGIC,
    MODEL,
    BadBackup,
    Cause,
    Header,
    passphrase_fault,
    read_header,
    seal,
    unseal,
)

PASSPHRASE = "a boiler room in May"
HEADER = Header(MODEL, "0.1.0", 1_796_000_000.0, "plant-room-1")
PAYLOAD = b"what must not be read by others " * 40
SALT, NONCE = bytes(range(16)), bytes(range(12))
FILE = seal(HEADER, PAYLOAD, PASSPHRASE, SALT, NONCE)
OF_TODAY = (
    "Z2F0ZXdheSBiYWNrdXANCgABAAAAXAAAAAAAAABDeyJtb2RlbCI6Im9jcHAtbW9kYnVzLWdhdGV3YXkiLCJmaXJtd2FyZSI6IjAu"
    "MS4wIiwibWFkZSI6MTc5NjAwMDAwMC4wLCJuYW1lIjoicGxhbnQtcm9vbS0xIn0AAQIDBAUGBwgJCgsMDQ4PYndC6FZfb28yk1Wu"
    "e8dZ5txhRaU7JPl7D2/PR1u9Ni0AAQIDBAUGBwgJCgvO21zixWlP5XGUy9DKwaLJhXfKOvzGwmLKc7gj9fXNlDDQ5W8KvXN3ty51"
    "ENSWyd0D/2npFb1xQIjPr4qw9FybHgPN6qXY66imGUCNVrc+DgMO09gd0yx9yzQlTZq4sWH0jq8="
)
"""Made when format 1 was new. It never changes."""
FRONT_BYTES, DIGEST_BYTES = 30, 32


@pytest.fixture(autouse=True, scope="module")
def once() -> Iterator[None]:
    """Slow on purpose: what one passphrase and salt give is worked out once."""
    with patch.object(container, "_keys", cache(container._keys)):
        yield


def refused(file: bytes, passphrase: str = PASSPHRASE) -> Cause:
    with pytest.raises(BadBackup) as caught:
        unseal(file, passphrase)
    return caught.value.cause


def signed(before_digest: bytes) -> bytes:
    """As somebody does it who changes the file and mends its checksum."""
    return before_digest + hashlib.sha256(before_digest).digest()


def test_round_trip() -> None:
    assert unseal(FILE, PASSPHRASE) == (HEADER, PAYLOAD)
    assert read_header(FILE) == HEADER


def test_a_backup_of_today_is_read_for_ever() -> None:
    assert unseal(base64.b64decode(OF_TODAY), PASSPHRASE) == (HEADER, PAYLOAD)


def test_nothing_of_it_can_be_read() -> None:
    assert b"must not be read" not in FILE
    assert PASSPHRASE.encode() not in FILE


def test_a_keyboard_that_composes_accents_otherwise_is_the_same() -> None:
    file = seal(HEADER, PAYLOAD, "Zähler im Käller", SALT, NONCE)
    assert unseal(file, "Za\u0308hler im Ka\u0308ller") == (HEADER, PAYLOAD)


@given(payload=st.binary(max_size=3000), passphrase=st.text(min_size=1, max_size=30), other=st.text(max_size=30))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_payload_comes_back_with_its_passphrase_alone(payload: bytes, passphrase: str, other: str) -> None:
    file = seal(HEADER, payload, passphrase, SALT, NONCE)
    assert unseal(file, passphrase) == (HEADER, payload)
    if container._keys(other, SALT) != container._keys(passphrase, SALT):
        assert refused(file, other) is Cause.wrong_passphrase


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_byte_that_changed_on_the_way_is_noticed(at: int, by: int) -> None:
    hurt = bytearray(FILE)
    hurt[at] ^= by
    assert refused(bytes(hurt)) in (Cause.damaged, Cause.truncated, Cause.not_a_backup)


@given(st.integers(FRONT_BYTES, len(FILE) - DIGEST_BYTES - 1), st.integers(1, 255))
@settings(max_examples=25, deadline=None)
def test_a_byte_that_somebody_changed_with_the_checksum_is_noticed(at: int, by: int) -> None:
    hurt = bytearray(FILE[:-DIGEST_BYTES])
    hurt[at] ^= by
    assert refused(signed(bytes(hurt))) in (Cause.altered, Cause.wrong_passphrase, Cause.other_model)


@given(st.integers(0, len(FILE) - 1))
@settings(max_examples=200, deadline=None)
def test_a_file_that_was_cut_is_called_so(length: int) -> None:
    assert refused(FILE[:length]) is (Cause.truncated if length else Cause.not_a_backup)


@given(st.binary(min_size=1, max_size=200))
def test_a_file_that_grew_is_noticed(more: bytes) -> None:
    assert refused(FILE + more) is Cause.damaged


@given(st.binary(max_size=500))
def test_any_other_file_is_refused(content: bytes) -> None:
    assert refused(content) in (Cause.not_a_backup, Cause.truncated)


def test_a_transfer_that_takes_it_for_a_text_is_named() -> None:
    assert refused(FILE.replace(b"\r\n", b"\n", 1)) is Cause.damaged


def test_a_newer_format_is_named() -> None:
    newer = FILE[: len(MAGIC)] + (FORMAT + 1).to_bytes(2, "big") + FILE[len(MAGIC) + 2 : -DIGEST_BYTES]
    assert refused(signed(newer)) is Cause.newer
    with pytest.raises(BadBackup, match=r"format 2, this one reads 1\): update this one first"):
        unseal(signed(newer), PASSPHRASE)


def test_another_model_is_named() -> None:
    file = seal(Header("toaster", "9", 0.0, "kitchen"), PAYLOAD, PASSPHRASE, SALT, NONCE)
    assert refused(file) is Cause.other_model


def test_a_wrong_passphrase_is_told_from_a_changed_file() -> None:
    assert refused(FILE, "a boiler room in June") is Cause.wrong_passphrase
    assert refused(FILE, "\ud800") is Cause.wrong_passphrase
    hurt = bytearray(FILE[:-DIGEST_BYTES])
    hurt[-1] ^= 1
    assert refused(signed(bytes(hurt))) is Cause.altered


def test_what_is_too_large_is_refused_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "PAYLOAD_MOST_BYTES", 100)
    assert refused(FILE) is Cause.too_large
    with pytest.raises(BadBackup, match="more than"):
        seal(HEADER, PAYLOAD, PASSPHRASE, SALT, NONCE)


@pytest.mark.parametrize("passphrase", ["", "short", "a" * 12, "x" * 300, "abcdefghijk\ud800"])
def test_passphrases_that_protect_nothing(passphrase: str) -> None:
    assert passphrase_fault(passphrase)
    assert not passphrase_fault(PASSPHRASE)
