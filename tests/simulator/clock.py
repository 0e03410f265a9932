"""The wall time of a simulated peer: trio's clock and an offset, so that a virtual clock moves it as well."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import trio

# The wall time at which trio's virtual clock begins when a test does not say otherwise: 2026-11-02 08:00:00 UTC,
# a Monday morning, so that weekly profiles have a week to live in.
DEFAULT_OFFSET_S = 1_793_606_400.0


class Clock:
    """Wall time in seconds since 1970 (UTC): `trio.current_time() + offset_s`.

    `set` is what a charge point does with the time of its central system; `skew_s` is a fault that stays.
    """

    def __init__(self, offset_s: float = DEFAULT_OFFSET_S, skew_s: float = 0.0) -> None:
        self.offset_s = offset_s
        self.skew_s = skew_s

    @classmethod
    def real(cls) -> Clock:
        """The clock of this machine; to be made inside a trio run with the real clock."""
        return cls(time.time() - trio.current_time())

    def now(self) -> float:
        return trio.current_time() + self.offset_s + self.skew_s

    def set(self, epoch_s: float) -> None:
        self.offset_s = epoch_s - trio.current_time()

    def stamp(self, epoch_s: float | None = None) -> str:
        return stamp(self.now() if epoch_s is None else epoch_s)


def stamp(epoch_s: float) -> str:
    """`2026-11-02T08:00:00.000Z`: with the milliseconds that most charge points write."""
    text = datetime.fromtimestamp(round(epoch_s, 3), UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_stamp(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 date and time; without a zone it is UTC. ValueError when unreadable."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
