"""What is due when: every deadline of the site in one place, so that one task at the edge can wait for all.

Pure: time comes in as an argument; nothing here sleeps. In a test the agenda is run by hand.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

DEAD_ENTRIES_MIN = 64
"""Cancelled entries that may lie about before anybody looks: fewer are not worth the sweep."""
DONE_MAX = 1_000_000
"""Entries done in one go: a second's work. More can only be one that adds itself for the same time over and over; the
process had better end, and be restarted, than hang."""


@dataclass(eq=False, slots=True)
class Entry:
    """One thing to do at `when` (monotonic seconds), unless cancelled before."""

    when: float
    do: Callable[[float], None] | None
    _agenda: Agenda

    def cancel(self) -> None:
        """Not to be done any more; nothing if it was done or cancelled already."""
        if self.do is not None:
            self.do = None
            self._agenda.forget_one()

    @property
    def waiting(self) -> bool:
        return self.do is not None


@dataclass(slots=True)
class Agenda:
    """Deadlines in the order of their time; those of the same time in the order they were made.

    A Call that is answered cancels its deadline a minute early, a hundred times a second if a peer wants it so: what
    is cancelled is swept out as soon as it is more than half, so the agenda is never larger than twice what waits.
    """

    _heap: list[tuple[float, int, Entry]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _dead: int = 0
    """Cancelled entries still in the heap."""
    on_earlier: Callable[[], None] = field(default=lambda: None)
    """Called when a new entry is due before all others, so that a waiting task can wait less."""

    def __len__(self) -> int:
        """Entries held, cancelled ones included."""
        return len(self._heap)

    def at(self, when: float, do: Callable[[float], None]) -> Entry:
        """Have `do(now)` called once it is `when`."""
        entry = Entry(when, do, self)
        earlier = not self._heap or when < self._heap[0][0]
        heapq.heappush(self._heap, (when, next(self._order), entry))
        if earlier:
            self.on_earlier()
        return entry

    def forget_one(self) -> None:
        """One more entry was cancelled; sweep when they are many."""
        self._dead += 1
        if self._dead > DEAD_ENTRIES_MIN and self._dead > len(self._heap) // 2:
            self._heap = [item for item in self._heap if item[2].waiting]
            heapq.heapify(self._heap)
            self._dead = 0

    def next(self) -> float | None:
        """When the next entry is due; None when there is none."""
        while self._heap and not self._heap[0][2].waiting:
            heapq.heappop(self._heap)
            self._dead -= 1
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Do everything that is due at `now`, oldest first; what that adds for `now` or earlier is done too."""
        for _ in range(DONE_MAX):
            when = self.next()
            if when is None or when > now:
                return
            entry = heapq.heappop(self._heap)[2]
            do, entry.do = entry.do, None
            if do is not None:
                do(now)
        raise RuntimeError(f"{DONE_MAX} entries were due at the same time, last {do}: one of them adds itself again")
