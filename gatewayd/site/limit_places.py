"""The two places of live limits in a charge point: a connector's own, and the charge point's as a whole.

Where limits go out as ChargePointMaxProfile, because nothing else is taken, that one profile carries those of all
connectors: the lowest of them, since it cannot tell connectors apart and no limit may be passed (quirk S1).
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import Struct

from gatewayd.site import availability, limit_sending, limit_upstream, remote_stop
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.charging_profile import Period, Profile, SetProfile, own_id
from gatewayd.site.codes import LimitResult, ProfileKind, ProfilePurpose, RateUnit
from gatewayd.site.connector import Connector
from gatewayd.site.kept import keep
from gatewayd.site.limit import NO_LIMIT, NOTHING, OwnProfile, Wanted
from gatewayd.site.limit_policy import TENTHS, Bounds, converted, effective, share, tenths, watchdog_a
from gatewayd.site.limit_result import show
from gatewayd.site.limit_strategy import (
    LIVE_LEVEL,
    LOWEST_CURRENT,
    ZeroRefused,
    fallback_held,
    purpose_of,
    rate_unit_of,
    stack_level_of,
)
from gatewayd.site.supply import NOMINAL_WATTS_PER_AMPERE

MAX, TX = ProfilePurpose.ChargePointMaxProfile, ProfilePurpose.TxProfile
REFUSALS = (LimitResult.rejected, LimitResult.not_supported)

STARTED_BEFORE_S = 86_400
"""An open-ended schedule starts a day ago: it is in force whatever the charge point takes for its time zone (B7)."""
CLOCK_MARGIN = 4
"""One that lapses starts a quarter of its duration ago, so that clocks may differ by as much either way."""


# --- profiles -----------------------------------------------------------------------------------------------------


def profile(cp: ChargePoint, profile_id: int, purpose: ProfilePurpose, wanted: Wanted, now: float) -> Profile:
    """One open-ended period with this limit; in force at once, until replaced or for `duration_s`."""
    kind, site = cp.limit_strategy.kind, cp.bank.site
    told = site.clock.offset_s if cp.told_offset_s is None else cp.told_offset_s
    ago = wanted.duration_s / CLOCK_MARGIN if wanted.duration_s else STARTED_BEFORE_S
    start = max(0, round(now + told - ago))
    relative = kind == ProfileKind.Relative
    return Profile(
        profile_id,
        purpose,
        kind,
        wanted.stack_level,
        wanted.unit,
        (Period(0, wanted.limit),),
        wanted.phases or None,
        transaction_id=wanted.transaction_id,
        valid_to=start + wanted.duration_s if relative and wanted.duration_s else None,
        start_schedule=None if relative else start,
        duration_s=wanted.duration_s or None if not relative else None,
    )


# --- a connector --------------------------------------------------------------------------------------------------


def bounds_of(connector: Connector) -> Bounds:
    """Everything that bounds this connector now."""
    cp, limit = connector.charge_point, connector.limit
    site, cap = cp.bank.site, cp.whole.limit.written
    whole_share_a = None
    if cap != NO_LIMIT:
        count = sum(each.limit.shares for each in cp.real_connectors)
        whole_share_a = share(min(cap / TENTHS, cp.max_current_a), count, connector)
    return Bounds(
        cp.max_current_a,
        limit.written,
        limit.written_unit,
        limit.upstream,
        limit.upstream_unit,
        bool(connector.enable),
        whole_share_a,
        share(site.site_limit_w, site.sharing_count, connector) if site.site_limit_w != NO_LIMIT else None,
        watchdog_a(site),
        limit.supply.watts_per_ampere(limit.written_phases),
    )


def wanted_of(connector: Connector) -> Wanted:
    """What this connector's profile shall say now; NOTHING while nobody limits it.

    While the fallback is held, the ceiling is said too: else a connector without a limit would obey the fallback."""
    bounds, cp = bounds_of(connector), connector.charge_point
    if not bounds.asked and not fallback_held(cp):
        return NOTHING
    return _saying(connector, effective(bounds), bounds)


def _saying(connector: Connector, shown: int, bounds: Bounds) -> Wanted:
    cp, held = connector.charge_point, fallback_held(connector.charge_point)
    purpose = purpose_of(cp, connector.limit.own)
    unit, per_ampere = rate_unit_of(cp, bounds.shown_unit), bounds.watts_per_ampere
    running = connector.open_transaction if purpose == TX else None
    limit = converted(shown, bounds.shown_unit, unit, per_ampere)
    return Wanted(
        limit,
        unit,
        connector.limit.written_phases,
        stack_level_of(cp, max(LIVE_LEVEL if held else 0, limit_upstream.top_level(cp, connector.number) + 1)),
        cp.bank.site.watchdog_timeout_s if held else 0,
        None if running is None else running.id,
        converted(limit, unit, RateUnit.A, per_ampere) / TENTHS,
        converted(limit, unit, bounds.shown_unit, per_ampere),
        bounds.shown_unit,
    )


def carried(connector: Connector) -> bool:
    """Whether the charge point's own profile carries this connector's limit."""
    return purpose_of(connector.charge_point, connector.limit.own) == MAX


class Live(Struct, frozen=True):
    """The limit of one connector, as TxDefaultProfile or TxProfile."""

    connector: Connector

    @property
    def own(self) -> OwnProfile:
        return self.connector.limit.own

    @property
    def slot(self) -> str:
        return f"{self.connector.number}/limit"

    def order(self, wanted: Wanted, now: float) -> SetProfile | None:
        cp, number = self.connector.charge_point, self.connector.number
        purpose = purpose_of(cp, self.own)
        if purpose == TX and wanted.transaction_id is None:
            return None
        return SetProfile(number, profile(cp, own_id(purpose, number), purpose, wanted, now))

    def accepted(self, wanted: Wanted, now: float) -> None:
        if not self.own.over_tx:
            _learn(self.connector.charge_point, purpose_of(self.connector.charge_point, self.own), wanted)
        if wanted.limit == 0:
            _zero_counts(self.connector, now)
        _hold(self.connector, wanted)

    def refused(self, wanted: Wanted, result: LimitResult, now: float) -> bool:
        """The next purpose, until one is accepted for the first time; then what the strategy says of a refused 0."""
        if result not in REFUSALS or self.own.over_tx:
            return False
        strategy = self.connector.charge_point.limit_strategy
        learned = strategy.learned in strategy.purposes
        if learned and result == LimitResult.not_supported:
            self.own.attempt = strategy.purposes.index(ProfilePurpose(strategy.learned))
            strategy.learned, learned = ProfilePurpose.unset, False
        if not learned and self._next_purpose(now):
            return True
        return wanted.limit == 0 and zero_has_no_effect(self.connector, result, now)

    def _next_purpose(self, now: float) -> bool:
        own, purposes = self.own, self.connector.charge_point.limit_strategy.purposes
        for attempt in range(own.attempt + 1, len(purposes)):
            if purposes[attempt] == TX and self.connector.open_transaction is None:
                continue
            own.attempt = attempt
            apply(self.connector, now, again=True)
            return True
        _give_up(self.connector)
        return False

    def instead_of_clearing(self) -> Wanted:
        bounds = bounds_of(self.connector)
        return _saying(self.connector, tenths(bounds.ceiling_a), Bounds(bounds.ceiling_a))

    def show(self, result: LimitResult) -> None:
        show(self.connector, result)


def _learn(cp: ChargePoint, purpose: ProfilePurpose, wanted: Wanted) -> None:
    """The first purpose that was accepted is the one; a 0 that was accepted after refusals teaches nothing."""
    strategy = cp.limit_strategy
    if strategy.learned not in strategy.purposes and wanted.limit > 0 and purpose in strategy.purposes:
        strategy.learned = purpose
        keep(cp)


def _hold(connector: Connector, wanted: Wanted) -> None:
    limit = connector.limit
    limit.active, limit.active_unit = wanted.shown, wanted.shown_unit
    connector.touch()


def _give_up(connector: Connector) -> None:
    """Every purpose was refused: the next limit begins at the first one again, this one is not repeated at once."""
    own = connector.limit.own
    own.attempt = 0
    own.wanted = own.asked = wanted_of(connector)


def zero_has_no_effect(connector: Connector, result: LimitResult, now: float) -> bool:
    """0 was refused or is not obeyed: what the strategy has for that (quirk S3). True: something else was sent."""
    cp, own = connector.charge_point, connector.limit.own
    policy = cp.limit_strategy.when_zero_refused
    if policy is ZeroRefused.nothing:
        return False
    connector.limit.zero_refused = True
    if policy is ZeroRefused.stop and connector.open_transaction is not None:
        remote_stop.stop(connector, connector.open_transaction, now)
    if policy is ZeroRefused.inoperative:
        availability.enforce(connector, now)
    bounds, least_a = bounds_of(connector), LOWEST_CURRENT / TENTHS
    less_already = own.held is not None and 0 < own.held.limit_a <= least_a
    if bounds.ceiling_a < least_a or less_already or carried(connector):
        return False
    least = converted(LOWEST_CURRENT, RateUnit.A, bounds.shown_unit, bounds.watts_per_ampere)
    limit_sending.replace(Live(connector), _saying(connector, least, bounds), result, now)
    return True


def _zero_counts(connector: Connector, now: float) -> None:
    """0 was accepted, or is not wanted any more: nothing else need be done in its place."""
    if connector.limit.zero_refused:
        connector.limit.zero_refused = False
        availability.enforce(connector, now)


def apply(connector: Connector, now: float, *, again: bool = False, alone: bool = True) -> None:
    """Have this connector's charge point told what holds for it now, if it was not told yet. Not `alone`: the caller
    applies the charge point as a whole afterwards."""
    own, cp = connector.limit.own, connector.charge_point
    own.over_tx = False
    own.over_tx = purpose_of(cp, own) != MAX and _outranked(connector)
    wanted = wanted_of(connector)
    if wanted.limit != 0:
        _zero_counts(connector, now)
    if not carried(connector):
        if connector.open_transaction is None and purpose_of(cp, own) == TX:
            own.installed, own.held = 0, None  # a TxProfile ends with its transaction
        limit_sending.want(Live(connector), wanted, now, again=again)
        return
    news = wanted != own.wanted
    own.wanted = wanted
    if alone and (news or again):
        apply_whole(cp, now, again=again)


def _outranked(connector: Connector) -> bool:
    """Whether a TxProfile of the central system upstream lies above whatever else is said in this transaction."""
    cp = connector.charge_point
    running = cp.bridged and connector.open_transaction is not None
    return running and limit_upstream.has_tx_profile(cp, connector.number)


# --- the charge point as a whole ----------------------------------------------------------------------------------


def whole_wanted(cp: ChargePoint) -> Wanted:
    """What the ChargePointMaxProfile shall say: `limit_matrix` k = 0, and the lowest limit that it carries."""
    cap = cp.whole.limit.written
    found = [] if cap == NO_LIMIT else [min(cap, tenths(cp.max_current_a))]
    phases = 0
    for connector in cp.real_connectors:
        wanted = connector.limit.own.wanted
        if carried(connector) and not wanted.nothing:
            found.append(tenths(wanted.limit_a))
            phases = wanted.phases
    if not found:
        return NOTHING
    unit = rate_unit_of(cp, RateUnit.A)
    lowest = min(found)
    return Wanted(
        converted(lowest, RateUnit.A, unit, NOMINAL_WATTS_PER_AMPERE),
        unit,
        phases,
        stack_level_of(cp, 0),
        limit_a=lowest / TENTHS,
        shown=lowest,
    )


def apply_whole(cp: ChargePoint, now: float, *, again: bool = False) -> None:
    """The same for the charge point as a whole."""
    limit_sending.want(Whole(cp), whole_wanted(cp), now, again=again)


class Whole(Struct, frozen=True):
    """The limit of the charge point, as ChargePointMaxProfile of connector 0. It never lapses by itself: the fallback
    bounds each connector, but only this profile bounds their sum."""

    charge_point: ChargePoint

    @property
    def own(self) -> OwnProfile:
        return self.connector.limit.own

    @property
    def connector(self) -> Connector:
        return self.charge_point.whole

    @property
    def slot(self) -> str:
        return "0/limit"

    def _passengers(self) -> list[Connector]:
        return [c for c in self.charge_point.real_connectors if carried(c)]

    def order(self, wanted: Wanted, now: float) -> SetProfile | None:
        return SetProfile(0, profile(self.charge_point, own_id(MAX, 0), MAX, wanted, now))

    def accepted(self, wanted: Wanted, now: float) -> None:
        passengers = [c for c in self._passengers() if not c.limit.own.wanted.nothing or c.limit.own.held is not None]
        if passengers:
            _learn(self.charge_point, MAX, wanted)
        for connector in passengers:
            own = connector.limit.own
            held = NOTHING if own.wanted.nothing else replace(wanted, shown=_shown(connector, wanted))
            own.held = held
            _hold(connector, replace(held, shown_unit=own.wanted.shown_unit))
        _hold(self.connector, wanted)

    def refused(self, wanted: Wanted, result: LimitResult, now: float) -> bool:
        strategy = self.charge_point.limit_strategy
        if result not in REFUSALS or strategy.learned in strategy.purposes:
            return False
        passengers = self._passengers()
        for connector in passengers:
            _give_up(connector)
            connector.limit.own.outcome = result
            show(connector, result)
            limit_sending.try_later(Live(connector), now)
        if passengers:
            apply_whole(self.charge_point, now)  # its own limit, if it has one, need not fail with theirs
        return self.own.running is not None

    def instead_of_clearing(self) -> Wanted:
        lowest = tenths(self.charge_point.max_current_a)
        unit = rate_unit_of(self.charge_point, RateUnit.A)
        limit = converted(lowest, RateUnit.A, unit, NOMINAL_WATTS_PER_AMPERE)
        return Wanted(limit, unit, stack_level=stack_level_of(self.charge_point, 0), shown=lowest)

    def show(self, result: LimitResult) -> None:
        """In block 0 if the charge point has a limit of its own, and for every connector that it carries."""
        own_limit = self.connector.limit
        if own_limit.written != NO_LIMIT or own_limit.result != LimitResult.none:
            show(self.connector, result)
        for connector in self._passengers():
            wanted = connector.limit.own.wanted
            connector.limit.own.outcome = result
            show(connector, LimitResult.none if wanted.nothing and connector.limit.own.held is None else result)


def _shown(connector: Connector, wanted: Wanted) -> int:
    """The carried limit in the unit that this connector's limit was written in."""
    unit = connector.limit.own.wanted.shown_unit
    per_ampere = connector.limit.supply.watts_per_ampere(connector.limit.written_phases)
    return converted(tenths(wanted.limit_a), RateUnit.A, unit, per_ampere)
