"""The HTTP upgrade of a charge point, as bytes: read tolerantly, judged, and written anew for a strict parser.

Serves ocpp.md, Who may connect and Password, and quirks H1 to H7. No sockets here. What a peer wrote never reaches the
WebSocket library: `read` takes the few things that matter out of the head and spells a new one, so what the library
does with odd headers does not matter.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gatewayd.site.codes import QuirkBits
from gatewayd.site.refusal import Cause

HEAD_MAX = 8192
"""Bytes of request line and headers; real ones stay below 1 KiB, and the head is kept before anybody is known."""
END_OF_HEAD = b"\r\n\r\n"
SUBPROTOCOL = "ocpp1.6"
VERSION = b"13"
"""Of the WebSocket protocol (RFC 6455)."""
HASHED = "$argon2id$"
"""A configured password that begins so is a hash of it."""

_REQUEST_LINE = re.compile(rb"(?:[\r\n \t]*)GET[ \t]+(\S.*?)[ \t]+HTTP/1\.1[ \t]*")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KEY = re.compile(rb"[\x21-\x7e]{1,128}")


class Refused(Exception):
    """Whoever dialled is answered with the status of this cause and hears why (ocpp.md, Who may connect)."""

    def __init__(self, cause: Cause, why: str, *headers: str, identity: str = "") -> None:
        super().__init__(why)
        self.cause, self.why, self.headers, self.identity = cause, why, headers, identity
        self.status = STATUS[cause]

    def response(self) -> bytes:
        """The whole HTTP response; a person with a browser can read it."""
        body = f"{self.why}\n".encode()
        lines = (
            f"HTTP/1.1 {self.status} {REASONS[self.status]}", *self.headers, "Connection: close",
            "Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(body)}",
        )  # fmt: skip
        return "\r\n".join((*lines, "", "")).encode() + body


STATUS = {
    Cause.bad_request: 400,
    Cause.bad_encoding: 400,
    Cause.plain_on_tls_port: 400,
    Cause.no_password: 401,
    Cause.wrong_password: 401,
    Cause.not_allowed: 403,
    Cause.certificate_name: 403,
    Cause.profile_too_low: 403,
    Cause.unknown_identity: 404,
    Cause.too_slow: 408,
    Cause.duplicate: 409,
    Cause.no_websocket: 426,
    Cause.locked_out: 429,
    Cause.too_long: 431,
    Cause.upstream_away: 503,
}
REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a charge point's request says, and the request that says the same to a strict parser."""

    identity: str
    """"" where the path names none."""
    subprotocols: tuple[str, ...]
    authorization: bytes
    head: bytes
    tolerated: QuirkBits

    @property
    def agreed(self) -> str | None:
        """The offered subprotocol that is ours, spelled as the peer spelled it."""
        return next((offered for offered in self.subprotocols if offered.lower() == SUBPROTOCOL), None)


def read(head: bytes) -> Upgrade:
    """Raises Refused: 400 for what is no such request or is badly encoded, 426 for what wants no WebSocket.

    Tolerated are raw blanks and bytes outside ASCII in the target, doubled slashes, a Connection header that is
    missing or says something else, header lines that are none, and non-ASCII anywhere (quirks H2, H3, H5)."""
    line, _, rest = head.lstrip(b"\r\n").partition(b"\n")
    match = _REQUEST_LINE.fullmatch(line.rstrip(b"\r"))
    if match is None:
        raise Refused(Cause.bad_request, "this is no GET request of HTTP/1.1")
    headers = _headers(rest)
    if b"websocket" not in headers.get(b"upgrade", b"").lower():
        raise Refused(Cause.no_websocket, "OCPP 1.6 over WebSocket is served here", "Upgrade: websocket")
    if headers.get(b"sec-websocket-version") != VERSION:
        raise Refused(
            Cause.no_websocket, "WebSocket version 13 is served here", f"Sec-WebSocket-Version: {VERSION.decode()}"
        )
    key = headers.get(b"sec-websocket-key", b"")
    if not _KEY.fullmatch(key):
        raise Refused(Cause.bad_request, "Sec-WebSocket-Key is missing or no key")
    tolerated = QuirkBits(0)
    target = match[1]
    if any(not 33 <= byte < 127 for byte in target) or b"//" in target.partition(b"?")[0]:
        tolerated |= QuirkBits.identity_encoding
    tokens = [token.strip().lower() for token in headers.get(b"connection", b"").split(b",")]
    if b"upgrade" not in tokens:
        tolerated |= QuirkBits.other
    offered = [token.strip() for token in headers.get(b"sec-websocket-protocol", b"").split(b",")]
    subprotocols = [token for token in offered if _TOKEN.fullmatch(token)]
    if len(subprotocols) != len([token for token in offered if token]):
        tolerated |= QuirkBits.other
    return Upgrade(
        identity(target),
        tuple(token.decode() for token in subprotocols),
        headers.get(b"authorization", b""),
        _spelled(key, subprotocols),
        tolerated,
    )


def _headers(lines: bytes) -> dict[bytes, bytes]:
    """Name → value, the names in small letters; several of one name are joined, folded lines too."""
    found: dict[bytes, bytes] = {}
    name = b""
    for line in lines.split(b"\n"):
        line = line.rstrip(b"\r")
        if line[:1] in (b" ", b"\t"):
            found[name] = (found.get(name, b"") + b" " + line.strip()).strip()
            continue
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        if colon:
            found[name] = found[name] + b", " + value.strip() if name in found else value.strip()
    return found


def _spelled(key: bytes, subprotocols: list[bytes]) -> bytes:
    """The request as the standard wants it; extensions are left out, so that none is ever agreed on (quirk H9)."""
    lines = [
        b"GET / HTTP/1.1", b"Host: gateway", b"Upgrade: websocket", b"Connection: Upgrade",
        b"Sec-WebSocket-Version: " + VERSION, b"Sec-WebSocket-Key: " + key,
    ]  # fmt: skip
    if subprotocols:
        lines.append(b"Sec-WebSocket-Protocol: " + b", ".join(subprotocols))
    return b"\r\n".join(lines) + END_OF_HEAD


def identity(target: bytes) -> str:
    """The last non-empty segment of the path, percent-decoded; "" where there is none. Raises Refused (400) for an
    encoding that is broken or no UTF-8."""
    path = target.partition(b"?")[0].partition(b"#")[0]
    segment = next((part for part in reversed(path.split(b"/")) if part), b"")
    if re.search(rb"%(?![0-9A-Fa-f]{2})", segment):
        raise Refused(Cause.bad_encoding, "the identity in the path has a broken percent encoding")
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Refused(Cause.bad_encoding, "the identity in the path is no UTF-8") from None


# --- passwords ----------------------------------------------------------------------------------------------------


def credentials(authorization: bytes) -> tuple[bytes, bytes] | None:
    """User and password of HTTP Basic; None where there is no readable one. Padding may be missing."""
    scheme, _, encoded = authorization.strip().partition(b" ")
    encoded = encoded.strip()
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def is_user(name: str, user: bytes) -> bool:
    """Whether the user of HTTP Basic is this identity; some write it there as in the path (quirk H3)."""
    return name.encode() in (user, unquote_to_bytes(user))


def password_is_right(configured: str, given: bytes) -> bool:
    """Whether what came equals the configured text's bytes, or the bytes that it spells in hex, or the hex text of its
    bytes (quirk H6); compared in constant time. A hash takes a tenth of a second each: not for the event loop."""
    if configured.startswith(HASHED):
        return any(_matches(configured, candidate) for candidate in _spellings(given))
    text = configured.encode()
    right = hmac.compare_digest(text, given)
    right |= hmac.compare_digest(text.hex().encode(), given.lower())
    spelled = _unhex(text)
    if spelled is not None:
        right |= hmac.compare_digest(spelled, given)
    return right


def _spellings(given: bytes) -> list[bytes]:
    """The texts that a password may have been configured as, for this to have come."""
    texts = [given, given.hex().encode(), given.hex().upper().encode()]
    spelled = _unhex(given)
    return texts if spelled is None else [*texts, spelled]


def _unhex(text: bytes) -> bytes | None:
    try:
        return binascii.unhexlify(text) if text else None
    except binascii.Error:
        return None


def _matches(hashed: str, candidate: bytes) -> bool:
    from argon2 import PasswordHasher  # only for passwords that are configured as hashes: few are
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(hashed, candidate)
    except (Argon2Error, InvalidHashError):
        return False
