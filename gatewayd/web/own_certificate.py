"""A certificate of the user's own authority for charge points over TLS: judged before it is saved, so that what is
wrong is said to whoever brings it, and not by charge points that stay away.

The key may come along; better, it never leaves the gateway: then the certificate answers to the gateway's own request.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import tomlkit
import trio
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatewayd.web.editor import Author, Fault
from gatewayd.web.refusals import Refused

if TYPE_CHECKING:
    from gatewayd.web.app import Webd

RSA_BITS, EC_BITS = 2048, 224
"""The least that the OCPP 1.6 security whitepaper allows, and what TLS here accepts."""
CERTIFICATE, KEY, NAME = "certificate", "key", "name"
KEYS: Final = {"ocpp.tls.certificate": CERTIFICATE, "ocpp.tls.key": KEY}
PEM_MARK: Final = "-----BEGIN"
NO_PEM: Final = "no certificate can be read in it; PEM begins with -----BEGIN CERTIFICATE-----"
PEM_TYPE: Final = "application/x-pem-file"
CHAIN_LONGEST, KEY_LONGEST, NAME_LONGEST = 32 * 1024, 8 * 1024, 253
"""Characters; a chain of five certificates with RSA keys of 4096 bits has a third of it."""
WARNED_BEFORE: Final = timedelta(days=30)
"""As long before its end as gatewayd warns of it too."""
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""Names by which no charge point dials."""


@dataclass(frozen=True, slots=True)
class Own:
    """What gatewayd says of itself: its request, PEM; its names; where the key of the request lies, for the
    configuration."""

    request: str
    names: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Brought:
    """What somebody wants the gateway to show. `key` empty: that of the gateway's own request. `name`: what charge
    points dial; empty: any of the gateway's own names."""

    certificate: str
    key: str = ""
    name: str = ""


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
    covered, wanted = names(leaf), brought.name.strip().lower().removesuffix(".")
    called = [each for each in own.names if each not in LOCAL]
    if wanted and not covers(covered, wanted):
        yield Unusable(NAME, f"the certificate is for {_listed(covered)}, not for {wanted}")
    elif not wanted and not any(covers(covered, each) for each in called):
        what = f"the certificate is for {_listed(covered)}, and the gateway is called {_listed(called)}"
        yield Unusable(NAME, f"{what}: say by which name charge points dial")


def names(certificate: x509.Certificate) -> list[str]:
    """Whom it is for: host names and addresses; the common name only where it has none of them, as old ones have."""
    found = _extension(certificate, x509.SubjectAlternativeName)
    if found is not None:
        return [str(each.value).lower() for each in found if isinstance(each, x509.DNSName | x509.IPAddress)]
    return [str(each.value).lower() for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def covers(covered: Collection[str], name: str) -> bool:
    """RFC 9525: a wildcard stands for one whole label, the first; addresses only for themselves."""
    try:
        return str(ipaddress.ip_address(name)) in covered
    except ValueError:
        _, dot, rest = name.partition(".")
        return name in covered or (bool(dot) and f"*.{rest}" in covered)


def _extension(certificate: x509.Certificate, kind: Any) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: extensions that nobody can read
        return None


def _listed(some: Collection[str], most: int = 8) -> str:
    return (", ".join([*some][:most]) + (" …" if len(some) > most else "")) or "nobody"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


# --- deeds, of page and API alike ---------------------------------------------------------------------------


async def request(of: Webd, author: Author, name: str = "") -> Own:
    """The gateway's request for somebody else's authority. Raises Refused, GatewayAway."""
    if len(name) > NAME_LONGEST:
        raise Refused(422, f"the name of a host has {NAME_LONGEST} characters at most")
    answer = await of.gateway.signing_request(name.strip())
    if not answer.get("ok", False):
        raise Refused(409, "there is no request for a certificate", str(answer.get("error", "")))
    of.audit.note(*author, "certificate request", "", name.strip())
    return _said(answer)


async def take(of: Webd, author: Author, brought: Brought) -> list[Fault]:
    """What is wrong; nothing: it is saved and charge points see it. Raises GatewayAway: it must say its names."""
    answer = await of.gateway.signing_request("")
    if not answer.get("ok", False):
        return [{"key": CERTIFICATE, "what": str(answer.get("error", "the gateway cannot judge it"))}]
    own = _said(answer)
    wrong = await trio.to_thread.run_sync(faults, brought, own, datetime.fromtimestamp(time.time(), UTC))
    if wrong:
        return wrong
    before, key = _present(of), _inline(brought.key) if brought.key else own.key
    wrong = await _set(of, author, _inline(brought.certificate), key)
    if not wrong and "certificate" in (await of.gateway.snapshot())["gateway"]["faults"]:
        await _set(of, author, *before)
        return [{"key": CERTIFICATE, "what": "the gateway cannot use it, and its log says why"}]
    return wrong


def _said(answer: dict[str, Any]) -> Own:
    return Own(str(answer["request"]), tuple(answer["names"]), str(answer["key"]))


def _inline(pem: str) -> str:
    return tomlkit.string("\n" + pem.replace("\r\n", "\n").strip() + "\n", multiline=True)


async def withdraw(of: Webd, author: Author) -> list[Fault]:
    """The gateway's own authority's certificate again."""
    return await _set(of, author, "", "")


async def _set(of: Webd, author: Author, certificate: str, key: str) -> list[Fault]:
    found = await of.editor.set(author, {"ocpp.tls.certificate": certificate, "ocpp.tls.key": key})
    return [{"key": KEYS.get(each["key"], each["key"]), "what": each["what"]} for each in found]


def _present(of: Webd) -> tuple[str, str]:
    table = of.gateway.config().ocpp.tls
    return table.certificate, table.key


def is_configured(of: Webd) -> bool:
    """Whether charge points see another certificate than the gateway's authority's."""
    return bool(_present(of)[0])


def configured(of: Webd) -> x509.Certificate | None:
    """That certificate; None: there is none, or webd cannot read it because it is in a file of gatewayd's."""
    text, _ = _present(of)
    try:
        return _chain(text)[0] if PEM_MARK in text else None
    except Unusable:
        return None


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256, as people compare it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
