"""Whose clock counts (modbus.md, Time): on the appliance chrony owns the host's, and stewardd may be asked to set it;
elsewhere the gateway has an offset of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from gatewayd.services import steward
from gatewayd.site.codes import TimeResult, TimeSource
from gatewayd.site.model import Site
from hal.contract import STEWARD_SOCKET

log = logging.getLogger(__name__)


class HostClock:
    """The host's time as the site's, where the host keeps it."""

    def __init__(self, site: Site, wall: Callable[[], float]) -> None:
        """`wall` tells the host's time, epoch seconds."""
        self._site, self._wall = site, wall
        self.keeps_time = Path(STEWARD_SOCKET).exists()

    def follow(self, now: float) -> None:
        """Once a second: the host's clock may have been set."""
        if self.keeps_time:
            self._site.clock.move(self._wall() - now)

    async def ask(self, epoch_s: float) -> None:
        """The BMS set the clock: the host's is to follow."""
        self.keeps_time = False  # the gateway's own offset stands until the host has the time
        refusal = await steward.set_clock(epoch_s)
        self.keeps_time = True
        clock = self._site.clock
        if refusal:
            log.warning("the clock was not set: %s", refusal)
            # The one refusal of stewardd: a time server keeps the host's clock, and wins.
            clock.source = TimeSource.ntp if refusal.startswith("refused") else TimeSource.host
            clock.result = TimeResult.none
        self._site.touch()
