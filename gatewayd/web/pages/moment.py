"""Times and durations as a person reads them. Pure: now is an argument, epoch seconds."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gatewayd.web.pages.language import _

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400


def span(seconds: float | None) -> str:
    """A duration, two figures at most: 12 s, 5 min, 3 h 20 min, 4 d. Empty for None; never negative."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < 2 * MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min"
    if whole < DAY_S:
        minutes = whole % HOUR_S // MINUTE_S
        return f"{whole // HOUR_S} h" + (f" {minutes} min" if minutes else "")
    return f"{whole // DAY_S} d"


def ago(at: float | None, now: float) -> str:
    """How long since; "now" within two seconds, and a dash for never."""
    if at is None:
        return "—"
    return _("now") if now - at < 2 else span(now - at)


def clock(at: float | None, zone: str) -> str:
    """A moment in the gateway's own time zone; UTC where the machine does not know the zone."""
    if at is None:
        return "—"
    return datetime.fromtimestamp(at, _zone(zone)).strftime("%Y-%m-%d %H:%M:%S")


def iso(at: float) -> str:
    """A moment for programs."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
