"""Payloads of all 39 operations: which class belongs to which action, decoding with exact refusals, encoding.

Serves "ocpp.md, All 39 operations", "Errors" and "Out", and "charge_point_quirks.md, 4 and 5". Taken beyond the
standard's JSON schemas, each on purpose:

- fields that nobody knows (M5);
- an optional field that is null, "" or "null", a vendorErrorCode "0x0000": absent (M6);
- any text in the enumerations of StatusNotification, MeterValues, StopTransaction.reason, of firmware, log and
  diagnostics statuses, in every status of an answer (M4), and in IdTagInfo and CertificateHashData, which requests
  share with answers;
- any text as a time: `site.timestamp` judges it; any text as a URL;
- 5.0 where an integer belongs: JSON knows no difference; limits with more than one decimal are rounded (S5);
- in answers also: texts up to 4 KiB (M3), numbers and booleans as texts (M2) and the other way round, a charge point's
  answer without a status (Accepted), null or an empty list for an empty object.

Refused beyond the schemas, as the standard's text has it: negative connector ids, connector 0 where one must be
plugged into, negative stack levels, integers beyond 2**53.

"" and "null" inside a SampledValue are forgotten here too, so that `site.meter` sees absent fields only.
"""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Raw, Struct

from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp import schema_security as security
from gatewayd.ocpp.frames import DESCRIPTION_LIMIT, ErrorCode
from gatewayd.ocpp.schema_fields import INTEGER_LIMIT, Empty, Payload, Sent


class Direction(Enum):
    """Who may ask."""

    FROM_CHARGE_POINT = "from charge point"
    TO_CHARGE_POINT = "to charge point"
    BOTH = "both"


_IN, _OUT, _BOTH = Direction.FROM_CHARGE_POINT, Direction.TO_CHARGE_POINT, Direction.BOTH

_OPERATIONS: tuple[tuple[Direction, type[Payload], type[Payload]], ...] = (
    (_IN, core.Authorize, core.AuthorizeAnswer),
    (_IN, core.BootNotification, core.BootNotificationAnswer),
    (_BOTH, core.DataTransfer, core.DataTransferAnswer),
    (_IN, core.Heartbeat, core.HeartbeatAnswer),
    (_IN, core.MeterValues, Empty),
    (_IN, core.StartTransaction, core.StartTransactionAnswer),
    (_IN, core.StatusNotification, Empty),
    (_IN, core.StopTransaction, core.StopTransactionAnswer),
    (_OUT, core.ChangeAvailability, core.ChangeAvailabilityAnswer),
    (_OUT, core.ChangeConfiguration, core.ChangeConfigurationAnswer),
    (_OUT, core.GetConfiguration, core.GetConfigurationAnswer),
    (_OUT, core.ClearCache, core.StatusAnswer),
    (_OUT, core.RemoteStartTransaction, core.StatusAnswer),
    (_OUT, core.RemoteStopTransaction, core.StatusAnswer),
    (_OUT, core.Reset, core.StatusAnswer),
    (_OUT, core.UnlockConnector, core.UnlockConnectorAnswer),
    (_OUT, core.GetDiagnostics, core.GetDiagnosticsAnswer),
    (_OUT, core.UpdateFirmware, Empty),
    (_IN, core.DiagnosticsStatusNotification, Empty),
    (_IN, core.FirmwareStatusNotification, Empty),
    (_OUT, core.GetLocalListVersion, core.GetLocalListVersionAnswer),
    (_OUT, core.SendLocalList, core.SendLocalListAnswer),
    (_OUT, core.ReserveNow, core.ReserveNowAnswer),
    (_OUT, core.CancelReservation, core.StatusAnswer),
    (_OUT, core.SetChargingProfile, core.SetChargingProfileAnswer),
    (_OUT, core.ClearChargingProfile, core.ClearChargingProfileAnswer),
    (_OUT, core.GetCompositeSchedule, core.GetCompositeScheduleAnswer),
    (_OUT, core.TriggerMessage, core.TriggerMessageAnswer),
    (_OUT, security.ExtendedTriggerMessage, security.ExtendedTriggerMessageAnswer),
    (_OUT, security.GetLog, security.GetLogAnswer),
    (_OUT, security.SignedUpdateFirmware, security.SignedUpdateFirmwareAnswer),
    (_OUT, security.InstallCertificate, security.InstallCertificateAnswer),
    (_OUT, security.DeleteCertificate, security.DeleteCertificateAnswer),
    (_OUT, security.GetInstalledCertificateIds, security.GetInstalledCertificateIdsAnswer),
    (_OUT, security.CertificateSigned, core.StatusAnswer),
    (_IN, security.SecurityEventNotification, Empty),
    (_IN, security.LogStatusNotification, Empty),
    (_IN, security.SignedFirmwareStatusNotification, Empty),
    (_IN, security.SignCertificate, security.SignCertificateAnswer),
)

DIRECTION: Mapping[str, Direction] = {request.__name__: direction for direction, request, _ in _OPERATIONS}
"""Who asks, by action."""

REQUESTS: Mapping[str, type[Payload]] = {request.__name__: request for _, request, _ in _OPERATIONS}
"""The class of a request, by action."""

ANSWERS: Mapping[str, type[Payload]] = {request.__name__: answer for _, request, answer in _OPERATIONS}
"""The class of an answer, by action."""


class PayloadError(Exception):
    """A payload that cannot be taken, or, raised by `encode`, must not be sent.

    `code` is what a CALLERROR says; `description` names the field's path, and is at most 255 characters.
    """

    def __init__(self, code: ErrorCode, description: str) -> None:
        description = description[:DESCRIPTION_LIMIT]
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


def decode_request(action: str, raw: Raw | bytes) -> Payload:
    """The request of a Call. Raises PayloadError (and nothing else) with the code to answer: NotImplemented for an
    unknown action, FormationViolation for what is no object, OccurenceConstraintViolation for a missing field or an
    empty list, TypeConstraintViolation, or PropertyConstraintViolation for length, range and listed text."""
    return _decode(_of_action(REQUESTS, action), bytes(raw), answer=False)


def decode_answer(action: str, raw: Raw | bytes) -> Payload:
    """The answer to a Call of ours, taken more tolerantly than a request. Raises PayloadError, as decode_request."""
    return _decode(_of_action(ANSWERS, action), bytes(raw), answer=True)


def encode(payload: Payload) -> Raw:
    """The payload as JSON for `frames.call` and `frames.call_result`: absent fields left out, and checked against the
    standard. Raises PayloadError for what must not be sent: whoever filled it from a register has a bad parameter."""
    raw = msgspec.json.encode(payload)
    try:
        _judge(type(payload)).decode(raw)
    except msgspec.ValidationError as error:
        raise _refusal(error) from error
    if isinstance(payload, core.RemoteStartTransaction):
        if payload.connectorId is None:  # refused by many without (quirk T11)
            raise PayloadError(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, "connectorId: missing")
        if payload.chargingProfile is not None and payload.chargingProfile.transactionId is not None:
            path = "chargingProfile.transactionId"
            raise PayloadError(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, f"{path}: no transaction runs yet")
    return Raw(raw)


def _of_action(table: Mapping[str, type[Payload]], action: str) -> type[Payload]:
    try:
        return table[action]
    except KeyError:
        raise PayloadError(ErrorCode.NOT_IMPLEMENTED, f"no such action: {action}") from None


# Decoding: the typed decoder first. What it refuses, and what holds an absent text, is mended once and converted.

_ABSENT = ("", "null", None)
_ABSENT_VENDOR_CODE = "0x0000"
_ABSENT_MARKS = (b'""', b'"null"', b'"0x0000"')

_ACCEPTED_UNSAID = frozenset(
    answer for direction, _, answer in _OPERATIONS if direction is not _IN and "status" in answer.__struct_fields__
)
"""Answers of charge points that mean Accepted when they do not say ("modbus.md, Command mailbox")."""


def _decode(kind: type[Payload], data: bytes, *, answer: bool) -> Payload:
    try:
        if not any(mark in data for mark in _ABSENT_MARKS):
            try:
                return _decoder(kind).decode(data)
            except msgspec.ValidationError:
                pass
        try:
            loose = msgspec.json.decode(data)
        except msgspec.ValidationError:  # a number beyond all bounds: only the typed decoder names its place
            return _decoder(kind).decode(data)
        if answer:
            loose = _spoken(kind, loose)
        return msgspec.convert(_mended(kind, loose, answer), kind, strict=not answer)
    except msgspec.ValidationError as error:
        raise _refusal(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(ErrorCode.FORMATION_VIOLATION, str(error)) from error


@cache
def _decoder(kind: type[Payload]) -> msgspec.json.Decoder[Payload]:
    return msgspec.json.Decoder(kind)


def _spoken(kind: type[Payload], data: Any) -> Any:
    """An answer with what its sender left unsaid."""
    if data in (None, "", []):
        data = {}
    if kind in _ACCEPTED_UNSAID and isinstance(data, dict) and data.get("status") in _ABSENT:
        data["status"] = "Accepted"
    return data


class _Field(NamedTuple):
    """What mending has to know: whether it may be absent, which record it holds (one or a list), or which scalar."""

    optional: bool
    record: type[Struct] | None
    scalar: type | None


@cache
def _fields(kind: type[Struct]) -> dict[str, _Field]:
    hints = get_type_hints(kind)
    return {
        field.name: _Field(field.default is not NODEFAULT, *_content(hints[field.name]))
        for field in msgspec.structs.fields(kind)
    }


def _content(hint: Any) -> tuple[type[Struct] | None, type | None]:
    if isinstance(hint, type):
        return (hint, None) if issubclass(hint, Struct) else (None, hint)
    # A list of something, or something that may be None: the something comes first.
    return _content(get_args(hint)[0]) if get_args(hint) else (None, None)


def _mended(kind: type[Struct], data: Any, answer: bool) -> Any:
    """The same object without what nobody knows or what means absent, its scalars as their fields have them."""
    if not isinstance(data, dict):
        return data
    fields = _fields(kind)
    mended = {}
    for name, value in data.items():
        field = fields.get(name)
        if field is None or (field.optional and _is_absent(kind, name, value)):
            continue
        if isinstance(value, list):
            mended[name] = [_mended_item(field, item, answer) for item in value]
        else:
            mended[name] = _mended_item(field, value, answer)
    return mended


def _is_absent(kind: type[Struct], name: str, value: Any) -> bool:
    if kind is core.Authorize and name == "connectorId":  # not the standard's: never a reason to refuse
        return type(value) is not int or not 0 <= value <= INTEGER_LIMIT
    return value in _ABSENT or (name == "vendorErrorCode" and value == _ABSENT_VENDOR_CODE)


def _mended_item(field: _Field, value: Any, answer: bool) -> Any:
    if field.record is not None:
        return _mended(field.record, value, answer)
    if field.scalar is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if answer and field.scalar is str and not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return value


# Refusals


def _refusal(error: msgspec.ValidationError) -> PayloadError:
    """The decoder's complaint as an error code and a text that begins with the field's path."""
    complaint, at, path = str(error).rpartition(" - at `$")
    if not at:
        complaint, path = path, ""
    path = path.strip(".`")
    if complaint.startswith(_MISSING):
        path = f"{path}.{complaint[len(_MISSING) :]}".strip(".`")
        return PayloadError(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, f"{path}: missing")
    if complaint.startswith("Expected `array` of length >="):
        code = ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
    elif complaint.startswith("Expected") and "`, got `" in complaint:
        code = ErrorCode.TYPE_CONSTRAINT_VIOLATION if path else ErrorCode.FORMATION_VIOLATION
    else:
        code = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    return PayloadError(code, f"{path}: {complaint}" if path else complaint)


_MISSING = "Object missing required field `"


# What may be sent: for every class a twin whose fields have the types that the standard gives them.


@cache
def _judge(kind: type[Payload]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_twin(kind))


@cache
def _twin(kind: type[Struct]) -> type[Struct]:
    hints = get_type_hints(kind, include_extras=True)
    fields = [(field.name, _sent(hints[field.name]), field.default) for field in msgspec.structs.fields(kind)]
    return msgspec.defstruct(kind.__name__, fields)


def _sent(hint: Any) -> Any:
    """The narrower type of a field, wherever a Sent stands in it."""
    parts = get_args(hint)
    if get_origin(hint) is Annotated:
        for mark in hint.__metadata__:
            if isinstance(mark, Sent):
                return _sent(mark.kind)
        return Annotated[(_sent(parts[0]), *hint.__metadata__)]
    if get_origin(hint) is list:
        return list[_sent(parts[0])]  # type: ignore[misc]
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(_sent(part) for part in parts)]  # noqa: UP007
    return _twin(hint) if isinstance(hint, type) and issubclass(hint, Struct) else hint
