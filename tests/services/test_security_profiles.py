"""OCPP security profiles 0 to 3 over real TLS on the loopback: profile × what a charge point brings (promises, R29)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import pytest
import trio
import trustme

from gatewayd.services.tls import server_context
from gatewayd.site.refusal import Cause
from tests.services.ocpp_peer import Peer, basic, request
from tests.services.secure_plant import (
    FUTURE,
    HOST,
    NOWADAYS,
    PAST,
    Dates,
    Papers,
    SecurePlant,
    certify,
    client,
    of_tls_1_1,
    pem,
    secure_plant,
    secured,
)

OURS, THEIRS = trustme.CA(), trustme.CA()
"""The authority of the gateway and its charge points, and one that nobody here believes."""
SERVER = certify(OURS, HOST)
ENTRY = '[ocpp.tls]\nport = 0\n[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
RIGHT, WRONG = basic("CP001", "secret"), basic("CP001", "guess")


@dataclass(frozen=True)
class Attempt:
    """One cell of the matrix: how the gateway is set up, what comes, and what becomes of it."""

    profile: int
    what: str
    cause: Cause | None = None
    """None: it is let in."""
    status: int = 101
    """What HTTP answers; 0: it never came to that."""
    authorization: bytes = b""
    context: ssl.SSLContext | None = None
    least: int = 0
    server: Papers = SERVER
    host: str = HOST

    def __str__(self) -> str:
        return f"{self.profile}-{self.what}"

    @property
    def toml(self) -> str:
        password = 'password = "secret"\n' if self.profile in (1, 2) else ""
        return f"{ENTRY}{password}min_security_profile = {self.least}\n"


def shows(name: str = "CP001", authority: trustme.CA = OURS, dates: Dates = NOWADAYS) -> ssl.SSLContext:
    return client(OURS, certify(authority, name, dates))


BELIEVES = client(OURS)
MATRIX = [
    Attempt(0, "right"),
    Attempt(0, "with a password that nobody asked for", authorization=RIGHT),
    Attempt(0, "TLS where none is served", Cause.tls_on_plain_port, 0),
    Attempt(1, "right", authorization=RIGHT),
    Attempt(1, "wrong", Cause.wrong_password, 401, WRONG),
    Attempt(1, "none", Cause.no_password, 401),
    Attempt(1, "downgrade to 0", Cause.no_password, 401, least=1),
    Attempt(1, "another's name", Cause.wrong_password, 401, basic("CP002", "secret")),
    Attempt(2, "right", authorization=RIGHT, context=BELIEVES),
    Attempt(2, "right, by TLS 1.2", authorization=RIGHT, context=client(OURS, maximum_version=ssl.TLSVersion.TLSv1_2)),
    Attempt(2, "wrong", Cause.wrong_password, 401, WRONG, BELIEVES),
    Attempt(2, "none", Cause.no_password, 401, context=BELIEVES),
    Attempt(2, "downgrade to 1", Cause.profile_too_low, 403, RIGHT, least=2),
    Attempt(2, "plain on the TLS port", Cause.plain_on_tls_port, 400, RIGHT),
    Attempt(2, "expired", Cause.our_certificate_expired, 0, RIGHT, BELIEVES, server=certify(OURS, HOST, PAST)),
    Attempt(2, "not yet valid", Cause.our_certificate_refused, 0, RIGHT, BELIEVES, server=certify(OURS, HOST, FUTURE)),
    Attempt(2, "wrong name", Cause.our_certificate_refused, 0, RIGHT, BELIEVES, host="other.example"),
    Attempt(2, "foreign authority", Cause.authority_unknown, 0, RIGHT, client(THEIRS)),
    Attempt(2, "TLS 1.1", Cause.tls_too_old, 0, RIGHT, of_tls_1_1(OURS)),
    Attempt(3, "right", context=shows()),
    Attempt(
        3, "right, by TLS 1.2", context=client(OURS, certify(OURS, "CP001"), maximum_version=ssl.TLSVersion.TLSv1_2)
    ),
    Attempt(3, "right, with a wrong password that nobody asked for", authorization=WRONG, context=shows()),
    Attempt(3, "none", Cause.certificate_missing, 0, context=BELIEVES),
    Attempt(3, "a password instead", Cause.certificate_missing, 0, RIGHT, BELIEVES),
    Attempt(3, "downgrade to 0", Cause.profile_too_low, 403, least=3),
    Attempt(3, "expired", Cause.certificate_expired, 0, context=shows(dates=PAST)),
    Attempt(3, "not yet valid", Cause.certificate_not_yet_valid, 0, context=shows(dates=FUTURE)),
    Attempt(3, "wrong name", Cause.certificate_name, 403, context=shows("CP002")),
    Attempt(3, "foreign authority", Cause.certificate_foreign, 0, context=shows(authority=THEIRS)),
    Attempt(3, "TLS 1.1", Cause.tls_too_old, 0, context=of_tls_1_1(OURS, certify(OURS, "CP001"))),
]


async def outcome(plant: SecurePlant, attempt: Attempt) -> tuple[int, Peer | None]:
    """The HTTP status, and the connection; 0 where TLS did not come about or nothing was answered."""
    head = request(Authorization=attempt.authorization) if attempt.authorization else request()
    try:
        if "TLS port" in attempt.what:
            peer = Peer(await trio.open_tcp_stream(HOST, plant.tls_port))
        elif "none is served" in attempt.what:
            peer = Peer(await secured(await trio.open_tcp_stream(HOST, plant.plain_port), BELIEVES))
        else:
            peer = await plant.dial(attempt.context, attempt.host)
        return await peer.upgrade(head), peer
    except (trio.BrokenResourceError, EOFError):
        return 0, None


@pytest.mark.parametrize("attempt", MATRIX, ids=str)
async def test_who_gets_in(attempt: Attempt) -> None:
    roots = pem(OURS) if attempt.profile == 3 else ""
    async with secure_plant(attempt.toml, attempt.server, roots) as plant:
        with trio.fail_after(8):
            status, peer = await outcome(plant, attempt)
        assert status == attempt.status
        if attempt.cause is None:
            assert peer is not None
            assert (await peer.boot())["status"] == "Accepted"
            assert plant.profile() == attempt.profile
            assert plant.causes == []
        else:
            assert await plant.cause() == attempt.cause
            assert plant.causes == [attempt.cause]
            assert plant.profile() is None


@pytest.mark.parametrize(
    ("context", "roots", "said"),
    [
        (of_tls_1_1(OURS), "", "TLSV1_ALERT_PROTOCOL_VERSION"),
        (client(OURS, maximum_version=ssl.TLSVersion.TLSv1_2), pem(OURS), "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (shows(), pem(THEIRS), "TLSV1_ALERT_UNKNOWN_CA"),
        (shows(dates=PAST), pem(OURS), "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
    ],
)
async def test_a_charge_point_hears_in_an_alert_why_tls_failed(context: ssl.SSLContext, roots: str, said: str) -> None:
    async with secure_plant(ENTRY, SERVER, roots) as plant:

        async def come_in() -> None:
            peer = await plant.dial(context)
            await peer.upgrade()  # TLS 1.3 tells of a client's certificate after the handshake

        with trio.fail_after(8), pytest.raises(trio.BrokenResourceError) as failed:
            await come_in()
        assert isinstance(failed.value.__cause__, ssl.SSLError)
        assert failed.value.__cause__.reason == said


async def test_who_speaks_tls_where_none_is_served_hears_it_in_tls() -> None:
    async with secure_plant(ENTRY, SERVER) as plant:
        with pytest.raises(trio.BrokenResourceError) as failed:
            await secured(await trio.open_tcp_stream(HOST, plant.plain_port), BELIEVES)
        assert isinstance(failed.value.__cause__, ssl.SSLError)
        assert failed.value.__cause__.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


async def test_certificates_of_our_authority_may_be_shown_before_they_must_be() -> None:
    """So charge points go from profile 2 to 3 one by one."""
    async with secure_plant(ENTRY, SERVER, pem(OURS), required=False) as plant:
        for context, profile in ((BELIEVES, 2), (shows(), 3)):
            peer = await plant.dial(context)
            assert await peer.upgrade() == 101
            assert (await peer.boot())["status"] == "Accepted"
            assert plant.profile() == profile
            await trio.aclose_forcefully(peer.stream)
            with trio.fail_after(5):
                while plant.profile() is not None:  # noqa: ASYNC110
                    await trio.sleep(0.005)


async def test_a_certificate_makes_the_newcomer_win_at_once() -> None:
    async with secure_plant(ENTRY, SERVER, pem(OURS)) as plant:
        old, new = await plant.dial(shows()), await plant.dial(shows())
        assert await old.upgrade() == 101
        with trio.fail_after(2):
            assert await new.upgrade() == 101
            assert await old.close_code() == 1001
            assert (await new.boot())["status"] == "Accepted"


async def test_a_certificate_can_be_replaced_while_links_stand() -> None:
    async with secure_plant(ENTRY, SERVER) as plant:
        old = await plant.dial(BELIEVES)
        assert await old.upgrade() == 101
        renewed = certify(THEIRS, HOST)
        plant.listener.show_certificate(server_context(renewed.certificate, renewed.key))
        with pytest.raises(trio.BrokenResourceError):
            await plant.dial(BELIEVES)
        await plant.dial(client(THEIRS))
        assert (await old.boot())["status"] == "Accepted"


async def test_without_a_certificate_to_show_the_cause_is_told() -> None:
    async with secure_plant(ENTRY, SERVER) as plant:
        plant.listener.show_certificate(None)
        with pytest.raises(trio.BrokenResourceError):
            await plant.dial(BELIEVES)
        assert plant.site.refusals.latest[0].refusal.why == "the gateway has no certificate to show"
