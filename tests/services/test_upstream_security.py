"""Security profiles towards a central system: what the bridge brings × what it finds there (promises, R29)."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass

import pytest
import trio
import trustme

from gatewayd import bridging, config
from gatewayd.ocpp import handshake
from gatewayd.ocpp.handshake import Refused
from gatewayd.site.refusal import Cause
from tests.services.ocpp_peer import basic, request
from tests.services.secure_plant import FUTURE, HOST, NOWADAYS, PAST, Dates, Papers, certify, pem, show
from tests.simulator.central_system import CentralSystem

OURS, THEIRS = trustme.CA(), trustme.CA()
"""Whom the gateway believes, and whom it does not."""
SERVER = certify(OURS, HOST)
SHOWN = certify(OURS, "gateway")
CLOSED = "closed without an answer"
"""In TLS 1.3 a server looks at the client's certificate when the client is through already."""
RIGHT, WRONG = basic("CP001", "secret"), basic("CP001", "guess")


def central(papers: Papers = SERVER, *, asks: bool = False) -> ssl.SSLContext:
    """A central system's TLS; `asks` for a certificate of OURS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    show(context, papers)
    if asks:
        OURS.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def old() -> ssl.SSLContext:
    """A central system that never heard of TLS 1.2."""
    context = central()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@dataclass(frozen=True)
class Attempt:
    """One cell of the matrix: what stands there, what is brought, and what the refusal says ("" = it is let in)."""

    profile: int
    what: str
    said: str = ""
    authorization: bytes = b""
    context: ssl.SSLContext | None = None
    believes: trustme.CA | None = OURS
    shows: Papers | None = None

    def __str__(self) -> str:
        return f"{self.profile}-{self.what}"

    def toml(self, port: int) -> str:
        scheme = "ws" if self.profile == 1 else "wss"
        lines = [f'[gateway]\nrole = "bridge"\n[ocpp.upstream]\nurl = "{scheme}://{HOST}:{port}/ocpp"']
        if self.believes is not None:
            lines.append(f'ca = """{pem(self.believes)}"""')
        if self.shows is not None:
            lines.append(f'certificate = """{self.shows.certificate}"""\nkey = """{self.shows.key}"""')
        return "\n".join([*lines, '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'])


def shown(authority: trustme.CA = OURS, dates: Dates = NOWADAYS) -> Papers:
    return certify(authority, "gateway", dates)


MATRIX = [
    Attempt(1, "right", authorization=RIGHT),
    Attempt(1, "wrong", "refused with 401", WRONG),
    Attempt(1, "none", "refused with 401"),
    Attempt(2, "right", authorization=RIGHT, context=central()),
    Attempt(2, "wrong", "refused with 401", WRONG, central()),
    Attempt(2, "none", "refused with 401", context=central()),
    Attempt(2, "downgrade: no TLS there", "wrong version number", RIGHT),
    Attempt(2, "expired", "certificate has expired", RIGHT, central(certify(OURS, HOST, PAST))),
    Attempt(2, "not yet valid", "certificate is not yet valid", RIGHT, central(certify(OURS, HOST, FUTURE))),
    Attempt(2, "wrong name", "not valid for '127.0.0.1'", RIGHT, central(certify(OURS, "central.example"))),
    Attempt(2, "foreign authority", "unable to get local issuer", RIGHT, central(certify(THEIRS, HOST))),
    Attempt(2, "the system's authorities only", "unable to get local issuer", RIGHT, central(), None),
    Attempt(2, "TLS 1.1", "protocol version", RIGHT, old()),
    Attempt(3, "right", authorization=RIGHT, context=central(asks=True), shows=SHOWN),
    Attempt(3, "none", CLOSED, RIGHT, central(asks=True)),
    Attempt(3, "foreign authority", CLOSED, RIGHT, central(asks=True), shows=shown(THEIRS)),
    Attempt(3, "expired", CLOSED, RIGHT, central(asks=True), shows=shown(dates=PAST)),
    Attempt(3, "not yet valid", CLOSED, RIGHT, central(asks=True), shows=shown(dates=FUTURE)),
    Attempt(3, "TLS 1.1", "protocol version", RIGHT, old(), shows=SHOWN),
]


@pytest.mark.parametrize("attempt", MATRIX, ids=str)
async def test_who_is_believed_upstream(attempt: Attempt, nursery: trio.Nursery) -> None:
    simulated = CentralSystem(passwords={"CP001": "secret"})
    port = await nursery.start(simulated.serve, HOST, 0, attempt.context)
    upstreams = bridging.upstreams(config.parse(attempt.toml(port), "upstream.toml"))
    upgrade = handshake.read(request(Authorization=attempt.authorization) if attempt.authorization else request())
    with trio.fail_after(10):
        if attempt.said:
            with pytest.raises(Refused) as refused:
                await upstreams.dial(upgrade, nursery)
            assert (refused.value.cause, refused.value.status) == (Cause.upstream_away, 503)
            assert attempt.said in refused.value.why.lower()
            assert "secret" not in refused.value.why
            assert simulated.links == {}
        else:
            await upstreams.dial(upgrade, nursery)
            await simulated.connected("CP001")
            assert simulated.requests[0].path == "/ocpp/CP001"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("key", ["ca", "certificate"])
async def test_what_cannot_be_read_is_never_replaced_by_something_else(key: str, nursery: trio.Nursery) -> None:
    simulated = CentralSystem()
    port = await nursery.start(simulated.serve, HOST, 0, central())
    toml = Attempt(2, "", believes=None).toml(port)
    lines = f'{key} = "/none.pem"\n' + ('key = "/none.key"\n' if key == "certificate" else "")
    parsed = config.parse(toml.replace("[[charge_point]]", f"{lines}[[charge_point]]"), "upstream.toml")
    with pytest.raises(Refused) as refused:
        await bridging.upstreams(parsed).dial(handshake.read(request()), nursery)
    assert f"ocpp.upstream.{key}: /none.pem cannot be read" in refused.value.why
    assert simulated.requests == []
    nursery.cancel_scope.cancel()
