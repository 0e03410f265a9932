"""Transaction ids of the gateway's own, given while a central system was away, and what that calls them since (ocpp.md,
Bridge). The charge point goes on with the one, the central system and the registers with the other. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gatewayd.site.journal import DropUpstreamId, Journal, SaveUpstreamId

FIRST = 1_500_000_000
"""Own ids begin here: few central systems count so far, and a charge point with a 32-bit integer holds them."""
KEPT_MAX = 64
"""Pairs kept per charge point once their transactions are over: more than an offline queue repeats."""


@dataclass(slots=True)
class UpstreamIds:
    """Of one charge point."""

    charge_point: int
    _upstream: dict[int, int] = field(default_factory=dict)
    """Own id → the central system's, in the order in which they were learned."""

    def __contains__(self, own: int) -> bool:
        return own in self._upstream

    def __len__(self) -> int:
        return len(self._upstream)

    def restore(self, own: int, upstream: int) -> None:
        """What the ledger held."""
        self._upstream[own] = upstream

    def learn(self, own: int, upstream: int, journal: Journal, is_open: Callable[[int], bool]) -> None:
        """The central system has this transaction now. `is_open(upstream)` tells which pairs cannot be forgotten."""
        self._upstream[own] = upstream
        journal.write(SaveUpstreamId(self.charge_point, own, upstream))
        if len(self._upstream) > KEPT_MAX:
            over = next((each for each, theirs in self._upstream.items() if not is_open(theirs)), None)
            if over is not None:
                del self._upstream[over]
                journal.write(DropUpstreamId(self.charge_point, over))

    def upstream(self, transaction_id: int) -> int:
        """What the central system calls it."""
        return self._upstream.get(transaction_id, transaction_id)

    def at_charge_point(self, transaction_id: int) -> int:
        """What the charge point calls it: of several that the central system calls the same, the latest."""
        for own, theirs in reversed(self._upstream.items()):
            if theirs == transaction_id:
                return own
        return transaction_id
