"""What one model of charge point needs that others do not (charge_point_quirks.md), as one record per charge point.

The defaults are the standard with tolerant reading: a charge point of no special habits. Who reads them from files and
the configuration is `gatewayd.quirk_profiles`; the switches are told to users in `gatewayd.config_quirks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gatewayd.site.codes import ProfileKind, ProfilePurpose, RateUnit
from gatewayd.site.limit_strategy import LADDER, Clearing, ZeroRefused


class EnergyRegister(Enum):
    """What Energy.Active.Import.Register counts (quirk M9)."""

    total = "total"
    """All that ever flowed, as the standard says."""
    session = "session"
    """What flowed since the session began."""
    session_in_transaction = "session_in_transaction"
    """In MeterValues with a transaction what flowed since the session began, in others all that ever flowed."""


@dataclass(frozen=True, slots=True)
class QuirkProfile:
    """The switches of one charge point; each says in `config_quirks` what it is for."""

    name: str = "standard"
    assume_subprotocol: bool = False
    ping: bool = True
    call_timeout_s: float | None = None
    """None: as [ocpp]."""
    heartbeat_interval_s: int | None = None
    """None: as [ocpp]."""
    repair_json: bool = False
    time_fraction: bool = False
    own_questions: bool = True
    own_triggers: bool = True
    availability_on_connect: bool = False
    energy_register: EnergyRegister = EnergyRegister.total
    start_may_mean_end: bool = False
    start_pause_s: float = 0.0
    hex_id_tags: bool = False
    limit_purposes: tuple[ProfilePurpose, ...] = LADDER
    limit_kind: ProfileKind = ProfileKind.Absolute
    limit_stack_level: int | None = None
    """Only this one, or HIGHEST; None: the lowest that serves."""
    limit_unit: RateUnit | None = None
    """None: as written, where `rate_units` does not say otherwise."""
    limit_clearing: Clearing = Clearing.by_id
    when_zero_refused: ZeroRefused = ZeroRefused.minimum


STANDARD = QuirkProfile()
