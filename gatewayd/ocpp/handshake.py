"""The HTTP upgrade of a charge point, as bytes: mended where real ones deviate, then judged.

Serves ocpp.md, Who may connect. No sockets here. `mend` takes the head of a request as it came and gives one that
a strict parser takes; the other functions answer one question each.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from urllib.parse import unquote_to_bytes

from gatewayd.site.codes import QuirkBits

HEAD_MAX = 8192
"""Bytes of request line and headers; real ones stay below 1 KiB, and the head is kept before anybody is known."""
END_OF_HEAD = b"\r\n\r\n"
SUBPROTOCOL = "ocpp1.6"


class BadRequest(Exception):
    """The head is no HTTP request that could be mended: HTTP 400."""


def mend(head: bytes) -> tuple[bytes, QuirkBits]:
    """The head without what wsproto refuses but charge points send, and the deviations that were tolerated.

    Raw blanks in the target are percent-encoded, doubled slashes made one, a missing Connection header added, a
    header with bytes outside ASCII in the WebSocket negotiation dropped (quirks H2, H3). Raises BadRequest."""
    line, _, rest = head.partition(b"\r\n")
    match = re.fullmatch(rb"GET[ \t]+(\S.*?)[ \t]+(HTTP/1\.1)", line)
    if match is None:
        raise BadRequest("no GET request of HTTP/1.1")
    tolerated = QuirkBits(0)
    target = match[1]
    mended = re.sub(rb"/{2,}", b"/", target.replace(b" ", b"%20").replace(b"\t", b"%09"))
    mended = b"".join(bytes([byte]) if 33 <= byte < 127 else b"%%%02X" % byte for byte in mended)
    if mended != target:
        tolerated |= QuirkBits.identity_encoding
    headers = [header for header in rest.removesuffix(END_OF_HEAD).split(b"\r\n") if header]
    kept: list[bytes] = []
    for header in headers:
        name = header.partition(b":")[0].strip().lower()
        if name in (b"sec-websocket-protocol", b"sec-websocket-extensions") and not header.isascii():
            tolerated |= QuirkBits.other
            continue
        kept.append(header)
    names = {header.partition(b":")[0].strip().lower() for header in kept}
    if b"connection" not in names and b"upgrade" in names:
        kept.append(b"Connection: Upgrade")
        tolerated |= QuirkBits.other
    return b"\r\n".join([b"GET " + mended + b" HTTP/1.1", *kept]) + END_OF_HEAD, tolerated


def identity(target: str) -> str:
    """The last non-empty segment of the path, percent-decoded; "" where there is none. Raises BadRequest for an
    encoding that is broken or no UTF-8."""
    path = target.partition("?")[0]
    segment = next((part for part in reversed(path.split("/")) if part), "")
    if re.search(r"%(?![0-9A-Fa-f]{2})", segment):
        raise BadRequest("broken percent encoding")
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise BadRequest("identity is no UTF-8") from None


def credentials(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
    """User and password of HTTP Basic; None where there is no readable one."""
    for name, value in headers:
        if name.lower() == b"authorization" and value[:6].lower() == b"basic ":
            try:
                user, colon, password = base64.b64decode(value[6:].strip(), validate=True).partition(b":")
            except binascii.Error:
                return None
            return (user, password) if colon else None
    return None


def password_is_right(configured: str, given: bytes) -> bool:
    """In constant time: the configured text's bytes, the bytes that it spells in hex, or the hex text of its bytes
    (quirk H6)."""
    text = configured.encode()
    candidates = [text, text.hex().encode(), text.hex().upper().encode()]
    try:
        candidates.append(bytes.fromhex(configured))
    except ValueError:
        candidates.append(text)
    right = False
    for candidate in candidates:
        right |= hmac.compare_digest(candidate, given)
    return right
