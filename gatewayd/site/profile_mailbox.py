"""The profile mailbox of a bank: registers become one charging profile, or one question (modbus.md, Profile).

Judged as OCPP 1.6 and its errata have it; what they leave to the charge point is left to the charge point. No limit
passes the configured ceiling: as everywhere, higher ones are clamped (interface.md, `max_current_a`). A profile set
here may take the place of one that our limits stand in, and a clearing may remove it: they are said again, so that
`limit` holds; a profile that shall hold beside it needs another stack level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gatewayd.site.charging_profile import (
    OWN_PROFILE_IDS,
    ClearProfiles,
    CompositeSchedule,
    GetSchedule,
    Period,
    Profile,
    SetProfile,
    ceiling,
    picked_id,
)
from gatewayd.site.codes import (
    CommandCode,
    CommandError,
    CommandState,
    ProfileKind,
    ProfileOperation,
    ProfilePurpose,
    ProfileRecurrency,
    RateUnit,
    Result,
)
from gatewayd.site.command import Command, Report, failed
from gatewayd.site.journal import SaveFact
from gatewayd.site.mailbox_fields import BadFields, Fields, expect, number
from gatewayd.site.owner import Ownership
from gatewayd.site.supply import NOMINAL_PHASES

if TYPE_CHECKING:
    from gatewayd.site.charge_point import ChargePoint
    from gatewayd.site.connector import Connector
    from gatewayd.site.model import BankRecords

PROFILE_REGISTERS = 121
"""`profile_charge_point` .. `profile_commit` of the gateway block."""
PERIODS = 24
"""Periods of a schedule that the registers carry."""
ANY_STACK_LEVEL = 0xFFFF
"""`profile_stack_level` of a clearing that means all of them."""
DAY_S = 86_400
"""What a composite schedule covers where `profile_duration_s` is 0."""


@dataclass(eq=False, slots=True)
class ProfileMailbox:
    """`profile_*` and `schedule_*` of one bank."""

    registers: bytearray = field(default_factory=lambda: bytearray(2 * PROFILE_REGISTERS))
    owner: Ownership = field(default_factory=Ownership)
    ack: int = 0
    state: int = CommandState.idle
    result: int = Result.none
    error: int = CommandError.none
    running: Command | None = None
    schedule_rate_unit: int | None = None
    schedule_start: float | None = None
    schedule_periods: tuple[tuple[int, float], ...] = ()
    """(start in seconds, limit in the rate unit)."""

    def show(self, report: Report) -> None:
        """Put a step of the operation into the registers; the final one frees the mailbox."""
        self.state, self.result, self.error = report.state, report.result, report.error
        if report.final:
            self.running = None

    def show_schedule(self, schedule: CompositeSchedule | None) -> None:
        """What the charge point will allow, in its own unit; None empties the points."""
        shown = schedule or CompositeSchedule(RateUnit.A, None, ())
        self.schedule_rate_unit, self.schedule_start = shown.rate_unit, shown.start
        self.schedule_periods = shown.periods[:PERIODS]


class _Origin(Struct, frozen=True):
    """Shows the steps of the profile mailbox's operation in its registers."""

    bank: BankRecords
    charge_point: ChargePoint

    def report(self, command: Command, report: Report, now: float) -> None:
        self.bank.profile.show(report)
        if isinstance(report.content, CompositeSchedule):
            self.bank.profile.show_schedule(report.content)
        self.bank.touch()
        if isinstance(command.payload, ClearProfiles):
            profiles_cleared(self.charge_point, command.payload, report, now)
        elif isinstance(command.payload, SetProfile) and report.result == Result.Accepted:
            self.charge_point.profiles_changed(now)


def profiles_cleared(charge_point: ChargePoint, wanted: ClearProfiles, report: Report, now: float) -> None:
    """The BMS had profiles cleared: one of them shall not come with the next remote start either, and our own limits
    may have gone with them."""
    if report.state is not CommandState.done:
        return
    for connector in charge_point.real_connectors:
        attached = connector.attached_profile
        if attached is not None and wanted.matches(connector.number, attached):
            connector.attached_profile = None
    if report.result == Result.Accepted and (wanted.id is None or wanted.id in OWN_PROFILE_IDS):
        charge_point.profiles_changed(now)


def commit_profile(bank: BankRecords, fields: Fields) -> None:
    """`profile_commit` was written. Zero, or the number taken last, does nothing; while an operation runs the new one
    is refused as busy with the ack unchanged. `attach_to_next_remote_start` is done at once: nothing goes out yet."""
    mailbox, site = bank.profile, bank.site
    sequence = number(fields, "profile_commit")
    if sequence in (0, mailbox.ack):
        return
    bank.touch()
    if mailbox.running is not None:
        mailbox.error = CommandError.busy
        return
    mailbox.ack = sequence
    durable = site.journal.promise(SaveFact(f"profile_ack/{bank.number}", sequence))
    try:
        connector = _connector(bank, fields)
        if connector.charge_point.watched_only:
            mailbox.show(failed(CommandError.blocked_by_role))
            return
        wanted = OPERATIONS[_listed(ProfileOperation, fields, "profile_operation")](connector, fields)
    except BadFields:
        mailbox.show(failed(CommandError.bad_parameter))
        return
    if isinstance(wanted, Profile):
        connector.attached_profile = wanted
        mailbox.show(Report(CommandState.done, Result.Accepted))
        return
    if isinstance(wanted, GetSchedule):
        mailbox.show_schedule(None)
    code = CommandCode.ClearChargingProfile if isinstance(wanted, ClearProfiles) else CommandCode.none
    command = Command(code, _Origin(bank, connector.charge_point), connector.number, payload=wanted, durable=durable)
    mailbox.running = command
    connector.charge_point.offer(command, site.now)


# --- judging ------------------------------------------------------------------------------------------------------


Code = TypeVar("Code", bound=IntEnum)


def _connector(bank: BankRecords, fields: Fields) -> Connector:
    charge_point = bank.charge_points.get(number(fields, "profile_charge_point"))
    if charge_point is None:
        raise BadFields("profile_charge_point")
    connector = charge_point.connector(number(fields, "profile_connector"))
    if connector is None:
        raise BadFields("profile_connector")
    return connector


def _listed(kind: type[Code], fields: Fields, name: str) -> Code:
    """The code of an enumeration; 0 passes only where it is a choice of its own."""
    try:
        code = kind(number(fields, name))
    except ValueError:
        raise BadFields(name) from None
    expect(code.name != "unset", name)
    return code


def _set(connector: Connector, fields: Fields) -> SetProfile:
    """SetChargingProfile, with the transaction that a TxProfile must name (OCPP 1.6, 5.16)."""
    profile = _profile(connector, fields)
    if profile.purpose is ProfilePurpose.ChargePointMaxProfile:
        expect(connector.number == 0, "profile_connector")
    if profile.purpose is ProfilePurpose.TxProfile:
        current = connector.open_transaction
        if current is None:
            raise BadFields("profile_transaction_id")
        expect(number(fields, "profile_transaction_id") in (0, current.id), "profile_transaction_id")
        return SetProfile(connector.number, replace(profile, transaction_id=current.id))
    expect(number(fields, "profile_transaction_id") == 0, "profile_transaction_id")
    return SetProfile(connector.number, profile)


def _attach(connector: Connector, fields: Fields) -> Profile:
    """For RemoteStartTransaction: a TxProfile of a transaction that has no id yet (erratum 3.41)."""
    profile = _profile(connector, fields)
    expect(profile.purpose is ProfilePurpose.TxProfile, "profile_purpose")
    expect(connector.number > 0, "profile_connector")
    expect(number(fields, "profile_transaction_id") == 0, "profile_transaction_id")
    return profile


def _clear(connector: Connector, fields: Fields) -> ClearProfiles:
    profile_id = number(fields, "profile_id")
    if profile_id:
        return ClearProfiles(id=profile_id)
    purpose = number(fields, "profile_purpose")
    level = number(fields, "profile_stack_level")
    return ClearProfiles(
        connector=connector.number,
        purpose=_listed(ProfilePurpose, fields, "profile_purpose") if purpose else None,
        stack_level=None if level == ANY_STACK_LEVEL else level,
    )


def _get_schedule(connector: Connector, fields: Fields) -> GetSchedule:
    duration_s = number(fields, "profile_duration_s") or DAY_S
    return GetSchedule(connector.number, duration_s, _listed(RateUnit, fields, "profile_rate_unit"))


OPERATIONS: dict[
    ProfileOperation, Callable[[Connector, Fields], SetProfile | ClearProfiles | GetSchedule | Profile]
] = {
    ProfileOperation.set: _set,
    ProfileOperation.clear: _clear,
    ProfileOperation.get_composite_schedule: _get_schedule,
    ProfileOperation.attach_to_next_remote_start: _attach,
}
"""What each operation makes of the registers; a bare profile is one to attach."""


def _profile(connector: Connector, fields: Fields) -> Profile:
    """The profile that the registers describe, without a transaction."""
    purpose = _listed(ProfilePurpose, fields, "profile_purpose")
    kind = _listed(ProfileKind, fields, "profile_kind")
    recurrency = _listed(ProfileRecurrency, fields, "profile_recurrency")
    stack_level = number(fields, "profile_stack_level")
    unit = _listed(RateUnit, fields, "profile_rate_unit")
    phases = number(fields, "profile_phases")
    profile_id = number(fields, "profile_id")
    start = number(fields, "profile_start_schedule")
    valid_from, valid_to = number(fields, "profile_valid_from"), number(fields, "profile_valid_to")
    min_rate = number(fields, "profile_min_rate")
    recurs = kind is ProfileKind.Recurring
    # Erratum 3.56: a recurrency belongs to Recurring, and only there.
    expect(recurs == (recurrency is not ProfileRecurrency.none), "profile_recurrency")
    # A start is that of an absolute schedule (OCPP 1.6, 7.13).
    expect(kind is not ProfileKind.Relative or not start, "profile_start_schedule")
    expect(not valid_to or valid_from < valid_to, "profile_valid_to")
    expect(min_rate >= 0, "profile_min_rate")
    expect(phases <= NOMINAL_PHASES, "profile_phases")
    expect(profile_id not in OWN_PROFILE_IDS, "profile_id")
    return Profile(
        profile_id or picked_id(connector.number, purpose, stack_level),
        purpose,
        kind,
        stack_level,
        unit,
        _periods(fields, ceiling(connector.charge_point.max_current_a, unit, phases)),
        phases or None,
        recurrency,
        valid_from=valid_from or None,
        valid_to=valid_to or None,
        start_schedule=start or None,
        duration_s=number(fields, "profile_duration_s") or None,
        min_rate=min_rate or None,
    )


def _periods(fields: Fields, highest: int) -> tuple[Period, ...]:
    """The first starts at 0 (erratum 3.45), each later than the one before; no limit is negative."""
    count = number(fields, "profile_period_count")
    expect(1 <= count <= PERIODS, "profile_period_count")
    periods: list[Period] = []
    for k in range(1, count + 1):
        start_s = number(fields, f"profile_period_{k}_start_s")
        limit = number(fields, f"profile_period_{k}_limit")
        expect(start_s > periods[-1].start_s if periods else start_s == 0, f"profile_period_{k}_start_s")
        expect(limit >= 0, f"profile_period_{k}_limit")
        periods.append(Period(start_s, min(limit, highest)))
    return tuple(periods)
