"""What our programs tell systemd, and what it hands them. Without systemd every word goes nowhere."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping
from typing import Final

import sdnotify

FIRST_FD: Final = 3
"""Where systemd puts the first socket of a socket unit."""


class Systemd:
    """READY, STATUS, WATCHDOG and STOPPING, sent without waiting."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._notifier = sdnotify.SystemdNotifier()
        if self._notifier.socket is not None:
            self._notifier.socket.setblocking(False)  # the library's would wait for a busy systemd
        self.watchdog_every_s = watchdog_every_s(environment)

    def ready(self, status: str) -> None:
        self._notifier.notify(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        self._notifier.notify(f"STATUS={status}")

    def alive(self) -> None:
        self._notifier.notify("WATCHDOG=1")

    def stopping(self) -> None:
        self._notifier.notify("STOPPING=1")


def watchdog_every_s(environment: Mapping[str, str]) -> float:
    """Seconds between two signs of life: a third of what systemd waits, so that two may be late. inf: not watched."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return math.inf
    try:
        wait_us = int(environment["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return math.inf
    return wait_us / 1e6 / 3 if wait_us > 0 else math.inf


def activated_socket(kind: socket.SocketKind, environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The socket that systemd bound for us, non-blocking; None when this program was started by hand."""
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS") != "1":
        return None
    given = socket.socket(fileno=FIRST_FD)
    if given.family is not socket.AF_UNIX or given.type is not kind:
        raise OSError(f"the socket unit gives {given.family.name} {given.type.name}, wanted UNIX {kind.name}")
    given.setblocking(False)
    os.set_inheritable(FIRST_FD, False)
    return given
