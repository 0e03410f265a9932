"""Other transaction ids in a message, and not one other byte of it changed (ocpp.md, Bridge).

A bridged charge point may know a transaction by another id than its central system. Where a frame names one, the
number is replaced in the text itself: decoded and encoded again, vendor fields and blanks would come out otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

TRANSACTION_ID = "transactionId"
IN_PAYLOAD: tuple[str, ...] = (TRANSACTION_ID,)
NAMED_BY_CHARGE_POINT = {"MeterValues": IN_PAYLOAD, "StopTransaction": IN_PAYLOAD}
"""Action of a charge point → where its payload names a transaction."""
NAMED_BY_CENTRAL_SYSTEM = {
    "RemoteStopTransaction": IN_PAYLOAD,
    "SetChargingProfile": ("csChargingProfiles", TRANSACTION_ID),
}
"""Action of a central system → where its payload names a transaction."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s"\[\]{}:,]+', re.DOTALL)
_INTEGER = re.compile(r"-?\d{1,18}")
"""No longer: nobody gives such ids, and Python refuses to read a number of thousands of digits."""


def renumbered(text: str, path: tuple[str, ...], change: Callable[[int], int]) -> str:
    """A well-formed frame with the integer at this path of its payload changed; as it is where there is none.

    `path` begins at an object that is an element of the frame's array."""
    keys: list[str | None] = []
    """The keys that lead here, one for each open bracket; None in an array."""
    key, value = "", False
    for token in _TOKEN.finditer(text):
        spelled = token[0]
        if spelled in ("[", "{"):
            keys.append(key if value else None)
            value = False
        elif spelled in ("]", "}"):
            keys.pop()
            value = False
        elif spelled == ",":
            value = False
        elif spelled == ":":
            value = True
        elif not value and spelled.startswith('"'):
            key = json.loads(spelled)
        elif value and (*keys[2:], key) == path and _INTEGER.fullmatch(spelled):
            number = int(spelled)
            other = change(number)
            return text if other == number else f"{text[: token.start()]}{other}{text[token.end() :]}"
    return text


def named(text: str, path: tuple[str, ...]) -> int | None:
    """The integer at this path of a well-formed frame's payload; None where there is none."""
    found: list[int] = []

    def look(number: int) -> int:
        found.append(number)
        return number

    renumbered(text, path, look)
    return found[0] if found else None
