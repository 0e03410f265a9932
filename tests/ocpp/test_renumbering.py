"""A transaction's id replaced in a text, byte for byte the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.ocpp.renumbering import IN_PAYLOAD, NAMED_BY_CENTRAL_SYSTEM, named, renumbered

DEEP = NAMED_BY_CENTRAL_SYSTEM["SetChargingProfile"]


@pytest.mark.parametrize(
    "frame",
    [
        '[2,"1","StopTransaction",{"transactionId":@}]',
        '[2, "1" ,"X",\n{ "a":1e3,"transactionId" : @ , "b":[{}]}]',
        '[2,"1","X",{"vendor":{"transactionId":7},"transactionId":@}]',
        '[2,"1","X",{"list":[{"transactionId":7}],"transactionId":@}]',
        '[2,"1","X",{"note":"\\"transactionId\\":7","transactionId":@}]',
        '[2,"1","X",{"key":"transactionId","transaction\\u0049d":@}]',
        '[3,"1",{"idTagInfo":{"status":"Accepted"},"transactionId":@}]',
    ],
)
def test_the_number_and_nothing_else(frame: str) -> None:
    before = frame.replace("@", "7")
    assert renumbered(before, IN_PAYLOAD, lambda number: -6 * number) == frame.replace("@", "-42")
    assert renumbered(before, IN_PAYLOAD, lambda number: number) == before
    assert named(before, IN_PAYLOAD) == 7


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","X",{}]',
        '[2,"1","X",{"transactionId":"7"}]',
        '[2,"1","X",{"transactionId":7.0}]',
        pytest.param(f'[2,"1","X",{{"transactionId":{"9" * 5000}}}]', id="5,000 digits"),
        '[2,"1","X",{"transactionId":null}]',
        '[2,"transactionId","X",{"a":7}]',
        '[2,"1","X",["transactionId",7]]',
        "[]",
    ],
)
def test_where_none_is_named_nothing_changes(text: str) -> None:
    assert renumbered(text, IN_PAYLOAD, lambda _number: 1) == text
    assert named(text, IN_PAYLOAD) is None


def test_one_that_is_named_deeper() -> None:
    profile = '{"a":{"transactionId":2},"transactionId":3}'
    frame = f'[2,"1","SetChargingProfile",{{"transactionId":1,"csChargingProfiles":{profile}}}]'
    assert renumbered(frame, DEEP, lambda _number: 9) == frame.replace(":3}", ":9}")


NAMES = st.text(max_size=3) | st.just("transactionId")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=8) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.integers(-(2**53), 2**53), st.booleans())
def test_a_decoder_sees_that_one_change(payload: dict[str, Any], number: int, ascii_only: bool) -> None:
    payload["transactionId"] = number
    text = json.dumps([2, "id", "StopTransaction", payload], ensure_ascii=ascii_only)
    payload["transactionId"] = number + 1
    assert json.loads(renumbered(text, IN_PAYLOAD, lambda each: each + 1))[3] == payload
