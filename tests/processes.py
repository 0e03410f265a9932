"""Work in several processes at once, with an end: a worker that dies or hangs is named, and none outlives its master.

concurrent.futures cannot be had for this: before Python 3.12 a pool whose processes end after `max_tasks_per_child`
tasks counts the one that ends as idle, starts no other, and waits for ever; and it has no limit of time for a task.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

SPAWN = get_context("spawn")
"""A fork would inherit the threads, signal handlers and patches of the test run."""
PR_SET_PDEATHSIG = 1


class WorkerDied(Exception):
    """It ended, or was ended, before it had an answer."""


class WorkerHangs(Exception):
    """It had no answer within its limit of time, and was killed."""


def in_processes(
    one: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    limit_s: float,
    life: int = 1_000_000,
    processes: int = 0,
) -> Iterator[Result]:
    """`one` of each task, in the order in which they are done; what it raises is raised here.

    `limit_s`: real seconds for each task, the start of its process included. `life`: tasks of a process, then there
    is a fresh one, for what leaves much behind. `processes`: at a time; 0 = as many as there are cores.
    """
    waiting = deque(tasks)
    workers: list[_Worker[Task, Result]] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < (processes or os.cpu_count() or 1):
                workers.append(_Worker(one, waiting.popleft(), limit_s))
            patience_s = max(0.0, min(worker.ends for worker in workers) - time.monotonic())
            connection.wait([worker.pipe for worker in workers], patience_s)
            for worker in [worker for worker in workers if worker.has_news()]:
                result = worker.result()
                if waiting and worker.done < life:
                    worker.give(waiting.popleft())
                else:
                    workers.remove(worker)
                    worker.end()
                yield result
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[Task, Result]):
    def __init__(self, one: Callable[[Task], Result], task: Task, limit_s: float) -> None:
        self.done = 0
        self._limit_s = limit_s
        self.pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_work, args=(one, theirs, os.getpid()))
        self._process.start()
        theirs.close()  # or its end would never be seen here
        self.give(task)

    def give(self, task: Task) -> None:
        self._task = task
        self.ends = time.monotonic() + self._limit_s
        with suppress(BrokenPipeError):  # it is dead: `result` says so
            self.pipe.send(task)

    def has_news(self) -> bool:
        """An answer, its death, or the end of patience."""
        return self.pipe.poll() or time.monotonic() >= self.ends

    def result(self) -> Result:
        """Raises what the worker raised, WorkerDied, WorkerHangs."""
        if not self.pipe.poll():
            raise WorkerHangs(f"no answer to {self._task!r} within {self._limit_s:.0f} s")
        try:
            good, value = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise WorkerDied(f"at {self._task!r}: exit code {self._process.exitcode}") from None
        if not good:
            raise value
        self.done += 1
        found: Result = value
        return found

    def end(self) -> None:
        self.pipe.close()
        self._process.kill()
        self._process.join()


def _work(one: Callable[[Task], Result], pipe: Connection, master: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    while os.getppid() == master:  # it may have died before that was asked for
        try:
            task = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            answer: tuple[bool, object] = True, one(task)
        except Exception as error:
            error.add_note(f"at {task!r}, in a process of its own")
            answer = False, error
        pipe.send(answer)
