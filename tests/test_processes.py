"""Work in several processes: none of the ways in which a worker can end makes anybody wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import WorkerDied, WorkerHangs, in_processes

LIMIT_S = 40.0
"""Never reached: a process starts in half a second, on a busy machine in some."""


def square(number: int) -> int:
    return number * number


def who(number: int) -> tuple[int, int]:
    return number, os.getpid()


def dies_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def hangs_at_three(number: int) -> int:
    if number == 3:
        time.sleep(3600)
    return number


def stumbles_at_three(number: int) -> int:
    if number == 3:
        raise LookupError("three")
    return number


def gone(pid: int) -> bool:
    """It is no more, or only its exit code is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_every_task_is_done_once() -> None:
    assert sorted(in_processes(square, range(9), limit_s=LIMIT_S)) == [number * number for number in range(9)]


def test_nothing_to_do() -> None:
    assert list(in_processes(square, [], limit_s=LIMIT_S)) == []


def test_a_process_lives_for_so_many_tasks_and_none_is_left() -> None:
    """The case in which concurrent.futures waits for ever: more tasks than its processes may do."""
    found = list(in_processes(who, range(7), limit_s=LIMIT_S, life=2, processes=2))
    assert sorted(number for number, _ in found) == list(range(7))
    processes = {pid for _, pid in found}
    assert len(processes) >= 4
    assert all(gone(pid) for pid in processes)


def test_a_worker_that_dies_is_named_with_its_task() -> None:
    with pytest.raises(WorkerDied, match="at 3: exit code -9"):
        list(in_processes(dies_at_three, range(5), limit_s=LIMIT_S, processes=2))


def test_a_worker_that_hangs_is_named_with_its_task() -> None:
    with pytest.raises(WorkerHangs, match="no answer to 3 within 1 s"):
        list(in_processes(hangs_at_three, [3], limit_s=1.0))


def test_what_a_worker_raises_is_raised_with_its_task() -> None:
    with pytest.raises(LookupError, match="three") as raised:
        list(in_processes(stumbles_at_three, range(5), limit_s=LIMIT_S, processes=1))
    assert "at 3, in a process of its own" in raised.value.__notes__


MASTER = """
import sys
from tests.processes import in_processes
from tests.test_processes import who_then_sleep
print(next(in_processes(who_then_sleep, [1, 2], limit_s=100.0, processes=1)), flush=True)
"""


def who_then_sleep(number: int) -> int:
    if number == 2:
        time.sleep(3600)
    return os.getpid()


def test_no_worker_outlives_a_master_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", MASTER], stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        worker = int(master.stdout.readline())
        master.kill()
    ends = time.monotonic() + 20.0
    while not gone(worker):
        assert time.monotonic() < ends
        time.sleep(0.01)
