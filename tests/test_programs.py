"""The sockets for programs where they cannot be made, and then can."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gatewayd import programs
from gatewayd.modbus.server import Server
from gatewayd.runtime_directory import EVENTS, POINTS
from tests.kit import Kit
from tests.process.local import connected, modbus


async def durable(_number: int) -> bool:
    return True


async def no_events(listener: socket.socket, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    with listener:
        await trio.sleep_forever()


async def test_they_are_tried_again_until_they_can_be_made(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    run, missing = tmp_path / "run", list[bool]()
    run.write_text("no directory")
    server = Server(Kit().units, writes=True, on_exception=lambda _code: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(programs.serve, run, server, durable, no_events, missing.append)
        assert missing == [True]
        await trio.sleep(60)
        assert missing == [True]
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        run.unlink()
        await trio.sleep(programs.RETRY_S + 1)  # at the same instant either could be first
        assert missing == [True, False]
        async with connected(run / POINTS) as stream:
            assert await modbus(stream, b"\x03\0\0\0\1") == bytes.fromhex("03024f43")
        nursery.cancel_scope.cancel()


def test_one_that_cannot_be_made_leaves_none_behind(tmp_path: Path) -> None:
    (tmp_path / EVENTS).mkdir()
    assert programs.made(tmp_path) is None
    with socket.socket(socket.AF_UNIX) as program, pytest.raises(OSError, match="refused"):
        program.connect(str(tmp_path / POINTS))
