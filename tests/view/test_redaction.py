"""No secret is shown, and what holds none is shown as it came."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.view import redaction
from gatewayd.view.redaction import TAKEN_OUT, redacted

SECRET = "hunter2-0123456789ABCDEF"

HOLDING_ONE = {
    "an AuthorizationKey": json.dumps([2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}]),
    "its value first": json.dumps([2, "1", "ChangeConfiguration", {"value": SECRET, "key": "authorizationKEY"}]),
    "with blanks": '[ 2 , "1" , "ChangeConfiguration" , { "key" : "AuthorizationKey" , "value" : "' + SECRET + '" } ]',
    "spelled with escapes": r'[2,"1","ChangeConfiguration",{"key":"Authoriz\u0061tionKey","value":"' + SECRET + r'"}]',
    "a member spelled with escapes": r'[2,"1","X",{"\u0070assword":"' + SECRET + r'"}]',
    "in an answer": json.dumps(
        [3, "1", {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "60"},
                                       {"key": "AuthorizationKey", "readonly": False, "value": SECRET}]}]
    ),
    "a vendor's key": json.dumps([2, "1", "ChangeConfiguration", {"key": "WifiPassword", "value": SECRET}]),
    "a URL": json.dumps([2, "1", "UpdateFirmware", {"location": f"ftp://user:{SECRET}@server/f.bin"}]),
    "a URL with escapes": r'[2,"1","GetDiagnostics",{"location":"ftp:\/\/user:' + SECRET + r'@server\/"}]',
    "vendor data": json.dumps([2, "1", "DataTransfer", {"vendorId": "x", "data": f"password={SECRET};x=1"}]),
    "JSON in vendor data": json.dumps(
        [2, "1", "DataTransfer", {"vendorId": "x", "data": json.dumps({"wifi": {"apiKey": SECRET}})}]
    ),
    "a member": json.dumps([2, "1", "Odd", {"user": "x", "Password": SECRET}]),
    "deep": "[" * 70 + json.dumps({"password": SECRET}) + "]" * 70,
    "a cut frame": '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"' + SECRET,
    "a cut frame with escapes": r'[2,"1","ChangeConfiguration",{"key":"Authoriz\u0061tionKey","value":"' + SECRET,
    "no JSON": f"AuthorizationKey {SECRET}",
    "no JSON, a URL": f'{{"location":"ftp://user:{SECRET}@server/f.bin"',
}  # fmt: skip

HOLDING_NONE = (
    '[2,"4","Heartbeat",{}]',
    '[2, "a", "StartTransaction", {"idTag": "CARD1", "connectorId": 1, "meterStart": 0, "timestamp": "2026"}]',
    '[2,"1","ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}]',
    '[3,"1",{"configurationKey":[{"key":"AuthorizeRemoteTxRequests","readonly":true,"value":"true"}]}]',
    '[2,"1","UpdateFirmware",{"location":"https://server/path/f@2.bin"}]',
    '[2,"1","X",{"name":"\\u00e9"}]',
    '[2,"1","DataTransfer",{"vendorId":"x","data":"keyboard=de"}]',
    '[2,"1","MeterValues",{"connectorId":1,',
    "",
    "not JSON at all",
    '{"password": ""}',
    '{"password": null}',
)


@pytest.mark.parametrize("text", HOLDING_ONE.values(), ids=HOLDING_ONE)
def test_a_secret_is_taken_out(text: str) -> None:
    shown, taken = redacted(text)
    assert taken
    assert SECRET not in shown
    assert TAKEN_OUT in shown or "\\u2022" in shown


@pytest.mark.parametrize("text", HOLDING_NONE)
def test_what_holds_none_stays_to_the_byte(text: str) -> None:
    assert redacted(text) == (text, False)


def test_the_rest_of_the_frame_stays() -> None:
    shown, _ = redacted(HOLDING_ONE["in an answer"])
    kept = json.loads(shown)[2]["configurationKey"]
    assert kept[0] == {"key": "HeartbeatInterval", "readonly": False, "value": "60"}
    assert kept[1] == {"key": "AuthorizationKey", "readonly": False, "value": TAKEN_OUT}


@given(st.text())
def test_whatever_comes_it_returns(text: str) -> None:
    redacted(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.sampled_from(["password", "AuthorizationKey", "api_key", "wifiPSK", "Secret"]),
)
def test_a_secret_anywhere_is_taken_out(around: object, name: str) -> None:
    for text in _nested(around, name):
        assert SECRET not in redacted(text)[0]


def _nested(around: object, name: str) -> Iterator[str]:
    yield json.dumps([2, "1", "X", {"a": around, name: SECRET}])
    yield json.dumps({"a": [around, {"key": name, "value": SECRET}]})
    yield json.dumps({"a": [around, {"key": name, "value": SECRET}]}, ensure_ascii=False)


def test_the_twin_that_looks_at_the_text_only_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_searched", lambda frame, took, deepest: frame)
    leaks = [name for name, text in HOLDING_ONE.items() if SECRET in redacted(text)[0]]
    assert "spelled with escapes" in leaks
