"""points.sock: the real banks over a UNIX socket, and what rude programs get."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from gatewayd.modbus.server import Exchanges, Server
from gatewayd.runtime_directory import POINTS, listen
from gatewayd.services.points_socket import CONNECTIONS_MAX, SEND_TIMEOUT_S, Program, converse, serve
from tests.kit import Kit
from tests.process.local import connected, modbus

READ_MAGIC, MAGIC = struct.pack(">BHH", 3, 0, 1), bytes.fromhex("03024f43")
COMMAND_CODE = 3000 + 8 * 300
WRITE_CODE = struct.pack(">BHH", 6, COMMAND_CODE, 1)
BUSY = bytes((0x86, 6))


@asynccontextmanager
async def serving(folder: Path, kit: Kit) -> AsyncIterator[Exchanges]:
    exchanges = Exchanges("page")
    server = Server(kit.units, writes=True, on_exception=lambda _code: None, exchanges=exchanges)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listen(folder, POINTS), server)
        yield exchanges
        nursery.cancel_scope.cancel()


async def test_registers_are_read_and_written_and_counted(tmp_path: Path) -> None:
    kit = Kit()
    async with serving(tmp_path, kit) as exchanges, connected(tmp_path / POINTS) as stream:
        assert await modbus(stream, READ_MAGIC) == MAGIC
        assert await modbus(stream, READ_MAGIC, unit=255) == MAGIC
        assert await modbus(stream, READ_MAGIC, unit=99) == bytes((0x83, 0x0B))
        assert await modbus(stream, struct.pack(">BHH", 6, 9, 4711)) == struct.pack(">BHH", 6, 9, 4711)
        assert kit.read(9) == 4711
        assert exchanges.answered == 4


async def test_several_requests_at_once_are_answered_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path, Kit()), connected(tmp_path / POINTS) as stream:
        frames = b"".join(struct.pack(">HHHBBHH", n, 0, 6, 1, 3, 0, 1) for n in range(500))
        answers = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, frames)
            with trio.fail_after(20):
                while len(answers) < 500 * 11:
                    answers += await stream.receive_some(65536)
        assert [int.from_bytes(answers[at : at + 2], "big") for at in range(0, len(answers), 11)] == list(range(500))


async def test_a_mailbox_is_owned_until_its_program_leaves(tmp_path: Path) -> None:
    kit = Kit()
    async with serving(tmp_path, kit), connected(tmp_path / POINTS) as other:
        async with connected(tmp_path / POINTS) as filling:
            assert await modbus(filling, WRITE_CODE) == WRITE_CODE
            assert await modbus(other, WRITE_CODE) == BUSY
        with trio.fail_after(10):
            while await modbus(other, WRITE_CODE) == BUSY:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_what_is_no_modbus_closes_that_connection_only(tmp_path: Path) -> None:
    async with serving(tmp_path, Kit()), connected(tmp_path / POINTS) as good:
        for rude in (b"GET / HTTP/1.1\r\n\r\n", bytes(300), b"\xff" * 7):
            async with connected(tmp_path / POINTS) as stream:
                await stream.send_all(rude)
                with trio.fail_after(10):
                    assert await stream.receive_some(100) == b""
        assert await modbus(good, READ_MAGIC) == MAGIC


async def test_the_ninth_is_turned_away_and_a_place_that_is_left_is_free(tmp_path: Path) -> None:
    async with serving(tmp_path, Kit()), trio.open_nursery() as nursery:
        leave = trio.Event()

        async def sit(*, task_status: trio.TaskStatus[None]) -> None:
            async with connected(tmp_path / POINTS) as stream:
                assert await modbus(stream, READ_MAGIC) == MAGIC
                task_status.started()
                await leave.wait()

        for _ in range(CONNECTIONS_MAX):
            await nursery.start(sit)
        async with connected(tmp_path / POINTS) as ninth:
            with trio.fail_after(10):
                assert await ninth.receive_some(1) == b""
        leave.set()
        with trio.fail_after(10):
            while True:
                async with connected(tmp_path / POINTS) as stream:
                    try:
                        assert await modbus(stream, READ_MAGIC) == MAGIC
                    except (EOFError, trio.BrokenResourceError):
                        continue
                    break


@pytest.mark.parametrize(
    ("rude", "lockstep"), [(b"\0\1\0\0\0\6\1", False), (struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 1), True)]
)
async def test_half_a_frame_and_answers_that_are_not_taken_end_in_time(
    rude: bytes, lockstep: bool, autojump_clock: MockClock
) -> None:
    kit = Kit()
    ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, rude)
        began = trio.current_time()
        server = Server(kit.units, writes=True, on_exception=lambda _code: None)
        await converse(theirs, server, Program(1))
        assert trio.current_time() - began == pytest.approx(SEND_TIMEOUT_S)
        nursery.cancel_scope.cancel()


async def test_an_ack_is_answered_when_it_is_durable(autojump_clock: MockClock) -> None:
    """And after a second without, if the disk hangs: the rest of the gateway is to be had."""
    kit, asked = Kit(), list[int]()
    journal = kit.site.journal

    async def durable(number: int) -> bool:
        asked.append(number)
        await trio.sleep(0.3 if len(asked) == 1 else 60)
        return True

    server = Server(kit.units, writes=True, on_exception=lambda _code: None, journal=journal)
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse, theirs, server, Program(1), durable)
        began, promised = trio.current_time(), []
        for sequence, waited_s in ((7, 0.3), (9, 1.3)):
            commit = bytes.fromhex("06 1581") + sequence.to_bytes(2, "big")  # command_sequence
            assert await modbus(ours, commit) == commit
            assert trio.current_time() - began == pytest.approx(waited_s)
            promised.append(journal.promised)
        nursery.cancel_scope.cancel()
    assert asked == promised


async def test_a_bug_in_a_bank_propagates(tmp_path: Path) -> None:
    class Broken(Server):
        def read_tcp(self, frame: bytes, client: object) -> bytes | None:
            raise ZeroDivisionError

    broken = Broken(Kit().units, writes=True, on_exception=lambda _code: None)
    with pytest.raises(BaseExceptionGroup) as raised:  # noqa: PT012
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listen(tmp_path, POINTS), broken)
            async with connected(tmp_path / POINTS) as stream:
                with suppress(EOFError):
                    await modbus(stream, READ_MAGIC)
                await trio.sleep(10)
                raise AssertionError("nothing came of it")  # else the server would be served for ever
    assert raised.group_contains(ZeroDivisionError)


def test_the_socket_is_its_users_and_its_groups_whatever_the_umask(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-directory-with-a-long-name"] * 5)
    before = os.umask(0)
    try:
        with listen(deep, POINTS), listen(deep, POINTS):  # the second takes the place of the first
            assert stat.S_IMODE(os.stat(deep / POINTS).st_mode) == 0o660
            assert [path.name for path in deep.iterdir()] == [POINTS]
    finally:
        os.umask(before)


def test_a_directory_that_takes_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file"):
        listen(tmp_path / "file", POINTS)
