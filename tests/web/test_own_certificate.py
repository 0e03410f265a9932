"""A certificate of the user's own authority: what is wrong is said, and what is right is what charge points see."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from gatewayd.web.brought_certificate import Brought, Own
from gatewayd.web.certificate_judge import faults
from gatewayd.web.routes import Role
from tests.process.daemon import Daemon, charge_points, running
from tests.services.secure_plant import FUTURE, HOST, PAST, Papers, certify, client, pem
from tests.web.door import Answer, Door

NOW = datetime.now(UTC)
SITE = trustme.CA()
DIALLED = "gateway.site.example"
NAMES = ("127.0.0.1", "192.0.2.20", "localhost", "plant-room.local")
KEY = ec.generate_private_key(ec.SECP256R1())


def private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes = b"") -> str:
    sealed = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed).decode()


def request_of(key: ec.EllipticCurvePrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


OWN = Own(request_of(KEY), NAMES, "/data/gateway/server.key")


def signed(request: str, name: str, authority: trustme.CA = SITE) -> str:
    """What an authority makes of a request: a certificate for this name, without the authority's own."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    issuer_key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(x509.load_pem_x509_csr(request.encode()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)  # type: ignore[arg-type]
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@cache
def weak() -> Papers:
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DIALLED)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - timedelta(1)).not_valid_after(NOW + timedelta(1))
    made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    return Papers(made, private(key))


GOOD = certify(SITE, DIALLED)
OTHER = certify(trustme.CA(), DIALLED)
EXPIRED, EARLY = certify(SITE, DIALLED, PAST), certify(SITE, DIALLED, FUTURE)
CHILD = certify(SITE.create_child_ca(), DIALLED)
WILD = certify(SITE, "*.site.example")
ADDRESS = certify(SITE, "192.0.2.20")


@pytest.mark.parametrize(
    "brought",
    [
        Brought(GOOD.certificate, GOOD.key, DIALLED),
        Brought(GOOD.certificate.replace("\n", "\r\n"), GOOD.key, f" {DIALLED.upper()}. "),
        Brought(WILD.certificate, WILD.key, DIALLED),
        Brought(ADDRESS.certificate, ADDRESS.key),
        Brought(CHILD.certificate, CHILD.key, DIALLED),
        Brought(signed(OWN.request, "plant-room.local")),
    ],
    ids=["as it should be", "as Windows writes it", "wildcard", "address", "with its issuer", "for the own request"],
)
def test_what_is_right_is_taken(brought: Brought) -> None:
    assert faults(brought, OWN, NOW) == []


@pytest.mark.parametrize(
    ("brought", "part", "what"),
    [
        (Brought("", GOOD.key, DIALLED), "certificate", "no certificate can be read in it"),
        (Brought("é", GOOD.key, DIALLED), "certificate", "no certificate can be read in it"),
        (Brought(GOOD.certificate[:300], GOOD.key, DIALLED), "certificate", "no certificate can be read in it"),
        (Brought(GOOD.key, GOOD.certificate, DIALLED), "certificate", "it is a private key"),
        (Brought(GOOD.certificate, OTHER.key, DIALLED), "key", "it does not belong to the certificate"),
        (Brought(GOOD.certificate, "key", DIALLED), "key", "no private key can be read in it"),
        (Brought(GOOD.certificate, private(KEY, b"secret"), DIALLED), "key", "it is encrypted"),
        (Brought(GOOD.certificate, "", DIALLED), "key", "not made from this gateway's own request"),
        (Brought(EXPIRED.certificate, EXPIRED.key, DIALLED), "certificate", "it expired on "),
        (Brought(EARLY.certificate, EARLY.key, DIALLED), "certificate", "it is not valid before "),
        (Brought(GOOD.certificate, GOOD.key, "other.example"), "name", "is for gateway.site.example, not for other.ex"),
        (Brought(WILD.certificate, WILD.key, "a.b.site.example"), "name", "is for *.site.example, not for a.b.site"),
        (Brought(GOOD.certificate, GOOD.key), "name", "and the gateway is called 192.0.2.20, plant-room.local: say"),
        (Brought(pem(SITE) + GOOD.certificate, GOOD.key, DIALLED), "certificate", "the first in it is an authority's"),
        (Brought(pem(SITE) + GOOD.certificate, GOOD.key, DIALLED), "key", "not the first in the file"),
        (Brought(GOOD.certificate + OTHER.certificate, GOOD.key, DIALLED), "certificate", "number 2 in it has not iss"),
        (Brought(weak().certificate, weak().key, DIALLED), "certificate", "its key of 1024 bits is weaker"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(brought: Brought, part: str, what: str) -> None:
    found = faults(brought, OWN, NOW)
    assert [each for each in found if each["key"] == part and what in each["what"]], found
    assert not [each for each in found if "PRIVATE KEY-----\n" in each["what"]]


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[tuple[Daemon, Door, str]]:
    """A real gatewayd with a port for TLS, the page's application before it, and an admin's token."""
    daemon = Daemon(folder, charge_points("CP001"))
    daemon.config.write_text(daemon.config.read_text() + '[ocpp.tls]\nport = 0\nkey_type = "ec"\n')
    door = Door.before(daemon, steward=folder / "nobody")
    async with running(daemon), door.webd.running():
        yield daemon, door, (await door.tokens())[Role.admin]


async def seen(daemon: Daemon, believes: ssl.SSLContext, name: str) -> x509.Certificate:
    """What a charge point sees that dials by this name. Raises BrokenResourceError where it does not believe it."""
    stream = trio.SSLStream(
        await trio.open_tcp_stream(HOST, daemon.ports["ocpp_tls"] or 0), believes, server_hostname=name
    )
    async with stream.transport_stream:
        await stream.do_handshake()
        found = stream.getpeercert(binary_form=True)
    assert isinstance(found, bytes)
    return x509.load_der_x509_certificate(found)


async def put(door: Door, token: str, **members: str) -> Answer:
    return await door.call("PUT", "/api/v1/certificate", token, json.dumps(members).encode())


async def test_a_request_is_signed_elsewhere_and_its_key_never_leaves_the_gateway(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (daemon, door, token):
        request = await door.call("GET", f"/api/v1/certificate/request?name={DIALLED}", token)
        assert request.status == 200, request
        csr = x509.load_pem_x509_csr(request.body)
        wanted = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert {DIALLED, "192.168.100.246"} <= {str(each.value) for each in wanted}
        chain = signed(request.text, DIALLED)
        answer = await put(door, token, certificate=chain, name=DIALLED)
        assert answer.status == 204, answer
        assert (await seen(daemon, client(SITE), DIALLED)).public_key() == csr.public_key()
        assert "PRIVATE KEY" not in daemon.config.read_text()
        told = json.loads((await door.call("GET", "/api/v1/certificate", token)).body)
        assert (told["own"], told["names"]) == (True, [DIALLED])
        assert (await door.call("DELETE", "/api/v1/certificate", token)).status == 204
        with pytest.raises(trio.BrokenResourceError):
            await seen(daemon, client(SITE), DIALLED)
        trail = [each.what for each in door.webd.audit.newest()]
        assert "certificate request" in trail
        assert {"ocpp.tls.certificate", "ocpp.tls.key"} <= set(trail)


async def test_certificate_and_key_come_by_the_page_and_the_trail_does_not_tell_the_key(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (daemon, door, token):
        sent = await form(door, token, certificate=GOOD.certificate, key=OTHER.key, name=DIALLED)
        assert sent.status == 422
        assert "It does not belong to the certificate." in sent.text
        assert "Issued by" not in (await door.knock("GET", "/security", token=token)).text
        sent = await form(door, token, certificate=GOOD.certificate, key=GOOD.key, name=DIALLED)
        assert sent.status == 303, sent.text
        shown = await seen(daemon, client(SITE), DIALLED)
        assert shown == x509.load_pem_x509_certificates(GOOD.certificate.encode())[0]
        assert "Issued by" in (await door.knock("GET", "/security", token=token)).text
        told = (tmp_path / "web/audit.jsonl").read_text()
        assert "ocpp.tls.key" in told
        assert "PRIVATE KEY" not in told
        answer = await door.knock("POST", "/security/certificate/remove", token=token)
        assert answer.status == 303
        assert 'certificate = ""' in daemon.config.read_text()


async def form(door: Door, token: str, **parts: str) -> Answer:
    """The form with its files."""
    body = ""
    for name, value in parts.items():
        file = "" if name == "name" else f'; filename="{name}.pem"'
        body += f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{value}\r\n'
    kind = "multipart/form-data; boundary=b"
    return await door.call("POST", "/security/certificate", token, f"{body}--b--\r\n".encode(), kind)


async def test_without_a_gateway_nothing_is_judged(tmp_path: Path) -> None:
    door = Door(tmp_path)
    token = (await door.tokens())[Role.admin]
    assert (await put(door, token, certificate=GOOD.certificate, key=GOOD.key, name=DIALLED)).status == 503


async def test_a_request_for_no_name_of_a_host_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (_, door, token):
        answer = await door.call("GET", "/api/v1/certificate/request?name=no%20name", token)
        assert answer.status == 409
        assert "no name is no name of a host" in answer.text
