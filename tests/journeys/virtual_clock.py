"""Virtual time for runs of days, in which nothing happens but in memory."""

from __future__ import annotations

from typing import Any

import trio


class VirtualClock(trio.abc.Clock):
    """From deadline to deadline, as trio's MockClock(autojump_threshold=0), in half the turns of trio's loop.

    MockClock waits for a turn without anything before it jumps, since a thread or a socket could have something to
    say. Here nobody has: what no task does next, nobody does before the next deadline. Tasks that wait for all others
    to be blocked come before it, here too.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._runner: Any = None

    def start_clock(self) -> None:
        run: Any = trio._core._run
        self._runner = run.GLOBAL_RUN_CONTEXT.runner

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Asked by trio's loop whenever no task can go on."""
        if self._runner.waiting_for_idle or deadline == float("inf"):
            return deadline - self._now
        self._now = max(self._now, deadline)
        return 0.0
