"""The envelope of OCPP-J 1.6: text in, Call, CallResult, CallError or BadFrame out; and back.

Serves "ocpp.md, Calls" and "ocpp.md, Errors". Nothing that a peer sends raises out of `parse`. The payload stays raw:
`schema` judges it, and a bridge passes the text on untouched.

What is decided here where the standard leaves room:

- A unique id is a JSON text of 1 to 36 characters. A number is no id: answered with a text, the peer would not match
  it; so such a frame is counted, not answered.
- A Call that is JSON and has a usable id gets an answer whatever else is wrong with it: lone surrogates and payloads
  nested too deep for the decoder included. Text that is no JSON (NaN and Infinity are none) is never answered.
- An answer to one of our Calls that came broken still names its id if that can be read, so that the Call fails at once
  instead of after its timeout.
- A byte order mark is skipped. A frame with a message type that we do not know is ignored, as OCPP-J 4.1.3 wants.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn

import msgspec

ID_LIMIT = 36
"""Characters of a unique id: OCPP-J 4.1.4, sized for a GUID."""

DESCRIPTION_LIMIT = 255
"""Characters of an errorDescription: OCPP-J 4.2.3."""

_ID_SPELLED_LIMIT = ID_LIMIT * 12
r"""The same id at its longest on the wire: every character spelled as two \uXXXX escapes."""

CALL = 2
CALL_RESULT = 3
CALL_ERROR = 4


class ErrorCode(StrEnum):
    """Error codes of a CALLERROR, spelled as OCPP 1.6 spells them (OCPP-J 4.2.3)."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL_ERROR = "InternalError"
    PROTOCOL_ERROR = "ProtocolError"
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURENCE_CONSTRAINT_VIOLATION = "OccurenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    GENERIC_ERROR = "GenericError"


OTHER_SPELLINGS: Mapping[str, ErrorCode] = {
    "FormatViolation": ErrorCode.FORMATION_VIOLATION,  # OCPP 2.0.1, and some 1.6 stacks
    "OccurrenceConstraintViolation": ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION,
}


class Call(NamedTuple):
    """A request. `payload` is the undecoded JSON text of it, for `schema.decode_request`."""

    id: str
    action: str
    payload: msgspec.Raw


class CallResult(NamedTuple):
    """The answer to a Call. `payload` is for `schema.decode_answer`."""

    id: str
    payload: msgspec.Raw


class CallError(NamedTuple):
    """A refusal of a Call. `code` is an ErrorCode, or the peer's own text where it is unlisted."""

    id: str
    code: str
    description: str
    details: msgspec.Raw


class BadFrame(NamedTuple):
    """What could not be read.

    With `code`: a Call with a usable `id`, to be answered with that CALLERROR. With an `id` alone: an answer to our
    Call of that id came broken; that Call fails. With neither: count it, log `reason`, keep the link.
    """

    id: str | None
    code: ErrorCode | None
    reason: str


Frame = Call | CallResult | CallError | BadFrame


def answered_by(frame: Frame) -> str | None:
    """The id of the Call that this answers, broken or not; None for a Call, and for what names none."""
    if isinstance(frame, Call) or (isinstance(frame, BadFrame) and frame.code is not None):
        return None
    return frame.id


_elements = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_EMPTY = msgspec.Raw(b"{}")
_HEAD = re.compile(rf'\s*\[\s*([234])\s*,\s*("(?:[^"\\]|\\.){{1,{_ID_SPELLED_LIMIT}}}")\s*[,\]]', re.ASCII)


def parse(text: str | bytes) -> Frame:
    """One frame of the wire as an event; never raises (see BadFrame for what cannot be read)."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            return BadFrame(None, None, f"no UTF-8: {error.reason}")
    text = text.removeprefix("\ufeff")
    try:
        elements = _elements.decode(text)
    except RecursionError:
        return _unread(text, "nested too deep", answerable=True)
    except msgspec.ValidationError:
        return BadFrame(None, None, "no JSON array")
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        if _is_json(text):
            return _unread(text, "half a surrogate pair", answerable=True)
        return _unread(text, f"no JSON: {error}", answerable=False)
    if len(elements) < 2:
        return BadFrame(None, None, f"array of {len(elements)}")
    kind = bytes(elements[0])
    unique_id = _read_id(elements[1])
    if unique_id is None:
        return BadFrame(None, None, "no usable unique id")
    if kind == b"2":
        return _read_call(unique_id, elements)
    if kind == b"3":
        if len(elements) != 3:
            return BadFrame(unique_id, None, f"CALLRESULT of {len(elements)} elements")
        return CallResult(unique_id, elements[2])
    if kind == b"4":
        return _read_call_error(unique_id, elements)
    return BadFrame(None, None, "unknown message type")


def _read_call(unique_id: str, elements: list[msgspec.Raw]) -> Call | BadFrame:
    if len(elements) != 4:
        return BadFrame(unique_id, ErrorCode.FORMATION_VIOLATION, f"CALL of {len(elements)} elements")
    action = _read_text(elements[2])
    if action is None:
        return BadFrame(unique_id, ErrorCode.FORMATION_VIOLATION, "action is no text")
    return Call(unique_id, action, elements[3])


def _read_call_error(unique_id: str, elements: list[msgspec.Raw]) -> CallError:
    """Whatever follows the id, it says no: what is missing or of the wrong type is filled in."""
    code = _read_text(elements[2]) if len(elements) > 2 else None
    description = _read_text(elements[3]) if len(elements) > 3 else None
    details = elements[4] if len(elements) > 4 else _EMPTY
    code = code or ErrorCode.GENERIC_ERROR
    return CallError(unique_id, OTHER_SPELLINGS.get(code, code), description or "", details)


def _read_text(raw: msgspec.Raw | str) -> str | None:
    try:
        return _text.decode(raw)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def _read_id(raw: msgspec.Raw | str) -> str | None:
    text = _read_text(raw)
    return text if text is not None and 1 <= len(text) <= ID_LIMIT else None


def _unread(text: str, reason: str, *, answerable: bool) -> BadFrame:
    """A text that the decoder refused, with its id if that can be read and somebody waits for it."""
    head = _HEAD.match(text)
    unique_id = _read_id(head[2]) if head else None
    if head is None or unique_id is None:
        return BadFrame(None, None, reason)
    if head[1] != "2":
        return BadFrame(unique_id, None, reason)
    if answerable:
        return BadFrame(unique_id, ErrorCode.FORMATION_VIOLATION, reason)
    return BadFrame(None, None, reason)


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _is_json(text: str) -> bool:
    """Whether the text follows JSON's grammar, half surrogate pairs allowed: the decoder refuses those, the grammar
    does not. Numbers are not converted, so that long ones cost nothing."""
    try:
        json.loads(text, parse_int=len, parse_float=len, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return False
    return True


# A text of the frame, to its end if it is never closed; or one of the two faults, outside of texts.
_FAULTS = re.compile(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))|(:)(?=\s*[,}\]])|([\[{]\s*),', re.DOTALL)


def repair(text: str) -> str:
    """The text with the faults mended that charge points are known for ("charge_point_quirks.md, 4", M1): a field
    without its value (`"transactionId":,`) becomes null, a comma before the first element (`[,{`) goes. Only for
    models whose quirk profile asks for it, and only for a text that `parse` found to be no JSON."""
    return _FAULTS.sub(_mended, text)


def _mended(fault: re.Match[str]) -> str:
    return fault[1] or (":null" if fault[2] else fault[3])


def call(unique_id: str, action: str, payload: Any) -> str:
    """A CALL; `payload` is what `schema.encode` made. Raises ValueError for an id that is not 1..36 characters."""
    if not 1 <= len(unique_id) <= ID_LIMIT:
        raise ValueError(f"unique id of {len(unique_id)} characters")
    return _encode((CALL, unique_id, action, payload)).decode()


def call_result(unique_id: str, payload: Any) -> str:
    """A CALLRESULT for the Call of that id; `payload` is what `schema.encode` made."""
    return _encode((CALL_RESULT, unique_id, payload)).decode()


def call_error(unique_id: str, code: ErrorCode, description: str = "", details: Mapping[str, Any] | None = None) -> str:
    """A CALLERROR for the Call of that id; the description is cut at 255 characters."""
    return _encode((CALL_ERROR, unique_id, code, description[:DESCRIPTION_LIMIT], details or {})).decode()
