"""What charge points ask of us, in the central system role: one plain function per operation (ocpp.md).

A handler changes the site and answers through `Inbound.reply`, at once or, when the BMS decides, later. It never
waits: there is nothing here to wait with, so a handler cannot block the connection it answers on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewayd.ocpp import heard
from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp.certificate_signing import sign_certificate
from gatewayd.ocpp.heard import Said
from gatewayd.ocpp.schema_fields import Empty, IdTagInfo, Payload
from gatewayd.site import sessions
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits, RequestType, ResponseStatus, Status
from gatewayd.site.decision import Request, Verdict, ask_bms

if TYPE_CHECKING:
    from gatewayd.ocpp.session import Session


@dataclass(frozen=True, slots=True)
class Inbound(Said):
    """One Call of a charge point, on its way to an answer."""

    session: Session
    id: str

    def reply(self, payload: Payload, durable: int = 0, *, withheld: bool = False) -> None:
        """Answer; after the journal is committed up to `durable`. `withheld`: not at all if it cannot be."""
        self.session.reply(self.id, payload, durable, withheld=withheld)

    def ask(self, request: Request, decided: Callable[[Verdict], None]) -> None:
        """Put this to the BMS; withdrawn if the connection closes first, or has closed meanwhile."""
        if not self.session.is_open:
            return
        asked = self.session.asked

        def reply(verdict: Verdict) -> None:
            asked.remove(request)
            decided(verdict)

        request.reply = reply
        asked.append(request)
        ask_bms(self.charge_point, request, self.now, self.charge_point.bank.site.agenda)


AT_WORK = frozenset({Status.Charging, Status.SuspendedEV, Status.SuspendedEVSE, Status.Finishing})
"""A session has begun long ago: whoever says now that one starts means its end (quirk T9)."""

# --- Core ---------------------------------------------------------------------------------------------------------


def boot_notification(call: Inbound, request: core.BootNotification) -> None:
    """Accepted, always: who may connect was decided at the handshake. Never asked of the BMS."""
    heard.boot_notification(call, request)
    call.charge_point.told_offset_s = call.charge_point.bank.site.clock.offset_s
    now_text = call.charge_point.stamp(call.epoch)
    call.reply(core.BootNotificationAnswer("Accepted", now_text, call.session.heartbeat_interval_s))
    call.session.register(call.now)


def heartbeat(call: Inbound, request: core.Heartbeat) -> None:
    heard.heartbeat(call, request)
    call.charge_point.told_offset_s = call.charge_point.bank.site.clock.offset_s
    call.reply(core.HeartbeatAnswer(call.charge_point.stamp(call.epoch)))


def status_notification(call: Inbound, request: core.StatusNotification) -> None:
    """One that comes again, message id and timestamp and all, is answered and changes nothing: two of the same instant
    are told apart by the order in which they first came."""
    said = (call.id, request)
    if request.timestamp is None or said not in call.charge_point.statuses:
        call.charge_point.statuses.append(said)
        heard.status_notification(call, request)
    call.reply(Empty())


def meter_values(call: Inbound, request: core.MeterValues) -> None:
    """Those of a transaction are durable before they are acknowledged."""
    durable = heard.meter_values(call, request)
    call.reply(Empty(), durable, withheld=bool(durable))


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
            core.AuthorizeAnswer(id_tag_info(call.charge_point, verdict)), call.charge_point.bank.site.journal.written
        ),
    )


def id_tag_info(cp: ChargePoint, verdict: Verdict) -> IdTagInfo:
    return IdTagInfo(
        verdict.status.name, cp.stamp(verdict.expiry) if verdict.expiry else None, verdict.parent_id_tag or None
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
    over = cp.quirk_profile.start_may_mean_end and connector is not None and connector.status in AT_WORK
    if over:
        cp.note_quirk(QuirkBits.other)

    def decided(verdict: Verdict) -> None:
        started = sessions.start(
            cp, request.connectorId, request.idTag, start_epoch, request.meterStart, request.timestamp,
            verdict.status.name, request.reservationId, call.epoch, over=over,
        )  # fmt: skip
        answer = core.StartTransactionAnswer(id_tag_info(cp, verdict), started.id)
        for call_id in call.session.starting.pop(key):
            call.session.reply(call_id, answer, cp.bank.site.journal.written, withheld=True)

    if connector is None or over or sessions.started_by_us(cp, request.connectorId, request.idTag, call.now):
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
    heard.stop_transaction(call, request)
    info = IdTagInfo("Accepted") if request.idTag else None
    call.reply(core.StopTransactionAnswer(info), call.charge_point.bank.site.journal.written, withheld=True)


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


def _acknowledged(told: Callable[[Inbound, Any], None]) -> Callable[[Inbound, Any], None]:
    """What is heard, and answered with nothing but that it was."""

    def handle(call: Inbound, request: Payload) -> None:
        told(call, request)
        call.reply(Empty())

    return handle


HANDLERS: dict[str, Callable[[Inbound, Any], None]] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "DataTransfer": data_transfer,
    "DiagnosticsStatusNotification": _acknowledged(heard.diagnostics_status),
    "FirmwareStatusNotification": _acknowledged(heard.firmware_status),
    "Heartbeat": heartbeat,
    "LogStatusNotification": _acknowledged(heard.diagnostics_status),
    "MeterValues": meter_values,
    "SecurityEventNotification": _acknowledged(heard.security_event),
    "SignCertificate": sign_certificate,
    "SignedFirmwareStatusNotification": _acknowledged(heard.firmware_status),
    "StartTransaction": start_transaction,
    "StatusNotification": status_notification,
    "StopTransaction": stop_transaction,
}
"""Action → handler: every operation that a charge point may ask for. Others are NotImplemented."""
