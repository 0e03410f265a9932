"""What holds one of the page's places, over real sockets while the clock stands still: nothing ends by a timeout."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from gatewayd.web.server import Server, bind

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UPGRADE_TO_H2C = b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
WEBSOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Watching:
    """An application that tells for ever, a word whenever `word` is set."""

    def __init__(self) -> None:
        self.word = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell, send)
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()

    async def _tell(self, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"word\n" * 1000, "more_body": True})
            await self.word.wait()
            await trio.lowlevel.checkpoint()


async def says_its_kind(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers what it was asked as."""
    kind = f"{scope['type']} {scope['http_version']} {scope['method']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(kind))]})
    await send({"type": "http.response.body", "body": kind})


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[tuple[Server, int]]:
    server, own = Server(app), bind("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, own)
        yield server, own.getsockname()[1]
        nursery.cancel_scope.cancel()


async def until_nobody_is_left(server: Server) -> None:
    while server.connections:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("said", [b"", b"GET / HT", GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nhalf")])
async def test_who_hangs_up_leaves_its_place_at_once(said: bytes, mock_clock: trio.testing.MockClock) -> None:
    async with served(says_its_kind) as (server, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(said)
        while not server.connections:
            await trio.lowlevel.checkpoint()
        await stream.aclose()
        await until_nobody_is_left(server)


async def test_who_asks_for_more_behind_an_answer_without_an_end_leaves_its_place(
    mock_clock: trio.testing.MockClock,
) -> None:
    app = Watching()
    async with served(app) as (server, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(GET + GET)
        assert b"word" in await stream.receive_some(65536) + await stream.receive_some(65536)
        await trio.aclose_forcefully(stream)
        app.word.set()
        await until_nobody_is_left(server)


@pytest.mark.parametrize("trailing", [b"", b"x", b"\0" * 9, PREFACE + b"\0\0\0\4\0\0\0\0\0"])
@pytest.mark.parametrize("upgrade", [UPGRADE_TO_H2C, WEBSOCKET])
async def test_an_upgrade_is_an_ordinary_request(upgrade: bytes, trailing: bytes) -> None:
    async with served(says_its_kind) as (server, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(GET.removesuffix(b"\r\n") + upgrade + trailing)
        answer = b""
        while b"http 1.1 GET" not in answer:
            data = await stream.receive_some(65536)
            assert data, answer
            answer += data
        assert answer.startswith(b"HTTP/1.1 200 ")
        await stream.aclose()
        await until_nobody_is_left(server)


async def test_http_2_is_not_spoken() -> None:
    async with served(says_its_kind) as (server, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(PREFACE)
        assert (await stream.receive_some(65536)).startswith(b"HTTP/1.1 ")
        await stream.aclose()
        await until_nobody_is_left(server)
