"""How a wanted limit becomes what the charge point holds: one place, one profile of ours, the newest value wins.

Increases wait for `min_limit_interval_s`, reductions never wait (modbus.md, Types). A sending that failed and would
have lowered the limit is tried again by itself, ever more slowly: a charge point that was busy once must not keep a
limit that is too high until somebody writes again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import inf
from typing import Protocol

from gatewayd.site.charging_profile import ClearProfiles, SetProfile, own_place
from gatewayd.site.codes import CommandCode, CommandError, CommandState, LimitResult, Result
from gatewayd.site.command import Command, Report
from gatewayd.site.connector import Connector
from gatewayd.site.kept import keep
from gatewayd.site.limit import FAILED, OwnProfile, Wanted
from gatewayd.site.limit_strategy import Clearing

RETRY_S = 60.0
"""First pause before a reduction that failed is tried again; it doubles with every failure."""
RETRY_DOUBLINGS = 6
"""Up to about an hour: a charge point that refuses for good is not worth more traffic."""
FINAL = frozenset({LimitResult.not_supported, LimitResult.blocked_by_role, LimitResult.no_effect})
"""Results that another try will not change."""


class Place(Protocol):
    """Whose profile it is: knows how it is said, and where its result is shown."""

    @property
    def own(self) -> OwnProfile: ...

    @property
    def connector(self) -> Connector:
        """Where it stands in the registers; connector 0 for the charge point as a whole."""

    @property
    def slot(self) -> str:
        """Its place among the waiting commands."""

    def order(self, wanted: Wanted, now: float) -> SetProfile | None:
        """What to send; None: it cannot be said now (a TxProfile without a transaction)."""

    def accepted(self, wanted: Wanted, now: float) -> None:
        """The charge point holds this; NOTHING: our profile is gone."""

    def refused(self, wanted: Wanted, result: LimitResult, now: float) -> bool:
        """True: another way was taken, and this refusal is not the last word."""

    def instead_of_clearing(self) -> Wanted:
        """What is sent where a profile cannot be cleared: the ceiling."""

    def show(self, result: LimitResult) -> None:
        """The register that shows it."""


def want(place: Place, wanted: Wanted, now: float, *, again: bool = False) -> None:
    """From now on this shall stand there. `again`: say it even if it was said already (a rewrite, a new link)."""
    own, cp = place.own, place.connector.charge_point
    news = wanted != own.wanted
    if not news and not again and own.waiting is not None:
        return  # it waits for its time already
    _cancel(own)
    if wanted.limit != own.wanted.limit:
        own.failures = 0
    own.wanted = wanted
    if wanted.nothing and not own.installed and own.running is None:
        own.asked = None
        place.show(LimitResult.none)
    elif cp.watched_only:
        place.show(LimitResult.blocked_by_role)
    elif not cp.registered:
        if news or again:
            place.show(LimitResult.pending if cp.connected else LimitResult.offline)
    elif wanted == own.asked and not again:
        place.show(own.outcome)
    elif _raises(own, wanted) and now < own.raised_at + cp.bank.site.min_limit_interval_s:
        own.waiting = cp.bank.site.agenda.at(
            own.raised_at + cp.bank.site.min_limit_interval_s, lambda then: _waited(place, then)
        )
        place.show(LimitResult.pending)
    else:
        _say(place, wanted, now)


def renew(place: Place, now: float) -> None:
    """Say the same once more, quietly, before it lapses: what was said last, or, where more was refused, what holds."""
    own = place.own
    if own.asked is None or not own.asked.duration_s or own.running is not None:
        return
    if own.outcome in FAILED and own.held is not None and own.held.limit_a < own.asked.limit_a:
        replace(place, own.held, own.outcome, now)
    else:
        _say(place, own.asked, now, quiet=True)


def replace(place: Place, instead: Wanted, result: LimitResult, now: float) -> None:
    """Send another limit than the wanted one, because that cannot be had; `result` is what is shown for it."""
    order = place.order(instead, now)
    if order is None:
        place.show(place.own.outcome)
        return
    _send(place, order, _Sending(place, instead, order.profile.id, place.own.installed, result), now)


def lost(place: Place) -> None:
    """The link is gone: what waited cannot go, and everything is said again over the next one."""
    own = place.own
    _cancel(own)
    unsaid = own.wanted != own.asked or own.running is not None
    own.asked = None
    if unsaid and not place.connector.charge_point.watched_only and not (own.wanted.nothing and not own.installed):
        place.show(LimitResult.offline)


def _cancel(own: OwnProfile) -> None:
    if own.waiting is not None:
        own.waiting.cancel()
        own.waiting = None


def _waited(place: Place, now: float) -> None:
    place.own.waiting = None
    want(place, place.own.wanted, now, again=True)  # it may be what failed before, and was written once more


def _raises(own: OwnProfile, wanted: Wanted) -> bool:
    """Whether it is more than what the charge point has, or was told last."""
    if own.asked is None:
        return False
    if own.running is None and own.outcome != LimitResult.accepted:
        return own.held is not None and wanted.limit_a > own.held.limit_a
    return wanted.limit_a > own.asked.limit_a


def _say(place: Place, wanted: Wanted, now: float, *, quiet: bool = False) -> None:
    own = place.own
    order: SetProfile | ClearProfiles | None
    if wanted.nothing:
        order, profile_id = _clearing(place, own.installed), 0
        if order is None:
            own.asked = wanted
            replace(place, place.instead_of_clearing(), LimitResult.accepted, now)
            return
    else:
        order = place.order(wanted, now)
        if order is None:
            own.asked = None
            place.show(LimitResult.pending)
            return
        profile_id = order.profile.id
    if _raises(own, wanted):
        own.raised_at = now
    own.asked, own.outcome = wanted, LimitResult.pending if not quiet else own.outcome
    if not quiet:
        place.show(LimitResult.pending)
    _send(place, order, _Sending(place, wanted, profile_id, own.installed), now)


def _clearing(place: Place, profile_id: int) -> ClearProfiles | None:
    """What takes this profile of ours away from a charge point of this model; None: nothing does."""
    way = place.connector.charge_point.limit_strategy.clearing
    if way is Clearing.by_purpose:
        held = place.own.held
        return dataclasses.replace(
            own_place(profile_id), stack_level=None if held is None or held.nothing else held.stack_level
        )
    return ClearProfiles(id=profile_id) if way is Clearing.by_id else None


def _send(place: Place, order: SetProfile | ClearProfiles, origin: _Sending, now: float) -> None:
    own, connector = place.own, place.connector
    if origin.profile_id and origin.profile_id != own.installed:
        own.installed, own.confirmed = origin.profile_id, 0
        _keep(place)
    own.running = Command(CommandCode.none, origin, connector.number, payload=order, slot=place.slot)
    connector.charge_point.offer(own.running, now)


def try_later(place: Place, now: float) -> None:
    """A reduction that failed does not stay undone for want of somebody who asks again."""
    own, cp = place.own, place.connector.charge_point
    allowed_a = inf if own.held is None else own.held.limit_a
    if own.wanted.limit_a >= allowed_a or own.outcome in FINAL or own.waiting is not None:
        return

    def once_more(then: float) -> None:
        own.waiting = None
        if cp.registered and own.running is None:
            _say(place, own.wanted, then, quiet=True)

    pause_s = RETRY_S * 2 ** min(own.failures, RETRY_DOUBLINGS)
    own.failures += 1
    own.waiting = cp.bank.site.agenda.at(now + pause_s, once_more)


def _keep(place: Place) -> None:
    connector = place.connector
    keep(connector)
    keep(connector.charge_point)


@dataclass(slots=True)
class _Sending:
    """The origin of one command: one profile on its way."""

    place: Place
    wanted: Wanted
    profile_id: int
    """0: it is cleared."""
    before: int
    """What was installed there before."""
    instead: LimitResult | None = None
    """This is not what is wanted but what can be had; what to show for it."""

    def report(self, command: Command, report: Report, now: float) -> None:
        if not report.final:
            return
        own, result = self.place.own, result_of(report)
        newest = own.running is command
        if newest:
            own.running = None
        if result == LimitResult.accepted:
            self._accepted(newest, now)
        elif newest:
            self._failed(result, now)
        # Otherwise a newer value is on its way already, and speaks for this one too.

    def _accepted(self, newest: bool, now: float) -> None:
        place, own = self.place, self.place.own
        own.held = self.wanted
        if newest or self.profile_id:
            own.installed, own.confirmed = self.profile_id, int(self.profile_id != 0 and self.instead is None)
        _keep(place)
        if newest:
            own.outcome = LimitResult.accepted if self.instead is None else self.instead
            own.failures = 0 if own.outcome == LimitResult.accepted else own.failures
        place.accepted(self.wanted, now)
        if newest and own.running is None and own.waiting is None:
            place.show(own.outcome)
            if own.outcome != LimitResult.accepted:
                try_later(place, now)
        if self.profile_id and self.before not in (0, self.profile_id):
            self._clear_former(now)

    def _clear_former(self, now: float) -> None:
        """The limit stands under another id now (another purpose was configured): the old one must not outlive it."""
        place = self.place
        if (order := _clearing(place, self.before)) is None:
            return
        if order.id is None:
            order = own_place(self.before)  # it lay at whatever level the purpose before had
        command = Command(CommandCode.none, _Unheard(), place.connector.number, payload=order)
        place.connector.charge_point.offer(command, now)

    def _failed(self, result: LimitResult, now: float) -> None:
        place, own = self.place, self.place.own
        if result == LimitResult.offline:
            own.asked = None
            place.show(result)
            return
        if self.instead is None and not self.profile_id:
            own.outcome = result
            replace(place, place.instead_of_clearing(), LimitResult.accepted, now)
            return
        explicit = result in (LimitResult.rejected, LimitResult.not_supported)
        if explicit and self.profile_id != self.before:
            own.installed = self.before
        own.confirmed = 0  # even where an older one was accepted once: charge points forget (quirk S7)
        _keep(place)
        if self.instead is not None:
            own.outcome = result if self.instead == LimitResult.accepted else self.instead
        else:
            own.outcome = result
            if place.refused(self.wanted, result, now):
                return
        if own.running is None:
            place.show(own.outcome)
            try_later(place, now)


class _Unheard:
    """The outcome changes nothing."""

    def report(self, command: Command, report: Report, now: float) -> None:
        pass


_RESULTS = {
    CommandError.offline: LimitResult.offline,
    CommandError.link_lost: LimitResult.offline,
    CommandError.not_registered: LimitResult.offline,
    CommandError.no_answer: LimitResult.no_answer,
    CommandError.not_supported: LimitResult.not_supported,
    CommandError.blocked_by_role: LimitResult.blocked_by_role,
}


def result_of(report: Report) -> LimitResult:
    """What the outcome of a command means for a limit."""
    if report.state is CommandState.failed:
        return _RESULTS.get(report.error, LimitResult.call_error)
    if report.result == Result.Accepted:
        return LimitResult.accepted
    return LimitResult.not_supported if report.result == Result.NotSupported else LimitResult.rejected
