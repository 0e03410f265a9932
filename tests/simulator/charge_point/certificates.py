"""Certificates as a charge point handles them: the store of roots, its own key, a signing request.

Just enough DER and P-256 for that, so that a request is a real PKCS#10 that any authority can sign, and made from a
seed. This is a simulator's key: it protects nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

# NIST P-256 (FIPS 186-4, D.1.2.3)
FIELD = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, UTF8_STRING, CONTEXT_0 = 0x30, 0x31, 0x02, 0x03, 0x04, 0x0C, 0xA0
EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
PRIME256V1 = bytes.fromhex("06082a8648ce3d030107")
ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")
COMMON_NAME, ORGANISATION = bytes.fromhex("0603550403"), bytes.fromhex("060355040a")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)

Point = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """The few fields of an X.509 certificate that OCPP asks for."""

    serial: int
    issuer: bytes
    subject: bytes
    public_key: bytes  # the bits of subjectPublicKey

    def hash_data(self) -> dict[str, str]:
        """CertificateHashDataType of a root (its own issuer): SHA-256."""
        return {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": hashlib.sha256(self.issuer).hexdigest(),
            "issuerKeyHash": hashlib.sha256(self.public_key).hexdigest(),
            "serialNumber": f"{self.serial:x}",
        }


def read_certificates(pem: str) -> list[Certificate]:
    """Every certificate in a PEM text, the leaf first. ValueError when there is none or one is broken."""
    found = [_read_certificate(base64.b64decode(body, validate=False)) for body in PEM.findall(pem)]
    if not found:
        raise ValueError("no PEM certificate")
    return found


@dataclass(slots=True)
class CertificateStore:
    """Installed roots by use: CentralSystemRootCertificate, ManufacturerRootCertificate."""

    max_installed: int = 20
    roots: list[tuple[str, Certificate]] = field(default_factory=list)
    texts: dict[Certificate, str] = field(default_factory=dict)

    def trusted(self, use: str) -> str:
        """The installed roots of this use as PEM."""
        return "\n".join(self.texts[certificate] for kind, certificate in self.roots if kind == use)

    def install(self, use: str, pem: str) -> str:
        try:
            certificate = read_certificates(pem)[0]
        except (ValueError, IndexError):
            return "Rejected"
        if len(self.roots) >= self.max_installed:
            return "Failed"
        if (use, certificate) not in self.roots:
            self.roots.append((use, certificate))
            self.texts[certificate] = pem
        return "Accepted"

    def delete(self, wanted: dict[str, Any]) -> str:
        keys = ("issuerNameHash", "issuerKeyHash", "serialNumber")
        for entry in self.roots:
            ours = entry[1].hash_data()
            if all(str(wanted[key]).lower() == ours[key] for key in keys):
                self.roots.remove(entry)
                return "Accepted"
        return "NotFound"

    def ids(self, use: str) -> dict[str, Any]:
        found = [certificate.hash_data() for kind, certificate in self.roots if kind == use]
        return {"status": "Accepted", "certificateHashData": found} if found else {"status": "NotFound"}


class ChargePointKey:
    """An EC key and the signing request for it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._secret = random.randrange(1, ORDER)

    @cached_property
    def public_key(self) -> bytes:
        """Made when somebody asks: it takes longer than everything else of a charge point, and few need it."""
        point = _times(self._secret, BASE)
        assert point is not None
        return b"\x04" + point[0].to_bytes(32) + point[1].to_bytes(32)

    def request(self, identity: str, organisation: str) -> str:
        """PKCS#10 in PEM: CN is the identity, O the CpoName (security whitepaper, A00.FR.511 and following)."""
        name = _der(SEQUENCE, _name_part(ORGANISATION, organisation) + _name_part(COMMON_NAME, identity))
        key = _der(SEQUENCE, _der(SEQUENCE, EC_PUBLIC_KEY + PRIME256V1) + _bits(self.public_key))
        information = _der(SEQUENCE, _integer(0) + name + key + _der(CONTEXT_0, b""))
        algorithm = _der(SEQUENCE, ECDSA_WITH_SHA256)
        whole = _der(SEQUENCE, information + algorithm + _bits(self._sign(information)))
        return _pem("CERTIFICATE REQUEST", whole)

    def private(self) -> str:
        """The key itself as PEM (RFC 5915), for the charge point's own TLS."""
        secret = _der(OCTET_STRING, self._secret.to_bytes(32))
        return _pem("EC PRIVATE KEY", _der(SEQUENCE, _integer(1) + secret + _der(CONTEXT_0, PRIME256V1)))

    def certifies(self, chain: str) -> bool:
        """Whether the first certificate of the chain is for this key."""
        try:
            return read_certificates(chain)[0].public_key == self.public_key
        except (ValueError, IndexError):
            return False

    def _sign(self, message: bytes) -> bytes:
        digest = int.from_bytes(hashlib.sha256(message).digest())
        while True:
            nonce = self._random.randrange(1, ORDER)
            point = _times(nonce, BASE)
            assert point is not None
            r = point[0] % ORDER
            s = pow(nonce, -1, ORDER) * (digest + r * self._secret) % ORDER
            if r and s:
                return _der(SEQUENCE, _integer(r) + _integer(s))


def _plus(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % FIELD == 0:
        return None
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, FIELD) % FIELD
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, FIELD) % FIELD
    x = (slope * slope - a[0] - b[0]) % FIELD
    return x, (slope * (a[0] - x) - a[1]) % FIELD


def _times(factor: int, point: Point) -> Point:
    total: Point = None
    while factor:
        if factor & 1:
            total = _plus(total, point)
        point = _plus(point, point)
        factor >>= 1
    return total


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = length.to_bytes((length.bit_length() + 7) // 8) if length > 127 else b""
    return bytes([tag, 0x80 | len(size) if size else length]) + size + content


def _pem(label: str, data: bytes) -> str:
    body = base64.b64encode(data).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _integer(value: int) -> bytes:
    return _der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def _bits(content: bytes) -> bytes:
    return _der(BIT_STRING, b"\0" + content)


def _name_part(kind: bytes, text: str) -> bytes:
    return _der(SET, _der(SEQUENCE, kind + _der(UTF8_STRING, text.encode())))


def _split(data: bytes, at: int = 0) -> tuple[int, int, int]:
    """(tag, start of the content, its end) of the element at `at`. ValueError or IndexError when broken."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size]), start + size
    if start + length > len(data):
        raise ValueError("DER: element is longer than the data")
    return tag, start, start + length


def _parts(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """(tag, content, whole element) of everything in a constructed element's content."""
    found, at = [], 0
    while at < len(data):
        tag, start, end = _split(data, at)
        found.append((tag, data[start:end], data[at:end]))
        at = end
    return found


def _read_certificate(data: bytes) -> Certificate:
    _, start, end = _split(data)
    signed = _parts(data[start:end])[0][1]
    fields = [part for part in _parts(signed) if part[0] != CONTEXT_0]  # the version is optional
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo (RFC 5280, 4.1)
    if len(fields) < 6:
        raise ValueError("DER: no certificate")
    key_bits = _parts(fields[5][1])[1][1]
    return Certificate(int.from_bytes(fields[0][1], signed=True), fields[2][2], fields[4][2], key_bits[1:])
