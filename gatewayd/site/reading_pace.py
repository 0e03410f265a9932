"""How long a meter reading may wait for company before it is written to flash (promises, R4). No I/O, no clock.

Every commit costs some 5 KiB of flash, and a MeterValues of a transaction is acknowledged only after its commit. Few
charge points never notice; twenty that measure every minute, day and night, would wear the flash out in half its
time. So readings are written at once as long as a budget lasts, and afterwards wait a moment, so that one commit
takes several. A charge point that has much to say (an offline queue, seven connectors) never waits long: its
messages come one by one, each after the answer to the one before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BURST = 20.0
"""Commits of readings that are made at once after a quiet time: tests, reconnects, a handful of charge points."""
REFILL_S = 7.0
"""One more every so often: 12,300 a day, about 65 MiB with some 2.5 readings in each."""
WAIT_MAX_S = 6.0
"""Nobody waits longer; charge points give up on an answer after 30 s and more."""
WAIT_SHARE = 0.25
"""Nobody waits longer than this share of the time since the same charge point's reading before: seven connectors
measured every 10 s keep their pace, and a queue of 500 readings is drained at once."""


@dataclass(slots=True)
class ReadingPace:
    """The budget of commits that are made for the sake of readings alone."""

    _left: float = BURST
    _at: float = 0.0
    _heard: dict[int, float] = field(default_factory=dict)
    """Charge point → when its last reading came."""

    def until(self, charge_point: int, now: float) -> float:
        """By when a reading that came at `now` must be handed to the disk; `now` itself while the budget lasts."""
        before = self._heard.get(charge_point)
        self._heard[charge_point] = now
        self._refill(now)
        if self._left >= 1:
            return now
        wait_s = WAIT_MAX_S if before is None else min(WAIT_MAX_S, (now - before) * WAIT_SHARE)
        return now + wait_s

    def spend(self, now: float) -> None:
        """A commit is made for the sake of readings."""
        self._refill(now)
        self._left = max(0.0, self._left - 1)

    def _refill(self, now: float) -> None:
        self._left = min(BURST, self._left + (now - self._at) / REFILL_S)
        self._at = now
