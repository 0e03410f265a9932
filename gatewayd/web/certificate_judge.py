"""Looks into certificates: what they are for, and what is wrong with one that is brought, so that it is said to whoever
brings it, and not by charge points that stay away. Pure. Imported where it is used: its library is a sixth of webd.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatewayd.web.brought_certificate import CERTIFICATE, KEY, NAME, Brought, Own, covers
from gatewayd.web.editor import Fault

RSA_BITS, EC_BITS = 2048, 224
"""The least that the OCPP 1.6 security whitepaper allows, and what TLS here accepts."""
NO_PEM: Final = "no certificate can be read in it; PEM begins with -----BEGIN CERTIFICATE-----"
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""Names by which no charge point dials."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person compares. `names`: whom it is for. `fingerprint`: SHA-256."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    until: datetime
    fingerprint: str


def seen(pem: bytes) -> Seen:
    """The first certificate of a PEM text. Raises ValueError for what is none."""
    found = x509.load_pem_x509_certificates(pem)[0]
    return Seen(
        found.subject.rfc4514_string(), found.issuer.rfc4514_string(), tuple(_names(found)),
        found.not_valid_after_utc, found.fingerprint(hashes.SHA256()).hex(":").upper(),
    )  # fmt: skip


def belongs(key: bytes, certificate: bytes) -> bool:
    """Whether a private key is this certificate's, both PEM. Raises ValueError for what cannot be read."""
    try:
        private = serialization.load_pem_private_key(key, None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None
    return private.public_key() == x509.load_pem_x509_certificate(certificate).public_key()


class Unusable(ValueError):
    """`part` of what was brought, and what is wrong with it."""

    def __init__(self, part: str, what: str) -> None:
        super().__init__(what)
        self.part, self.what = part, what


def faults(brought: Brought, own: Own, now: datetime) -> list[Fault]:
    """Everything that is wrong: `key` is certificate, key or name. Pure."""
    try:
        chain = _chain(brought.certificate)
        parts = (_of_chain(chain, now), _of_leaf(chain[0]), _of_key(chain, brought.key, own),
                 _of_name(chain[0], brought, own))  # fmt: skip
        found = [each for part in parts for each in part]
    except Unusable as error:
        found = [error]
    except (ValueError, UnsupportedAlgorithm) as error:  # fields are read when they are looked at
        found = [Unusable(CERTIFICATE, f"something in it cannot be read: {error}"[:200])]
    return [{"key": each.part, "what": each.what} for each in found]


def _chain(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode("ascii"))
    except ValueError:
        what = "it is a private key, not a certificate" if "PRIVATE KEY-----" in text else NO_PEM
        raise Unusable(CERTIFICATE, what) from None


def _of_chain(chain: list[x509.Certificate], now: datetime) -> Iterator[Unusable]:
    for place, each in enumerate(chain):
        who = "it" if place == 0 else f"the certificate number {place + 1} in it"
        if each.not_valid_after_utc < now:
            yield Unusable(CERTIFICATE, f"{who} expired on {_day(each.not_valid_after_utc)}")
        elif each.not_valid_before_utc > now:
            begins = _day(each.not_valid_before_utc)
            yield Unusable(CERTIFICATE, f"{who} is not valid before {begins}, and the gateway's clock says {_day(now)}")
    for place, (one, issuer) in enumerate(pairwise(chain), 2):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            yield Unusable(CERTIFICATE, f"the certificate number {place} in it has not issued the one before it")


def _of_leaf(leaf: x509.Certificate) -> Iterator[Unusable]:
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        yield Unusable(CERTIFICATE, "the first in it is an authority's: the gateway's own must stand first")
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes is not None and ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        yield Unusable(CERTIFICATE, "it is not for servers (extended key usage serverAuth)")
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        yield Unusable(CERTIFICATE, "its key is neither RSA nor EC, which charge points know")
    elif key.key_size < (RSA_BITS if isinstance(key, rsa.RSAPublicKey) else EC_BITS):
        yield Unusable(CERTIFICATE, f"its key of {key.key_size} bits is weaker than OCPP allows")


def _of_key(chain: list[x509.Certificate], text: str, own: Own) -> Iterator[Unusable]:
    if not text:
        if x509.load_pem_x509_csr(own.request.encode()).public_key() != chain[0].public_key():
            yield Unusable(KEY, "it is missing: the certificate was not made from this gateway's own request")
        return
    try:
        key = serialization.load_pem_private_key(text.encode("ascii"), None)
    except TypeError:
        yield Unusable(KEY, "it is encrypted: take its passphrase off, as by openssl pkey -in old.key -out new.key")
    except (ValueError, UnsupportedAlgorithm):
        yield Unusable(KEY, "no private key can be read in it")
    else:
        if key.public_key() != chain[0].public_key():
            later = any(key.public_key() == each.public_key() for each in chain[1:])
            yield Unusable(KEY, "it belongs to a certificate that is not the first in the file" if later
                           else "it does not belong to the certificate")  # fmt: skip


def _of_name(leaf: x509.Certificate, brought: Brought, own: Own) -> Iterator[Unusable]:
    covered, wanted = _names(leaf), brought.name.strip().lower().removesuffix(".")
    called = [each for each in own.names if each not in LOCAL]
    if wanted and not covers(covered, wanted):
        yield Unusable(NAME, f"the certificate is for {_listed(covered)}, not for {wanted}")
    elif not wanted and not any(covers(covered, each) for each in called):
        what = f"the certificate is for {_listed(covered)}, and the gateway is called {_listed(called)}"
        yield Unusable(NAME, f"{what}: say by which name charge points dial")


def _names(certificate: x509.Certificate) -> list[str]:
    """Whom it is for: host names and addresses; the common name only where it has none of them, as old ones have."""
    found = _extension(certificate, x509.SubjectAlternativeName)
    if found is not None:
        return [str(each.value).lower() for each in found if isinstance(each, x509.DNSName | x509.IPAddress)]
    return [str(each.value).lower() for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _extension(certificate: x509.Certificate, kind: Any) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: extensions that nobody can read
        return None


def _listed(some: Collection[str], most: int = 8) -> str:
    return (", ".join([*some][:most]) + (" …" if len(some) > most else "")) or "nobody"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")
