"""A limit of time for each test, by which a test that hangs is ended and named.

`@pytest.mark.limit(seconds)`: real time, generous, only against hangs; a figure that is promised is asserted. pytest's
own `faulthandler_timeout` is one for all tests, names none of them, and leaves behind what they started.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

EXIT_CODE = 1


def descendants(pid: int) -> list[int]:
    """All processes that `pid` or one of those started, parents first."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(folder.name))
    found = list(children[pid])
    for each in found:
        found += children[each]
    return found


@contextmanager
def limited(name: str, limit_s: float, descriptor: int) -> Iterator[None]:
    """What is inside has so many seconds; then `name` and every thread's stack are written to `descriptor`, what this
    process started is killed, and so is this process: nothing gentler reaches a thread that hangs."""

    def over() -> None:
        os.write(descriptor, f"\n{name} hangs: more than {limit_s:g} s\n".encode())
        faulthandler.dump_traceback(descriptor, all_threads=True)
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        os._exit(EXIT_CODE)

    timer = threading.Timer(limit_s, over)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def terminal() -> int:
    """Standard error as it is now, before pytest captures it; -1 where there is none."""
    try:
        return os.dup(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return os.dup(2)
