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
from gatewayd.site.certificate import Signed
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
    if not asks:
        why = _distrust(cp)
        if why:
            _rejected(call, why)
        else:
            _decided(call, request.csr, Verdict(ResponseStatus.Accepted))
    elif cp.bank.site.signer is None:  # whoever decides has one
        _ask(call, request.csr)
    else:
        cp.bank.site.signer.check(
            request.csr, cp.name, lambda why: _rejected(call, why) if why else _ask(call, request.csr)
        )


def _ask(call: Inbound, csr: str) -> None:
    """The BMS; not about what our authority would not sign."""
    asked = Request(RequestType.SignCertificate, timestamp=call.epoch, text=csr)
    call.ask(asked, lambda verdict: _decided(call, csr, verdict))


def _rejected(call: Inbound, why: str) -> None:
    log.warning("%s: no certificate for it: %s", call.charge_point.name, why)
    call.reply(security.SignCertificateAnswer("Rejected"))


def _distrust(cp: ChargePoint) -> str:
    """Why no certificate is signed for it without being asked; "" if it is."""
    if cp.bank.site.signer is None:
        return "the gateway has no authority of its own"
    if not cp.authenticated or (cp.security_profile or 0) < ENCRYPTED:
        return "it did not come over TLS with its password or a certificate, and the BMS is not asked"
    return ""


def _decided(call: Inbound, csr: str, verdict: Verdict) -> None:
    site = call.charge_point.bank.site
    if verdict.status is ResponseStatus.Accepted and site.signer is not None:
        site.signer.sign(csr, call.charge_point.name, lambda signed: _signed(call, signed))
    else:
        call.reply(security.SignCertificateAnswer(verdict.status.name), site.journal.written)


def _signed(call: Inbound, signed: Signed | str) -> None:
    cp = call.charge_point
    if isinstance(signed, str):
        _rejected(call, signed)
        return
    call.reply(security.SignCertificateAnswer("Accepted"), cp.bank.site.journal.written)
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
