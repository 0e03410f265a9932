"""What a charge point says it can do: the configuration keys that the gateway reads, and what they mean.

Nothing here forbids anything (modbus.md, Command mailbox): it is shown, and sizes what is sent. A value that makes no
sense means unknown (ocpp.md, Calls).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import FeatureBits

UNSUPPORTED_LIST = -1
"""`list_version` of a charge point without a local list."""
U16_LAST = 65534
"""The highest number that `max_stack_level` can show."""
RATE_UNIT_BITS = {"current": 1, "a": 1, "power": 2, "w": 2}
"""Words of ChargingScheduleAllowedChargingRateUnit; some say the unit itself (quirk S4)."""
_FEATURES = {feature.name.casefold(): int(feature) for feature in FeatureBits if feature.name}


@dataclass(frozen=True, slots=True)
class Key:
    """One configuration key: the attribute of the charge point that it tells, and how."""

    name: str
    attribute: str
    read: Callable[[str], int | None]


def _words(text: str) -> list[str]:
    """The items of a comma list, without case; quotes around them or all of it fall away (quirk S8)."""
    return [word.strip(" \t\"'").casefold() for word in text.split(",")]


def _bits(meanings: dict[str, int]) -> Callable[[str], int]:
    """The sum of the words that are known; 0 = unknown."""

    def read(text: str) -> int:
        found = 0
        for word in _words(text):
            found |= meanings.get(word, 0)
        return found

    return read


def _number(lowest: int, highest: int) -> Callable[[str], int | None]:
    """A decimal number in this range; None = unknown."""

    def read(text: str) -> int | None:
        digits = text.strip(" \t\"'")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
            return None
        return int(digits) if lowest <= int(digits) <= highest else None

    return read


FEATURE_PROFILES = Key("SupportedFeatureProfiles", "features", _bits(_FEATURES))
RATE_UNITS = Key("ChargingScheduleAllowedChargingRateUnit", "rate_units", _bits(RATE_UNIT_BITS))
MAX_STACK_LEVEL = Key("ChargeProfileMaxStackLevel", "max_stack_level", _number(0, U16_LAST))
SEND_LIST_MAX_LENGTH = Key("SendLocalListMaxLength", "send_list_max_length", _number(1, 999_999_999))
KEYS = (FEATURE_PROFILES, RATE_UNITS, MAX_STACK_LEVEL, SEND_LIST_MAX_LENGTH)
"""In the order in which they are asked for."""


def learn(charge_point: ChargePoint, key: Key, text: str) -> None:
    """The charge point gave this value, "" where it does not know the key."""
    setattr(charge_point, key.attribute, key.read(text))
    charge_point.touch()
