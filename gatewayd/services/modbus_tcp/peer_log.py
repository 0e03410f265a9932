"""Log lines that Modbus TCP's peers can cause, in a bounded number."""

from __future__ import annotations

import logging

# Log lines about peers: so many at once, then one per so many seconds, so that a scanner cannot fill the disk.
LOG_BURST = 20
LOG_INTERVAL_S = 5.0


class PeerLog:
    """Log lines that peers can cause, in a bounded number; says how many were left out."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._tokens = float(LOG_BURST)
        self._filled = 0.0
        self._left_out = 0

    def __call__(self, level: int, now: float, message: str, *arguments: object) -> None:
        self._tokens = min(LOG_BURST, self._tokens + (now - self._filled) / LOG_INTERVAL_S)
        self._filled = now
        if self._tokens < 1:
            self._left_out += 1
            return
        self._tokens -= 1
        if self._left_out:
            self._log.log(level, "Modbus TCP: %d log lines left out", self._left_out)
            self._left_out = 0
        self._log.log(level, message, *arguments)
