"""One connector of the simulated charge point that stands in, and the limits that were set on it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Outlet:
    """One connector of the stand-in, and the car at it."""

    number: int
    status: str = "Available"
    energy_wh: float = 10_000.0
    needs_wh: float = 0.0
    transaction_id: int | None = None
    id_tag: str = ""
    operative: bool = True
    metered_at: float = 0.0
    limits: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    """(purpose, stack level) → (A per phase, until when)."""

    def limit_a(self, now: float) -> float | None:
        """The limit in force by purpose: TxProfile before TxDefaultProfile, the highest stack level first."""
        for purpose in ("TxProfile", "TxDefaultProfile"):
            valid = {
                level: amps for (kind, level), (amps, until) in self.limits.items() if kind == purpose and now < until
            }
            if valid:
                return valid[max(valid)]
        return None
