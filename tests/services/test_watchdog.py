"""What systemd hears: on a real datagram socket, in virtual time."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from gatewayd.services.watchdog import LATE_S, Watchdog, feed_every_s

WATCHDOG_USEC = "9000000"


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        heard.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield heard


def words(heard: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(heard.recv(4096).decode())
        except BlockingIOError:
            return found


async def test_it_is_fed_three_times_per_timeout(
    systemd: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    watchdog = Watchdog({"WATCHDOG_USEC": WATCHDOG_USEC})
    with trio.move_on_after(9.1):
        await watchdog.run(lambda: True, lambda: "2 charge points")
    watchdog.stopping()
    said = words(systemd)
    assert said[0] == "READY=1"
    assert said[-1] == "STOPPING=1"
    assert said.count("WATCHDOG=1") == 4
    assert "STATUS=2 charge points" in said


async def test_a_gateway_that_is_not_well_is_not_vouched_for(
    systemd: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    with trio.move_on_after(30):
        await Watchdog({"WATCHDOG_USEC": WATCHDOG_USEC}).run(lambda: False, lambda: "")
    assert "WATCHDOG=1" not in words(systemd)


async def test_a_loop_that_wakes_late_is_not_vouched_for(
    systemd: socket.socket, mock_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Watchdog({"WATCHDOG_USEC": WATCHDOG_USEC}).run, lambda: True, lambda: "")
        await trio.testing.wait_all_tasks_blocked()
        assert "WATCHDOG=1" in words(systemd)
        mock_clock.jump(3 + LATE_S + 0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert "WATCHDOG=1" not in words(systemd)
        mock_clock.jump(3)
        await trio.testing.wait_all_tasks_blocked()
        assert "WATCHDOG=1" in words(systemd)
        nursery.cancel_scope.cancel()


async def test_without_systemd_it_says_nothing_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watchdog = Watchdog({})
    with trio.move_on_after(60) as lived:
        await watchdog.run(lambda: True, lambda: "")
    assert lived.cancelled_caught


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, math.inf),
        ({"WATCHDOG_USEC": "0"}, math.inf),
        ({"WATCHDOG_USEC": "soon"}, math.inf),
        ({"WATCHDOG_USEC": WATCHDOG_USEC}, 3.0),
        ({"WATCHDOG_USEC": WATCHDOG_USEC, "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": WATCHDOG_USEC, "WATCHDOG_PID": "1"}, math.inf),
    ],
)
def test_how_often(environment: dict[str, str], seconds: float) -> None:
    assert feed_every_s(environment) == seconds
