"""Log lines that peers can cause, in a bounded number, so that no scanner fills a disk."""

from __future__ import annotations

import logging

import trio

log = logging.getLogger("gatewayd.services.ocpp_listener")

LOG_BURST, LOG_INTERVAL_S = 60, 5.0
"""So many lines at once (twenty charge points come back, and some strangers knock), then one in so many seconds."""


class PeerLog:
    """A purse of log lines; says how many were left out when there is room again."""

    def __init__(self) -> None:
        self._lines, self._filled_at, self._left_out = float(LOG_BURST), 0.0, 0

    def say(self, level: int, message: str, *arguments: object) -> None:
        """Log this, if there is room."""
        now = trio.current_time()
        self._lines = min(LOG_BURST, self._lines + (now - self._filled_at) / LOG_INTERVAL_S)
        self._filled_at = now
        if self._lines < 1:
            self._left_out += 1
            return
        self._lines -= 1
        if self._left_out:
            log.log(level, "%d lines about connections left out", self._left_out)
            self._left_out = 0
        log.log(level, message, *arguments)
