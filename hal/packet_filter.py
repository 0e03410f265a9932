"""The kernel's packet filter, kept as `hal.firewall` says, by nft. What it refuses changes nothing and is told."""

from __future__ import annotations

import logging
import math
import subprocess
from typing import Final

log = logging.getLogger("netd")

AGAIN_S: Final = 60.0
"""Rules that could not be loaded are tried again this late."""

NFT_S: Final = 10.0
"""An nft that takes longer hangs: it needs a tenth of a second, and ten times that under emulation."""


class PacketFilter:
    """Loads rules when they change. Nobody is ever locked out by rules that do not load: the old ones hold."""

    def __init__(self) -> None:
        self._loaded = self._tried = ""
        self._again_at = math.inf
        self.fault = ""
        """Why the rules that should hold do not; empty when they do."""

    def keep(self, rules: str, now: float) -> None:
        """Has these rules hold from now (seconds, any clock that only goes forward) on."""
        if rules == self._loaded:
            self.fault, self._tried = "", ""
            return
        if rules == self._tried and now < self._again_at:
            return
        self._tried, self._again_at = rules, now + AGAIN_S
        fault = _load(rules)
        if fault:
            if fault != self.fault:
                log.error("the packet filter stays as it was: %s", fault)
        else:
            self._loaded = rules
            log.info("the packet filter has new rules")
        self.fault = fault


def _load(rules: str) -> str:
    """Why it cannot; empty when it did. nft loads all of a file or nothing."""
    try:
        done = subprocess.run(
            ["nft", "-f", "-"],
            input=rules,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=NFT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        return str(why)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"nft ended with {done.returncode}")[:500]
