"""Payloads beyond what the standard's schemas say: ranges, field habits of real charge points, what may go out."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.ocpp import schema
from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp.frames import ErrorCode
from gatewayd.ocpp.schema import PayloadError
from gatewayd.ocpp.schema_fields import (
    ChargingProfile,
    ChargingSchedule,
    ChargingSchedulePeriod,
    Empty,
    IdTagInfo,
    MeterValue,
    Payload,
    SampledValue,
)

FORMATION = ErrorCode.FORMATION_VIOLATION
OCCURENCE = ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
TYPE = ErrorCode.TYPE_CONSTRAINT_VIOLATION
PROPERTY = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION

START = b'{"connectorId":1,"idTag":"T","meterStart":%s,"timestamp":"2026-11-22T10:17:30Z"}'


def refused(action: str, raw: bytes) -> tuple[ErrorCode, str]:
    with pytest.raises(PayloadError) as caught:
        schema.decode_request(action, raw)
    return caught.value.code, caught.value.description


@pytest.mark.parametrize("decode", [schema.decode_request, schema.decode_answer])
def test_an_unknown_action(decode: object) -> None:
    assert callable(decode)
    with pytest.raises(PayloadError, match="NotImplemented: no such action: heartbeat") as caught:
        decode("heartbeat", b"{}")
    assert caught.value.code == ErrorCode.NOT_IMPLEMENTED


def test_a_description_is_at_most_255_characters() -> None:
    assert len(refused("x" * 1000, b"{}")[1]) == 255
    assert len(refused("Reset", b'{"type":"%s"}' % (b"x" * 1000))[1]) == 255


@pytest.mark.parametrize(
    ("action", "raw"),
    [
        ("Heartbeat", b""),
        ("Heartbeat", b"{"),
        ("Heartbeat", b"\xff"),
        ("Heartbeat", b'{"a":' + b"[" * 100_000),
        ("Heartbeat", b'{"a":"","b":' + b"[" * 100_000),
        ("Authorize", b'{"idTag":"\xff"}'),
        ("Authorize", b'{"idTag":"","other":"\xff"}'),
        ("Authorize", rb'{"idTag":"\ud800"}'),
    ],
)
def test_what_is_no_payload_at_all(action: str, raw: bytes) -> None:
    assert refused(action, raw)[0] == FORMATION


@pytest.mark.parametrize(
    ("action", "raw", "expected"),
    [
        ("Authorize", b"[]", (FORMATION, "Expected `object`, got `array`")),
        ("Authorize", b"{}", (OCCURENCE, "idTag: missing")),
        ("Authorize", b'{"idTag":5}', (TYPE, "idTag: Expected `str`, got `int`")),
        ("Authorize", b'{"idTag":null}', (TYPE, "idTag: Expected `str`, got `null`")),
        ("Authorize", b'{"idTag":"%s"}' % (b"x" * 21), (PROPERTY, "idTag: Expected `str` of length <= 20")),
        (
            "MeterValues",
            b'{"connectorId":1,"meterValue":[{"timestamp":"t","sampledValue":[{"value":"1"},{}]}]}',
            (OCCURENCE, "meterValue[0].sampledValue[1].value: missing"),
        ),
        (
            "MeterValues",
            b'{"connectorId":1,"meterValue":[]}',
            (OCCURENCE, "meterValue: Expected `array` of length >= 1"),
        ),
        ("Reset", b'{"type":"soft"}', (PROPERTY, "type: Invalid enum value 'soft'")),
        # What a peer writes must not be taken for the decoder's own words.
        ("Reset", b'{"type":"Expected `a`, got `b`"}', (PROPERTY, "type: Invalid enum value 'Expected `a`, got `b`'")),
        ("Reset", b'{"type":"x - at `$.y`"}', (PROPERTY, "type: Invalid enum value 'x - at `$.y`'")),
    ],
)
def test_the_description_names_the_place(action: str, raw: bytes, expected: tuple[ErrorCode, str]) -> None:
    assert refused(action, raw) == expected


@pytest.mark.parametrize(
    ("action", "raw", "path"),
    [
        ("StatusNotification", b'{"connectorId":-1,"errorCode":"NoError","status":"Available"}', "connectorId"),
        ("MeterValues", b'{"connectorId":-1,"meterValue":[]}', "connectorId"),
        ("StartTransaction", b'{"connectorId":0}', "connectorId"),
        ("UnlockConnector", b'{"connectorId":0}', "connectorId"),
        ("RemoteStartTransaction", b'{"idTag":"T","connectorId":0}', "connectorId"),
        ("TriggerMessage", b'{"requestedMessage":"Heartbeat","connectorId":0}', "connectorId"),
        ("ExtendedTriggerMessage", b'{"requestedMessage":"Heartbeat","connectorId":0}', "connectorId"),
        ("ReserveNow", b'{"connectorId":-1}', "connectorId"),
        ("ChangeAvailability", b'{"connectorId":-1,"type":"Operative"}', "connectorId"),
        ("SetChargingProfile", b'{"connectorId":-1}', "connectorId"),
        ("SetChargingProfile", b'{"connectorId":0,"csChargingProfiles":{"stackLevel":-1}}', "csChargingProfiles"),
        ("StartTransaction", START % b"9007199254740993", "meterStart"),
        ("StartTransaction", START % b"-9007199254740993", "meterStart"),
        ("StartTransaction", START % (b"9" * 30), "meterStart"),
        ("StartTransaction", START % (b"9" * 10_000), "meterStart"),
        ("StartTransaction", START % b"1e400", "meterStart"),
        ("StartTransaction", START % b"1e300", "meterStart"),
    ],
)
def test_out_of_range(action: str, raw: bytes, path: str) -> None:
    code, description = refused(action, raw)
    assert code == PROPERTY
    assert description.startswith(path)


@pytest.mark.parametrize("connector", [b"0", b"1", b"8", b"9007199254740992"])
def test_connectors_in_range(connector: bytes) -> None:
    raw = b'{"connectorId":%s,"errorCode":"NoError","status":"Available"}' % connector
    assert schema.decode_request("StatusNotification", raw) == core.StatusNotification(
        int(connector), "NoError", "Available"
    )


def test_a_whole_number_may_be_written_with_a_point() -> None:
    request = schema.decode_request("StartTransaction", START % b"1234.0")
    assert request == core.StartTransaction(1, "T", 1234, "2026-11-22T10:17:30Z")
    assert refused("StartTransaction", START % b"1234.5")[0] == TYPE
    assert refused("StartTransaction", START % b'"1234"')[0] == TYPE


def test_numbers_of_any_length_in_unknown_fields() -> None:
    raw = b'{"idTag":"T","x":%s,"y":"%s"}'
    assert schema.decode_request("Authorize", raw % (b"9" * 10_000, b"y")) == core.Authorize("T")
    assert schema.decode_request("Authorize", raw % (b"9" * 10_000, b"")) == core.Authorize("T")


def test_duplicate_keys_the_last_counts() -> None:
    assert schema.decode_request("Authorize", b'{"idTag":5,"idTag":"T"}') == core.Authorize("T")


def test_raw_payloads_are_taken_as_bytes_are() -> None:
    assert schema.decode_request("Authorize", msgspec.Raw(b'{"idTag":"T"}')) == core.Authorize("T")


# charge_point_quirks.md


@pytest.mark.parametrize(
    ("extra", "connector"),
    [
        (b"2", 2),
        (b"0", 0),
        (b"-1", None),
        (b'"2"', None),
        (b"true", None),
        (b"1e99", None),
        (b"9007199254740993", None),
    ],
)
def test_authorize_with_a_connector_m5(extra: bytes, connector: int | None) -> None:
    for raw in (b'{"idTag":"T","connectorId":%s}', b'{"idTag":"T","connectorId":%s,"parentIdTag":""}'):
        assert schema.decode_request("Authorize", raw % extra) == core.Authorize("T", connector)


def test_texts_that_mean_absent_m6() -> None:
    raw = (
        b'{"connectorId":1,"errorCode":"NoError","status":"Available","info":"","vendorId":"null",'
        b'"vendorErrorCode":"0x0000","timestamp":null}'
    )
    assert schema.decode_request("StatusNotification", raw) == core.StatusNotification(1, "NoError", "Available")


def test_a_vendor_code_alone_may_look_like_zero_m6() -> None:
    raw = b'{"connectorId":1,"errorCode":"NoError","status":"Available","info":"0x0000","vendorErrorCode":"0x0001"}'
    expected = core.StatusNotification(1, "NoError", "Available", info="0x0000", vendorErrorCode="0x0001")
    assert schema.decode_request("StatusNotification", raw) == expected


def test_absent_fields_of_samples_m6() -> None:
    raw = (
        b'{"connectorId":1,"transactionId":"","meterValue":[{"timestamp":"t","sampledValue":'
        b'[{"value":"","unit":"","phase":"null","location":null}]}]}'
    )
    expected = core.MeterValues(1, [MeterValue("t", [SampledValue("")])])
    assert schema.decode_request("MeterValues", raw) == expected


def test_a_required_text_may_be_empty() -> None:
    assert schema.decode_request("Authorize", b'{"idTag":""}') == core.Authorize("")


def test_a_stop_without_tag_and_reason_t3() -> None:
    raw = b'{"meterStop":5,"timestamp":"t","transactionId":-1}'
    assert schema.decode_request("StopTransaction", raw) == core.StopTransaction(5, "t", -1)


def test_configuration_values_that_are_no_text_m2_m3() -> None:
    raw = b'{"configurationKey":[{"key":"A","readonly":false,"value":%s},{"key":"B","readonly":"true"}]}'
    for sent, expected in ((b"60", "60"), (b"true", "true"), (b"1.5", "1.5"), (b'"%s"' % (b"x" * 4096), "x" * 4096)):
        answer = schema.decode_answer("GetConfiguration", raw % sent)
        assert answer == core.GetConfigurationAnswer(
            [core.ConfigurationKey("A", False, expected), core.ConfigurationKey("B", True)]
        )
    with pytest.raises(PayloadError, match=r"configurationKey\[0\].value"):
        schema.decode_answer("GetConfiguration", raw % (b'"%s"' % (b"x" * 4097)))


@pytest.mark.parametrize("raw", [b"{}", b"null", b'""', b"[]", b'{"status":""}', b'{"status":null}'])
def test_a_charge_points_answer_without_a_status(raw: bytes) -> None:
    assert schema.decode_answer("Reset", raw) == core.StatusAnswer("Accepted")
    assert schema.decode_answer("DataTransfer", raw) == core.DataTransferAnswer("Accepted")


def test_a_central_systems_answer_needs_its_status() -> None:
    with pytest.raises(PayloadError, match="status: missing"):
        schema.decode_answer("SignCertificate", b"{}")


def test_an_answer_that_makes_no_sense() -> None:
    with pytest.raises(PayloadError, match="listVersion: missing"):
        schema.decode_answer("GetLocalListVersion", b"null")
    with pytest.raises(PayloadError, match="FormationViolation"):
        schema.decode_answer("GetLocalListVersion", b"7")


SCHEDULE = (
    b'{"status":"Accepted","chargingSchedule":{"chargingRateUnit":"A","minChargingRate":%s,'
    b'"chargingSchedulePeriod":[{"startPeriod":0,"limit":%s}]}}'
)


@pytest.mark.parametrize("text", [b'"nan"', b'"inf"', b'"-inf"'])
def test_a_limit_is_a_number(text: bytes) -> None:
    for raw in (SCHEDULE % (b"6", text), SCHEDULE % (text, b"6")):
        with pytest.raises(PayloadError, match="limit is"):
            schema.decode_answer("GetCompositeSchedule", raw)


# Outwards


def test_limits_have_at_most_one_decimal_s5() -> None:
    answer = schema.decode_answer("GetCompositeSchedule", SCHEDULE % (b"6.5202898", b'"16.26"'))
    assert b'"limit":16.3}' in bytes(schema.encode(answer))
    assert b'"minChargingRate":6.5' in bytes(schema.encode(answer))


@pytest.mark.parametrize(("limit", "sent"), [(8.1, b"8.1"), (6.5202898, b"6.5"), (0.1 + 0.2, b"0.3"), (16, b"16")])
def test_a_profile_as_it_is_sent(limit: float, sent: bytes) -> None:
    schedule = ChargingSchedule("A", [ChargingSchedulePeriod(0, limit)], duration=60)
    profile = ChargingProfile(1_000_000, 1, "TxDefaultProfile", "Absolute", schedule)
    assert bytes(schema.encode(core.SetChargingProfile(2, profile))) == (
        b'{"connectorId":2,"csChargingProfiles":{"chargingProfileId":1000000,"stackLevel":1,'
        b'"chargingProfilePurpose":"TxDefaultProfile","chargingProfileKind":"Absolute","chargingSchedule":'
        b'{"chargingRateUnit":"A","chargingSchedulePeriod":[{"startPeriod":0,"limit":%s}],"duration":60}}}' % sent
    )


@pytest.mark.parametrize(
    ("payload", "raw"),
    [
        (Empty(), b"{}"),
        (core.StopTransactionAnswer(), b"{}"),
        (core.AuthorizeAnswer(IdTagInfo("Accepted")), b'{"idTagInfo":{"status":"Accepted"}}'),
        (core.HeartbeatAnswer("2026-11-22T10:17:30Z"), b'{"currentTime":"2026-11-22T10:17:30Z"}'),
        (core.HeartbeatAnswer("2026-11-22T10:17:30.000Z"), b'{"currentTime":"2026-11-22T10:17:30.000Z"}'),
        (core.RemoteStartTransaction("T", 1), b'{"idTag":"T","connectorId":1}'),
        (core.DataTransferAnswer("UnknownVendorId"), b'{"status":"UnknownVendorId"}'),
    ],
)
def test_absent_fields_are_left_out(payload: Payload, raw: bytes) -> None:
    assert bytes(schema.encode(payload)) == raw


HALF_A_PERIOD: Any = Empty()
BROKEN_SCHEDULE = ChargingSchedule("A", [HALF_A_PERIOD])
TX_PROFILE = ChargingProfile(
    1, 0, "TxProfile", "Relative", ChargingSchedule("A", [ChargingSchedulePeriod(0, 6.0)]), transactionId=7
)


@pytest.mark.parametrize(
    ("payload", "code", "path"),
    [
        (core.HeartbeatAnswer("2026-11-22T10:17:30+01:00"), PROPERTY, "currentTime"),
        (core.HeartbeatAnswer("2026-11-22T10:17:30.123Z"), PROPERTY, "currentTime"),
        (core.AuthorizeAnswer(IdTagInfo("Welcome")), PROPERTY, "idTagInfo.status"),
        (core.AuthorizeAnswer(IdTagInfo("Accepted", parentIdTag="x" * 21)), PROPERTY, "idTagInfo.parentIdTag"),
        (core.Authorize("T", 1), TYPE, "connectorId"),
        (core.ReserveNow(1, "2026-11-22T10:17:30Z", "x" * 21, 1), PROPERTY, "idTag"),
        (core.RemoteStartTransaction("T", 0), PROPERTY, "connectorId"),
        (core.RemoteStartTransaction("T"), OCCURENCE, "connectorId"),
        (core.RemoteStartTransaction("T", 1, TX_PROFILE), PROPERTY, "chargingProfile.transactionId"),
        (
            core.GetConfigurationAnswer([core.ConfigurationKey("A", False, "x" * 501)]),
            PROPERTY,
            "configurationKey[0].value",
        ),
        (
            core.SetChargingProfile(1, ChargingProfile(1, 0, "TxProfile", "Relative", BROKEN_SCHEDULE)),
            OCCURENCE,
            "csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].startPeriod",
        ),
    ],
)
def test_what_must_not_be_sent(payload: Payload, code: ErrorCode, path: str) -> None:
    with pytest.raises(PayloadError) as caught:
        schema.encode(payload)
    assert (caught.value.code, caught.value.description.partition(":")[0]) == (code, path)


def test_a_remote_start_may_carry_a_profile() -> None:
    profile = msgspec.structs.replace(TX_PROFILE, transactionId=None)
    assert b'"chargingProfile":{"chargingProfileId":1' in bytes(
        schema.encode(core.RemoteStartTransaction("T", 1, profile))
    )


@given(st.sampled_from(sorted(schema.REQUESTS)), st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_decoding_raises_payload_errors_only(action: str, raw: bytes) -> None:
    for decode in (schema.decode_request, schema.decode_answer):
        try:
            assert isinstance(decode(action, raw), Payload)
        except PayloadError as error:
            assert error.code in ErrorCode  # noqa: PT017
