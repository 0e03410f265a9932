"""The limit of one connector, or of the whole charge point at connector 0 (modbus.md, Limits)."""

from __future__ import annotations

from dataclasses import dataclass

from gatewayd.site.codes import LimitResult, RateUnit

NO_LIMIT = -1
"""`limit` while there is none."""


@dataclass(slots=True)
class Limit:
    """What was written and what became of it. Limits count 0.1 of their unit."""

    written: int = NO_LIMIT
    unit: int = RateUnit.A
    phases: int = 0
    """1..3, or 0 = absent."""
    written_unit: int = RateUnit.A
    """The unit that took effect with the last write of `limit`."""
    written_phases: int = 0
    active: int | None = None
    """What the charge point accepted last; None before the first."""
    active_unit: int = RateUnit.A
    result: int = LimitResult.none
    upstream: int = NO_LIMIT

    @property
    def in_amperes(self) -> int | None:
        """For the 16-bit registers: 65534 = none, None (not available) for a limit in W."""
        if self.written == NO_LIMIT:
            return 65534
        return min(self.written, 65533) if self.written_unit == RateUnit.A else None
