"""The device's authority: what it makes verifies, is kept, is renewed in time, and is nobody else's."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from gatewayd.services.authority import SERVER_LIFE, Authority, UnusableRequest

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = ["gateway-0a1b2c.local", "192.168.100.246"]


def load(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def request(identity: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("key_type", ["rsa", "ec"])
def test_its_server_certificate_verifies_for_its_names(tmp_path: Path, key_type: str) -> None:
    authority = Authority(tmp_path, "plant-room-1", key_type, now=NOW)
    chain = load(authority.server(NAMES, now=NOW).certificate)
    store = Store(load(authority.certificate))
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(NAMES[0]))
    assert verifier.verify(chain[0], chain[1:])[0].subject == chain[0].subject


def test_it_is_kept_and_the_keys_are_private(tmp_path: Path) -> None:
    first = Authority(tmp_path, "a", "ec", now=NOW)
    issued = first.server(NAMES, now=NOW)
    again = Authority(tmp_path, "a", "ec", now=NOW)
    assert again.certificate == first.certificate
    assert again.server(NAMES, now=NOW) == issued
    for name in ("authority.key", "server.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert "PRIVATE" not in (tmp_path / "authority.pem").read_text()


def test_two_gateways_share_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    first, second = (load(Authority(each, "a", "ec", now=NOW).certificate)[0] for each in (one, other))
    assert first.public_key() != second.public_key()
    assert first.subject != second.subject
    assert first.serial_number != second.serial_number


@pytest.mark.parametrize(
    ("later", "names", "renewed"),
    [
        (timedelta(days=1), NAMES, False),
        (SERVER_LIFE * 0.6, NAMES, False),
        (SERVER_LIFE * 0.7, NAMES, True),
        (SERVER_LIFE * 2, NAMES, True),
        (timedelta(0), [*NAMES, "10.0.0.5"], True),
    ],
)
def test_the_server_certificate_is_renewed_in_time(
    tmp_path: Path, later: timedelta, names: list[str], renewed: bool
) -> None:
    authority = Authority(tmp_path, "a", "ec", now=NOW)
    before = authority.server(NAMES, now=NOW)
    assert (authority.server(names, now=NOW + later) != before) == renewed


def test_a_gateway_without_a_clock_trusts_itself(tmp_path: Path) -> None:
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    authority = Authority(tmp_path, "a", "ec", now=long_ago)
    chain = load(authority.server(NAMES, now=long_ago).certificate)
    assert all(each.not_valid_before_utc <= long_ago for each in chain)
    assert all(each.not_valid_after_utc > NOW for each in chain)


def test_it_signs_a_charge_points_request(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "a", "rsa", now=NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    chain = load(authority.sign(request("CP001", key), "CP001", now=NOW))
    assert chain[0].public_key() == key.public_key()
    assert chain[0].issuer == chain[1].subject
    chain[0].verify_directly_issued_by(chain[1])
    usage = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no request", "not a PEM request"),
        (request("CP002", ec.generate_private_key(ec.SECP256R1())), "common name"),
        (request("CP001", rsa.generate_private_key(public_exponent=65537, key_size=1024)), "weaker"),
    ],
)
def test_an_unusable_request_says_why(tmp_path: Path, text: str, why: str) -> None:
    authority = Authority(tmp_path, "a", "ec", now=NOW)
    with pytest.raises(UnusableRequest, match=why):
        authority.sign(text, "CP001", now=NOW)


def test_a_request_for_another_authority_holds_the_names(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "a", "ec", now=NOW)
    authority.server(NAMES, now=NOW)
    csr = x509.load_pem_x509_csr(authority.request(NAMES).encode())
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == set(NAMES)
    assert csr.is_signature_valid
