"""Limits: what a written one does, and what follows for them from everything else that changes (modbus.md, Limits).

`changed` is called for every connector of which anything changed (a status, a transaction, a meter value), so that
shares, conversions, energy limits and the judgement of effects follow without anybody asking for it.
"""

from __future__ import annotations

from gatewayd.site import limit_effect, limit_places, limit_sending, remote_stop
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import LimitResult, RateUnit
from gatewayd.site.connector import Connector
from gatewayd.site.limit import FAILED, NO_LIMIT, NO_LIMIT_U16
from gatewayd.site.limit_places import Live, Whole
from gatewayd.site.limit_policy import TENTHS, charges
from gatewayd.site.limit_result import show_site
from gatewayd.site.limit_strategy import LOWEST_CURRENT
from gatewayd.site.model import Site

# --- setpoints ----------------------------------------------------------------------------------------------------


def write_limit(connector: Connector, value: int) -> None:
    """`limit`: takes `limit_unit` and `limit_phases` along."""
    limit = connector.limit
    _write(connector, value, limit.unit, limit.phases)


def write_amperes(connector: Connector, value: int) -> None:
    """`limit_u16` and `limit_matrix`: 0.1 A, 65534 = none. The unit is A from then on, in `limit_unit` too."""
    connector.limit.unit = RateUnit.A
    _write(connector, NO_LIMIT if value == NO_LIMIT_U16 else value, RateUnit.A, connector.limit.phases)


def _write(connector: Connector, value: int, unit: int, phases: int) -> None:
    limit, site = connector.limit, connector.charge_point.bank.site
    news = (value, unit, phases) != (limit.written, limit.written_unit, limit.written_phases)
    limit.written, limit.written_unit, limit.written_phases = value, unit, phases
    connector.touch()
    if not (news or site.notify_always or limit.result in FAILED):
        return
    again = site.notify_always or limit.result in FAILED
    if connector.number == 0:
        reconsider_charge_point(connector.charge_point, site.now, whole_again=again)
    else:
        limit_places.apply(connector, site.now, again=again)


def write_unit(connector: Connector, value: int) -> None:
    """`limit_unit`: takes effect with the next write of `limit`."""
    connector.limit.unit = value
    connector.touch()


def write_phases(connector: Connector, value: int) -> None:
    """`limit_phases`: takes effect with the next write of `limit`."""
    connector.limit.phases = value
    connector.touch()


def write_enable(connector: Connector, value: int) -> None:
    """`enable`: 0 is a limit of 0 A."""
    site = connector.charge_point.bank.site
    again = site.notify_always or connector.limit.result in FAILED
    if value != connector.enable or again:
        connector.enable = value
        connector.touch()
        limit_places.apply(connector, site.now, again=again)


def write_energy_limit(connector: Connector, value: int) -> None:
    """`energy_limit_wh`, for this transaction and every other until it is 0."""
    connector.energy_limit_wh = value
    connector.touch()
    remote_stop.at_energy_limit(connector, connector.charge_point.bank.site.now)


def write_site_limit(site: Site, watts: int) -> None:
    """`site_limit_w`: shared by all connectors that charge, in every bank."""
    again = site.notify_always or site.site_limit_result in FAILED
    if watts == site.site_limit_w and not again:
        return
    site.site_limit_w = watts
    site.touch()
    reconsider_site(site, site.now, again=again)


# --- what follows -------------------------------------------------------------------------------------------------


def changed(connector: Connector) -> None:
    """Something of this connector changed; limits follow at once, but after all that happens at this instant."""
    site = connector.charge_point.bank.site
    if not site.unsettled:
        site.agenda.at(site.now, lambda now: _settle(site, now))
    site.unsettled.add(connector)


def _settle(site: Site, now: float) -> None:
    connectors = frozenset(site.unsettled)
    resharing: set[ChargePoint] = set()
    for connector in connectors:
        if connector.number:
            connector.limit.supply.learn(connector.meter, in_session=connector.plugged or charges(connector))
            if charges(connector) != connector.limit.shares:
                resharing.add(connector.charge_point)
    if resharing:
        _reshare(site, resharing, now)
    for connector in connectors:
        if connector.number:
            limit_places.apply(connector, now)
    for connector in (each for each in connectors if each.number):
        taken_a = limit_effect.observe(connector, now)
        if taken_a is not None and taken_a > LOWEST_CURRENT / TENTHS and connector.limit.own.wanted.limit == 0:
            limit_places.zero_has_no_effect(connector, LimitResult.no_effect, now)
        remote_stop.at_energy_limit(connector, now)
    for charge_point in {connector.charge_point for connector in connectors}:
        limit_effect.observe(charge_point.whole, now)
    site.unsettled.clear()  # what was touched meanwhile shows results, from which nothing follows


def _reshare(site: Site, charge_points: set[ChargePoint], now: float) -> None:
    """Others charge than before. It concerns everybody with a car where the site has a limit, else the charge point."""
    wide = site.site_limit_w != NO_LIMIT
    concerned = list(site.charge_points.values() if wide else charge_points)
    before = _share(concerned)
    site.sharing_count = _sharing_count(site)
    for charge_point in concerned:
        for connector in charge_point.real_connectors:
            if connector.plugged or connector.limit.shares or connector in before:
                limit_places.apply(connector, now)
    show_site(site)


def reconsider_site(site: Site, now: float, *, again: bool = False) -> None:
    """Everything that limits every connector may have changed: the site's limit, who charges, the watchdog."""
    charge_points = list(site.charge_points.values())
    _share(charge_points)
    site.sharing_count = _sharing_count(site)
    for charge_point in charge_points:
        reconsider_charge_point(charge_point, now, again=again)
    show_site(site)


def _share(charge_points: list[ChargePoint]) -> set[Connector]:
    """Note who charges now; returns who did before."""
    before = {c for cp in charge_points for c in cp.real_connectors if c.limit.shares}
    for charge_point in charge_points:
        for connector in charge_point.real_connectors:
            connector.limit.shares = charges(connector)
    return before


def _sharing_count(site: Site) -> int:
    return sum(c.limit.shares for cp in site.charge_points.values() for c in cp.real_connectors)


def reconsider_charge_point(
    charge_point: ChargePoint, now: float, *, again: bool = False, whole_again: bool = False
) -> None:
    """What limits one charge point may have changed, or how it takes limits."""
    for connector in charge_point.real_connectors:
        limit_places.apply(connector, now, again=again, alone=False)
    limit_places.apply_whole(charge_point, now, again=again or whole_again)


def renew(charge_point: ChargePoint, now: float) -> None:
    """Say limits once more before they lapse."""
    for connector in charge_point.real_connectors:
        limit_sending.renew(Live(connector), now)


# --- the link -----------------------------------------------------------------------------------------------------


def registered(charge_point: ChargePoint, now: float) -> None:
    """Limits again: charge points forget them (quirk S7)."""
    reconsider_charge_point(charge_point, now, again=True)
    for connector in charge_point.real_connectors:
        changed(connector)


def lost(charge_point: ChargePoint, now: float) -> None:
    """The link is gone: what was on its way is offline."""
    for connector in charge_point.real_connectors:
        if not limit_places.carried(connector):
            limit_sending.lost(Live(connector))
    limit_sending.lost(Whole(charge_point))
    for connector in charge_point.real_connectors:
        connector.limit.own.attempt = 0


def restored(site: Site) -> None:
    """Kept limits were put back; nobody is connected yet."""
    reconsider_site(site, site.now)
