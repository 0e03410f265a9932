"""The BMS watchdog: a silent BMS must not leave cars charging without bounds (modbus.md, Watchdog).

After a restart it stands tripped until the BMS shows that it lives: nobody knows how long the BMS had been silent
before, and a gateway that restarts again and again must not grant a silent BMS a new deadline each time. A BMS that
lives releases it with its next heartbeat, as a rule before the charge points have dialled in again. It is no trip:
`watchdog_trips` does not count it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gatewayd.site import availability, fallback, limits
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import WatchdogState
from gatewayd.site.connector import Connector
from gatewayd.site.model import BankRecords, Site

log = logging.getLogger(__name__)

SHORTEST_S = 5
"""1..4 s would trip on an ordinary poll cycle; 0 is off (the table)."""


def timeout_is_valid(value: int) -> bool:
    """0 = off, else 5..3600 s."""
    return value == 0 or value >= SHORTEST_S


# --- setpoints ----------------------------------------------------------------------------------------------------


def write_heartbeat(bank: BankRecords, value: int) -> None:
    """The BMS shows that it lives; only a changed value counts."""
    site = bank.site
    if value == site.bms_heartbeat:
        return
    site.bms_heartbeat, site.heartbeat_at = value, site.now
    site.touch()
    if site.watchdog_state == WatchdogState.tripped:
        log.info("the BMS is back: limits are restored")
        _enter(site, WatchdogState.ok)


def write_watchdog(attribute: str) -> Callable[[BankRecords, int], None]:
    """The action of `watchdog_timeout_s`, `watchdog_action` and `watchdog_limit`. The same value again is no sign of
    life: a PLC may write its settings in a cycle while the program behind them stands still."""

    def write(bank: BankRecords, value: int) -> None:
        site = bank.site
        if getattr(site, attribute) == value and not site.notify_always:
            return
        news = getattr(site, attribute) != value
        setattr(site, attribute, value)
        site.touch()
        if attribute == "watchdog_timeout_s" and news:
            _new_timeout(site)
        _act(site, again=not news)

    return write


def _new_timeout(site: Site) -> None:
    if not site.watchdog_timeout_s:
        site.watchdog_state = WatchdogState.off
    elif site.watchdog_state != WatchdogState.tripped:
        site.watchdog_state, site.heartbeat_at = WatchdogState.ok, site.now
        _watch(site)


# --- the deadline -------------------------------------------------------------------------------------------------


def _watch(site: Site) -> None:
    """Look again when the heartbeat is due; a heartbeat meanwhile only moves that moment."""
    if site.watchdog_look is not None:
        site.watchdog_look.cancel()

    def look(now: float) -> None:
        site.watchdog_look = None
        if site.watchdog_state != WatchdogState.ok:
            return
        if now < site.heartbeat_at + site.watchdog_timeout_s:
            _watch(site)
            return
        log.warning("the BMS is silent for %d s: the watchdog trips", site.watchdog_timeout_s)
        site.count("watchdog_trips")
        _enter(site, WatchdogState.tripped)

    site.watchdog_look = site.agenda.at(site.heartbeat_at + site.watchdog_timeout_s, look)


def _enter(site: Site, state: WatchdogState) -> None:
    site.watchdog_state = state
    site.touch()
    if state is WatchdogState.ok:
        _watch(site)
    _act(site)


def _act(site: Site, *, again: bool = False) -> None:
    """Everything that the watchdog decides, as it is now: fallback, limits, availability."""
    for charge_point in site.charge_points.values():
        fallback.apply(charge_point, site.now, again=again)
    limits.reconsider_site(site, site.now)
    for charge_point in site.charge_points.values():
        _withhold(charge_point, site.now)


def _withhold(charge_point: ChargePoint, now: float) -> None:
    for connector in charge_point.real_connectors:
        availability.enforce(connector, now)


# --- beginnings ---------------------------------------------------------------------------------------------------


def attach(site: Site) -> None:
    """Have limits and watchdog follow what happens: fallback first, then the live limits above it."""
    site.on_touch = _changed
    site.on_registered += [fallback.registered, limits.registered, availability.registered, _withhold]
    site.on_profiles_changed += [fallback.registered, limits.registered]
    site.on_lost += [fallback.lost, limits.lost]


def _changed(connector: Connector) -> None:
    limits.changed(connector)
    cp, site = connector.charge_point, connector.charge_point.bank.site
    known = (cp.rate_units, cp.max_stack_level, cp.limit_strategy.learned)
    if known != cp.limits_told:
        cp.limits_told = known
        site.agenda.at(site.now, lambda now: _learned(cp, now))


def _learned(charge_point: ChargePoint, now: float) -> None:
    """Which units, stack levels and purposes the charge point takes became known: fallback and limits follow."""
    fallback.apply(charge_point, now)
    limits.reconsider_charge_point(charge_point, now)


def restored(site: Site) -> None:
    """Kept settings were put back after a restart."""
    site.watchdog_state = WatchdogState.tripped if site.watchdog_timeout_s else WatchdogState.off
    limits.restored(site)
    for charge_point in site.charge_points.values():
        fallback.apply(charge_point, site.now)
