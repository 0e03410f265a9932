"""events.sock: what its programs get, rude ones included, and that the daemon waits for none of them."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from gatewayd.runtime_directory import EVENTS, listen
from gatewayd.services.events_socket import CONNECTIONS_MAX, UNTAKEN_TIMEOUT_S, Connection, serve
from gatewayd.view.publisher import KEPT_BYTES, Publisher, Subscriber, line
from gatewayd.view.requests import LONGEST, Do
from tests.process.local import Events, connected

SNAPSHOT = line({"type": "snapshot", "big": "x" * 1000})


class Daemon:
    """What a daemon gives to the socket."""

    def __init__(self) -> None:
        self.publisher = Publisher()
        self.asked: list[Do] = []
        self.snapshots = 0
        self.answer = SNAPSHOT

    async def snapshot(self) -> bytes:
        await trio.lowlevel.checkpoint()
        self.snapshots += 1
        return self.answer

    async def act(self, request: Do) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        self.asked.append(request)
        return request.answer(ok=True)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listen(folder, EVENTS), daemon.publisher, daemon.snapshot, daemon.act)
        yield daemon
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def program(*, lockstep: bool = False) -> AsyncIterator[tuple[Daemon, trio.StapledStream[Any, Any], trio.Event]]:
    """One connection in memory; the event says that it ended. In lockstep, a send waits until it is received."""
    daemon, subscriber, gone = Daemon(), Subscriber(), trio.Event()
    ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
    daemon.publisher.enter(subscriber)

    async def run() -> None:
        await Connection(theirs, daemon.publisher, subscriber, daemon.snapshot, daemon.act).run()
        gone.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield daemon, ours, gone
        nursery.cancel_scope.cancel()


async def test_first_the_snapshot_then_what_is_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, connected(tmp_path / EVENTS) as stream:
        events = Events(stream)
        assert (await events.line())["type"] == "snapshot"
        daemon.publisher.say("frames", lambda: {"n": 0}, 0.0)  # nobody asked for it
        await events.subscribe("frames", charge_point=3)
        for number in (3, 4):
            daemon.publisher.say("frames", lambda number=number: {"n": number}, 0.0, number)  # type: ignore[misc]
        assert await events.line() == {"n": 3}
        assert (await events.ask("identify", id="x"))["id"] == "x"
        assert (await events.ask("dance"))["ok"] is False
        assert (await events.ask("snapshot"))["type"] == "snapshot"
        assert [request.what for request in daemon.asked] == ["identify"]
        await events.subscribe()
        assert daemon.publisher.wanted == frozenset()


@pytest.mark.parametrize("rude", [b"{\n", b"[]\n", b"\xff\n", b"x" * (LONGEST + 1), b'{"streams": 1}\n'])
async def test_what_is_no_request_is_answered_and_closed(rude: bytes) -> None:
    async with program() as (daemon, ours, gone):
        await ours.send_all(rude)
        events = Events(ours)
        assert (await events.line())["type"] == "snapshot"
        assert (await events.line())["type"] == "error"
        with pytest.raises(EOFError):
            await events.line()
        await gone.wait()
        assert daemon.publisher.subscribers == []


async def test_blank_lines_and_pieces_of_lines_are_nothing_special() -> None:
    async with program() as (daemon, ours, _):
        for piece in (b"\n\n  \n{", b'"do": "iden', b'tify"}\n{"do": "reload"}\n'):
            await ours.send_all(piece)
        events = Events(ours)
        for expected in ("snapshot", "answer", "answer"):
            assert (await events.line())["type"] == expected
        assert [request.what for request in daemon.asked] == ["identify", "reload"]


async def test_who_asks_too_fast_is_not_read(autojump_clock: MockClock) -> None:
    async with program() as (daemon, ours, _):
        await ours.send_all(b'{"do": "identify"}\n' * 40)
        events = Events(ours)
        await events.line()
        began = trio.current_time()
        for _ in range(20):
            await events.line()
        assert trio.current_time() - began < 0.5
        for _ in range(20):
            await events.line()
        assert trio.current_time() - began == pytest.approx(2, abs=0.1)
        assert len(daemon.asked) == 40


async def test_who_asks_and_does_not_read_is_not_read_either(autojump_clock: MockClock) -> None:
    """Answers are never dropped; so they must not pile up."""
    async with program(lockstep=True) as (daemon, ours, _):
        daemon.answer = b"x" * (KEPT_BYTES // 3) + b"\n"
        with trio.move_on_after(30):
            await ours.send_all(b'{"do": "snapshot"}\n' * 400)
        await trio.sleep(20)
        assert 1 < daemon.snapshots <= 6  # the first is on its way, three fit, one more had begun


async def test_who_takes_nothing_is_gone_after_a_minute(autojump_clock: MockClock) -> None:
    async with program(lockstep=True) as (daemon, _, gone):
        began = trio.current_time()
        await gone.wait()
        assert trio.current_time() - began == pytest.approx(UNTAKEN_TIMEOUT_S)
        assert daemon.publisher.subscribers == []


async def test_who_leaves_is_forgotten_however_it_leaves(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        for n in range(3 * CONNECTIONS_MAX):
            async with connected(tmp_path / EVENTS) as stream:
                if n % 3 == 0:
                    await stream.send_all(b'{"streams": ["frames", "modbus"]}\n')
                elif n % 3 == 1:
                    await stream.send_eof()
                else:
                    await Events(stream).line()
        with trio.fail_after(10):
            while daemon.publisher.subscribers:
                daemon.publisher.say("frames", lambda: {"n": 1}, 0.0)
                await trio.sleep(0.01)
        assert daemon.publisher.wanted == frozenset()


async def test_the_thirty_third_is_turned_away_and_a_place_that_is_left_is_free(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, trio.open_nursery() as nursery:
        leave = trio.Event()

        async def sit(*, task_status: trio.TaskStatus[None]) -> None:
            async with connected(tmp_path / EVENTS) as stream:
                await Events(stream).line()
                task_status.started()
                await leave.wait()

        for _ in range(CONNECTIONS_MAX):
            await nursery.start(sit)
        async with connected(tmp_path / EVENTS) as stream:
            with pytest.raises(EOFError):
                await Events(stream).line()
        leave.set()
        with trio.fail_after(10):
            while daemon.publisher.subscribers:  # noqa: ASYNC110  nobody announces it
                await trio.sleep(0.01)
        async with connected(tmp_path / EVENTS) as stream:
            assert (await Events(stream).line())["type"] == "snapshot"
        nursery.cancel_scope.cancel()


async def test_twenty_who_never_read_cost_the_others_nothing_but_are_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, AsyncExitStack() as stack:
        rude = [await stack.enter_async_context(connected(tmp_path / EVENTS)) for _ in range(20)]
        for each in rude:
            await each.send_all(b'{"streams": ["status"]}\n')
        events = Events(await stack.enter_async_context(connected(tmp_path / EVENTS)))
        await events.line()
        await events.subscribe("status")
        with trio.fail_after(10):
            while sum("status" in each.streams for each in daemon.publisher.subscribers) < 21:  # noqa: ASYNC110
                await trio.sleep(0.01)
        for first in range(0, 2000, 200):
            for number in range(first, first + 200):
                daemon.publisher.say("status", partial(dict, n=number, x="x" * 1000), 0.0)
            for number in range(first, first + 200):  # who reads gets all of it
                assert (await events.line())["n"] == number
        assert daemon.publisher.dropped_total > 20 * 1000
        told: list[dict[str, Any]] = []
        lazy = Events(rude[0])
        while not told or told[-1].get("type") != "dropped":
            told.append(await lazy.line())
        numbers = [row["n"] for row in told if "n" in row]
        assert numbers == list(range(len(numbers)))  # what it got is what came first, in order
        assert len(numbers) + told[-1]["dropped"] == 2000


async def test_noise_ends_at_its_own_connection(tmp_path: Path) -> None:
    chance = random.Random(11)
    async with serving(tmp_path) as daemon, connected(tmp_path / EVENTS) as good:
        events = Events(good)
        await events.line()
        for _ in range(200):
            async with connected(tmp_path / EVENTS) as stream:
                noise = chance.choice(
                    [chance.randbytes(chance.randrange(1, 3000)), b'{"streams": [' * chance.randrange(1, 900),
                     b'{"do": "snapshot"}\n' * chance.randrange(1, 9), b"\n" * 5000]
                )  # fmt: skip
                try:
                    await stream.send_all(noise)
                    if chance.random() < 0.5:
                        await Events(stream).line()
                except (trio.BrokenResourceError, EOFError, json.JSONDecodeError):
                    pass
        assert (await events.ask("identify"))["ok"]
        assert len(daemon.publisher.subscribers) >= 1


async def test_a_bug_in_what_is_asked_is_no_peers_fault(tmp_path: Path) -> None:
    class Broken(Daemon):
        async def act(self, request: Do) -> dict[str, Any]:
            raise ZeroDivisionError

    daemon = Broken()
    with pytest.raises(BaseExceptionGroup) as raised:  # noqa: PT012
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listen(tmp_path, EVENTS), daemon.publisher, daemon.snapshot, daemon.act)
            async with connected(tmp_path / EVENTS) as stream:
                await stream.send_all(b'{"do": "reload"}\n')
                await trio.sleep(10)
    assert raised.group_contains(ZeroDivisionError)
