"""The device's authority: what it makes verifies, is kept, is renewed in time, and is nobody else's."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from gatewayd.services.authority import CHARGE_POINT_LIFE, SERVER_LIFE, Authority, key_pem, new_key
from gatewayd.site.certificate import UnusableRequest

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = ["gateway-0a1b2c.local", "192.168.100.246"]


def load(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def request(identity: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)] if identity else [])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, digest)
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def forged(identity: str) -> str:
    """A request whose signature was made for another name."""
    other = identity[::-1]
    signed = x509.load_pem_x509_csr(request(other, ec.generate_private_key(ec.SECP256R1())).encode())
    bent = signed.public_bytes(serialization.Encoding.DER).replace(other.encode(), identity.encode())
    return x509.load_der_x509_csr(bent).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("key_type", ["rsa", "ec"])
def test_its_server_certificate_verifies_for_its_names(tmp_path: Path, key_type: str) -> None:
    authority = Authority(tmp_path, "plant-room-1", key_type, now=NOW)
    chain = load(authority.server(NAMES, now=NOW).certificate)
    store = Store(load(authority.certificate))
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(NAMES[0]))
    assert verifier.verify(chain[0], chain[1:])[0].subject == chain[0].subject


def test_a_new_key_is_private_whatever_stood_in_its_place(tmp_path: Path) -> None:
    for name in ("authority.key", "server.key"):
        (tmp_path / name).write_text("damaged")
        (tmp_path / name).chmod(0o644)
    Authority(tmp_path, "a", "ec", now=NOW).server(NAMES, now=NOW)
    for name in ("authority.key", "server.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


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


@pytest.mark.parametrize("years", [0, 1, 2, 10])
def test_browsers_take_it_and_charge_points_that_were_long_without_a_clock(tmp_path: Path, years: int) -> None:
    now = NOW + timedelta(days=365 * years)
    found = load(Authority(tmp_path, "a", "ec", now=now).server(NAMES, now=now).certificate)[0]
    assert found.not_valid_after_utc - found.not_valid_before_utc <= timedelta(days=825)
    assert found.not_valid_before_utc <= now - timedelta(days=151)
    assert found.not_valid_after_utc >= now + timedelta(days=396)


def test_a_gateway_without_a_clock_trusts_itself(tmp_path: Path) -> None:
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    authority = Authority(tmp_path, "a", "ec", now=long_ago)
    chain = load(authority.server(NAMES, now=long_ago).certificate)
    assert all(each.not_valid_before_utc <= long_ago for each in chain)
    assert all(each.not_valid_after_utc > NOW for each in chain)


def test_it_signs_a_charge_points_request(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "a", "rsa", now=NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    signed = authority.sign(request("CP001", key), "CP001", now=NOW)
    chain = load(signed.chain)
    assert signed.until == chain[0].not_valid_after_utc.timestamp() == (NOW + CHARGE_POINT_LIFE).timestamp()
    assert chain[0].public_key() == key.public_key()
    assert chain[0].issuer == chain[1].subject
    chain[0].verify_directly_issued_by(chain[1])
    usage = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no request", "no PEM request"),
        ("", "no PEM request"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "no PEM request"),
        ("\N{SNOWMAN}", "no PEM request"),
        (request("CP002", ec.generate_private_key(ec.SECP256R1())), "common name"),
        (request("CP001", rsa.generate_private_key(public_exponent=65537, key_size=1024)), "weaker"),
        (request("CP001", ec.generate_private_key(ec.SECP192R1())), "weaker"),
        (request("CP001", ed25519.Ed25519PrivateKey.generate()), "neither RSA nor EC"),
        (request("", ec.generate_private_key(ec.SECP256R1())), "common name is ''"),
        (forged("CP001"), "signature does not fit"),
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


def public_key(pem: str) -> object:
    return load(pem)[0].public_key()


@pytest.mark.parametrize("later", [SERVER_LIFE * 0.7, timedelta(0)])
def test_its_key_stays_when_the_certificate_is_renewed(tmp_path: Path, later: timedelta) -> None:
    authority = Authority(tmp_path, "a", "ec", now=NOW)
    csr = x509.load_pem_x509_csr(authority.request(NAMES).encode())
    before = authority.server(NAMES, now=NOW)
    after = authority.server([*NAMES, "other"], now=NOW + later)
    assert after.certificate != before.certificate
    assert public_key(after.certificate) == public_key(before.certificate) == csr.public_key()


def test_a_request_never_replaces_a_key_that_a_certificate_may_have_been_made_for(tmp_path: Path) -> None:
    Authority(tmp_path, "a", "ec", now=NOW).server(NAMES, now=NOW)
    key = (tmp_path / "server.key").read_text()
    csr = x509.load_pem_x509_csr(Authority(tmp_path, "a", "rsa", now=NOW).request(NAMES).encode())
    assert isinstance(csr.public_key(), ec.EllipticCurvePublicKey)
    assert (tmp_path / "server.key").read_text() == key


def test_another_kind_of_key_is_made_when_it_is_wanted(tmp_path: Path) -> None:
    first = Authority(tmp_path, "a", "ec", now=NOW)
    first.server(NAMES, now=NOW)
    again = Authority(tmp_path, "a", "rsa", now=NOW)
    assert isinstance(public_key(again.server(NAMES, now=NOW).certificate), rsa.RSAPublicKey)
    assert again.certificate == first.certificate


def test_a_cut_between_key_and_certificate_is_mended(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "a", "ec", now=NOW)
    authority.server(NAMES, now=NOW)
    (tmp_path / "server.key").write_text(key_pem(new_key("ec")))
    issued = authority.server(NAMES, now=NOW)
    key = serialization.load_pem_private_key(issued.key.encode(), None)
    assert public_key(issued.certificate) == key.public_key()


@pytest.mark.parametrize("damage", ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_server_key_is_replaced(tmp_path: Path, damage: str) -> None:
    authority = Authority(tmp_path, "a", "ec", now=NOW)
    authority.server(NAMES, now=NOW)
    (tmp_path / "server.key").write_text(damage)
    assert authority.server(NAMES, now=NOW).key.startswith("-----BEGIN PRIVATE KEY-----")


def test_a_damaged_authority_is_never_replaced_silently(tmp_path: Path) -> None:
    """Charge points believe the old one."""
    Authority(tmp_path, "a", "ec", now=NOW)
    for damage in ("damaged", key_pem(new_key("ec"))):
        (tmp_path / "authority.key").write_text(damage)
        with pytest.raises(ValueError):
            Authority(tmp_path, "a", "ec", now=NOW)
        assert (tmp_path / "authority.key").read_text() == damage
