"""The battery on the other end of the cable."""

from __future__ import annotations

from dataclasses import dataclass

MIN_CURRENT_A = 6.0  # IEC 61851-1: below 6 A a charge point may offer nothing at all
TAPER_END_SHARE = 0.1  # what is left of the full current just before the battery is full
CHARGING_EFFICIENCY = 0.92  # of an on-board charger: what the meter counts does not all reach the battery


@dataclass(slots=True)
class Vehicle:
    """Takes its full current up to `taper_from_percent`, then less and less, and nothing when full.

    `paused` is a vehicle that does not want to charge now (its timer, its driver).
    """

    capacity_wh: float = 60_000.0
    soc_percent: float = 30.0
    phases: int = 3
    max_current_a: float = 16.0
    taper_from_percent: float = 80.0
    paused: bool = False

    def wanted_current_a(self) -> float:
        if self.paused or self.soc_percent >= 100.0:
            return 0.0
        if self.soc_percent <= self.taper_from_percent:
            return self.max_current_a
        left = (100.0 - self.soc_percent) / (100.0 - self.taper_from_percent)
        return self.max_current_a * (TAPER_END_SHARE + (1.0 - TAPER_END_SHARE) * left)

    def drawn_current_a(self, offered_a: float) -> float:
        """Per phase, when `offered_a` is on the pilot."""
        return 0.0 if offered_a < MIN_CURRENT_A else min(offered_a, self.wanted_current_a())

    def take(self, energy_wh: float) -> None:
        gain = 100.0 * energy_wh * CHARGING_EFFICIENCY / self.capacity_wh
        self.soc_percent = min(100.0, self.soc_percent + gain)
