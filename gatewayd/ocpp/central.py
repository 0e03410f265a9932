"""What charge points ask of us, in the central system role: one plain function per operation (ocpp.md).

A handler changes the site and answers through `Inbound.reply`, at once or, when the BMS decides, later. It never
waits: there is nothing here to wait with, so a handler cannot block the connection it answers on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp import schema_security as security
from gatewayd.ocpp.schema_fields import Empty, IdTagInfo, Payload
from gatewayd.site import sessions
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import (
    DiagnosticsStatus,
    ErrorCode,
    FirmwareStatus,
    QuirkBits,
    RequestType,
    ResponseStatus,
    SecurityEvent,
    Status,
    StopReason,
    code_of,
)
from gatewayd.site.connector import Connector
from gatewayd.site.decision import Request, Verdict, ask_bms
from gatewayd.site.limit_effect import OFFERED
from gatewayd.site.meter import Meter, feed, update
from gatewayd.site.timestamp import format_utc, parse, trusted

if TYPE_CHECKING:
    from gatewayd.ocpp.session import Session

DIAGNOSTICS_TEXTS = {"UploadFailure": "UploadFailed"}
"""LogStatusNotification's word for what DiagnosticsStatusNotification calls UploadFailed (ocpp.md, Errors)."""

BOOT_LOOP_S = 300.0
"""As many Boots as `ChargePoint.boots` holds within this long are a loop (quirk B3)."""
OLDER_S = 60.0
"""How far a clock may be set back before what it stamped counts as nonsense: as far as a stamp may be ahead."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """One Call of a charge point, on its way to an answer."""

    charge_point: ChargePoint
    session: Session
    id: str
    now: float

    @property
    def epoch(self) -> float:
        return self.charge_point.bank.site.epoch

    def reply(self, payload: Payload, durable: int = 0, *, withheld: bool = False) -> None:
        """Answer; after the journal is committed up to `durable`. `withheld`: not at all if it cannot be."""
        self.session.reply(self.id, payload, durable, withheld=withheld)

    def ask(self, request: Request, decided: Callable[[Verdict], None]) -> None:
        """Put this to the BMS; withdrawn if the connection closes first."""
        asked = self.session.asked

        def reply(verdict: Verdict) -> None:
            asked.remove(request)
            decided(verdict)

        request.reply = reply
        asked.append(request)
        ask_bms(self.charge_point, request, self.now, self.charge_point.bank.site.agenda)

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


def boot_notification(call: Inbound, request: core.BootNotification) -> None:
    """Accepted, always: who may connect was decided at the handshake. Never asked of the BMS."""
    cp = call.charge_point
    who = cp.identity
    who.vendor, who.model = request.chargePointVendor, request.chargePointModel
    who.serial = request.chargePointSerialNumber or request.chargeBoxSerialNumber or ""
    who.firmware, who.meter_serial = request.firmwareVersion or "", request.meterSerialNumber or ""
    cp.booted = True
    cp.boots.append(call.now)
    if len(cp.boots) == cp.boots.maxlen and call.now - cp.boots[0] <= BOOT_LOOP_S:
        cp.note_quirk(QuirkBits.boot_loop)
    cp.told_offset_s = cp.bank.site.clock.offset_s
    now_text = format_utc(call.epoch)
    call.reply(core.BootNotificationAnswer("Accepted", now_text, call.session.heartbeat_interval_s))
    call.session.register(call.now)


def heartbeat(call: Inbound, request: core.Heartbeat) -> None:
    cp = call.charge_point
    cp.heartbeat_at, cp.told_offset_s = call.now, cp.bank.site.clock.offset_s
    call.reply(core.HeartbeatAnswer(format_utc(call.epoch)))


def status_notification(call: Inbound, request: core.StatusNotification) -> None:
    """The status of a connector, or with connectorId 0 of the whole. One older than shown changes nothing."""
    connector = call.connector(request.connectorId)
    if connector is not None:
        stamp = call.epoch if request.timestamp is None else min(call.time(request.timestamp), call.epoch)
        if not _shows_newer(connector, stamp, call.epoch):
            _show_status(call, connector, request, stamp)
    call.reply(Empty())


def _shows_newer(connector: Connector, stamp: float, epoch: float) -> bool:
    """Whether the status shown is the newer one; not if its time lies in the future, since some clock was set back."""
    shown = connector.status_time
    return shown is not None and stamp < shown <= epoch + OLDER_S


def _show_status(call: Inbound, connector: Connector, request: core.StatusNotification, stamp: float) -> None:
    connector.status_time, connector.status_at = stamp, call.now
    connector.status = code_of(Status, request.status)
    connector.error_code = code_of(ErrorCode, request.errorCode)
    connector.vendor_error_code = request.vendorErrorCode or ""
    if Status.unlisted in (connector.status, connector.error_code):
        call.charge_point.note_quirk(QuirkBits.unlisted_value)
    sessions.status_changed(connector, call.now)
    connector.touch()


def meter_values(call: Inbound, request: core.MeterValues) -> None:
    """Samples of a connector's meter; those of a transaction are durable before they are acknowledged."""
    connector = call.connector(request.connectorId)
    durable = 0
    if connector is not None:
        take_samples(call, connector, request.meterValue)
        durable = sessions.metered(connector, request.transactionId, call.epoch)
        connector.touch()
    call.reply(Empty(), durable, withheld=bool(durable))


def take_samples(call: Inbound, connector: Connector, values: list[Any]) -> None:
    """Feed samples to the connector's meter, and note what was tolerated."""
    shown = connector.meter.time_epoch
    if shown is not None and shown > call.epoch + OLDER_S:  # our own clock was set back: nothing shown is newer
        connector.meter.time_epoch = None
    entries = [(value.timestamp, value.sampledValue) for value in values]
    tolerated = feed(connector.meter, entries, call.epoch)
    connector.meter_at = call.now
    if any(sample.measurand in OFFERED for value in values for sample in value.sampledValue):
        connector.limit.effect.offered_at = call.now
    sessions.meter_heard(connector, call.now)
    call.clock(bool(tolerated & QuirkBits.bad_timestamp))
    call.charge_point.note_quirk(tolerated)


def authorize(call: Inbound, request: core.Authorize) -> None:
    """Waits for the BMS, unless our own RemoteStart brought this tag."""
    if sessions.started_by_us(call.charge_point, request.connectorId, request.idTag, call.now):
        call.reply(core.AuthorizeAnswer(IdTagInfo("Accepted")))
        return
    call.ask(
        Request(
            RequestType.Authorize,
            request.connectorId or 0,
            call.epoch,
            id_tag=request.idTag,
        ),
        lambda verdict: call.reply(
            core.AuthorizeAnswer(id_tag_info(verdict)), call.charge_point.bank.site.journal.written
        ),
    )


def id_tag_info(verdict: Verdict) -> IdTagInfo:
    return IdTagInfo(
        verdict.status.name, format_utc(verdict.expiry) if verdict.expiry else None, verdict.parent_id_tag or None
    )


def start_transaction(call: Inbound, request: core.StartTransaction) -> None:
    """Waits for the BMS; a repetition is answered as before, unasked (quirk T4), one that waits already with the
    first."""
    cp, connector = call.charge_point, call.connector(request.connectorId)
    key = (request.connectorId, request.timestamp, request.idTag, request.meterStart)
    waiting = call.session.starting.get(key)
    known = cp.transactions.known_start(*key)
    if waiting is not None or known is not None:
        cp.note_quirk(QuirkBits.duplicate_start)
    if known is not None:
        answer = core.StartTransactionAnswer(IdTagInfo(known.answer), known.id)
        call.reply(answer, cp.bank.site.journal.written, withheld=True)
        return
    if waiting is not None:
        waiting.append(call.id)
        return
    start_epoch = call.time(request.timestamp)
    call.session.starting[key] = [call.id]

    def decided(verdict: Verdict) -> None:
        started = sessions.start(
            cp, request.connectorId, request.idTag, start_epoch, request.meterStart, request.timestamp,
            verdict.status.name, request.reservationId, call.epoch,
        )  # fmt: skip
        answer = core.StartTransactionAnswer(id_tag_info(verdict), started.id)
        for call_id in call.session.starting.pop(key):
            call.session.reply(call_id, answer, cp.bank.site.journal.written, withheld=True)

    if connector is None or sessions.started_by_us(cp, request.connectorId, request.idTag, call.now):
        decided(Verdict(ResponseStatus.Accepted if connector is not None else ResponseStatus.Invalid))
        return
    call.ask(
        Request(
            RequestType.StartTransaction,
            request.connectorId,
            start_epoch,
            request.meterStart,
            reservation_id=request.reservationId,
            id_tag=request.idTag,
        ),
        decided,
    )


def stop_transaction(call: Inbound, request: core.StopTransaction) -> None:
    """Answered at once; the BMS is informed and may confirm in its own time."""
    cp = call.charge_point
    stop_epoch = call.time(request.timestamp)
    reason = code_of(StopReason, request.reason) if request.reason else StopReason.Local
    if reason == StopReason.unlisted:
        cp.note_quirk(QuirkBits.unlisted_value)
    stopped = sessions.stop(
        cp, request.transactionId, stop_epoch, request.meterStop, reason, request.idTag or "", request.timestamp,
        began=_began(call, request),
    )  # fmt: skip
    connector = cp.connector(stopped.connector)
    if connector is not None and request.transactionData:
        take_samples(call, connector, request.transactionData)
        connector.touch()
    info = IdTagInfo("Accepted") if request.idTag else None
    call.reply(core.StopTransactionAnswer(info), cp.bank.site.journal.written, withheld=True)


def _began(call: Inbound, request: core.StopTransaction) -> tuple[float, int] | None:
    """When the transaction began and the energy register then, as its own data says; None where it does not."""
    first = Meter()
    for value in request.transactionData or ():
        epoch, bad = trusted(parse(value.timestamp), call.epoch)
        if bad:
            continue
        update(first, value.sampledValue, epoch)
        if first.energy_active_import_wh is not None:
            return epoch, round(first.energy_active_import_wh)
    return None


def data_transfer(call: Inbound, request: core.DataTransfer) -> None:
    """UnknownVendorId, unless the configuration has the BMS decide."""
    if "DataTransfer" not in call.session.ask_bms:
        call.reply(core.DataTransferAnswer("UnknownVendorId"))
        return
    key = f"{request.vendorId}/{request.messageId}" if request.messageId else request.vendorId
    call.ask(
        Request(
            RequestType.DataTransfer,
            timestamp=call.epoch,
            key=key,
            text=request.data or "",
        ),
        lambda verdict: call.reply(
            core.DataTransferAnswer(verdict.status.name, verdict.text or None),
            call.charge_point.bank.site.journal.written,
        ),
    )


# --- Firmware, diagnostics, security ------------------------------------------------------------------------------


def _show(call: Inbound, attribute: str, code: int) -> None:
    """Put a status into its register and acknowledge."""
    if code == Status.unlisted:
        call.charge_point.note_quirk(QuirkBits.unlisted_value)
    setattr(call.charge_point, attribute, code)
    call.charge_point.touch()
    call.reply(Empty())


def diagnostics_status(
    call: Inbound, request: core.DiagnosticsStatusNotification | security.LogStatusNotification
) -> None:
    text = DIAGNOSTICS_TEXTS.get(request.status, request.status)
    _show(call, "diagnostics_status", code_of(DiagnosticsStatus, text))


def firmware_status(
    call: Inbound, request: core.FirmwareStatusNotification | security.SignedFirmwareStatusNotification
) -> None:
    _show(call, "firmware_status", code_of(FirmwareStatus, request.status))


def security_event(call: Inbound, request: security.SecurityEventNotification) -> None:
    call.time(request.timestamp)
    _show(call, "security_event", code_of(SecurityEvent, request.type))


def sign_certificate(call: Inbound, request: security.SignCertificate) -> None:
    """Rejected until the gateway has an authority to sign with, unless the BMS is asked."""
    if "SignCertificate" not in call.session.ask_bms:
        call.reply(security.SignCertificateAnswer("Rejected"))
        return
    call.ask(
        Request(
            RequestType.SignCertificate,
            timestamp=call.epoch,
            text=request.csr,
        ),
        lambda verdict: call.reply(
            security.SignCertificateAnswer(verdict.status.name), call.charge_point.bank.site.journal.written
        ),
    )


HANDLERS: dict[str, Callable[[Inbound, Any], None]] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "DataTransfer": data_transfer,
    "DiagnosticsStatusNotification": diagnostics_status,
    "FirmwareStatusNotification": firmware_status,
    "Heartbeat": heartbeat,
    "LogStatusNotification": diagnostics_status,
    "MeterValues": meter_values,
    "SecurityEventNotification": security_event,
    "SignCertificate": sign_certificate,
    "SignedFirmwareStatusNotification": firmware_status,
    "StartTransaction": start_transaction,
    "StatusNotification": status_notification,
    "StopTransaction": stop_transaction,
}
"""Action → handler: every operation that a charge point may ask for. Others are NotImplemented."""
