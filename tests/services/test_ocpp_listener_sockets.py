"""The OCPP listener on real loopback sockets: resets, descriptors that run out, crowds (promises, R13, R16, R17)."""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from gatewayd.services.ocpp_listener.link import CLOSE_TIMEOUT_S
from gatewayd.services.ocpp_listener.listener import HANDSHAKE_TIMEOUT_S
from tests.services.ocpp_peer import CLOSE, PING, TEXT, Peer, Stand, basic, frame, request, stand

CONNECTED = 3000
HEARTBEAT = b'[2,"h","Heartbeat",{}]'
HALF_OPEN = 500
HALF_OPEN_MEMORY = 16 << 20
"""What 500 half-open sockets may cost (promises, R16)."""


@asynccontextmanager
async def listening(toml: str = "", charge_points: int = 2) -> AsyncIterator[tuple[Stand, int]]:
    """A stand, and the port on which it is dialled."""
    async with trio.open_nursery() as nursery:
        it = await stand(nursery, toml, charge_points=charge_points)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
        await nursery.start(it.listener.serve, listeners, nursery)
        port: int = listeners[0].socket.getsockname()[1]
        yield it, port
        nursery.cancel_scope.cancel()


async def dial(port: int) -> Peer:
    return Peer(await trio.open_tcp_stream("127.0.0.1", port))


async def reset(peer: Peer) -> None:
    """Close with RST: whatever is on the way is lost."""
    assert isinstance(peer.stream, trio.SocketStream)
    peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(peer.stream)


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Look again and again: what happens at the other end of a real socket cannot be waited for from here."""
    with trio.fail_after(seconds):
        while not true():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def still_serves(it: Stand, port: int) -> None:
    peer = await dial(port)
    assert await peer.upgrade(request(b"/ocpp/CP002")) == 101
    assert (await peer.boot())["status"] == "Accepted"
    await peer.send(frame(CLOSE, b"\x03\xe8"))
    assert await peer.close_code() == 1000


async def nothing_sent(peer: Peer, it: Stand) -> None:
    pass


async def half_a_head(peer: Peer, it: Stand) -> None:
    await peer.send(request()[:50])


async def a_head(peer: Peer, it: Stand) -> None:
    await peer.send(request())


async def accepted(peer: Peer, it: Stand) -> None:
    assert await peer.upgrade() == 101


async def half_a_frame(peer: Peer, it: Stand) -> None:
    await accepted(peer, it)
    await peer.send(frame(TEXT, HEARTBEAT)[:7])


async def many_answers_unread(peer: Peer, it: Stand) -> None:
    await accepted(peer, it)
    await peer.send(frame(TEXT, HEARTBEAT) * 500)


async def garbage_instead_of_http(peer: Peer, it: Stand) -> None:
    await peer.send(os.urandom(20_000))


async def garbage_after_the_upgrade(peer: Peer, it: Stand) -> None:
    await accepted(peer, it)
    await peer.send(b"\xff" * 20_000)


async def a_plain_get(peer: Peer, it: Stand) -> None:
    await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


async def a_tls_hello(peer: Peer, it: Stand) -> None:
    await peer.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500))


async def a_wrong_identity(peer: Peer, it: Stand) -> None:
    await peer.send(request(b"/ocpp/NOBODY"))


async def its_close(peer: Peer, it: Stand) -> None:
    await accepted(peer, it)
    await peer.send(frame(CLOSE, b"\x03\xe8"))


async def our_close(peer: Peer, it: Stand) -> None:
    await accepted(peer, it)
    it.write(3016, 0)
    while (await peer.frame())[0] != CLOSE:
        pass
    it.write(3016, 1)


async def pings_after_our_close(peer: Peer, it: Stand) -> None:
    await our_close(peer, it)
    await peer.send(frame(PING, b"?") * 10)


async def too_much_for_one_message(peer: Peer, it: Stand) -> None:
    await accepted(peer, it)
    await peer.send(frame(TEXT, b"x" * 1_400_000)[:900_000])


PHASES = (
    nothing_sent, half_a_head, a_head, accepted, half_a_frame, many_answers_unread, garbage_instead_of_http,
    garbage_after_the_upgrade, a_plain_get, a_tls_hello, a_wrong_identity, its_close, our_close, pings_after_our_close,
    too_much_for_one_message,
)  # fmt: skip


@pytest.mark.parametrize("settled", [False, True], ids=["at once", "a little later"])
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
async def test_a_reset_in_any_phase_ends_that_connection_only(
    phase: Callable[[Peer, Stand], Awaitable[None]], settled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as (it, port):
        peer = await dial(port)
        try:
            await phase(peer, it)
        except trio.BrokenResourceError:
            assert phase in (garbage_instead_of_http, garbage_after_the_upgrade, too_much_for_one_message)
        if settled:
            await trio.sleep(0.02)
        await reset(peer)
        await still_serves(it, port)
        await until(lambda: it.read(CONNECTED) == [0])
    assert [record.getMessage() for record in caplog.records if "broke" in record.getMessage()] == []


async def test_the_reason_of_a_refusal_arrives_although_more_was_sent() -> None:
    async with listening() as (_, port):
        for _ in range(20):
            peer = await dial(port)
            await peer.send(request(b"/ocpp/NOBODY") + b"and more that nobody reads" * 1000)
            assert (await peer.response())[0] == 404
            await peer.stream.aclose()


async def test_a_message_of_a_mebibyte_over_the_limit_hears_1009() -> None:
    async with listening() as (it, port):
        peer = await dial(port)
        assert await peer.upgrade() == 101
        async with trio.open_nursery() as nursery:

            async def pour() -> None:
                with trio.CancelScope():
                    await peer.send(frame(TEXT, b"x" * (262_144 + (1 << 20))))

            nursery.start_soon(pour)
            assert await peer.close_code() == 1009
            nursery.cancel_scope.cancel()
        await until(lambda: it.read(CONNECTED) == [0])


@contextmanager
def no_descriptors() -> Iterator[None]:
    """No descriptor is left for this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, before[1]))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_descriptors_it_waits_and_then_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as (it, port):
        await still_serves(it, port)
        client = socket.socket()
        client.setblocking(False)
        with no_descriptors():
            assert client.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
            await trio.sleep(0.35)
            assert "no connection can be accepted" in caplog.text
        peer = Peer(trio.SocketStream(trio.socket.from_stdlib_socket(client)))
        with trio.fail_after(2):
            assert await peer.upgrade() == 101


class FailingListener(trio.abc.Listener[trio.abc.HalfCloseableStream]):
    """accept() that fails in every way the kernel knows, then gives a stream."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        codes = (errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EPERM, errno.ENOBUFS)
        self._errors = [OSError(code, os.strerror(code)) for code in codes]
        self._stream: trio.abc.HalfCloseableStream | None = stream

    async def accept(self) -> trio.abc.HalfCloseableStream:
        await trio.lowlevel.checkpoint()
        if self._errors:
            raise self._errors.pop(0)
        if self._stream is None:
            await trio.sleep_forever()
        stream, self._stream = self._stream, None
        assert stream is not None
        return stream

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_no_error_of_accept_ends_the_listener(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        it = await stand(nursery)
        ours, theirs = memory_stream_pair()
        nursery.start_soon(it.listener.accept, FailingListener(theirs), nursery)
        assert await Peer(ours).upgrade() == 101
        nursery.cancel_scope.cancel()


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def silent(sock: socket.socket) -> bool:
    """Whether it was neither answered nor ended."""
    with suppress(BlockingIOError):
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return False
    return True


async def everything(sock: socket.socket) -> bytes:
    """What comes until the other side ends it."""
    found = b""
    with trio.socket.from_stdlib_socket(sock) as own:
        while data := await own.recv(4096):
            found += data
    return found


async def test_five_hundred_half_open_sockets_cost_little_are_cut_and_starve_nobody() -> None:
    """Their own ends are plain sockets of the kernel, so what this process grows by is the gateway's share."""
    async with listening() as (it, port):
        await still_serves(it, port)
        before = resident()
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(HALF_OPEN)]
        for number, each in enumerate(crowd):
            each.send(request()[: number % 150])
        await trio.sleep(0.5)
        cost = resident() - before
        print(f"{HALF_OPEN} half-open sockets cost {cost / (1 << 20):.1f} MiB")
        await still_serves(it, port)
        assert all(map(silent, crowd))  # served beside them, and not because they were cut
        with trio.fail_after(HANDSHAKE_TIMEOUT_S):
            answers = {(await everything(each)).partition(b"\r\n")[0] for each in crowd}
        assert answers == {b"HTTP/1.1 408 Request Timeout"}
        assert cost <= HALF_OPEN_MEMORY


async def test_a_flood_of_connections_leaves_nothing_behind() -> None:
    async with listening('[[charge_point]]\nnumber = 1\nidentity = "CP001"\npassword = "secret"\n') as (it, port):
        descriptors = len(os.listdir("/proc/self/fd"))
        heads = [request(b"/ocpp/NOBODY"), request(), request(Authorization=basic("CP001", "wrong")), b"\r\n" * 50]

        async def knock(number: int) -> None:
            peer = await dial(port)
            await peer.send(heads[number % len(heads)])
            if number % 3:
                await reset(peer)
            else:
                await trio.aclose_forcefully(peer.stream)

        async with trio.open_nursery() as nursery:
            for number in range(600):
                nursery.start_soon(partial(knock, number))
        await still_serves(it, port)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, 2 * CLOSE_TIMEOUT_S)
