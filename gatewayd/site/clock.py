"""The gateway's clock: what time it is, who said so, and the BMS setting it (modbus.md, Time)."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass, field

from gatewayd.site.codes import TimeResult, TimeSource

COMMIT_WINDOW_S = 15.0
"""From the first of the six registers to the commit; also when they are judged without one (modbus.md, Time)."""

EARLIEST_YEAR, LATEST_YEAR = 2020, 2105
"""Before 2020 is what a dead clock says (ocpp.md, Values); after 2105 `utc_epoch` no longer fits 32 bits."""

JUMP_S = 5.0
"""From here on the clock was set; less is a clock that is being disciplined."""

FIELDS = ("year", "month", "day", "hour", "minute", "second")


@dataclass(slots=True)
class Clock:
    """Epoch time as an offset to the monotonic clock, so that setting it disturbs no deadline (promises, R23)."""

    offset_s: float = 0.0
    """Epoch seconds minus monotonic seconds."""
    source: TimeSource = TimeSource.none
    result: TimeResult = TimeResult.none
    written: dict[str, int] = field(default_factory=dict)
    """The UTC registers as they were last written; they read back what was written."""
    fresh: set[str] = field(default_factory=set)
    """Which of the six were written since the last setting."""
    first_written: float | None = None
    on_set: Callable[[], None] = field(default=lambda: None)
    """Called when the BMS has set the clock: on the appliance the host's clock follows, or refuses."""

    on_moved: Callable[[float], None] = field(default=lambda _seconds: None)
    """Called with the seconds by which the clock was set, whoever set it: what was dated before is dated anew."""

    def move(self, offset_s: float) -> None:
        """From now on the time is this much more than the monotonic clock."""
        seconds = offset_s - self.offset_s
        self.offset_s = offset_s
        if abs(seconds) >= JUMP_S:
            self.on_moved(seconds)

    def epoch(self, now: float) -> float:
        """Seconds since 1970 at the monotonic time `now`."""
        return now + self.offset_s

    def write(self, name: str, value: int, now: float) -> None:
        """One of the six UTC registers was written with any value; it is judged later."""
        if self.first_written is None or now - self.first_written > COMMIT_WINDOW_S:
            self.fresh.clear()
            self.first_written = now
        self.written[name] = value
        self.fresh.add(name)

    def deadline(self) -> float | None:
        """When what was written is judged without a commit; None while there is nothing to judge."""
        return None if self.first_written is None else self.first_written + COMMIT_WINDOW_S

    def commit(self, now: float) -> bool:
        """Judge what was written and set the clock; True when it was set. Otherwise `result` says why not."""
        late = self.first_written is None or now - self.first_written > COMMIT_WINDOW_S
        if late or len(self.fresh) < len(FIELDS):
            self.result = TimeResult.incomplete
        else:
            epoch = self._judged()
            if epoch is None:
                self.result = TimeResult.out_of_range
            else:
                self.move(epoch - now)
                self.source, self.result = TimeSource.bms, TimeResult.set
                self.on_set()
        self.fresh.clear()
        self.first_written = None
        return self.result is TimeResult.set

    def _judged(self) -> float | None:
        year, month, day, hour, minute, second = (self.written[name] for name in FIELDS)
        if not (EARLIEST_YEAR <= year <= LATEST_YEAR and 1 <= month <= 12):
            return None
        if not 1 <= day <= calendar.monthrange(year, month)[1]:
            return None
        if hour > 23 or minute > 59 or second > 59:
            return None
        return float(calendar.timegm((year, month, day, hour, minute, second)))
