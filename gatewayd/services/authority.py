"""The device's own certificate authority, and the certificates that everything on the box uses.

Made on the first start in the state directory, so no two gateways share a key (promises, R25). Files, all PEM:

| file | what | mode |
|---|---|---|
| `authority.pem` | the authority's certificate, to be installed in charge points and browsers | 644 |
| `authority.key` | its key | 600 |
| `server.pem`, `server.key` | what the gateway shows on TLS listeners, signed by the authority | 644, 600 |
| `page.pem`, `page.key` | what the page shows, with a key of its own: another program holds it | 644, 600 |

The server certificate is renewed when a third of its life is left, or when the gateway's names have changed. Its key
stays: it may stand in a request at somebody else's authority, or be pinned in a charge point.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatewayd import durable
from gatewayd.site.certificate import Signed, UnusableRequest

AUTHORITY_LIFE = timedelta(days=365 * 25)
"""Longer than the building's charge points: replacing the root means visiting each of them."""
SERVER_LIFE = timedelta(days=397)
"""Of the server's certificate, from now on."""
SERVER_SPAN = timedelta(days=824)
"""From its first day to its last, which browsers accept at most; the first lies in the past for charge points that come
without a clock."""
CHARGE_POINT_LIFE = timedelta(days=365 * 5)
"""Certificates for charge points: many cannot renew by themselves."""
RENEW_BEFORE = 1 / 3
"""Share of the life that is left when the server certificate is renewed."""
RSA_BITS = 2048
"""The OCPP 1.6 security whitepaper's minimum, and the most that small charge points take (quirk H8)."""
EC_BITS = 224
"""The whitepaper's minimum of elliptic curves."""
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Not valid before: a gateway without a clock boots at its build time and must trust itself."""

CERTIFICATE_MODE = 0o644

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key as PEM."""

    certificate: str
    key: str


class Authority:
    """The authority of this device. `now` arguments are aware datetimes of the gateway's clock."""

    def __init__(self, directory: Path, name: str, key_type: str = "rsa", *, now: datetime) -> None:
        """Load the authority in `directory`, or make one of `key_type` rsa or ec. Raises OSError, ValueError."""
        self._directory, self._name, self._key_type = directory, name, key_type
        certificate_file, key_file = directory / "authority.pem", directory / "authority.key"
        if certificate_file.exists() and key_file.exists():
            self._certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                raise ValueError("authority.key is neither RSA nor EC")
            if key.public_key() != self._certificate.public_key():
                raise ValueError("authority.key does not belong to authority.pem")
            self._key: PrivateKey = key
            return
        self._key = new_key(key_type)
        self._certificate = self._self_signed(now)
        _keep_key(key_file, self._key)
        durable.write(certificate_file, self.certificate.encode(), CERTIFICATE_MODE)

    @property
    def certificate(self) -> str:
        """The authority's certificate, PEM, no key: to be installed in charge points."""
        return certificate_pem(self._certificate)

    def _self_signed(self, now: datetime) -> x509.Certificate:
        subject = _subject(f"{self._name} authority {os.urandom(3).hex()}")
        builder = _builder(subject, subject, self._key.public_key(), now, AUTHORITY_LIFE)
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _issuer(self) -> x509.AuthorityKeyIdentifier:
        """Python 3.13 refuses certificates that do not name their issuer's key."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def server(self, names: Iterable[str], *, now: datetime, who: str = "server") -> Issued:
        """The certificate of `who` for these host names and addresses, renewed when that is due."""
        certificate_file, key_file = self._directory / f"{who}.pem", self._directory / f"{who}.key"
        wanted = sorted(set(names))
        try:
            chain = certificate_file.read_text("ascii")
            found = x509.load_pem_x509_certificates(chain.encode())[0]
            begins, until = stands(chain)
            if (
                _alternative_names(found) == wanted
                and begins <= now.timestamp() < until
                and found.issuer == self._certificate.subject
                and found.public_key() == self._server_key(who).public_key()
            ):
                return Issued(chain, key_file.read_text())
        except (OSError, ValueError):
            pass
        issued = self._issue_server(wanted, self._server_key(who), now)
        durable.write(certificate_file, issued.certificate.encode(), CERTIFICATE_MODE)
        return issued

    def _server_key(self, who: str = "server", *, any_kind: bool = False) -> PrivateKey:
        """The present one, or a new one where there is none of this kind."""
        file = self._directory / f"{who}.key"
        wanted = ec.EllipticCurvePrivateKey if self._key_type == "ec" else rsa.RSAPrivateKey
        kind = PrivateKey if any_kind else wanted
        try:
            found = serialization.load_pem_private_key(file.read_bytes(), None)
        except (OSError, ValueError):
            found = None
        if isinstance(found, kind):
            return found
        key = new_key(self._key_type)
        _keep_key(file, key)
        return key

    def _issue_server(self, names: list[str], key: PrivateKey, now: datetime) -> Issued:
        begins = None if now < EARLIEST else max(EARLIEST, now + SERVER_LIFE - SERVER_SPAN)
        builder = _builder(_subject(self._name), self._certificate.subject, key.public_key(), now, SERVER_LIFE, begins)
        certificate = (
            builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self._issuer(), critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(certificate_pem(certificate) + self.certificate, key_pem(key))

    def sign(self, request_pem: str, identity: str, *, now: datetime) -> Signed:
        """Sign a charge point's request (SignCertificate).

        The common name must be the charge point's identity, the key RSA of 2048 bits or more or EC of 224 or more.
        Raises UnusableRequest."""
        request, key = _read(request_pem, identity)
        builder = _builder(request.subject, self._certificate.subject, key, now, CHARGE_POINT_LIFE)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self._issuer(), critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        until = int(certificate.not_valid_after_utc.timestamp())
        return Signed(certificate_pem(certificate) + self.certificate, until)

    def check(self, request_pem: str, identity: str) -> None:
        """Raises UnusableRequest for what `sign` would not sign."""
        _read(request_pem, identity)

    def request(self, names: Iterable[str]) -> str:
        """A signing request for the server's key, for an authority of the user's. Raises OSError.

        A key that is there stays, of whatever kind: a certificate may have been made for it."""
        alternative = x509.SubjectAlternativeName([_general_name(name) for name in sorted(set(names))])
        builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(self._name))
        request = builder.add_extension(alternative, critical=False).sign(
            self._server_key(any_kind=True), hashes.SHA256()
        )
        return request.public_bytes(serialization.Encoding.PEM).decode()


def _read(
    request_pem: str, identity: str
) -> tuple[x509.CertificateSigningRequest, rsa.RSAPublicKey | ec.EllipticCurvePublicKey]:
    """A request that may be signed, and its key. Raises UnusableRequest."""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
        key, name, genuine = request.public_key(), common_name(request.subject), request.is_signature_valid
    except ValueError:
        raise UnusableRequest("it is no PEM request") from None
    except UnsupportedAlgorithm:
        raise UnusableRequest("its kind of key or signature is not known here") from None
    if not genuine:
        raise UnusableRequest("its signature does not fit its key")
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise UnusableRequest("its key is neither RSA nor EC")
    if key.key_size < (RSA_BITS if isinstance(key, rsa.RSAPublicKey) else EC_BITS):
        raise UnusableRequest("its key is weaker than the OCPP security whitepaper allows")
    if name != identity:
        raise UnusableRequest(f"its common name is {name!r}, not {identity!r}")
    return request, key


def new_key(key_type: str) -> PrivateKey:
    """A fresh private key: rsa (2048 bits) or ec (P-256)."""
    if key_type == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def stands(chain: str) -> tuple[float, float]:
    """From when until when a server certificate need not be renewed: it is valid, and has a third of its life. Epoch
    seconds."""
    certificate = x509.load_pem_x509_certificates(chain.encode("ascii"))[0]
    renewed = certificate.not_valid_after_utc - SERVER_LIFE * RENEW_BEFORE
    return certificate.not_valid_before_utc.timestamp(), renewed.timestamp()


def ends(chain: str) -> float | None:
    """When the first of its certificates ends, epoch seconds; None where none can be read."""
    try:
        found = x509.load_pem_x509_certificates(chain.encode("ascii"))
    except ValueError:
        return None
    return min(each.not_valid_after_utc for each in found).timestamp()


def common_name(subject: x509.Name) -> str:
    """The subject's common name, "" without one."""
    found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _keep_key(file: Path, key: PrivateKey) -> None:
    """Readable by nobody else, whatever could not be used in its place before: an existing file keeps its mode."""
    file.unlink(missing_ok=True)
    durable.write(file, key_pem(key).encode())


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "OCPP Modbus Gateway"),
            x509.NameAttribute(NameOID.COMMON_NAME, name[:64]),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
    begins: datetime | None = None,
) -> x509.CertificateBuilder:
    begins = begins or min(EARLIEST, now - timedelta(days=1))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(max(now, EARLIEST) + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return sorted(str(name.value) for name in extension.value)
