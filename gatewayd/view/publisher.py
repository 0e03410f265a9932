"""Who hears what, and how much of it is kept for those who do not take it (docs/interfaces.md, When it is too much).

No I/O; time is an argument, in monotonic seconds. A line is made once, however many hear it, and not at all if nobody
does.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

STREAMS = ("events", "frames", "modbus", "status")
KEPT_BYTES = 256 * 1024
"""Of lines that one subscriber has not taken; all subscribers together hold 8 MiB at most, most of it shared."""
LINES_PER_S, LINES_AT_ONCE = 500.0, 1000.0
"""Made of one stream. A short line costs the daemon 4 to 20 us, a frame 10 us for each KiB, and a hostile one 200 us:
so listening costs it some percent of its time at most, whatever peers send."""
SHORT_BYTES = 512
"""A line about more than this counts as so many more."""
LIMITED = ("events", "frames", "modbus")
"""`status` comes once a second anyway."""
SEND_BYTES = 64 * 1024
"""Taken at once by whoever sends."""

_encode = msgspec.json.Encoder().encode


def line(members: Mapping[str, Any]) -> bytes:
    """One JSON line."""
    try:
        return _encode(members) + b"\n"
    except UnicodeEncodeError:  # half a character, in what some peer wrote
        return json.dumps(members, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass(slots=True)
class Budget:
    """So many lines at once, and then so many a second."""

    left: float = LINES_AT_ONCE
    filled_at: float = 0.0

    def spend(self, lines: int, now: float) -> bool:
        """Whether there are so many more."""
        self.left = min(LINES_AT_ONCE, self.left + (now - self.filled_at) * LINES_PER_S)
        self.filled_at = now
        if self.left < lines:
            return False
        self.left -= lines
        return True


@dataclass(eq=False, slots=True)
class Subscriber:
    """What waits for one connection."""

    on_line: Callable[[], None] = field(default=lambda: None)
    """Called when there is something to take."""
    streams: frozenset[str] = frozenset()
    charge_point: int | None = None
    """Only what is about this one; None: all."""
    dropped: int = 0
    """Lines missed since it was last told."""
    dropped_total: int = 0
    _waiting: deque[bytes] = field(default_factory=deque)
    _bytes: int = 0

    @property
    def waits(self) -> bool:
        return bool(self._waiting) or self.dropped > 0

    @property
    def full(self) -> bool:
        """Answers, which are always kept, have filled it: no more questions now."""
        return self._bytes > KEPT_BYTES

    def hears(self, stream: str, charge_point: int | None) -> bool:
        return stream in self.streams and (self.charge_point is None or charge_point in (None, self.charge_point))

    def offer(self, text: bytes) -> None:
        """A line of a stream: kept if there is room."""
        if self._bytes + len(text) > KEPT_BYTES:
            self.miss()
            return
        if self.dropped:
            self._tell_dropped()
        self.put(text)

    def put(self, text: bytes) -> None:
        """An answer: kept always. Who asks is not asked again before it took the answer."""
        self._waiting.append(text)
        self._bytes += len(text)
        self.on_line()

    def miss(self) -> None:
        """There was a line, and it is not kept."""
        self.dropped += 1
        self.dropped_total += 1
        self.on_line()

    def take(self) -> bytes:
        """What is to be sent next, whole lines; b"" if there is nothing."""
        if not self._waiting and self.dropped:
            self._tell_dropped()
        taken, size = [], 0
        while self._waiting and size < SEND_BYTES:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._bytes -= size
        return b"".join(taken)

    def _tell_dropped(self) -> None:
        text = line({"type": "dropped", "dropped": self.dropped})
        self.dropped = 0
        self._waiting.append(text)
        self._bytes += len(text)


class Publisher:
    """All subscribers. `on_wanted` is called whenever somebody begins or ceases to hear a stream."""

    def __init__(self, on_wanted: Callable[[], None] = lambda: None) -> None:
        self.subscribers: list[Subscriber] = []
        self.wanted: frozenset[str] = frozenset()
        """The streams that anybody hears."""
        self.dropped_total = 0
        """Lines that subscribers missed, those that have left included."""
        self._budgets = {stream: Budget() for stream in LIMITED}
        self.on_wanted = on_wanted

    def enter(self, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        self.subscribers.remove(subscriber)
        self._look()

    def subscribe(self, subscriber: Subscriber, streams: frozenset[str], charge_point: int | None) -> None:
        """From now on it hears these."""
        subscriber.streams, subscriber.charge_point = streams, charge_point
        self._look()

    def _look(self) -> None:
        self.wanted = frozenset().union(*(each.streams for each in self.subscribers))
        self.on_wanted()

    def say(
        self,
        stream: str,
        make: Callable[[], Mapping[str, Any]],
        now: float,
        charge_point: int | None = None,
        size: int = 0,
    ) -> None:
        """Something happened; `charge_point`: to which one, None: to none, so that all of the stream hear it. `size`:
        bytes of what is told."""
        if stream not in self.wanted:
            return
        hearers = [each for each in self.subscribers if each.hears(stream, charge_point)]
        if not hearers:
            return
        budget = self._budgets.get(stream)
        text = line(make()) if budget is None or budget.spend(1 + size // SHORT_BYTES, now) else None
        for each in hearers:
            missed = each.dropped_total
            if text is None:
                each.miss()
            else:
                each.offer(text)
            self.dropped_total += each.dropped_total - missed
