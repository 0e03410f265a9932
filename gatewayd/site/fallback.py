"""The fallback that each charge point holds for the day on which nobody speaks to it any more (modbus.md, Watchdog).

A TxDefaultProfile of connector 0 at stack level 0 with `watchdog_limit`, below the live limits. While it is surely
held, live limits lapse after `watchdog_timeout_s` and are renewed at half of it: when the gateway dies, they do, and
the fallback is what remains. Never the other way round: limits that nobody caught would be no limits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from gatewayd.site import limit_sending, limits
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.charging_profile import OWN_PROFILE_IDS, SetProfile
from gatewayd.site.codes import LimitResult, ProfilePurpose, RateUnit
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NOTHING, OwnProfile, Wanted
from gatewayd.site.limit_places import profile
from gatewayd.site.limit_policy import TENTHS, converted, tenths
from gatewayd.site.limit_strategy import fallback_held, fallback_possible, fallback_wanted, rate_unit_of
from gatewayd.site.supply import NOMINAL_WATTS_PER_AMPERE

log = logging.getLogger(__name__)

FALLBACK_ID = OWN_PROFILE_IDS.start


def wanted_of(cp: ChargePoint) -> Wanted:
    """What the fallback shall say: `watchdog_limit`, not above the ceiling, until it is replaced."""
    if not fallback_wanted(cp):
        return NOTHING
    return _saying(cp, min(cp.bank.site.watchdog_limit, tenths(cp.max_current_a)))


def _saying(cp: ChargePoint, limit: int) -> Wanted:
    unit = rate_unit_of(cp, RateUnit.A)
    return Wanted(
        converted(limit, RateUnit.A, unit, NOMINAL_WATTS_PER_AMPERE), unit, limit_a=limit / TENTHS, shown=limit
    )


def apply(cp: ChargePoint, now: float, *, again: bool = False) -> None:
    """Have the charge point hold the fallback, or hold it no longer. Live limits follow when it is known."""
    on = cp.bank.site.watchdog_timeout_s > 0 and not fallback_possible(cp)
    if on and not cp.fallback_refused:
        log.warning("%s: takes only one stack level, so it holds no fallback for a dead gateway", cp.name)
    cp.fallback_refused = on
    limit_sending.want(Fallback(cp), wanted_of(cp), now, again=again)
    _renew_later(cp, now)


def registered(cp: ChargePoint, now: float) -> None:
    """The fallback again, before the live limits that lie above it."""
    apply(cp, now, again=True)


def lost(cp: ChargePoint, now: float) -> None:
    """Nothing can be renewed over a link that is gone: now the fallback does its work."""
    limit_sending.lost(Fallback(cp))
    if cp.renewal is not None:
        cp.renewal.cancel()
        cp.renewal = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """The place of the fallback."""

    charge_point: ChargePoint

    @property
    def own(self) -> OwnProfile:
        return self.charge_point.fallback

    @property
    def connector(self) -> Connector:
        return self.charge_point.whole

    @property
    def slot(self) -> str:
        return "0/fallback"

    def order(self, wanted: Wanted, now: float) -> SetProfile:
        cp = self.charge_point
        return SetProfile(0, profile(cp, FALLBACK_ID, ProfilePurpose.TxDefaultProfile, wanted, now))

    def accepted(self, wanted: Wanted, now: float) -> None:
        limits.reconsider_charge_point(self.charge_point, now)
        _renew_later(self.charge_point, now)

    def refused(self, wanted: Wanted, result: LimitResult, now: float) -> bool:
        log.warning("%s: fallback for a dead gateway: %s", self.charge_point.name, result.name)
        self.own.held = None  # whatever stood there before, it is tried again
        limits.reconsider_charge_point(self.charge_point, now)
        return False

    def instead_of_clearing(self) -> Wanted:
        return _saying(self.charge_point, tenths(self.charge_point.max_current_a))

    def show(self, result: LimitResult) -> None:
        """No register shows it; what does not work is logged."""


def _renew_later(cp: ChargePoint, now: float) -> None:
    """Live limits are renewed at half of their duration (modbus.md, Watchdog)."""
    site = cp.bank.site
    when = now + site.watchdog_timeout_s / 2
    if not fallback_held(cp) or not cp.registered or (cp.renewal is not None and cp.renewal.when <= when):
        return
    if cp.renewal is not None:
        cp.renewal.cancel()

    def renew(then: float) -> None:
        cp.renewal = None
        limits.renew(cp, then)
        _renew_later(cp, then)

    cp.renewal = site.agenda.at(when, renew)
