"""R20: runs for months. Thirty virtual days of 20 charge points: memory grows by 1 MiB a day at most, and nothing else.

250 sessions and 80 lost connections a day (tests/journeys/months.py); every night the ledger is compared with the
charge points' books. The nights after WARM_UP count: by then everything that keeps the last few is full.

Twin: a gateway that keeps what it heard, every lost link, a descriptor and a task for each; all four must be named.
Both run at the same time, each in a process of its own. DAYS=n for more or fewer of them.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
import trio

from gatewayd.ocpp.session import Session
from tests.journeys import months
from tests.processes import in_processes
from tests.promises.report import seen, twin

DAYS = int(os.environ.get("DAYS", "30"))
WARM_UP = 10
TWIN_DAYS, TWIN_WARM_UP = 3, 1
"""It keeps megabytes a day: three nights make a slope."""
DAY_LIMIT_S = 120.0
"""A day takes 8 s on a quiet core."""


class Leaks:
    """A gateway that lets nothing go."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def received(self, session: Session, text: str | bytes, now: float, proper: Any = Session.received) -> None:
        self._kept.append(f"{text!r} at {now}" * 2)
        proper(session, text, now)

    def closed(self, session: Session, now: float, proper: Any = Session.closed) -> None:
        self._kept += [session, os.dup(0)]
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        proper(session, now)


def one(build: str) -> tuple[str, months.Months]:
    with ExitStack() as stack:
        if build == "leaks":
            leaks = Leaks()
            stack.enter_context(patch.object(Session, "received", lambda *each: leaks.received(*each)))
            stack.enter_context(patch.object(Session, "closed", lambda *each: leaks.closed(*each)))
        found = months.run(TWIN_DAYS if build == "leaks" else DAYS)
    found.say = print
    return build, found


@pytest.mark.limit(120 + DAY_LIMIT_S * DAYS)
def test_thirty_days_of_twenty_charge_points() -> None:
    found = dict(in_processes(one, ("good", "leaks"), limit_s=DAY_LIMIT_S * DAYS, processes=2))
    good, leaking = found["good"], found["leaks"]
    last = good.nights[-1]
    assert good.wrong == []
    assert last.sessions > 150 * DAYS
    assert good.grown(WARM_UP) == [], "\n".join(map(str, good.nights))
    rss = good.a_day("rss_bytes", WARM_UP) / 2**20
    seen("R20", f"{DAYS} days, {last.sessions:,} sessions: RSS {rss:+.2f} MiB a day, at the end {last}")
    named = {what.partition(":")[0] for what in leaking.grown(TWIN_WARM_UP)}
    twin("R20", "a gateway that keeps texts, links, tasks and descriptors", {"rss_bytes", "tasks"} <= named)
    assert {"rss_bytes", "descriptors", "tasks", "objects"} <= named, leaking.grown(TWIN_WARM_UP)
