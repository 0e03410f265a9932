"""A charge point asks for a certificate: SignCertificate, who decides, and CertificateSigned that follows by itself
(ocpp.md, Security; modbus.md, Decision mailbox).

Without the BMS the policy is: sign for a charge point that came over TLS and showed who it is, by its password or by
the certificate that it wants renewed. Otherwise whoever can say a name would get a certificate to it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatewayd.ocpp import schema_security as security
from gatewayd.site import kept
from gatewayd.site.certificate import UnusableRequest
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import (
    CommandCode,
    CommandError,
    CommandState,
    RequestType,
    ResponseStatus,
    Result,
    code_of,
)
from gatewayd.site.command import Command, Report
from gatewayd.site.decision import Request, Verdict

if TYPE_CHECKING:
    from gatewayd.ocpp.central import Inbound

log = logging.getLogger(__name__)

ENCRYPTED = 2
"""The first security profile with TLS."""
LOOKED_AT_MAX, PAUSE_S = 5, 60.0
"""So many requests of a charge point are looked at in this time: each costs a signature, which takes milliseconds. One
that was refused, or made its key anew, asks again at once; one that asks without end does not."""
TRIED_AGAIN = frozenset(
    {CommandError.offline, CommandError.not_registered, CommandError.link_lost, CommandError.no_answer}
)
"""After these the certificate is delivered when the charge point registers the next time."""


def sign_certificate(call: Inbound, request: security.SignCertificate) -> None:
    """Accepted is followed by CertificateSigned; without an authority of our own, whoever decided has to send it."""
    cp, asks = call.charge_point, "SignCertificate" in call.session.ask_bms
    looked_at = cp.certificate_requests
    if len(looked_at) == LOOKED_AT_MAX and call.now < looked_at[0] + PAUSE_S:
        call.reply(security.SignCertificateAnswer("Rejected"))
        return
    cp.certificate_requests = [*looked_at, call.now][-LOOKED_AT_MAX:]
    why = _objection(cp, request.csr) or ("" if asks else _distrust(cp))
    if why:
        log.warning("%s: no certificate for it: %s", cp.name, why)
        call.reply(security.SignCertificateAnswer("Rejected"))
    elif asks:
        asked = Request(RequestType.SignCertificate, timestamp=call.epoch, text=request.csr)
        call.ask(asked, lambda verdict: _decided(call, request.csr, verdict))
    else:
        _decided(call, request.csr, Verdict(ResponseStatus.Accepted))


def _objection(cp: ChargePoint, csr: str) -> str:
    """Why our authority would not sign this; "" if it would, or if we have none."""
    signer = cp.bank.site.signer
    try:
        if signer is not None:
            signer.check(csr, cp.name)
    except UnusableRequest as error:
        return str(error)
    return ""


def _distrust(cp: ChargePoint) -> str:
    """Why no certificate is signed for it without being asked; "" if it is."""
    if cp.bank.site.signer is None:
        return "the gateway has no authority of its own"
    if not cp.authenticated or (cp.security_profile or 0) < ENCRYPTED:
        return "it did not come over TLS with its password or a certificate, and the BMS is not asked"
    return ""


def _decided(call: Inbound, csr: str, verdict: Verdict) -> None:
    cp, status = call.charge_point, verdict.status
    signer, signed = cp.bank.site.signer, None
    if status is ResponseStatus.Accepted and signer is not None:
        try:
            signed = signer.sign(csr, cp.name, call.epoch)
        except UnusableRequest as error:
            log.warning("%s: no certificate for it: %s", cp.name, error)
            status = ResponseStatus.Rejected
    call.reply(security.SignCertificateAnswer(status.name), cp.bank.site.journal.written)
    if signed is not None:
        cp.signed_chain, cp.certificate_until = signed.chain, signed.until
        kept.keep(cp)
        registered(cp, cp.bank.site.now)


def registered(cp: ChargePoint, now: float) -> None:
    """Deliver the certificate that waits, if one does."""
    if cp.signed_chain:
        payload = security.CertificateSigned(cp.signed_chain)
        cp.offer(
            Command(
                CommandCode.CertificateSigned,
                _Delivery(cp, cp.signed_chain),
                slot="own/certificate",
                payload=payload,
                action="CertificateSigned",
                conclude=lambda answer: Report(CommandState.done, code_of(Result, answer.status)),
            ),
            now,
        )


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One attempt to deliver a certificate."""

    charge_point: ChargePoint
    chain: str

    def report(self, command: Command, report: Report, now: float) -> None:
        cp = self.charge_point
        if not report.final or self.chain != cp.signed_chain:
            return
        if report.error in TRIED_AGAIN:
            log.info("%s: its certificate could not be delivered, and waits", cp.name)
            return
        cp.signed_chain = ""
        if report.result == Result.Accepted:
            log.info("%s: has a certificate of the gateway's authority", cp.name)
        else:
            log.warning("%s: does not take its certificate: %s", cp.name, report.text or Result(report.result).name)
