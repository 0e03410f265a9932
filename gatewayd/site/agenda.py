"""What is due when: every deadline of the site in one place, so that one task at the edge can wait for all.

Pure: time comes in as an argument; nothing here sleeps. In a test the agenda is run by hand.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count


@dataclass(eq=False, slots=True)
class Entry:
    """One thing to do at `when` (monotonic seconds), unless cancelled before."""

    when: float
    do: Callable[[float], None] | None

    def cancel(self) -> None:
        self.do = None

    @property
    def waiting(self) -> bool:
        return self.do is not None


@dataclass(slots=True)
class Agenda:
    """Deadlines in the order of their time; those of the same time in the order they were made."""

    _heap: list[tuple[float, int, Entry]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    on_earlier: Callable[[], None] = field(default=lambda: None)
    """Called when a new entry is due before all others, so that a waiting task can wait less."""

    def at(self, when: float, do: Callable[[float], None]) -> Entry:
        """Have `do(now)` called once it is `when`."""
        entry = Entry(when, do)
        earlier = not self._heap or when < self._heap[0][0]
        heapq.heappush(self._heap, (when, next(self._order), entry))
        if earlier:
            self.on_earlier()
        return entry

    def next(self) -> float | None:
        """When the next entry is due; None when there is none."""
        while self._heap and not self._heap[0][2].waiting:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Do everything that is due at `now`, oldest first; what that adds for `now` or earlier is done too."""
        while (when := self.next()) is not None and when <= now:
            entry = heapq.heappop(self._heap)[2]
            do, entry.do = entry.do, None
            if do is not None:
                do(now)
