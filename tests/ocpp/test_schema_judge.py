"""Our payload classes against the standard's own JSON schemas: the same verdict, but for the listed tolerances."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.ocpp import schema
from gatewayd.ocpp.frames import ErrorCode
from gatewayd.ocpp.schema import Direction, PayloadError
from gatewayd.ocpp.schema_fields import Payload
from tests.ocpp import standard
from tests.ocpp.standard import changed, full, is_valid, nodes, without

FORMATION = ErrorCode.FORMATION_VIOLATION
OCCURENCE = ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
TYPE = ErrorCode.TYPE_CONSTRAINT_VIOLATION
PROPERTY = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION

# Requests, then answers: the standard's files are named so.
REQUESTS = standard.ALL
ANSWERS = [f"{action}Response" for action in standard.ALL]
NAMES = REQUESTS + ANSWERS

# Enumerations of requests in which any text is taken ("ocpp.md, Errors"); the last two share a record with answers.
ANY_TEXT = re.compile(
    r"StatusNotification\.(status|errorCode)|StopTransaction\.reason"
    r"|(Diagnostics|Firmware|SignedFirmware|Log)StatusNotification\.status"
    r"|(MeterValues|StopTransaction)\..*\.(context|format|measurand|phase|location|unit)"
    r"|SendLocalList\..*\.idTagInfo\.status|DeleteCertificate\..*\.hashAlgorithm"
)
# Texts of requests that may be longer than the standard has it, in the same two records.
LONG_TEXT = re.compile(r"SendLocalList\..*\.parentIdTag|DeleteCertificate\..*\.(issuer\w+Hash|serialNumber)")

# Limits in a unit that nobody knows mean nothing.
STRICT_IN_ANSWERS = "chargingRateUnit"

SAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": 7,
    "number": 1.5,
    "boolean": True,
    "array": ["x"],
    "object": {"x": 1},
    "null": None,
}


def is_answer(name: str) -> bool:
    return name.endswith("Response")


def decode(name: str, payload: Any) -> Payload:
    raw = json.dumps(payload).encode()
    if is_answer(name):
        return schema.decode_answer(name.removesuffix("Response"), raw)
    return schema.decode_request(name, raw)


def taken(name: str, payload: Any) -> Any:
    """What is left of a payload that was decoded, as JSON has it."""
    return json.loads(msgspec.json.encode(decode(name, payload)))


def refused(name: str, payload: Any) -> tuple[ErrorCode, str]:
    """The code, and the path that the description names."""
    with pytest.raises(PayloadError) as caught:
        decode(name, payload)
    return caught.value.code, caught.value.description.partition(":")[0]


def test_there_are_39_operations_each_in_its_direction() -> None:
    expected = {action: Direction(direction) for direction, actions in standard.ACTIONS.items() for action in actions}
    assert expected == schema.DIRECTION
    assert len(expected) == 39
    assert set(schema.REQUESTS) == set(schema.ANSWERS) == set(expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_the_standard_is_known(name: str) -> None:
    payload = full(standard.schema(name))
    assert is_valid(name, payload)
    assert taken(name, payload) == payload


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_field(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        if not node.required or node.path[-1] == 0:
            continue
        damaged = without(payload, node.path)
        assert not is_valid(name, damaged)
        unsaid = name.removesuffix("Response") not in standard.ACTIONS["from charge point"]
        if is_answer(name) and node.name == "status" and unsaid:
            assert taken(name, damaged) == {**payload, "status": "Accepted"}
        else:
            assert refused(name, damaged) == (OCCURENCE, node.name)


@pytest.mark.parametrize("name", NAMES)
def test_an_absent_field_and_what_means_absent(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        if node.required:
            continue
        spared = without(payload, node.path)
        assert is_valid(name, spared)
        assert taken(name, spared) == spared
        for nothing in (None, "", "null"):
            assert taken(name, changed(payload, node.path, nothing)) == spared


@pytest.mark.parametrize("name", REQUESTS)
def test_a_wrong_type(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        for kind, sample in SAMPLES.items():
            fits = kind == node.rule["type"] or (kind, node.rule["type"]) == ("integer", "number")
            if fits or (kind == "null" and not node.required):
                continue
            damaged = changed(payload, node.path, sample)
            assert not is_valid(name, damaged)
            assert refused(name, damaged) == (TYPE, node.name)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_scalar_of_the_wrong_type_in_an_answer(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        damaged = {kind: changed(payload, node.path, sample) for kind, sample in SAMPLES.items()}
        if node.path[-1] == STRICT_IN_ANSWERS:
            assert refused(name, damaged["integer"]) == (TYPE, node.name)
        elif node.rule["type"] == "string":
            assert taken(name, damaged["integer"]) == changed(payload, node.path, "7")
            assert taken(name, damaged["number"]) == changed(payload, node.path, "1.5")
            assert taken(name, damaged["boolean"]) == changed(payload, node.path, "true")
            assert taken(name, damaged["object"]) == changed(payload, node.path, '{"x":1}')
        elif node.rule["type"] in ("integer", "number", "boolean"):
            one = changed(payload, node.path, True if node.rule["type"] == "boolean" else 1)
            assert taken(name, changed(payload, node.path, "1")) == one
            assert refused(name, damaged["string"]) == (TYPE, node.name)
        else:
            assert refused(name, damaged["string"]) == (TYPE, node.name)


@pytest.mark.parametrize("name", NAMES)
def test_length(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        limit = node.rule.get("maxLength")
        if limit is None:
            continue
        longest = changed(payload, node.path, "é" * limit)
        assert is_valid(name, longest)
        assert taken(name, longest) == longest
        longer = changed(payload, node.path, "é" * (limit + 1))
        assert not is_valid(name, longer)
        if is_answer(name) or LONG_TEXT.fullmatch(f"{name}.{node.name}"):
            assert taken(name, longer) == longer
            assert taken(name, changed(payload, node.path, "é" * 4096))
            longer = changed(payload, node.path, "é" * 4097)
        assert refused(name, longer) == (PROPERTY, node.name)


@pytest.mark.parametrize("name", NAMES)
def test_listed_texts(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        for text in node.rule.get("enum", ()):
            listed = changed(payload, node.path, text)
            assert taken(name, listed) == listed


@pytest.mark.parametrize("name", NAMES)
def test_unlisted_texts(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        if "enum" not in node.rule:
            continue
        unlisted = changed(payload, node.path, "Nonsense")
        assert not is_valid(name, unlisted)
        if (is_answer(name) and node.path[-1] != STRICT_IN_ANSWERS) or ANY_TEXT.fullmatch(f"{name}.{node.name}"):
            assert taken(name, unlisted) == unlisted
        else:
            assert refused(name, unlisted) == (PROPERTY, node.name)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_list(name: str) -> None:
    payload = full(standard.schema(name))
    for node in nodes(name):
        if node.rule["type"] != "array":
            continue
        empty = changed(payload, node.path, [])
        if is_valid(name, empty) or is_answer(name):
            assert taken(name, empty) == empty
        else:
            assert refused(name, empty) == (OCCURENCE, node.name)


@pytest.mark.parametrize("name", NAMES)
def test_fields_that_nobody_knows_are_ignored(name: str) -> None:
    payload = full(standard.schema(name))
    extended = {**payload, "vendorField": {"deep": [1]}}
    assert not is_valid(name, extended)
    assert taken(name, extended) == payload
    for node in nodes(name):
        if node.rule["type"] == "object":
            extended = changed(payload, (*node.path, "vendorField"), 1)
            assert not is_valid(name, extended)
            assert taken(name, extended) == payload


@pytest.mark.parametrize("payload", [None, True, 7, 1.5, "", "text", [], [{}]])
@pytest.mark.parametrize("name", NAMES)
def test_no_object(name: str, payload: Any) -> None:
    assert not is_valid(name, payload)
    if is_answer(name) and payload in (None, "", []):
        assert outcome(name, payload) == outcome(name, {})
    else:
        assert refused(name, payload)[0] == FORMATION


def outcome(name: str, payload: Any) -> object:
    try:
        return taken(name, payload)
    except PayloadError as error:
        return error.code, error.description


@pytest.mark.parametrize("name", NAMES)
def test_all_that_the_standard_allows_is_taken_and_may_be_sent(name: str) -> None:
    @settings(max_examples=20)
    @given(standard.payloads(standard.schema(name)))
    def judged(payload: Any) -> None:
        if name == "RemoteStartTransaction":  # "ocpp.md, Out"
            payload.setdefault("connectorId", 1)
            payload.get("chargingProfile", {}).pop("transactionId", None)
        assert is_valid(name, payload)
        assert json.loads(bytes(schema.encode(decode(name, payload)))) == payload

    judged()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from(["Accepted", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_came_in_nothing_invalid_goes_out(name: str) -> None:
    """Damaged payloads: decode and encode raise PayloadError and nothing else, and what encode lets pass is valid."""
    places = [node.path for node in nodes(name)]

    @settings(max_examples=40)
    @given(st.lists(st.tuples(st.sampled_from(places), ANYTHING), min_size=1, max_size=2) if places else st.just([]))
    def judged(damages: list[tuple[tuple[str | int, ...], Any]]) -> None:
        payload = full(standard.schema(name))
        for path, value in damages:
            try:
                payload = changed(payload, path, value)
            except (TypeError, IndexError, KeyError):  # the first damage took the second one's place away
                continue
        try:
            raw = schema.encode(decode(name, payload))
        except PayloadError:
            return
        assert is_valid(name, json.loads(bytes(raw)))

    judged()
