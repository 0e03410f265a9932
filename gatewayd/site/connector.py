"""One connector of a charge point as a plain record. No I/O, no clock.

Whoever changes it calls its `touch()`, so that the bank encodes its block again before the next read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gatewayd.site.agenda import Entry
from gatewayd.site.charging_profile import Profile
from gatewayd.site.codes import Status
from gatewayd.site.command import Trigger, TriggerOutcome
from gatewayd.site.limit import Limit
from gatewayd.site.meter import Meter
from gatewayd.site.transaction import Transaction

if TYPE_CHECKING:
    from gatewayd.site.charge_point import ChargePoint

PLUGGED = frozenset(
    {Status.Preparing, Status.Charging, Status.SuspendedEV, Status.SuspendedEVSE, Status.Finishing},
)
"""The states of a connector with a cable in it (the table, `plugged`)."""


@dataclass(eq=False, slots=True)
class Connector:
    """One connector (1..7), or with number 0 what OCPP says of the charge point as a whole."""

    number: int
    charge_point: ChargePoint
    status: int = Status.unknown
    error_code: int | None = None
    vendor_error_code: str = ""
    status_time: float | None = None
    """Epoch seconds of the status shown; an older one does not overwrite it (quirk M10)."""
    status_at: float | None = None
    """Monotonic time when it came."""
    ghost: tuple[Transaction, Entry] | None = None
    """The open transaction that the status Available contradicts, and when it is closed for that (quirk T8)."""
    meter: Meter = field(default_factory=Meter)
    meter_at: float | None = None
    meter_fresh: bool = False
    transaction: Transaction | None = None
    """The open transaction, else the last one: it stays in the registers until the next start."""
    stopped_at: float | None = None
    """Monotonic time of its last StopTransaction."""
    reservation_id: int = 0
    session_count: int = 0
    session_time_total_s: int = 0
    enable: int = 1
    operative: int = 1
    operative_sent_ok: bool = True
    withheld: int = 0
    """1: the gateway itself made it inoperative, against what `operative` says; kept until it is given back."""
    withholding: bool = False
    """The charge point is being told so."""
    start_id_tag: str = ""
    attached_profile: Profile | None = None
    """Goes out with the next RemoteStartTransaction."""
    energy_limit_wh: int = 0
    limit: Limit = field(default_factory=Limit)
    outcome: TriggerOutcome = field(default_factory=TriggerOutcome)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    update_counter: int = 0

    @property
    def open_transaction(self) -> Transaction | None:
        return self.transaction if self.transaction is not None and self.transaction.open else None

    @property
    def plugged(self) -> bool:
        return self.status in PLUGGED

    @property
    def charging(self) -> bool:
        return self.status == Status.Charging

    @property
    def faulted(self) -> bool:
        return self.status == Status.Faulted

    def count_update(self) -> int:
        """A BMS sees from `update_counter`, which is returned, that the block changed."""
        self.update_counter += 1
        return self.update_counter

    def touch(self) -> None:
        """This connector changed: its block, and what the gateway block says of it, will be encoded again."""
        self.charge_point.bank.changed.add((self.charge_point.place, self.number))
        self.charge_point.bank.site.on_touch(self)
