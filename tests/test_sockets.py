"""What is sent at once, on real sockets; and that nothing is lost or said twice where that is not all."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from gatewayd.services import ocpp_upstream
from gatewayd.services.ocpp_listener import link
from gatewayd.sockets import send_at_once

MUCH = bytes(range(256)) * 4_000
"""More than any socket has room for."""
Sending = Callable[[trio.abc.Stream], link.Stream | ocpp_upstream.Stream]
STREAMS: dict[str, Sending] = {
    "to a charge point": lambda stream: link.Stream(stream, b"", b""),
    "to a central system": ocpp_upstream.Stream,
}


def pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    ours, theirs = socket.socketpair()
    return (
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)),
        trio.SocketStream(trio.socket.from_stdlib_socket(theirs)),
    )


def posting(stream: link.Stream | ocpp_upstream.Stream) -> Callable[[bytearray], bool]:
    return stream.post if isinstance(stream, link.Stream) else stream.sends.post


async def received(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    found = b""
    while len(found) < size and (some := await stream.receive_some()):
        found += some
    return found


async def test_what_fits_goes_at_once_and_what_does_not_is_left() -> None:
    ours, theirs = pair()
    async with ours, theirs:
        assert send_at_once(ours, b"hello") == 5
        assert await received(theirs, 5) == b"hello"
        taken = send_at_once(ours, MUCH)
        assert 0 < taken < len(MUCH)
        assert send_at_once(ours, MUCH) == 0, "there is no room"
        assert await received(theirs, taken) == MUCH[:taken]


async def test_nothing_is_taken_where_trio_must_say_why() -> None:
    ours, theirs = pair()
    await theirs.aclose()
    assert send_at_once(ours, b"hello") == 0
    await ours.aclose()
    assert send_at_once(ours, b"hello") == 0
    assert send_at_once(memory_stream_pair()[0], b"hello") == 0


@pytest.mark.parametrize("kind", STREAMS)
async def test_more_than_there_is_room_for_arrives_whole_and_in_order(kind: str) -> None:
    ours, theirs = pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        sending = STREAMS[kind](ours)

        async def send() -> None:
            for data in (b"before", MUCH, memoryview(MUCH), b"after"):
                await sending.send_all(data)

        nursery.start_soon(send)
        whole = b"before" + MUCH + MUCH + b"after"
        assert await received(theirs, len(whole)) == whole


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_peer_that_is_gone_is_told(kind: str) -> None:
    ours, theirs = pair()
    sending = STREAMS[kind](ours)
    await theirs.aclose()
    if isinstance(sending, ocpp_upstream.Stream):
        sending.upgraded = True
    with pytest.raises(trio.BrokenResourceError):
        await sending.send_all(b"hello")
    with pytest.raises(trio.BrokenResourceError):
        await sending.send_all(b"and again")
    await ours.aclose()


@pytest.mark.parametrize("kind", STREAMS)
async def test_what_was_cut_in_the_middle_is_the_last_thing_said(kind: str) -> None:
    ours, theirs = pair()
    async with ours, theirs:
        sending = STREAMS[kind](ours)
        if isinstance(sending, ocpp_upstream.Stream):
            sending.upgraded = True
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sending.send_all, MUCH)
                await wait_all_tasks_blocked()
                scope.cancel()
        with pytest.raises(trio.BrokenResourceError):
            await sending.send_all(b"after half a frame")


@pytest.mark.parametrize("kind", STREAMS)
async def test_what_is_posted_goes_at_once_and_what_is_left_of_it_before_all_else(kind: str) -> None:
    ours, theirs = pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        sending = STREAMS[kind](ours)
        assert posting(sending)(bytearray(b"at once"))
        assert await received(theirs, 7) == b"at once"
        assert posting(sending)(bytearray(MUCH))
        assert 0 < len(sending.sends.left) < len(MUCH)
        assert not posting(sending)(bytearray(b"not in between"))
        nursery.start_soon(sending.send_all, b"after")
        assert await received(theirs, len(MUCH) + 5) == MUCH + b"after"
        assert posting(sending)(bytearray(b"again"))


@pytest.mark.parametrize("kind", STREAMS)
async def test_nothing_is_posted_into_what_is_being_sent_or_was_cut(kind: str) -> None:
    ours, theirs = pair()
    async with ours, theirs:
        sending = STREAMS[kind](ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sending.send_all, MUCH)
            await wait_all_tasks_blocked()
            assert not posting(sending)(bytearray(b"in between"))
            nursery.cancel_scope.cancel()
        assert await received(theirs, 1)
        assert not posting(sending)(bytearray(b"after half a frame"))


async def test_nothing_is_posted_behind_a_goodbye() -> None:
    ours, theirs = pair()
    async with ours, theirs:
        sending = link.Stream(ours, b"", b"")
        await sending.say_goodbye(1000)
        assert not posting(sending)(bytearray(b"and another thing"))
