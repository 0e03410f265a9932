"""Times as charge points write them, and as they are written to charge points; seconds since 1970, UTC.

Serves "ocpp.md, Out", "ocpp.md, Values" and "charge_point_quirks.md, 3", B6 and B7. Pure: what time it is now comes
as an argument.
"""

import math
import re
from datetime import UTC, datetime, timedelta

FUTURE_TOLERANCE_S = 60.0
"""How far a stamp may be ahead of the gateway's clock ("ocpp.md, Values")."""

EARLIEST_EPOCH = 1577836800.0
"""2020-01-01T00:00:00Z: a stamp before it comes from a clock that was never set ("ocpp.md, Values")."""

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)

_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\dZ", re.ASCII)
_LENIENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::([0-5]\d|60)(?:[.,](\d+))?)?"
    r"\s*(?:[Zz]|([+-])([01]\d|2[0-3])(?::?([0-5]\d))?)?",
    re.ASCII,
)


def parse(text: str | None) -> float | None:
    """The time that a text names, or None if it cannot be read. Never raises.

    Taken are `YYYY-MM-DDThh:mm:ssZ` and around it: blanks outside, `t` or a blank for `T`, no seconds, fractions of
    any length (a comma too), a leap second, `z`, offsets `+02`, `+0200`, `+02:00`, and no zone at all, which is UTC.
    """
    if text is None:
        return None
    try:
        if _CANONICAL.fullmatch(text):
            return (datetime.fromisoformat(text) - _EPOCH_UTC).total_seconds()
        found = _LENIENT.fullmatch(text.strip())
        if found is None:
            return None
        day, minute, second, fraction, sign, hours, minutes = found.groups("0")
        epoch = (datetime.fromisoformat(f"{day}T{minute}") - _EPOCH).total_seconds()
    except ValueError:  # the 30th of February, hour 24, year 0
        return None
    offset_s = int(hours) * 3600 + int(minutes) * 60
    return epoch + int(second) + float(f"0.{fraction}") - (offset_s if sign == "+" else -offset_s)


def format_utc(epoch: float, *, fraction: bool = False) -> str:
    """`YYYY-MM-DDThh:mm:ssZ`, the only form ever sent; parts of a second are cut off. `fraction` writes `.000Z`, for
    models that insist on it. Raises OverflowError outside the years 1 to 9999."""
    stamp = (_EPOCH + timedelta(seconds=math.floor(epoch))).isoformat()
    return f"{stamp}.000Z" if fraction else f"{stamp}Z"


def is_older(stamp: float, shown: float) -> bool:
    """Whether `stamp` is of an earlier moment than `shown`, both epoch seconds. Charge points write whole seconds,
    and a time of receipt has parts of one: a stamp of whole seconds is not older than what came within its second."""
    return stamp < (math.floor(shown) if stamp == math.floor(stamp) else shown)


def trusted(epoch: float | None, now_epoch: float) -> tuple[float, bool]:
    """The time to keep for a stamp that came at `now_epoch`, and whether the stamp was bad (`clock_bad`): unreadable,
    before 2020, or more than 60 s ahead. Old ones are kept: an offline queue is old."""
    if epoch is None or epoch < EARLIEST_EPOCH or epoch > now_epoch + FUTURE_TOLERANCE_S:
        return now_epoch, True
    return epoch, False
