"""What gatewayd tells systemd: ready, how it is, that it lives, that it stops (architecture: processes; promises, R19).

WATCHDOG=1 goes out only if the loop woke on time and a read of register 0 succeeded: a daemon that hangs, or serves
nonsense, is restarted. Without systemd every word goes nowhere.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping

import sdnotify
import trio

log = logging.getLogger(__name__)

LATE_S = 1.0
"""A loop that wakes this much too late does not serve a BMS in time."""
STATUS_EVERY_S = 10.0
"""`systemctl status` shows a line no older than this."""
FED_PER_TIMEOUT = 3
"""So that two in a row may be missed before systemd acts."""


def feed_every_s(environment: Mapping[str, str]) -> float:
    """Seconds between two signs of life; inf where nobody watches. The library does not read WATCHDOG_USEC."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return math.inf
    try:
        timeout_us = int(environment.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return math.inf
    return timeout_us / 1e6 / FED_PER_TIMEOUT if timeout_us > 0 else math.inf


class Watchdog:
    """The words to systemd of this process."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._every_s = feed_every_s(environment)
        self._notifier = sdnotify.SystemdNotifier()
        if self._notifier.socket is not None:
            self._notifier.socket.setblocking(False)  # a systemd that is busy must not stop a gateway

    def ready(self) -> None:
        """Every listener is bound."""
        self._notifier.notify("READY=1")

    def stopping(self) -> None:
        self._notifier.notify("STOPPING=1")

    async def run(
        self,
        is_well: Callable[[], bool],
        status: Callable[[], str],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Say ready; feed systemd's watchdog while `is_well()` and the loop is on time. `status()` is for people."""
        self.ready()
        task_status.started()
        every_s = min(self._every_s, STATUS_EVERY_S)
        due = trio.current_time()
        while True:
            late_s = trio.current_time() - due
            if late_s > LATE_S:
                log.warning("the loop woke %.1f s late", late_s)
            elif is_well():
                self._notifier.notify("WATCHDOG=1")
            else:
                log.error("register 0 does not read as it must: the watchdog is not fed")
            self._notifier.notify(f"STATUS={status()}")
            due = trio.current_time() + every_s
            await trio.sleep_until(due)
