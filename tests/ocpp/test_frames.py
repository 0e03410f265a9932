"""The envelope: what is read, what is answered, what is only counted; and that nothing a peer sends raises."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewayd.ocpp import frames
from gatewayd.ocpp.frames import BadFrame, Call, CallError, CallResult, ErrorCode

FORMATION = ErrorCode.FORMATION_VIOLATION


def plain(frame: frames.Frame) -> tuple[object, ...]:
    """A frame with its raw parts as bytes, so that two can be compared."""
    return tuple(bytes(part) if isinstance(part, msgspec.Raw) else part for part in frame)


def test_a_call() -> None:
    frame = frames.parse('[2,"19223201","BootNotification",{"chargePointVendor":"V"}]')
    assert isinstance(frame, Call)
    assert plain(frame) == ("19223201", "BootNotification", b'{"chargePointVendor":"V"}')


def test_a_call_result() -> None:
    frame = frames.parse(' [ 3 , "19223201" , {"status" : "Accepted"} ] ')
    assert isinstance(frame, CallResult)
    assert plain(frame) == ("19223201", b'{"status" : "Accepted"}')


def test_bytes_are_read_as_text() -> None:
    assert plain(frames.parse('[2,"é","Heartbeat",{}]'.encode())) == ("é", "Heartbeat", b"{}")


def test_a_byte_order_mark_is_skipped() -> None:
    assert plain(frames.parse('\ufeff[2,"1","Heartbeat",{}]'.encode())) == ("1", "Heartbeat", b"{}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[4,"1","NotSupported","no","x"]', ("1", "NotSupported", "no", b'"x"')),
        ('[4,"1","NotSupported","no",{"a":1}]', ("1", "NotSupported", "no", b'{"a":1}')),
        ('[4,"1","OccurenceConstraintViolation","",{}]', ("1", "OccurenceConstraintViolation", "", b"{}")),
        ('[4,"1","OccurrenceConstraintViolation","",{}]', ("1", "OccurenceConstraintViolation", "", b"{}")),
        ('[4,"1","FormatViolation","",{}]', ("1", "FormationViolation", "", b"{}")),
        ('[4,"1","Vendor.Trouble","",{}]', ("1", "Vendor.Trouble", "", b"{}")),
        ('[4,"1",null,7]', ("1", "GenericError", "", b"{}")),
        ('[4,"1","NotSupported","no"]', ("1", "NotSupported", "no", b"{}")),
        ('[4,"1","NotSupported"]', ("1", "NotSupported", "", b"{}")),
        ('[4,"1"]', ("1", "GenericError", "", b"{}")),
        ('[4,"1","NotSupported","",{},1,2]', ("1", "NotSupported", "", b"{}")),
    ],
)
def test_a_call_error_says_no_whatever_it_lacks(text: str, expected: tuple[object, ...]) -> None:
    frame = frames.parse(text)
    assert isinstance(frame, CallError)
    assert plain(frame) == expected


DEEP = 100_000


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('[2,"1"]', "CALL of 2 elements"),
        ('[2,"1","Heartbeat"]', "CALL of 3 elements"),
        ('[2,"1","Heartbeat",{},{}]', "CALL of 5 elements"),
        ('[2,"1",5,{}]', "action is no text"),
        ('[2,"1",null,{}]', "action is no text"),
        ('[2,"1","A",' + "[" * DEEP + "]" * DEEP + "]", "nested too deep"),
        ('[2,"1","A",' + '{"a":' * DEEP + "1" + "}" * DEEP + "]", "nested too deep"),
        (r'[2,"1","A",{"a":"\ud800"}]', "half a surrogate pair"),
        (r'[2,"1","A",{"a":"\udc00\ud800","b":1.5,"c":' + "9" * 10_000 + "}]", "half a surrogate pair"),
        ('[2,"1","A",{"a":"\ud800"}]', "half a surrogate pair"),
    ],
)
def test_a_call_with_a_usable_id_is_answered(payload: str, reason: str) -> None:
    assert frames.parse(payload) == BadFrame("1", FORMATION, reason)


@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize(
    "rest", [',{"configurationKey":[]', ",{]", r',{"a":"\ud800"}]', ',{"a":NaN}]', "," + "[" * DEEP]
)
def test_a_broken_answer_still_names_its_call(kind: int, rest: str) -> None:
    frame = frames.parse(f'[{kind},"1"{rest}')
    assert isinstance(frame, BadFrame)
    assert (frame.id, frame.code) == ("1", None)


@pytest.mark.parametrize("text", ['[3,"1"]', '[3,"1",{},{}]'])
def test_an_answer_of_the_wrong_length_fails_its_call(text: str) -> None:
    frame = frames.parse(text)
    assert isinstance(frame, BadFrame)
    assert (frame.id, frame.code) == ("1", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00",
        "hello",
        "null",
        "{}",
        '"text"',
        "[]",
        "[2]",
        "[" * DEEP,
        '[2,"1","Heartbeat",{}',
        '[2,"1","Heartbeat",{}]x',
        '[2,"1","Heartbeat",{}]\x00',
        '[2,"1","Heartbeat",{"a":NaN}]',
        '[2,"1","Heartbeat",{"a":Infinity}]',
        '[2,"1","Heartbeat",{"a":-Infinity}]',
        '[2,"1","Heartbeat",{"a":01}]',
        '[2,"1","MeterValues",{"transactionId":,"connectorId":1}]',
        '[2,1,"Heartbeat",{}]',
        '[2,1.5,"Heartbeat",{}]',
        '[2,null,"Heartbeat",{}]',
        '[2,["1"],"Heartbeat",{}]',
        '[2,"","Heartbeat",{}]',
        f'[2,"{"x" * 37}","Heartbeat",{{}}]',
        r'[2,"\ud800","Heartbeat",{}]',
        '[2,"\ud800","Heartbeat",{}]',
        f'[2,"{"x" * 37}",' + "[" * DEEP,
        f'[2,"{"x" * 10_000}",' + "[" * DEEP,
        '["2","1","Heartbeat",{}]',
        '[2.0,"1","Heartbeat",{}]',
        '[5,"1","Heartbeat",{}]',
        '[null,"1","Heartbeat",{}]',
        '[-2,"1","Heartbeat",{}]',
        '[22222222222222222222222222,"1","Heartbeat",{}]',
        b"\xff\xfe[",
        b'[2,"1","A",{"a":"\xff"}]',
    ],
)
def test_what_is_only_counted(text: str | bytes) -> None:
    frame = frames.parse(text)
    assert isinstance(frame, BadFrame)
    assert (frame.id, frame.code) == (None, None)
    assert frame.reason


def test_text_that_is_no_json_after_half_a_pair_is_only_counted() -> None:
    deep = r'[2,"1","A",{"a":"\ud800","b":' + "[" * DEEP
    frame = frames.parse(deep)
    assert isinstance(frame, BadFrame)
    assert (frame.id, frame.code) == (None, None)


@pytest.mark.parametrize("length", [1, 36])
def test_ids_at_their_limits(length: int) -> None:
    unique_id = "\U0001f50c" * length
    spelled = "".join(r"\ud83d\udd0c" for _ in range(length))
    assert plain(frames.parse(f'[2,"{unique_id}","A",{{}}]')) == (unique_id, "A", b"{}")
    assert frames.parse(f'[2,"{spelled}","A",{{"a":"\\ud800"}}]') == BadFrame(
        unique_id, FORMATION, "half a surrogate pair"
    )


def test_duplicate_keys_are_left_to_the_payload() -> None:
    assert plain(frames.parse('[2,"1","A",{"a":1,"a":2}]')) == ("1", "A", b'{"a":1,"a":2}')


def test_a_number_of_10000_digits_is_left_to_the_payload() -> None:
    payload = b'{"a":' + b"9" * 10_000 + b"}"
    assert plain(frames.parse(b'[2,"1","A",' + payload + b"]")) == ("1", "A", payload)


JSONISH = st.text(alphabet='[]{}:,"\\ 234u-.eE0dNaI\ufeff\x00\ud800é', max_size=60)


@given(st.one_of(st.text(), st.binary(), JSONISH))
@example("[2,\ud800")
def test_parse_never_raises(text: str | bytes) -> None:
    assert isinstance(frames.parse(text), Call | CallResult | CallError | BadFrame)


@given(st.text(max_size=40), st.data())
def test_parse_never_raises_near_a_real_frame(extra: str, data: st.DataObject) -> None:
    text = '[2,"19223201","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"t","sampledValue":[]}]}]'
    at = data.draw(st.integers(0, len(text)))
    drop = data.draw(st.integers(0, 5))
    frames.parse(text[:at] + extra + text[at + drop :])


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(JSON_VALUES, max_size=6))
def test_a_json_call_with_a_usable_id_never_goes_unanswered(rest: list[object]) -> None:
    frame = frames.parse(json.dumps([2, "1", *rest]))
    answer = (frame.id, frame.code) if isinstance(frame, BadFrame) else ("1", FORMATION)
    assert answer == ("1", FORMATION)


# Outwards


def test_a_call_is_built() -> None:
    assert frames.call("7", "Reset", msgspec.Raw(b'{"type":"Soft"}')) == '[2,"7","Reset",{"type":"Soft"}]'


def test_a_call_result_is_built() -> None:
    assert frames.call_result("7", {}) == '[3,"7",{}]'


def test_a_call_error_is_built() -> None:
    expected = '[4,"7","OccurenceConstraintViolation","status: missing",{}]'
    assert frames.call_error("7", ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, "status: missing") == expected
    assert frames.call_error("7", ErrorCode.GENERIC_ERROR, "", {"a": 1}) == '[4,"7","GenericError","",{"a":1}]'


def test_a_long_description_is_cut() -> None:
    frame = frames.parse(frames.call_error("7", ErrorCode.GENERIC_ERROR, "x" * 300))
    assert isinstance(frame, CallError)
    assert frame.description == "x" * 255


@pytest.mark.parametrize("unique_id", ["", "x" * 37])
def test_an_id_that_no_peer_may_take_is_not_sent(unique_id: str) -> None:
    with pytest.raises(ValueError, match="unique id"):
        frames.call(unique_id, "Reset", {})


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=36), JSON_VALUES)
def test_what_is_built_can_be_read(unique_id: str, payload: object) -> None:
    raw = msgspec.json.encode(payload)
    assert plain(frames.parse(frames.call(unique_id, "Reset", payload))) == (unique_id, "Reset", raw)
    assert plain(frames.parse(frames.call_result(unique_id, payload))) == (unique_id, raw)


def test_codes_are_spelled_as_in_1_6() -> None:
    assert {str(code) for code in ErrorCode} == {
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
        "GenericError",
    }


# Repair (quirk M1)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ('[2,"1","A",{"transactionId":,"b":1}]', '[2,"1","A",{"transactionId":null,"b":1}]'),
        ('[2,"1","A",{"b":1,"transactionId": }]', '[2,"1","A",{"b":1,"transactionId":null }]'),
        ('[2,"1","A",{"s":[,{"v":"1"}]}]', '[2,"1","A",{"s":[{"v":"1"}]}]'),
        ('[2,"1","A",{ ,"v":"1"}]', '[2,"1","A",{ "v":"1"}]'),
    ],
)
def test_known_faults_are_mended(broken: str, mended: str) -> None:
    assert isinstance(frames.parse(broken), BadFrame)
    assert frames.repair(broken) == mended
    assert isinstance(frames.parse(mended), Call)


@pytest.mark.parametrize(
    "text", [r'[2,"1","A",{"a":"x\":,[,","b":"{,"}]', '[2,"1","A",{"a":"never closed :, [,', '"a\\', "", "[2,"]
)
def test_texts_inside_quotes_are_left_alone(text: str) -> None:
    assert frames.repair(text) == text


@given(JSON_VALUES)
def test_good_json_is_left_alone(value: object) -> None:
    assert frames.repair(json.dumps(value)) == json.dumps(value)
