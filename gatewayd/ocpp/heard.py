"""What a charge point's Calls change in the site, whoever answers them: the gateway itself or, in bridge role, a
central system upstream (ocpp.md). The answers are the business of `central` and `bridge`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp import schema_security as security
from gatewayd.site import sessions
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import (
    DiagnosticsStatus,
    ErrorCode,
    FirmwareStatus,
    QuirkBits,
    SecurityEvent,
    Status,
    StopReason,
    code_of,
)
from gatewayd.site.connector import Connector
from gatewayd.site.limit_effect import OFFERED
from gatewayd.site.meter import Meter, feed, update
from gatewayd.site.quirk_profile import EnergyRegister
from gatewayd.site.timestamp import is_older, parse, trusted

DIAGNOSTICS_TEXTS = {"UploadFailure": "UploadFailed"}
"""LogStatusNotification's word for what DiagnosticsStatusNotification calls UploadFailed (ocpp.md, Errors)."""
BOOT_LOOP_S = 300.0
"""As many Boots as `ChargePoint.boots` holds within this long are a loop (quirk B3)."""
OLDER_S = 60.0
"""How far a clock may be set back before what it stamped counts as nonsense: as far as a stamp may be ahead."""


@dataclass(frozen=True, slots=True)
class Said:
    """One Call of a charge point, as far as it tells something."""

    charge_point: ChargePoint
    now: float

    @property
    def epoch(self) -> float:
        return self.charge_point.bank.site.epoch

    def time(self, text: str | None) -> float:
        """A timestamp of the charge point as epoch seconds, replaced by now where it cannot be true."""
        epoch, bad = trusted(parse(text), self.epoch)
        self.clock(bad)
        return epoch

    def clock(self, bad: bool) -> None:
        """Remember whether its last timestamp had to be replaced."""
        cp = self.charge_point
        if bad:
            cp.note_quirk(QuirkBits.bad_timestamp)
        if bad != cp.clock_bad:
            cp.clock_bad = bad
            cp.touch()

    def connector(self, number: int) -> Connector | None:
        """The configured connector; one that is not configured is a fault of the configuration, noted once."""
        found = self.charge_point.connector(number)
        if found is None:
            self.charge_point.note_quirk(QuirkBits.other)
        return found


# --- Core ---------------------------------------------------------------------------------------------------------


def boot_notification(said: Said, request: core.BootNotification) -> None:
    """Who it says it is."""
    cp = said.charge_point
    who = cp.identity
    who.vendor, who.model = request.chargePointVendor, request.chargePointModel
    who.serial = request.chargePointSerialNumber or request.chargeBoxSerialNumber or ""
    who.firmware, who.meter_serial = request.firmwareVersion or "", request.meterSerialNumber or ""
    cp.booted = True
    cp.boots.append(said.now)
    if len(cp.boots) == cp.boots.maxlen and said.now - cp.boots[0] <= BOOT_LOOP_S:
        cp.note_quirk(QuirkBits.boot_loop)
    cp.touch()


def heartbeat(said: Said, request: core.Heartbeat) -> None:
    said.charge_point.heartbeat_at = said.now


def status_notification(said: Said, request: core.StatusNotification) -> None:
    """The status of a connector, or with connectorId 0 of the whole. One older than shown changes nothing."""
    connector = said.connector(request.connectorId)
    if connector is not None:
        stamp = said.epoch if request.timestamp is None else min(said.time(request.timestamp), said.epoch)
        if not _shows_newer(connector, stamp, said.epoch):
            _show_status(said, connector, request, stamp)


def _shows_newer(connector: Connector, stamp: float, epoch: float) -> bool:
    """Whether the status shown is the newer one; not if its time lies in the future, since some clock was set back."""
    shown = connector.status_time
    return shown is not None and is_older(stamp, shown) and shown <= epoch + OLDER_S


def _show_status(said: Said, connector: Connector, request: core.StatusNotification, stamp: float) -> None:
    connector.status_time, connector.status_at = stamp, said.now
    connector.status = code_of(Status, request.status)
    connector.error_code = code_of(ErrorCode, request.errorCode)
    connector.vendor_error_code = request.vendorErrorCode or ""
    if Status.unlisted in (connector.status, connector.error_code):
        said.charge_point.note_quirk(QuirkBits.unlisted_value)
    sessions.status_changed(connector, said.now)
    connector.touch()


def meter_values(said: Said, request: core.MeterValues) -> int:
    """Samples of a connector's meter. Returns the journal entry that makes them durable, 0 without a transaction."""
    connector = said.connector(request.connectorId)
    if connector is None:
        return 0
    take_samples(said, connector, request.meterValue, in_transaction=request.transactionId is not None)
    durable = sessions.metered(connector, request.transactionId, said.epoch)
    connector.touch()
    return durable


def take_samples(said: Said, connector: Connector, values: list[Any], *, in_transaction: bool) -> None:
    """Feed samples to the connector's meter, and note what was tolerated. `in_transaction`: they came with one."""
    shown = connector.meter.time_epoch
    if shown is not None and shown > said.epoch + OLDER_S:  # our own clock was set back: nothing shown is newer
        connector.meter.time_epoch = None
    entries = [(value.timestamp, value.sampledValue) for value in values]
    register = said.charge_point.quirk_profile.energy_register
    session = register is EnergyRegister.session or (in_transaction and register is not EnergyRegister.total)
    tolerated = feed(connector.meter, entries, said.epoch, session_register=session)
    connector.meter_at = said.now
    if any(sample.measurand in OFFERED for value in values for sample in value.sampledValue):
        connector.limit.effect.offered_at = said.now
    sessions.meter_heard(connector, said.now)
    said.clock(bool(tolerated & QuirkBits.bad_timestamp))
    said.charge_point.note_quirk(tolerated)


def stop_transaction(said: Said, request: core.StopTransaction) -> None:
    """How a transaction ended."""
    cp = said.charge_point
    stop_epoch = said.time(request.timestamp)
    reason = code_of(StopReason, request.reason) if request.reason else StopReason.Local
    if reason == StopReason.unlisted:
        cp.note_quirk(QuirkBits.unlisted_value)
    stopped = sessions.stop(
        cp, request.transactionId, stop_epoch, request.meterStop, reason, request.idTag or "", request.timestamp,
        began=_began(said, request),
    )  # fmt: skip
    connector = cp.connector(stopped.connector)
    if connector is not None and request.transactionData:
        take_samples(said, connector, request.transactionData, in_transaction=True)
        connector.touch()


def _began(said: Said, request: core.StopTransaction) -> tuple[float, int] | None:
    """When the transaction began and the energy register then, as its own data says; None where it does not."""
    first = Meter()
    for value in request.transactionData or ():
        epoch, bad = trusted(parse(value.timestamp), said.epoch)
        if bad:
            continue
        update(first, value.sampledValue, epoch)
        if first.energy_active_import_wh is not None:
            return epoch, round(first.energy_active_import_wh)
    return None


def _show(said: Said, attribute: str, code: int) -> None:
    """Put a status into its register."""
    if code == Status.unlisted:
        said.charge_point.note_quirk(QuirkBits.unlisted_value)
    setattr(said.charge_point, attribute, code)
    said.charge_point.touch()


def diagnostics_status(
    said: Said, request: core.DiagnosticsStatusNotification | security.LogStatusNotification
) -> None:
    text = DIAGNOSTICS_TEXTS.get(request.status, request.status)
    _show(said, "diagnostics_status", code_of(DiagnosticsStatus, text))


def firmware_status(
    said: Said, request: core.FirmwareStatusNotification | security.SignedFirmwareStatusNotification
) -> None:
    _show(said, "firmware_status", code_of(FirmwareStatus, request.status))


def security_event(said: Said, request: security.SecurityEventNotification) -> None:
    said.time(request.timestamp)
    _show(said, "security_event", code_of(SecurityEvent, request.type))


HEARD: dict[str, Callable[[Said, Any], object]] = {
    "BootNotification": boot_notification,
    "DiagnosticsStatusNotification": diagnostics_status,
    "FirmwareStatusNotification": firmware_status,
    "Heartbeat": heartbeat,
    "LogStatusNotification": diagnostics_status,
    "MeterValues": meter_values,
    "SecurityEventNotification": security_event,
    "SignedFirmwareStatusNotification": firmware_status,
    "StatusNotification": status_notification,
    "StopTransaction": stop_transaction,
}
"""Action → what it changes in the site by being said, whoever answers it."""
