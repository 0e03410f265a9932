"""What we ask of a charge point: the operations that a BMS commands, each with its request and its answer.

`OPERATIONS` is the heart: command code → action, how the arguments become a request, and how the answer becomes
registers (modbus.md, Command mailbox; ocpp.md, All 39 operations). `WISHES` is the same for what does not fit the
arguments: a record of the site in the command's payload → operation. Everything else here serves one of their rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from gatewayd.ocpp import local_list, profiles
from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp import schema_security as security
from gatewayd.ocpp.certificate_hash import NoCertificate, hash_data
from gatewayd.ocpp.schema_fields import Payload
from gatewayd.site.capability import UNSUPPORTED_LIST
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.charging_profile import ClearProfiles, GetSchedule, SetProfile
from gatewayd.site.codes import (
    CommandCode,
    CommandState,
    ProfilePurpose,
    Result,
    TriggerCode,
    code_of,
)
from gatewayd.site.command import Command, Report
from gatewayd.site.connector import Connector
from gatewayd.site.list_delivery import SendList
from gatewayd.site.profile_mailbox import profiles_cleared
from gatewayd.site.slot import Slot

READ_ONLY = 1
"""Bit 0 of `command_r1` of GetConfiguration."""
OWN_START_S = 300.0
"""A tag of our own RemoteStart is accepted unasked on its connector this long (modbus.md, Decision mailbox)."""
ID_TAG_LENGTH = 20
HEXADECIMAL = re.compile("[0-9A-Fa-f]+")
SECURITY_PROFILE = "securityprofile"
"""A configuration key; charge points compare them without case."""


class BadParameter(Exception):
    """An argument is missing or does not fit the operation: the command fails with bad_parameter."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One command: its action on the wire, its request from the arguments, its report from the answer."""

    action: str
    build: Callable[[ChargePoint, Command], Payload]
    conclude: Callable[[ChargePoint, Command, Any], Report]
    send: Callable[[ChargePoint, Command, Any], None] | None = None
    """What the request still takes along, and what is true, when it goes out; None: nothing."""


def done(result: int, r1: int | None = None, text: str = "") -> Report:
    return Report(CommandState.done, result, r1=r1, text=text)


# --- arguments ----------------------------------------------------------------------------------------------------


def _connector(cp: ChargePoint, command: Command, *, lowest: int) -> int:
    if not lowest <= command.connector <= cp.connector_count:
        raise BadParameter(f"connector {command.connector}")
    return command.connector


def _required(value: str, name: str, longest: int | None = None) -> str:
    if not value or (longest is not None and len(value) > longest):
        raise BadParameter(name)
    return value


def _slot(cp: ChargePoint, number: int) -> Slot:
    slot = cp.bank.site.slots.get(number)
    if slot is None:
        raise BadParameter(f"slot {number}")
    return slot


def _time(cp: ChargePoint, epoch: int) -> str:
    """t1, or now where it is 0."""
    return cp.stamp(epoch or cp.bank.site.epoch)


# --- requests -----------------------------------------------------------------------------------------------------


def _remote_start(cp: ChargePoint, command: Command) -> Payload:
    connector = _connector(cp, command, lowest=1)
    tag = _required(command.id_tag or cp.default_id_tag, "id_tag", ID_TAG_LENGTH)
    if cp.quirk_profile.hex_id_tags and not HEXADECIMAL.fullmatch(tag):
        raise BadParameter("id_tag: this model takes only the digits 0-9 and A-F")
    return core.RemoteStartTransaction(tag, connector)


def _send_remote_start(cp: ChargePoint, command: Command, request: core.RemoteStartTransaction) -> None:
    """From now on its tag is ours on that connector; the profile attached there goes along, once."""
    cp.remote_starts[command.connector] = (request.idTag, cp.bank.site.now + OWN_START_S)
    connector = cp.connectors[command.connector]
    attached, connector.attached_profile = connector.attached_profile, None
    if attached is not None:
        request.chargingProfile = profiles.charging_profile(attached, cp.stamp)


def _remote_stop(cp: ChargePoint, command: Command) -> Payload:
    if command.p1:
        return core.RemoteStopTransaction(command.p1)
    current = cp.connectors[_connector(cp, command, lowest=1)].open_transaction
    if current is None:
        raise BadParameter("no transaction")
    return core.RemoteStopTransaction(current.id)


def _availability(cp: ChargePoint, command: Command) -> Payload:
    if command.p1 not in (0, 1):
        raise BadParameter("p1")
    kind = core.ChangeAvailability
    return kind(_connector(cp, command, lowest=0), "Operative" if command.p1 else "Inoperative")


def _change_configuration(cp: ChargePoint, command: Command) -> Payload:
    key, value = _required(command.key, "key"), command.value
    if (
        key.strip().casefold() == SECURITY_PROFILE
        and value.strip().isdecimal()
        and int(value) < (cp.security_profile or 0)
    ):
        # Over the very connection that it would weaken (security whitepaper, 2.1).
        raise BadParameter(f"SecurityProfile {int(value)} is lower than {cp.security_profile}, which it has")
    return core.ChangeConfiguration(key, value)


TRIGGERS = {
    core.TriggerMessage: frozenset(range(TriggerCode.BootNotification, TriggerCode.StatusNotification + 1)),
    security.ExtendedTriggerMessage: frozenset(
        {
            TriggerCode.BootNotification,
            TriggerCode.FirmwareStatusNotification,
            TriggerCode.Heartbeat,
            TriggerCode.MeterValues,
            TriggerCode.StatusNotification,
            TriggerCode.LogStatusNotification,
            TriggerCode.SignChargePointCertificate,
        }
    ),
}
"""Which messages each of the two trigger operations may ask for (OCPP 1.6, 7.33; security whitepaper)."""


def _trigger(kind: type[core.TriggerMessage] | type[security.ExtendedTriggerMessage]) -> Any:
    def build(cp: ChargePoint, command: Command) -> Payload:
        if command.p1 not in TRIGGERS[kind]:
            raise BadParameter("p1")
        connector = _connector(cp, command, lowest=0)
        return kind(TriggerCode(command.p1).name, connector or None)  # type: ignore[arg-type]

    return build


def _reserve(cp: ChargePoint, command: Command) -> Payload:
    if not command.t1:
        raise BadParameter("t1")
    return core.ReserveNow(
        _connector(cp, command, lowest=0),
        cp.stamp(command.t1),
        _required(command.id_tag, "id_tag", ID_TAG_LENGTH),
        command.p1,
        command.parent_id_tag or None,
    )


def _profiles_to_clear(cp: ChargePoint, command: Command) -> ClearProfiles:
    if command.p1:
        return ClearProfiles(id=command.p1)
    if command.p2 not in ProfilePurpose.__members__.values():
        raise BadParameter("p2")
    purpose = ProfilePurpose(command.p2) if command.p2 else None
    level = None if command.p3 < 0 else command.p3
    return ClearProfiles(None, _connector(cp, command, lowest=0), purpose, level)


def _clear_profile(cp: ChargePoint, command: Command) -> Payload:
    return profiles.clear_charging_profile(_profiles_to_clear(cp, command))


def _data_transfer(cp: ChargePoint, command: Command) -> Payload:
    vendor, _, message = command.key.partition("/")
    return core.DataTransfer(_required(vendor, "key"), message or None, command.value or None)


def _diagnostics(cp: ChargePoint, command: Command) -> Payload:
    url = _required(_slot(cp, command.p1).url, "url")
    return core.GetDiagnostics(url, startTime=cp.stamp(command.t1) if command.t1 else None)


LOG_TYPES = {1: "DiagnosticsLog", 2: "SecurityLog"}


def _log(cp: ChargePoint, command: Command) -> Payload:
    log_type: Any = LOG_TYPES.get(command.p1)
    if log_type is None:
        raise BadParameter("p1")
    where = security.LogParameters(_required(_slot(cp, command.p2).url, "url"))
    return security.GetLog(where, log_type, cp.bank.site.new_request_id())


def _signed_firmware(cp: ChargePoint, command: Command) -> Payload:
    slot = _slot(cp, command.p1)
    firmware = security.Firmware(
        _required(slot.url, "url"),
        _time(cp, command.t1),
        _required(slot.certificate, "certificate"),
        _required(slot.signature, "signature"),
    )
    return security.SignedUpdateFirmware(cp.bank.site.new_request_id(), firmware)


CERTIFICATE_USES = {1: "CentralSystemRootCertificate", 2: "ManufacturerRootCertificate"}


def _install(cp: ChargePoint, command: Command) -> Payload:
    slot = _slot(cp, command.p1)
    use: Any = _required(slot.certificate_type, "certificate_type")
    return security.InstallCertificate(use, _required(slot.certificate, "certificate"))


def _delete(cp: ChargePoint, command: Command) -> Payload:
    try:
        return security.DeleteCertificate(hash_data(_slot(cp, command.p1).certificate))
    except NoCertificate:
        raise BadParameter("certificate") from None


def _installed_ids(cp: ChargePoint, command: Command) -> Payload:
    use: Any = CERTIFICATE_USES.get(command.p1)
    if use is None:
        raise BadParameter("p1")
    return security.GetInstalledCertificateIds(use)


# --- answers ------------------------------------------------------------------------------------------------------


def by_status(cp: ChargePoint, command: Command, answer: Any) -> Report:
    """The answer's status as a result; an answer without one is Accepted."""
    status = getattr(answer, "status", None)
    return done(Result.Accepted if status is None else code_of(Result, status))


def _reserved(cp: ChargePoint, command: Command, answer: core.ReserveNowAnswer) -> Report:
    if answer.status == "Accepted":
        _reserve_on(cp.connectors[command.connector], command.p1)
    return by_status(cp, command, answer)


def _cancelled(cp: ChargePoint, command: Command, answer: core.StatusAnswer) -> Report:
    if answer.status == "Accepted":
        for connector in cp.connectors:
            if connector.reservation_id == command.p1:
                _reserve_on(connector, 0)
    return by_status(cp, command, answer)


def _reserve_on(connector: Connector, reservation_id: int) -> None:
    connector.reservation_id = reservation_id
    connector.touch()


def _configuration(cp: ChargePoint, command: Command, answer: core.GetConfigurationAnswer) -> Report:
    wanted = command.key.casefold()
    for entry in answer.configurationKey or ():
        if entry.key.casefold() == wanted:
            return done(Result.Accepted, READ_ONLY if entry.readonly else 0, entry.value or "")
    return done(Result.NotFound)


def _list_version(cp: ChargePoint, command: Command, answer: core.GetLocalListVersionAnswer) -> Report:
    cp.list_version = answer.listVersion if answer.listVersion >= UNSUPPORTED_LIST else None
    cp.touch()
    return done(Result.Accepted, answer.listVersion)


def _transferred(cp: ChargePoint, command: Command, answer: core.DataTransferAnswer) -> Report:
    return done(code_of(Result, answer.status), text=answer.data or "")


def _file_name(cp: ChargePoint, command: Command, answer: Any) -> Report:
    name = getattr(answer, "fileName", None) or getattr(answer, "filename", None) or ""
    status = getattr(answer, "status", None)
    return done(Result.Accepted if status is None else code_of(Result, status), text=name)


def _cleared(cp: ChargePoint, command: Command, answer: core.ClearChargingProfileAnswer) -> Report:
    report = by_status(cp, command, answer)
    profiles_cleared(cp, _profiles_to_clear(cp, command), report, cp.bank.site.now)
    return report


def _schedule(cp: ChargePoint, command: Command, answer: core.GetCompositeScheduleAnswer) -> Report:
    return replace(by_status(cp, command, answer), content=profiles.composite_schedule(answer))


def _certificate_ids(cp: ChargePoint, command: Command, answer: security.GetInstalledCertificateIdsAnswer) -> Report:
    found = answer.certificateHashData or []
    return done(code_of(Result, answer.status), len(found), " ".join(each.serialNumber for each in found))


# --- the table ----------------------------------------------------------------------------------------------------

OPERATIONS: dict[CommandCode, Operation] = {
    CommandCode.RemoteStartTransaction: Operation(
        "RemoteStartTransaction", _remote_start, by_status, _send_remote_start
    ),
    CommandCode.RemoteStopTransaction: Operation("RemoteStopTransaction", _remote_stop, by_status),
    CommandCode.UnlockConnector: Operation(
        "UnlockConnector", lambda cp, c: core.UnlockConnector(_connector(cp, c, lowest=1)), by_status
    ),
    CommandCode.ResetSoft: Operation("Reset", lambda cp, c: core.Reset("Soft"), by_status),
    CommandCode.ResetHard: Operation("Reset", lambda cp, c: core.Reset("Hard"), by_status),
    CommandCode.ChangeAvailability: Operation("ChangeAvailability", _availability, by_status),
    CommandCode.ClearCache: Operation("ClearCache", lambda cp, c: core.ClearCache(), by_status),
    CommandCode.ChangeConfiguration: Operation("ChangeConfiguration", _change_configuration, by_status),
    CommandCode.GetConfiguration: Operation(
        "GetConfiguration", lambda cp, c: core.GetConfiguration([_required(c.key, "key")]), _configuration
    ),
    CommandCode.TriggerMessage: Operation("TriggerMessage", _trigger(core.TriggerMessage), by_status),
    CommandCode.ReserveNow: Operation("ReserveNow", _reserve, _reserved),
    CommandCode.CancelReservation: Operation(
        "CancelReservation", lambda cp, c: core.CancelReservation(c.p1), _cancelled
    ),
    CommandCode.ClearChargingProfile: Operation("ClearChargingProfile", _clear_profile, _cleared),
    CommandCode.GetLocalListVersion: Operation(
        "GetLocalListVersion", lambda cp, c: core.GetLocalListVersion(), _list_version
    ),
    CommandCode.DataTransfer: Operation("DataTransfer", _data_transfer, _transferred),
    CommandCode.GetDiagnostics: Operation("GetDiagnostics", _diagnostics, _file_name),
    CommandCode.UpdateFirmware: Operation(
        "UpdateFirmware",
        lambda cp, c: core.UpdateFirmware(_required(_slot(cp, c.p1).url, "url"), _time(cp, c.t1)),
        by_status,
    ),
    CommandCode.ExtendedTriggerMessage: Operation(
        "ExtendedTriggerMessage", _trigger(security.ExtendedTriggerMessage), by_status
    ),
    CommandCode.GetLog: Operation("GetLog", _log, _file_name),
    CommandCode.SignedUpdateFirmware: Operation("SignedUpdateFirmware", _signed_firmware, by_status),
    CommandCode.InstallCertificate: Operation("InstallCertificate", _install, by_status),
    CommandCode.DeleteCertificate: Operation("DeleteCertificate", _delete, by_status),
    CommandCode.GetInstalledCertificateIds: Operation("GetInstalledCertificateIds", _installed_ids, _certificate_ids),
    CommandCode.CertificateSigned: Operation(
        "CertificateSigned",
        lambda cp, c: security.CertificateSigned(_required(_slot(cp, c.p1).certificate, "certificate")),
        by_status,
    ),
}
"""Command code → operation."""


def _wish(build: Callable[[Any], Payload]) -> Callable[[ChargePoint, Command], Payload]:
    """The request for the record in the command's payload."""
    return lambda _cp, command: build(command.payload)


def _timed_wish(build: Callable[[Any, Callable[[float], str]], Payload]) -> Callable[[ChargePoint, Command], Payload]:
    """The same where times are written into it."""
    return lambda cp, command: build(command.payload, cp.stamp)


WISHES: dict[type, Operation] = {
    SetProfile: Operation("SetChargingProfile", _timed_wish(profiles.set_charging_profile), by_status),
    ClearProfiles: Operation("ClearChargingProfile", _wish(profiles.clear_charging_profile), by_status),
    SendList: Operation("SendLocalList", _timed_wish(local_list.send_local_list), by_status),
    GetSchedule: Operation("GetCompositeSchedule", _wish(profiles.get_composite_schedule), _schedule),
}
"""Type of a command's payload → operation."""


def operation_of(command: Command) -> Operation:
    """The row that a command means: by its payload where it brings one, else by its code. Raises BadParameter."""
    found = WISHES.get(type(command.payload)) or OPERATIONS.get(command.code)
    if found is None:
        raise BadParameter("command")
    return found
