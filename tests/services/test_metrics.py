"""A scrape over HTTP: bounded in bytes, time and number."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from gatewayd.services.metrics import CONNECTIONS_MAX, HEAD_MAX, HEAD_TIMEOUT_S, SEND_TIMEOUT_S, answer, serve

BODY = ("# one\n", "two 2\n", "x" * 100_000 + "\n", "", "last 1\n")
KIND = "text/plain; version=0.0.4"
GET = b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n"


def render() -> Iterator[str]:
    yield from BODY


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        listener = socket.create_server(("127.0.0.1", 0))
        listening = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        await nursery.start(serve, [listening], render, KIND)
        yield listener.getsockname()[1]
        nursery.cancel_scope.cancel()


async def ask(port: int, request: bytes) -> tuple[str, str]:
    """The head and the body of the answer."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        received = b""
        with trio.fail_after(20):
            async for data in stream:
                received += data
    head, _, body = received.decode().partition("\r\n\r\n")
    return head, body


@pytest.mark.parametrize("target", [b"/metrics", b"/metrics/", b"/metrics?name=x"])
async def test_a_scrape(target: bytes) -> None:
    async with serving() as port:
        head, body = await ask(port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert head.split("\r\n") == ["HTTP/1.1 200 OK", f"Content-Type: {KIND}", "Connection: close"]
        assert body == "".join(BODY)


@pytest.mark.parametrize(
    ("request_", "status", "has_body"),
    [
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK", False),
        (b"GET /metrics HTTP/1.0\n\n", "200 OK", True),
        (GET + GET + b"x" * 50_000, "200 OK", True),
        (b"GET / HTTP/1.1\r\n\r\n", "404 Not Found", True),
        (b"GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n", "404 Not Found", True),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "405 Method Not Allowed", True),
        (b"GET /metrics\r\n\r\n", "400 Bad Request", True),
        (b"\xff\xfe\x00\r\n\r\n", "400 Bad Request", True),
        (b"\r\n\r\n", "400 Bad Request", True),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2 * HEAD_MAX, "431 Request Header Fields Too Large", True),
    ],
)
async def test_whatever_is_asked_is_answered_and_closed(request_: bytes, status: str, has_body: bool) -> None:
    async with serving() as port:
        head, body = await ask(port, request_)
        assert head.startswith(f"HTTP/1.1 {status}\r\n")
        assert bool(body) == has_body
        assert (await ask(port, GET))[1] == "".join(BODY)


async def test_who_does_not_finish_asking_has_its_time(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def trickle() -> None:
            for byte in GET:
                await ours.send_all(bytes((byte,)))
                await trio.sleep(1)

        nursery.start_soon(trickle)
        await answer(theirs, render, KIND)
        assert trio.current_time() == pytest.approx(HEAD_TIMEOUT_S)
        nursery.cancel_scope.cancel()


async def test_who_does_not_take_the_answer_has_its_time(autojump_clock: MockClock) -> None:
    ours, theirs = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, GET)
        await answer(theirs, render, KIND)
        assert trio.current_time() == pytest.approx(SEND_TIMEOUT_S)
        nursery.cancel_scope.cancel()


async def test_who_hangs_about_makes_room_for_who_scrapes() -> None:
    async with serving() as port:
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2 * CONNECTIONS_MAX)]
        assert (await ask(port, GET))[1] == "".join(BODY)
        with trio.fail_after(20):
            assert await idle[0].receive_some(1) == b""  # the oldest had to go
        for stream in idle:
            await stream.aclose()


async def test_who_breaks_off_stops_nothing() -> None:
    async with serving() as port:
        for _ in range(50):
            rude = socket.create_connection(("127.0.0.1", port))
            rude.send(GET)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.close()  # RST
        assert (await ask(port, GET))[1] == "".join(BODY)


async def test_others_have_their_turn_between_two_pieces() -> None:
    turns = 0

    def slow() -> Iterator[str]:
        seen = set()
        for number in range(50):
            seen.add(turns)
            yield f"n {number}\n"
        assert len(seen) > 25, "the pieces were made in one go"

    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        nursery.start_soon(other)
        await ours.send_all(GET)
        await ours.send_eof()
        await answer(theirs, slow, KIND)
        nursery.cancel_scope.cancel()


async def test_a_bug_in_the_figures_propagates() -> None:
    def broken() -> Iterator[str]:
        raise ZeroDivisionError
        yield ""

    ours, theirs = memory_stream_pair()
    await ours.send_all(GET)
    with pytest.raises(ZeroDivisionError):
        await answer(theirs, broken, KIND)
