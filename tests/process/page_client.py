"""A program that talks to webd over real sockets, byte by byte: good requests, and who is signed in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import trio

from gatewayd.web.guard import COOKIE

PATIENCE_S = 60.0
"""Against hangs: a busy machine is slow."""
PASSWORD = "plant room 7"
HERE = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    head: bytes
    body: bytes

    @property
    def told(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


async def dial(port: int, source: str = HERE) -> trio.SocketStream:
    """A connection from this address of loopback."""
    return await trio.open_tcp_stream(HERE, port, local_address=source)


async def ask(
    port: int,
    method: str,
    path: str,
    *,
    token: str = "",
    cookie: str = "",
    body: bytes = b"",
    kind: str = "application/json",
    source: str = HERE,
) -> Answer:
    """One request on a connection of its own, as a program asks: with a bearer token, and no Origin; `cookie`: as a
    browser. What comes back has come to its end."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HERE}:{port}", "Connection: close"]
    lines.append(f"Content-Length: {len(body)}")
    lines += [f"Content-Type: {kind}"] if body else []
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"Cookie: {COOKIE}={cookie}"] if cookie else []
    received = b""
    with trio.fail_after(PATIENCE_S):
        async with await dial(port, source) as stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)
            async for data in stream:
                received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    chunked = b"transfer-encoding: chunked" in head.lower()
    return Answer(int(head.split(b" ")[1]), head, _unchunked(rest) if chunked else rest)


def _unchunked(rest: bytes) -> bytes:
    found = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found, rest = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return found


async def claimed(port: int, user: str = "admin") -> str:
    """Gives a gateway its first password; the admin's token."""
    body = json.dumps({"user": user, "password": PASSWORD}).encode()
    answer = await ask(port, "POST", "/api/v1/claim", body=body)
    assert answer.status == 201, answer
    return str(answer.told["token"])


async def signed_in(port: int, user: str = "admin") -> str:
    """The token of a new session."""
    body = json.dumps({"user": user, "password": PASSWORD}).encode()
    answer = await ask(port, "POST", "/api/v1/session", body=body)
    assert answer.status == 201, answer
    return str(answer.told["token"])
