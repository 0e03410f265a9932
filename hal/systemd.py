"""What our programs tell systemd, and what it hands them. Without systemd every word goes nowhere."""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections.abc import Mapping
from typing import Final

FIRST_FD: Final = 3
"""Where systemd puts the first socket of a socket unit."""


class Systemd:
    """READY, STATUS, WATCHDOG and STOPPING, sent without waiting.

    Not by the sdnotify library: it catches everything, also the SystemExit of our SIGTERM if that falls into it.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.watchdog_every_s = watchdog_every_s(environment)
        self._address = environment.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def _say(self, words: str) -> None:
        if self._address:
            with contextlib.suppress(OSError):  # a systemd that is busy or gone hears the next word
                self._socket.sendto(words.encode(), self._address)

    def ready(self, status: str) -> None:
        self._say(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        self._say(f"STATUS={status}")

    def alive(self) -> None:
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")


def watchdog_every_s(environment: Mapping[str, str]) -> float:
    """Seconds between two signs of life: a third of what systemd waits, so that two may be late. inf: not watched."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return math.inf
    try:
        wait_us = int(environment["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return math.inf
    return wait_us / 1e6 / 3 if wait_us > 0 else math.inf


def activated_socket(
    kind: socket.SocketKind,
    environment: Mapping[str, str] = os.environ,
    families: tuple[socket.AddressFamily, ...] = (socket.AF_UNIX,),
) -> socket.socket | None:
    """The socket that systemd bound for us, non-blocking; None when this program was started by hand."""
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS") != "1":
        return None
    given = socket.socket(fileno=FIRST_FD)
    if given.family not in families or given.type is not kind:
        wanted = " or ".join(family.name for family in families)
        raise OSError(f"the socket unit gives {given.family.name} {given.type.name}, wanted {wanted} {kind.name}")
    given.setblocking(False)
    os.set_inheritable(FIRST_FD, False)
    return given
