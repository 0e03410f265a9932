"""Charging profiles over the wire: the site's records as OCPP 1.6 payloads, and a composite schedule back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp.schema_fields import ChargingProfile, ChargingSchedule, ChargingSchedulePeriod
from gatewayd.site.charging_profile import ClearProfiles, CompositeSchedule, GetSchedule, Period, Profile, SetProfile
from gatewayd.site.codes import ProfileKind, ProfilePurpose, ProfileRecurrency, RateUnit
from gatewayd.site.timestamp import parse

TENTHS = 10
"""Limits of the site count 0.1; on the wire they have at most one decimal."""


Stamp = Callable[[float], str]
"""How a time is written to this charge point."""


def charging_profile(profile: Profile, stamp: Stamp) -> ChargingProfile:
    """The profile with limits of at most one decimal (ocpp.md, Out)."""
    purpose: Any = profile.purpose.name
    kind: Any = profile.kind.name
    recurrency: Any = profile.recurrency.name if profile.recurrency else None
    return ChargingProfile(
        profile.id,
        profile.stack_level,
        purpose,
        kind,
        _schedule(profile, stamp),
        profile.transaction_id,
        recurrency,
        _time(profile.valid_from, stamp),
        _time(profile.valid_to, stamp),
    )


def _schedule(profile: Profile, stamp: Stamp) -> ChargingSchedule:
    unit: Any = profile.rate_unit.name
    periods = [ChargingSchedulePeriod(p.start_s, p.limit / TENTHS, profile.phases) for p in profile.periods]
    least = None if profile.min_rate is None else profile.min_rate / TENTHS
    return ChargingSchedule(unit, periods, profile.duration_s, _time(profile.start_schedule, stamp), least)


def _time(epoch: int | None, stamp: Stamp) -> str | None:
    return None if epoch is None else stamp(epoch)


def set_charging_profile(wanted: SetProfile, stamp: Stamp) -> core.SetChargingProfile:
    return core.SetChargingProfile(wanted.connector, charging_profile(wanted.profile, stamp))


def clear_charging_profile(wanted: ClearProfiles) -> core.ClearChargingProfile:
    """With an id the other fields are left out: the id alone decides (OCPP 1.6, 5.5)."""
    if wanted.id is not None:
        return core.ClearChargingProfile(id=wanted.id)
    purpose: Any = None if wanted.purpose is None else wanted.purpose.name
    return core.ClearChargingProfile(None, wanted.connector, purpose, wanted.stack_level)


def get_composite_schedule(wanted: GetSchedule) -> core.GetCompositeSchedule:
    unit: Any = wanted.rate_unit.name
    return core.GetCompositeSchedule(wanted.connector, wanted.duration_s, unit)


def composite_schedule(answer: core.GetCompositeScheduleAnswer) -> CompositeSchedule | None:
    """The schedule of an answer, in the unit that the charge point chose; None where it has none.

    Its start stands in `scheduleStart`; in older implementations in the schedule itself (erratum 3.57)."""
    schedule = answer.chargingSchedule
    if schedule is None:
        return None
    start = parse(answer.scheduleStart)
    if start is None:
        start = parse(schedule.startSchedule)
    periods = tuple((period.startPeriod, period.limit) for period in schedule.chargingSchedulePeriod)
    return CompositeSchedule(RateUnit[schedule.chargingRateUnit], start, periods)


def profile_of(seen: ChargingProfile) -> Profile:
    """What a central system upstream sent, as the site thinks of it; times that make no sense are absent."""
    schedule = seen.chargingSchedule
    return Profile(
        seen.chargingProfileId,
        ProfilePurpose[seen.chargingProfilePurpose],
        ProfileKind[seen.chargingProfileKind],
        seen.stackLevel,
        RateUnit[schedule.chargingRateUnit],
        tuple(Period(each.startPeriod, round(each.limit * TENTHS)) for each in schedule.chargingSchedulePeriod),
        next((each.numberPhases for each in schedule.chargingSchedulePeriod), None),
        ProfileRecurrency[seen.recurrencyKind] if seen.recurrencyKind else ProfileRecurrency.none,
        seen.transactionId,
        _epoch(seen.validFrom),
        _epoch(seen.validTo),
        _epoch(schedule.startSchedule),
        schedule.duration,
    )


def _epoch(text: str | None) -> int | None:
    found = parse(text)
    return None if found is None else round(found)


def profiles_to_clear(seen: core.ClearChargingProfile) -> ClearProfiles:
    """Which ones a central system upstream wants gone."""
    purpose = None if seen.chargingProfilePurpose is None else ProfilePurpose[seen.chargingProfilePurpose]
    return ClearProfiles(seen.id, seen.connectorId, purpose, seen.stackLevel)
