"""One connector of the simulated charge point that stands in, and the limits that were set on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Held:
    """A charging profile as far as a stand-in heeds it: its first period."""

    profile_id: int
    amps: float
    """Per phase."""
    until: float
    """Monotonic."""


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
    limits: dict[tuple[str, int], Held] = field(default_factory=dict)
    """(purpose, stack level) → the profile there."""

    def in_force(self, purpose: str, now: float) -> list[tuple[int, float]]:
        """(stack level, A per phase) of the profiles of a purpose that hold now."""
        return [(key[1], held.amps) for key, held in self.limits.items() if key[0] == purpose and now < held.until]

    def clear(self, wanted: Any) -> bool:
        """ClearChargingProfile: by id, else by connector, purpose and stack level; True when something went."""
        gone = [key for key, held in self.limits.items() if self._matches(wanted, key, held)]
        for key in gone:
            del self.limits[key]
        return bool(gone)

    def _matches(self, wanted: Any, key: tuple[str, int], held: Held) -> bool:
        if "id" in wanted:
            return bool(wanted["id"] == held.profile_id)
        return (
            wanted.get("connectorId") in (None, self.number)
            and wanted.get("chargingProfilePurpose") in (None, key[0])
            and wanted.get("stackLevel") in (None, key[1])
        )


def limit_in_force(outlet: Outlet, whole: Outlet, now: float) -> float | None:
    """TxProfile before TxDefaultProfile; of each the highest stack level, the connector's own before connector 0's."""
    for purpose in ("TxProfile", "TxDefaultProfile"):
        limit = highest(whole.in_force(purpose, now) + outlet.in_force(purpose, now))
        if limit is not None:
            return limit
    return None


def highest(levels: list[tuple[int, float]]) -> float | None:
    """The limit of the highest stack level; of equal ones the last."""
    return max(reversed(levels), key=lambda each: each[0])[1] if levels else None
