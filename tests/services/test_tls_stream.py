"""The TLS stream under a charge point's connection: what any stream promises, and whatever a peer does to it."""

from __future__ import annotations

import gc
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import Random

import pytest
import trio
import trustme
from trio.testing import MockClock, memory_stream_pair

from gatewayd.services.ocpp_listener.admission import HEAD_TIMEOUT_S, SECURING_MAX, TlsDoor
from gatewayd.services.ocpp_listener.tls_stream import NoTls, TlsStream
from gatewayd.services.tls import server_context
from gatewayd.site.refusal import Cause
from tests.services.secure_plant import HOST, certify, client

OURS = trustme.CA()
SERVER = certify(OURS, HOST)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def gateway() -> ssl.SSLContext:
    return server_context(SERVER.certificate, SERVER.key)


def peer(stream: trio.abc.Stream, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> trio.SSLStream[trio.abc.Stream]:
    context = client(OURS, maximum_version=version)
    return trio.SSLStream(stream, context, server_hostname=HOST, https_compatible=True)


@asynccontextmanager
async def pair(version: ssl.TLSVersion) -> AsyncIterator[tuple[trio.SSLStream[trio.abc.Stream], TlsStream]]:
    """Both ends, secured: trio's and ours."""
    theirs, ours = memory_stream_pair()
    far = peer(theirs, version)
    secured: list[TlsStream] = []

    async def ours_end() -> None:
        secured.append(await TlsDoor(gateway()).secure(ours))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours_end)
        await far.do_handshake()
    yield far, secured[0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_bytes_arrive_whole_and_in_order_both_ways(version: ssl.TLSVersion) -> None:
    random = Random(1)
    up, down = random.randbytes(1 << 20), random.randbytes(1 << 20)
    async with pair(version) as (far, near):
        got: dict[str, bytes] = {}

        async def send(stream: trio.abc.Stream, data: bytes) -> None:
            rest = data
            while rest:
                size = Random(len(rest)).choice([1, 7, 1000, 16384, 16385, 70000])
                await stream.send_all(rest[:size])
                rest = rest[size:]

        async def receive(stream: trio.abc.Stream, name: str) -> None:
            data = b""
            while len(data) < 1 << 20:
                data += await stream.receive_some(4096)
            got[name] = data

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, far, up)
            nursery.start_soon(send, near, down)
            nursery.start_soon(receive, near, "up")
            nursery.start_soon(receive, far, "down")
        assert got == {"up": up, "down": down}


@pytest.mark.parametrize("version", VERSIONS)
async def test_byte_by_byte(version: ssl.TLSVersion) -> None:
    theirs, wire = memory_stream_pair()
    far_wire, ours = memory_stream_pair()

    async def carry() -> None:
        while data := await wire.receive_some(65536):
            for byte in data:
                await far_wire.send_all(bytes((byte,)))

    async def back() -> None:
        while data := await far_wire.receive_some(1):
            await wire.send_all(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry)
        nursery.start_soon(back)
        far = peer(theirs, version)
        nursery.start_soon(far.do_handshake)
        near = await TlsDoor(gateway()).secure(ours)
        await far.send_all(b"hello")
        data = b""
        while len(data) < 5:
            data += await near.receive_some()
        assert data == b"hello"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("version", VERSIONS)
async def test_either_end_may_say_goodbye(version: ssl.TLSVersion) -> None:
    async with pair(version) as (far, near):
        await near.send_eof()
        assert await far.receive_some() == b""
        await far.send_all(b"something that was on its way") if version is ssl.TLSVersion.TLSv1_3 else None
        await far.aclose()
        with suppress(trio.BrokenResourceError):
            assert (await near.receive_some()) in (b"something that was on its way", b"")
    async with pair(version) as (far, near):
        await far.aclose()
        assert await near.receive_some() == b""


async def test_a_peer_that_vanishes_is_the_end() -> None:
    async with pair(ssl.TLSVersion.TLSv1_3) as (far, near):
        await trio.aclose_forcefully(far.transport_stream)
        assert await near.receive_some() == b""


async def test_garbage_after_the_handshake_breaks_it() -> None:
    async with pair(ssl.TLSVersion.TLSv1_3) as (far, near):
        await far.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(trio.BrokenResourceError, match="TLS"):
            await near.receive_some()


@asynccontextmanager
async def openssl(version: str) -> AsyncIterator[tuple[Callable[[bytes, bytes], Awaitable[None]], list[bytes]]]:
    """OpenSSL's own client, whom one can make do what no library does: a function that types a line and waits for what
    is shown then, and what arrived at our end."""
    heard: list[bytes] = []
    shown = b""

    async def serve(transport: trio.SocketStream) -> None:
        near = await TlsDoor(gateway()).secure(transport)
        try:
            while data := await near.receive_some():
                heard.append(data)
                await near.send_all(b"heard " + data)
        except trio.BrokenResourceError as error:
            heard.append(str(error).encode())

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=HOST)
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        command = ["openssl", "s_client", version, "-connect", f"{HOST}:{listener.socket.getsockname()[1]}"]
        run = partial(trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process: trio.Process = await nursery.start(partial(run, command, check=False))

        async def type_line(line: bytes, answer: bytes) -> None:
            nonlocal shown
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send_all(line)
            with trio.fail_after(10):
                while answer not in shown:
                    shown += await process.stdout.receive_some()

        yield type_line, heard
        nursery.cancel_scope.cancel()


no_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command here")


@no_openssl
async def test_new_keys_are_agreed_on_while_it_lives() -> None:
    async with openssl("-tls1_3") as (type_line, heard):
        await type_line(b"before\n", b"heard before")
        await type_line(b"K\n", b"KEYUPDATE")
        await type_line(b"after\n", b"heard after")
        assert heard == [b"before\n", b"after\n"]


@no_openssl
async def test_nobody_begins_a_handshake_anew() -> None:
    """It would cost us a signature each time. The peer is told at once, though we have nothing else to say."""
    async with openssl("-tls1_2") as (type_line, heard):
        await type_line(b"before\n", b"heard before")
        await type_line(b"R\n", b"no renegotiation")
        with trio.fail_after(5):
            while len(heard) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert heard[1].startswith(b"TLS: ")


class TestTheHandshake:
    @pytest.mark.parametrize("seed", range(200))
    async def test_no_bytes_make_it_raise_anything_else(self, seed: int) -> None:
        random = Random(seed)
        theirs, ours = memory_stream_pair()
        data = bytearray(hello())
        for _ in range(random.randrange(1, 8)):
            data[random.randrange(1, len(data))] = random.randrange(256)
        await theirs.send_all(data[: random.randrange(1, len(data) + 1)])
        await theirs.send_eof()
        with pytest.raises(NoTls):
            await TlsDoor(gateway()).secure(ours)

    async def test_who_says_nothing_costs_nothing_and_is_cut(self, autojump_clock: MockClock) -> None:
        _theirs, ours = memory_stream_pair()
        began = trio.current_time()
        before = _states()
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with pytest.raises(EOFError):
                    await TlsDoor(gateway()).secure(ours)

            nursery.start_soon(wait)
            await trio.sleep(1)
            assert _states() == before
        assert trio.current_time() - began == HEAD_TIMEOUT_S

    async def test_who_stops_in_the_middle_is_cut_and_told_of(self, autojump_clock: MockClock) -> None:
        theirs, ours = memory_stream_pair()
        await theirs.send_all(b"\x16")
        with pytest.raises(NoTls) as failed:
            await TlsDoor(gateway()).secure(ours)
        assert failed.value.cause is Cause.too_slow
        assert trio.current_time() == HEAD_TIMEOUT_S

    async def test_stalled_handshakes_hold_nobody_up(self, autojump_clock: MockClock) -> None:
        """All say the first half and wait: no turn is theirs while they do, and of too many the oldest goes."""
        door, ended = TlsDoor(gateway()), []

        async def stall(number: int) -> None:
            theirs, ours = memory_stream_pair()
            await theirs.send_all(hello())
            try:
                await door.secure(ours)
            except EOFError:
                ended.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(SECURING_MAX):
                nursery.start_soon(stall, number)
                await trio.testing.wait_all_tasks_blocked()
            theirs, ours = memory_stream_pair()
            far = peer(theirs)
            nursery.start_soon(far.do_handshake)
            await door.secure(ours)
            assert trio.current_time() < HEAD_TIMEOUT_S
            assert ended == [0]
            nursery.cancel_scope.cancel()

    async def test_others_get_their_turn_between_two_steps(self) -> None:
        """However many handshakes are ready: between two of them the loop looks at everything else."""
        door, order = TlsDoor(gateway()), ""

        async def other_work() -> None:
            nonlocal order
            while True:
                order += "."
                await trio.lowlevel.checkpoint()

        async def shake() -> None:
            nonlocal order
            theirs, ours = memory_stream_pair()
            await theirs.send_all(hello())
            async with trio.open_nursery() as inner:
                inner.start_soon(door.secure, ours)
                assert len(await theirs.receive_some(65536)) > 500
                order += "s"
                inner.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other_work)
            async with trio.open_nursery() as shaking:
                for _ in range(50):
                    shaking.start_soon(shake)
            nursery.cancel_scope.cancel()
        assert order.count("s") == 50
        # The loop shuffles who comes when in a round: the last of one and the first of the next may be neighbours.
        assert "sss" not in order


def hello() -> bytes:
    """The first flight of a charge point."""
    outgoing = ssl.MemoryBIO()
    opening = client(OURS).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with suppress(ssl.SSLWantReadError):
        opening.do_handshake()
    return outgoing.read()


def _states() -> int:
    """TLS states in memory."""
    gc.collect()
    return sum(isinstance(each, ssl.SSLObject) for each in gc.get_objects())
