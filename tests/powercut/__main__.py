"""Power cuts: `python -m tests.powercut [PART ...] [--count N] [--seconds N]`, or `make powercut`. The parts:

`replay` (R1, R24): a guest saves, imports, restores and resets; every write and flush of its disk is replayed, and
after each the next start must find what was promised. `fresh` (R25): two cards after their first start share no secret.
`kills` (R2): the whole card, cut under traffic; `short`: its root alone, in a few minutes. But for the last, a run goes
on where the last one stopped; what all have seen is in build/powercut.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Final

from tests.powercut import emulated, replay
from tests.powercut.deeds import OURS
from tests.powercut.replay import Tally
from tests.powercut.report import BUILD, TWINS, Report, Round, failed, replayed
from tests.powercut.short import short
from tests.powercut.trials import first_starts, kills

COUNT: Final = 1000
"""promises R1, in CI; a release has 10,000."""

KILLS: Final = 5
"""promises R2, in CI; a release has 1,000."""

DEEDS, DEEDS_TWIN, DEEDS_LATER = 13, 4, 40
"""Of the first round, with its broken builds, and of those that follow: the first is to be quick."""


def plan(rounds: int) -> str:
    if rounds:
        return f"{OURS}:{DEEDS_LATER}"
    return ",".join([f"{OURS}:{DEEDS}", *(f"{build}:{DEEDS_TWIN}" for build in TWINS)])


def replays(report: Report, count: int | None, seconds: float) -> int:
    """At least so many states more, or so many seconds. 0; 1 when something is wrong."""
    count = count or COUNT
    until, now = time.monotonic() + seconds, Tally()
    while now.states[OURS] < count and time.monotonic() < until:
        if report.current is None:
            report.current = Round(str(report.rounds + 1), plan(report.rounds))
        at = report.current
        if not at.states:
            print(f"a guest lives by the plan {at.plan}", flush=True)
            log = emulated.live(at.directory, at.seed, at.plan)
            at.states = replay.count(log, at.seed)
            report.save()
        _judge(report, at, now, until)
    for line in replayed(now, report.tally):
        print(line)
    return int(failed(report.tally))


def _judge(report: Report, at: Round, now: Tally, until: float) -> None:
    log, left, workers = at.directory / "log", at.left, os.cpu_count() or 1
    print(f"judging {at.states:,} states, {len(at.chunks)} of {len(at.chunks) + len(left)} parts are done", flush=True)
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        running: dict[Future[Tally], int] = {}
        while running or left:
            while left and len(running) < workers and time.monotonic() < until:
                chunk = left.pop(0)
                running[pool.submit(replay.judged, log, at.seed, chunk)] = chunk
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                tally = done.result()
                now.add(tally)
                report.tally.add(tally)
                at.chunks.append(running.pop(done))
                report.save()
    report.rounds, report.current = report.rounds + 1, None
    report.save()
    if not report.tally.examples:  # a log in which something was found stays, to be looked at
        shutil.rmtree(at.directory)


def fresh(report: Report, count: int | None, seconds: float) -> int:
    """Two first starts; 1 when they share something."""
    found = first_starts(report)
    kept = report.parts["R25"]
    print(f"R25 two first starts, {kept['files']} files on the first: {len(found)} secrets shared or on every card")
    print(f"R25 twin    {'caught' if kept['twin'] else 'NOT CAUGHT'}: copied after its start, {kept['twin']} shared")
    for line in found:
        print(f"    BAD {line}")
    return int(bool(found))


def cuts(report: Report, count: int | None, seconds: float) -> int:
    """Cuts of the whole; 1 when it did not start again."""
    bricked = kills(report, count or KILLS, seconds)
    kept = report.parts["R2"]
    print(f"R2  twin    {kept['twin'] or 'NOT CAUGHT'}: a card of which neither root is what was built")
    print(
        f"R2  in all {kept['early'] + kept['under traffic']:,} cuts, {kept['early']} of them while it started; "
        f"{kept['starts']} starts, every one to Modbus; {kept['polls']:,} polls answered before the cuts"
    )
    if bricked:
        print(f"    BAD it did not start again:\n{bricked}")
    return int(bool(bricked))


def quick(report: Report, count: int | None, seconds: float) -> int:
    """Five cuts of the root alone; 1 when it did not start again, or its twin did."""
    why = short(report)
    kept = report.parts["R2 short"]
    print(f"R2  twin    {kept['twin'] or 'NOT CAUGHT'}: a disk whose root is not what was built")
    print(f"R2  short   {kept['cuts']} cuts, {kept['starts']} starts to Modbus, {kept['polls']} polls before the cuts")
    if why:
        print(f"    BAD {why}")
    return int(bool(why) or not kept["twin"])


PARTS: Final = {"replay": replays, "fresh": fresh, "kills": cuts, "short": quick}


def main() -> int:
    """0: nothing found, and every broken build was noticed; 1 otherwise."""
    parser = argparse.ArgumentParser(description="Power cuts, replayed; goes on where it stopped")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="replay by default")
    parser.add_argument("--count", type=int, help=f"more of them: {COUNT} states, {KILLS} kills by default")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no longer than this; all by default")
    arguments = parser.parse_args()
    parts = arguments.parts or ["replay"]
    why = emulated.ready(parts)
    if why:
        parser.error(why)
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "running").open("w") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            parser.error(f"another one runs in {BUILD}: both would write its report")
        report, failures = Report.load(), 0
        for part in parts:
            failures += PARTS[part](report, arguments.count, arguments.seconds)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
