"""One connector: cable, vehicle, meter, and the status that follows from them (OCPP 1.6, 4.9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .books import Transaction
from .meter import Meter
from .vehicle import MIN_CURRENT_A, Vehicle

NO_ERROR = "NoError"
# What has flowed is counted in pieces no longer than this, so that a taper or a schedule is followed.
MAX_PIECE_S = 60.0


@dataclass(frozen=True, slots=True)
class Authorization:
    """A tag that was accepted and waits for the cable."""

    id_tag: str
    parent_id_tag: str | None = None
    profile: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    reservation_id: int
    id_tag: str
    parent_id_tag: str | None
    expires_at: float  # seconds since 1970


@dataclass(slots=True, eq=False)
class Connector:
    """`status` follows from the rest; `shown` is the status and error code that the central
    system was told last (None: nothing, or not surely). `history`: every status there ever was.

    Times here are trio's, not the wall's: setting the clock must not create energy.
    """

    number: int
    meter: Meter
    counted_at: float = 0.0
    vehicle: Vehicle | None = None
    transaction: Transaction | None = None
    authorization: Authorization | None = None
    reservation: Reservation | None = None
    operative: bool = True
    finishing: bool = False
    blocked: bool = False  # the transaction goes on without energy: its tag was refused
    lock_jammed: bool = False
    error_code: str = NO_ERROR
    vendor_error_code: str | None = None
    info: str | None = None
    shown: tuple[str, str] | None = None
    offered_a: float = 0.0
    sampled_at: float = 0.0
    history: list[str] = field(default_factory=list)

    @property
    def phases(self) -> int:
        return self.vehicle.phases if self.vehicle else 3

    @property
    def charging(self) -> bool:
        return self.transaction is not None and self.error_code == NO_ERROR and not self.blocked

    @property
    def usable(self) -> bool:
        """In order and in service."""
        return self.operative and self.error_code == NO_ERROR

    def is_free_for(self, id_tag: str, parent_id_tag: str | None) -> bool:
        """Not reserved, or for this tag or its group."""
        held = self.reservation
        return (
            held is None or held.id_tag == id_tag or (parent_id_tag is not None and held.parent_id_tag == parent_id_tag)
        )

    def remember(self) -> None:
        status = self.status()
        if not self.history or self.history[-1] != status:
            self.history.append(status)

    def status(self) -> str:
        if self.error_code != NO_ERROR:
            return "Faulted"
        if self.transaction:
            if self.blocked or self.offered_a < MIN_CURRENT_A:
                return "SuspendedEVSE"
            return "Charging" if self.vehicle and self.vehicle.wanted_current_a() > 0.0 else "SuspendedEV"
        if not self.operative:
            return "Unavailable"
        if self.finishing:
            return "Finishing"
        if self.vehicle or self.authorization:
            return "Preparing"
        return "Reserved" if self.reservation else "Available"

    def settle(self, now: float, offered_a: Callable[[float], float]) -> None:
        """Count up to `now` (trio's time) and let flow what `offered_a(time)` allows from here on."""
        while True:
            piece_s = min(now - self.counted_at, MAX_PIECE_S)
            energy_wh = self.meter.count(piece_s)
            self.counted_at += piece_s
            self.offered_a = offered_a(self.counted_at) if self.charging else 0.0
            drawn_a = 0.0
            if self.vehicle:
                self.vehicle.take(energy_wh)
                drawn_a = self.vehicle.drawn_current_a(self.offered_a)
            if self.counted_at >= now:
                self.meter.flow(drawn_a, self.phases)
                return
            self.meter.draw(drawn_a, self.phases)
