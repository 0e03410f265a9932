"""TLS contexts: what is offered is the whitepaper's, and what cannot be used is named without a word of it."""

from __future__ import annotations

import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gatewayd.services.tls import AUTHORITIES, CERTIFICATE, KEY, UnusableCertificate, client_context, server_context
from tests.services.secure_plant import NOWADAYS, certify, pem

OURS = trustme.CA()
PAPERS = certify(OURS, "gateway.example")
OTHER = certify(OURS, "gateway.example")
WHITEPAPER = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
}
"""What a central system must offer (OCPP 1.6 security whitepaper, A00.FR.318)."""


def contexts() -> list[ssl.SSLContext]:
    return [server_context(PAPERS.certificate, PAPERS.key), client_context(pem(OURS))]


def test_the_suites_are_the_whitepapers_and_none_is_weak() -> None:
    for context in contexts():
        names = {suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.2"}
        assert names >= WHITEPAPER
        assert all("GCM" in name for name in names)
        assert {suite["protocol"] for suite in context.get_ciphers()} == {"TLSv1.2", "TLSv1.3"}
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert ssl.OP_NO_RENEGOTIATION in context.options
        assert ssl.OP_NO_COMPRESSION in context.options


def test_certificates_are_asked_for_as_it_is_wanted() -> None:
    roots = pem(OURS)
    assert server_context(PAPERS.certificate, PAPERS.key).verify_mode is ssl.CERT_NONE
    assert server_context(PAPERS.certificate, PAPERS.key, roots).verify_mode is ssl.CERT_REQUIRED
    assert server_context(PAPERS.certificate, PAPERS.key, roots, required=False).verify_mode is ssl.CERT_OPTIONAL


def test_a_central_system_is_believed_by_the_systems_authorities_or_by_the_users_alone() -> None:
    system, own = client_context(), client_context(pem(OURS))
    assert own.cert_store_stats()["x509_ca"] == 1
    assert len(system.get_ca_certs()) == len(ssl.create_default_context().get_ca_certs())
    for context in (system, own):
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED


def locked(key: str) -> str:
    loaded = serialization.load_pem_private_key(key.encode(), None)
    return loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    ).decode()


def weak() -> tuple[str, str]:
    """A certificate of RSA-1024."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOWADAYS[0]).not_valid_after(NOWADAYS[1])
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return certificate, key.private_bytes(serialization.Encoding.PEM, *form).decode()


BROKEN = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
BROKEN_KEY = "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("certificate", "key", "part", "why"),
    [
        (PAPERS.certificate, OTHER.key, KEY, "does not belong to the certificate"),
        (PAPERS.certificate, "", KEY, "no private key can be read"),
        (PAPERS.certificate, BROKEN_KEY, KEY, "no private key can be read"),
        (PAPERS.certificate, PAPERS.certificate, KEY, "no private key can be read"),
        (PAPERS.certificate, locked(PAPERS.key), KEY, "encrypted"),
        (PAPERS.certificate, "\N{SNOWMAN}", KEY, "no private key can be read"),
        ("", PAPERS.key, CERTIFICATE, "no certificate can be read"),
        (BROKEN, PAPERS.key, CERTIFICATE, "no certificate can be read"),
        (PAPERS.key, PAPERS.key, CERTIFICATE, "no certificate can be read"),
        ("\N{SNOWMAN}", PAPERS.key, CERTIFICATE, "no certificate can be read"),
        (*weak(), CERTIFICATE, "too small"),
    ],
)
def test_what_cannot_be_shown_is_named(certificate: str, key: str, part: str, why: str) -> None:
    with pytest.raises(UnusableCertificate, match=why) as refused:
        server_context(certificate, key)
    assert refused.value.part == part
    assert "\n" not in str(refused.value)
    assert not any(line in str(refused.value) for line in key.split() if len(line) > 20)
    if certificate:
        with pytest.raises(UnusableCertificate, match=why):
            client_context("", certificate, key)


@pytest.mark.parametrize("roots", [BROKEN, PAPERS.key, "words", "\N{SNOWMAN}", pem(OURS) + BROKEN])
def test_nor_can_everything_be_believed(roots: str) -> None:
    with pytest.raises(UnusableCertificate) as refused:
        server_context(PAPERS.certificate, PAPERS.key, roots)
    assert refused.value.part == AUTHORITIES
    with pytest.raises(UnusableCertificate):
        client_context(roots)
