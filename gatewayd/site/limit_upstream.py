"""The charging profiles that a central system upstream set, and the limit that follows from them (modbus.md, Bridge
role: `limit_upstream`). No I/O, no clock: what is due next stands in the agenda.

Which profile holds is OCPP 1.6, 3.13: TxProfile before TxDefaultProfile, of each the highest stack level that has a
limit at this time, a connector's own before connector 0's; never more than the ChargePointMaxProfile.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from gatewayd.site.charging_profile import ClearProfiles, Profile
from gatewayd.site.codes import ProfileKind, ProfilePurpose, ProfileRecurrency, RateUnit
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.limit_policy import converted

if TYPE_CHECKING:
    from gatewayd.site.charge_point import ChargePoint
    from gatewayd.site.connector import Connector

HELD_MAX = 200
"""Profiles remembered per charge point; charge points hold a few dozen at most."""
RECURS_S = {ProfileRecurrency.Daily: 86_400, ProfileRecurrency.Weekly: 7 * 86_400}


def put(cp: ChargePoint, number: int, profile: Profile, now: float) -> None:
    """The charge point accepted this profile on this connector; one with the same id or place gives way."""
    held = cp.upstream_profiles.held
    for key in [key for key, other in held.items() if other.id == profile.id]:
        del held[key]
    held[number, profile.purpose, profile.stack_level] = profile
    if len(held) > HELD_MAX:
        del held[next(iter(held))]
    reconsider(cp, now)


def clear(cp: ChargePoint, wanted: ClearProfiles, now: float) -> None:
    """The charge point accepted to clear what matches."""
    held = cp.upstream_profiles.held
    for key in [key for key, profile in held.items() if wanted.matches(key[0], profile)]:
        del held[key]
    reconsider(cp, now)


def reconsider(cp: ChargePoint, now: float) -> None:
    """Work out `limit_upstream` of every connector as it is now, and when to look again."""
    profiles, site = cp.upstream_profiles, cp.bank.site
    if profiles.look is not None:
        profiles.look.cancel()
        profiles.look = None
    _drop_ended(cp)
    epoch, until = site.clock.epoch(now), inf
    for connector in cp.real_connectors:
        found, its_end = _limit_of(connector, epoch)
        until = min(until, its_end)
        limit, unit = found if found is not None else (NO_LIMIT, RateUnit.A)
        if (limit, unit) != (connector.limit.upstream, connector.limit.upstream_unit):
            connector.limit.upstream, connector.limit.upstream_unit = limit, unit
            connector.touch()
    if until < inf:
        profiles.look = site.agenda.at(now + max(1.0, until - epoch), lambda then: reconsider(cp, then))


def top_level(cp: ChargePoint, number: int) -> int:
    """The highest stack level that concerns this connector; -1 without any."""
    concerns = (level for (at, _, level) in cp.upstream_profiles.held if at in (0, number))
    return max(concerns, default=-1)


def has_tx_profile(cp: ChargePoint, number: int) -> bool:
    """Whether a TxProfile of the central system holds in this connector's transaction."""
    return any(at == number and purpose == ProfilePurpose.TxProfile for at, purpose, _ in cp.upstream_profiles.held)


def _drop_ended(cp: ChargePoint) -> None:
    """A TxProfile ends with its transaction; one that came with a remote start waits for it."""
    held = cp.upstream_profiles.held
    for key, profile in list(held.items()):
        if profile.purpose != ProfilePurpose.TxProfile or profile.transaction_id is None:
            continue
        connector = cp.connector(key[0])
        running = None if connector is None else connector.open_transaction
        if running is None or running.id != profile.transaction_id:
            del held[key]


Found = tuple[int, RateUnit]


def _limit_of(connector: Connector, epoch: float) -> tuple[Found | None, float]:
    """The limit in force and until when, epoch seconds."""
    cp, until = connector.charge_point, inf
    found: Found | None = None
    for purpose in (ProfilePurpose.TxProfile, ProfilePurpose.TxDefaultProfile):
        for number in (connector.number, 0):
            limit, its_end = _highest(cp, number, purpose, connector, epoch)
            until = min(until, its_end)
            found = found or limit
    cap, its_end = _highest(cp, 0, ProfilePurpose.ChargePointMaxProfile, connector, epoch)
    until = min(until, its_end)
    if found is None or cap is None:
        return found or cap, until
    per_ampere = connector.limit.supply.watts_per_ampere(connector.limit.written_phases)
    return (cap if converted(cap[0], cap[1], found[1], per_ampere) < found[0] else found), until


def _highest(
    cp: ChargePoint, number: int, purpose: ProfilePurpose, connector: Connector, epoch: float
) -> tuple[Found | None, float]:
    running, until = connector.open_transaction, inf
    if purpose == ProfilePurpose.TxProfile and running is None:
        return None, until
    began = None if running is None else running.start_epoch
    found: Found | None = None
    stack = [(key[2], profile) for key, profile in cp.upstream_profiles.held.items() if key[:2] == (number, purpose)]
    for _, profile in sorted(stack, key=lambda each: -each[0]):
        limit, its_end = limit_at(profile, epoch, began)
        until = min(until, its_end)
        if limit is not None and found is None:
            found = limit, profile.rate_unit
    return found, until


def limit_at(profile: Profile, epoch: float, began: float | None) -> tuple[int | None, float]:
    """The limit of this profile at `epoch` (None: it has none then), and the next time at which that may change.
    `began` is the start of the transaction; a schedule relative to one that has not begun stands at its beginning."""
    if profile.valid_from is not None and epoch < profile.valid_from:
        return None, profile.valid_from
    if profile.valid_to is not None and epoch >= profile.valid_to:
        return None, inf
    ends = inf if profile.valid_to is None else float(profile.valid_to)
    start, again = _start_of(profile, epoch, began)
    if epoch < start:
        return None, min(start, ends)
    if profile.duration_s is not None and epoch >= start + profile.duration_s:
        return None, min(again, ends)
    limit, until = None, min(again, ends)
    if profile.duration_s is not None:
        until = min(until, start + profile.duration_s)
    for period in profile.periods:
        if start + period.start_s > epoch:
            until = min(until, start + period.start_s)
            break
        limit = period.limit
    return limit, until


def _start_of(profile: Profile, epoch: float, began: float | None) -> tuple[float, float]:
    """When the schedule began that counts at `epoch`, and when it begins once more."""
    start = profile.start_schedule
    if profile.kind == ProfileKind.Relative or start is None:
        return (epoch if began is None else began), inf
    every = RECURS_S.get(profile.recurrency) if profile.kind == ProfileKind.Recurring else None
    if every is None or epoch < start:
        return float(start), inf
    latest = start + (epoch - start) // every * every
    return latest, latest + every
