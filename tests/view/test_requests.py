"""What may be said on events.sock."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.view.requests import Do, NoRequest, Subscribe, read


def test_streams_are_chosen() -> None:
    assert read(b'{"streams": ["frames", "events"], "charge_point": 3}') == Subscribe(
        frozenset({"events", "frames"}), 3
    )
    assert read(b'{"streams": []}') == Subscribe(frozenset(), None)


def test_something_is_asked() -> None:
    assert read(b'{"do": "disconnect", "charge_point": 3, "id": "x"}') == Do("disconnect", 3, "x")
    assert Do("x", id=7).answer(ok=True) == {"type": "answer", "do": "x", "id": 7, "ok": True}
    assert "id" not in Do("x").fault("no")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\xff", b"{", b"[]", b"1", b"null", b"{}", b'{"do": 1}', b'{"streams": "frames"}',
        b'{"streams": ["frames", 1]}', b'{"streams": ["registers"]}', b'{"streams": [], "charge_point": 0}',
        b'{"do": "x", "charge_point": true}', b'{"do": "x", "charge_point": "1"}', b'{"do": "x", "id": []}',
        b'{"do": "x", "id": "' + b"9" * 300 + b'"}', b"[" * 5000, b'{"do": "x", "charge_point": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_with_a_reason(text: bytes) -> None:
    with pytest.raises(NoRequest, match=r"."):
        read(text)


@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists).map(
        lambda value: json.dumps({"do": value, "streams": value, "id": value}).encode()
    )
)
def test_nothing_else_is_raised(text: bytes) -> None:
    with suppress(NoRequest):
        read(text)
