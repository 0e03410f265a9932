"""How a charge point takes limits: purpose, kind, stack level, unit (quirks S1 to S5), as one record per charge point.

The default is what most charge points are known to take: a TxDefaultProfile of the connector, absolute, at the lowest
stack level that serves, in the unit that was written. TxDefaultProfile, because it holds before, during and after a
transaction, so that a limit stands before the car does; TxProfile needs a transaction, and ChargePointMaxProfile is
refused, or accepted and ignored, by many (quirk S1). Absolute with a start that lies in the past is always in force
and can lapse by itself; Relative can not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gatewayd.site.codes import ProfileKind, ProfilePurpose, RateUnit, WatchdogAction

if TYPE_CHECKING:
    from gatewayd.site.charge_point import ChargePoint
    from gatewayd.site.limit import OwnProfile

LADDER = (ProfilePurpose.TxDefaultProfile, ProfilePurpose.TxProfile, ProfilePurpose.ChargePointMaxProfile)
"""What is tried, in this order, until one is accepted (quirk S1)."""
HIGHEST = -1
"""As `stack_level`: the charge point's own ChargeProfileMaxStackLevel (quirk S2)."""
LIVE_LEVEL = 1
"""Stack level of limits while the fallback lies below them."""
LOWEST_CURRENT = 60
"""0.1 A. The least that a car can be told to take (IEC 61851-1); said where 0 is refused (quirk S3)."""


class ZeroRefused(Enum):
    """What to do where a limit of 0 is refused, or accepted and ignored (quirk S3)."""

    nothing = "nothing"
    minimum = "minimum"
    """6 A, if that is less than what is in force."""
    stop = "stop"
    """6 A, and the transaction is stopped."""
    inoperative = "inoperative"
    """6 A, and the connector is inoperative while 0 is wanted."""


class Clearing(Enum):
    """How a limit of ours is taken away (quirk S1)."""

    by_id = "by_id"
    by_purpose = "by_purpose"
    """By connector, purpose and, where it is known, stack level."""
    ceiling = "ceiling"
    """Not at all: the ceiling is sent in its place."""


@dataclass(slots=True)
class LimitStrategy:
    """The way one charge point is told its limits. A quirk profile fills it; what is learned is kept."""

    purposes: tuple[ProfilePurpose, ...] = LADDER
    kind: ProfileKind = ProfileKind.Absolute
    stack_level: int | None = None
    """Only this one, or HIGHEST; None: 0, above the fallback 1. With 0 there is no room for a fallback."""
    rate_unit: RateUnit | None = None
    """Only this one; None: as written, where `rate_units` does not say otherwise."""
    clearing: Clearing = Clearing.by_id
    when_zero_refused: ZeroRefused = ZeroRefused.minimum
    learned: int = ProfilePurpose.unset
    """The purpose that was accepted first; kept. Later refusals then mean the limit, not the purpose."""


def purpose_of(cp: ChargePoint, own: OwnProfile) -> ProfilePurpose:
    """As what the limit of a connector goes out now."""
    strategy = cp.limit_strategy
    if own.over_tx:
        return ProfilePurpose.TxProfile
    if strategy.learned in strategy.purposes:
        return ProfilePurpose(strategy.learned)
    return strategy.purposes[min(own.attempt, len(strategy.purposes) - 1)]


def rate_unit_of(cp: ChargePoint, written: RateUnit) -> RateUnit:
    """The unit that this charge point understands; the written one where nobody knows better (quirk S4)."""
    if cp.limit_strategy.rate_unit is not None:
        return cp.limit_strategy.rate_unit
    if not cp.rate_units or cp.rate_units & (1 << written):
        return written
    return RateUnit.W if written == RateUnit.A else RateUnit.A


def stack_level_of(cp: ChargePoint, lowest: int) -> int:
    """The stack level of a limit that may not lie below `lowest`."""
    fixed = cp.limit_strategy.stack_level
    if fixed is None:
        return lowest if cp.max_stack_level is None else min(lowest, cp.max_stack_level)
    if fixed != HIGHEST:
        return fixed
    return lowest if cp.max_stack_level is None else max(lowest, cp.max_stack_level)


def fallback_possible(cp: ChargePoint) -> bool:
    """Whether a fallback may lie below the live limits: not where only level 0 is taken (modbus.md, Watchdog), nor
    where limits are ChargePointMaxProfiles, which no stack level lifts above a TxDefaultProfile."""
    strategy = cp.limit_strategy
    if strategy.stack_level == 0 or cp.max_stack_level == 0:
        return False
    usable = [strategy.learned] if strategy.learned in strategy.purposes else strategy.purposes
    return usable[0] != ProfilePurpose.ChargePointMaxProfile


def fallback_wanted(cp: ChargePoint) -> bool:
    """Whether the charge point is to hold `watchdog_limit` for the day on which nobody speaks to it any more."""
    site = cp.bank.site
    on = site.watchdog_timeout_s > 0 and site.watchdog_action == WatchdogAction.apply_watchdog_limit
    return on and fallback_possible(cp)


def fallback_held(cp: ChargePoint) -> bool:
    """Whether it surely holds it: only then may live limits lapse by themselves."""
    return bool(cp.fallback.confirmed) and fallback_wanted(cp)
