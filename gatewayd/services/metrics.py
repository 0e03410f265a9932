"""Figures for Prometheus over HTTP (docs/interfaces.md, Metrics).

Containment boundary `one scrape`: a connection is one request; it is bounded in bytes, time and number, and whatever a
peer sends ends at it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

import trio

log = logging.getLogger(__name__)

HEAD_MAX = 8192
"""Bytes of a request's head; a scraper's has some 300."""
HEAD_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 10.0
"""A scraper's own time limit is 10 s."""
CONNECTIONS_MAX = 16
"""At a time; of more, the one that is there for longest has to go: a scrape takes milliseconds."""
RECEIVE_BYTES = 2048
PIECE_BYTES = 32 * 1024
"""Sent at once; between two pieces the rest of the gateway has its turn."""
LINGER_BYTES = 64 * 1024
"""Read and dropped behind a request, so that the answer is not lost to its unread bytes."""
ACCEPT_PAUSE_S = 0.1
"""After accept() failed for want of descriptors."""
PATHS = ("/metrics", "/metrics/")
PLAIN = "text/plain; charset=utf-8"

Render = Callable[[], Iterable[str]]
"""The figures, in pieces."""


async def serve(
    listeners: list[trio.SocketListener],
    render: Render,
    content_type: str,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. A bug in `render` propagates."""
    scopes: dict[trio.CancelScope, None] = {}

    async def connection(stream: trio.abc.HalfCloseableStream) -> None:
        scope = trio.CancelScope()
        if len(scopes) >= CONNECTIONS_MAX:
            oldest = next(iter(scopes))
            del scopes[oldest]
            oldest.cancel()
        scopes[scope] = None
        try:
            with scope:
                await answer(stream, render, content_type)
        finally:
            scopes.pop(scope, None)
            with suppress(Exception):
                await trio.aclose_forcefully(stream)

    async def accept(listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    log.error("no connection for metrics can be accepted: %s", error)
                    await trio.sleep(ACCEPT_PAUSE_S)
                    continue
                nursery.start_soon(connection, stream)

    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(accept, listener, nursery)
        task_status.started()


async def answer(stream: trio.abc.HalfCloseableStream, render: Render, content_type: str) -> None:
    """One request, answered and closed; nothing a peer does leaves here."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        head = await _head(stream)
        if head is None:
            return
        status, body_wanted = _judged(head)
        pieces: Iterable[str] = render() if status == OK else (f"{status}\n",)
        kind = content_type if status == OK else PLAIN
        extra = "Allow: GET, HEAD\r\n" if status == NOT_ALLOWED else ""
        start = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Connection: close\r\n\r\n".encode()
        with trio.move_on_after(SEND_TIMEOUT_S):
            await stream.send_all(start)
            if body_wanted:
                await _send(stream, pieces)
            await stream.send_eof()
            await _linger(stream)


async def _send(stream: trio.abc.SendStream, pieces: Iterable[str]) -> None:
    """Piece by piece, each made when the one before is on its way."""
    waiting: list[bytes] = []
    for piece in pieces:
        waiting.append(piece.encode())
        if sum(map(len, waiting)) >= PIECE_BYTES:
            await stream.send_all(b"".join(waiting))
            waiting.clear()
        else:
            await trio.lowlevel.checkpoint()
    await stream.send_all(b"".join(waiting))


OK, BAD_REQUEST, NOT_FOUND, NOT_ALLOWED, TOO_LONG = (
    "200 OK",
    "400 Bad Request",
    "404 Not Found",
    "405 Method Not Allowed",
    "431 Request Header Fields Too Large",
)


def _judged(head: bytes) -> tuple[str, bool]:
    """The status of the answer, and whether a body follows."""
    if len(head) > HEAD_MAX:
        return TOO_LONG, True
    words = head.split(b"\r\n", 1)[0].split(b"\n", 1)[0].split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return BAD_REQUEST, True
    method, target = words[0], words[1].partition(b"?")[0]
    if method not in (b"GET", b"HEAD"):
        return NOT_ALLOWED, True
    found = target.decode("latin-1") in PATHS
    return (OK if found else NOT_FOUND), method == b"GET"


async def _head(stream: trio.abc.ReceiveStream) -> bytes | None:
    """The request's head, perhaps too long; None: nobody asks any more."""
    head = b""
    with trio.move_on_after(HEAD_TIMEOUT_S):
        while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) <= HEAD_MAX:
            data = await stream.receive_some(RECEIVE_BYTES)
            if not data:
                return None
            head += bytes(data)
        return head
    return None


async def _linger(stream: trio.abc.ReceiveStream) -> None:
    dropped = 0
    while dropped < LINGER_BYTES and (data := await stream.receive_some(RECEIVE_BYTES)):
        dropped += len(data)
