"""R18, the daemon's half: who listens on events.sock never hurts the gateway.

20 charge points send 20 MeterValues a second each. A BMS polls, in turns without listeners, with 20 that subscribe to
everything and never read, and with 20 that read everything. The best turn of each counts: the machine is shared. No
Modbus answer takes longer than 100 ms; the percentiles are told, not judged: by a millisecond they move on their own.

Twin: a daemon that waits for those who listen.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.process.daemon import Daemon, charge_points, running
from tests.process.local import Events, connected
from tests.promises.report import seen
from tests.services.ocpp_peer import TEXT, Peer, frame, request

pytestmark = pytest.mark.alone

CHARGE_POINTS, MESSAGES_PER_S = 20, 20
LISTENERS = 20
TURN_S, TURNS = 1.5, 8
GAP_MS = 100.0
STREAMS = ("events", "frames", "modbus", "status")
NAMES = [f"CP{number:03}" for number in range(1, CHARGE_POINTS + 1)]
SAMPLES = [{"value": "230.1", "measurand": "Voltage", "phase": f"L{n}", "unit": "V"} for n in (1, 2, 3)] * 5
WAITING = """
import sys, time
from gatewayd.__main__ import main
from gatewayd.view.publisher import Publisher
say = Publisher.say
def waiting(self, stream, *arguments, **named):
    if stream in self.wanted:
        time.sleep(0.15)
    say(self, stream, *arguments, **named)
Publisher.say = waiting
sys.exit(main())
"""


async def chatter(daemon: Daemon, identity: str) -> None:
    """One charge point that says too much, and does not look at the answers."""
    stream = await trio.open_tcp_stream("127.0.0.1", daemon.ports["ocpp"] or 0)
    async with stream:
        peer = Peer(stream)
        assert await peer.upgrade(request(b"/ocpp/" + identity.encode())) == 101
        await peer.boot()
        values = {"connectorId": 1, "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": SAMPLES}]}

        async def drain() -> None:
            while await stream.receive_some(65536):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            number = 0
            while True:
                number += 1
                await stream.send_all(frame(TEXT, json.dumps([2, f"m{number}", "MeterValues", values]).encode()))
                await trio.sleep(1 / MESSAGES_PER_S)


def used_s(daemon: Daemon) -> float:
    """CPU seconds of the daemon so far."""
    assert daemon.process is not None
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def polled(daemon: Daemon) -> dict[str, float]:
    program = [sys.executable, "-m", "tests.promises.poller", str(daemon.ports["modbus_tcp"]), str(TURN_S)]
    began, before = trio.current_time(), used_s(daemon)
    done = await trio.run_process(program, capture_stdout=True)
    found: dict[str, float] = json.loads(done.stdout)
    found["cpu"] = 100 * (used_s(daemon) - before) / (trio.current_time() - began)
    return found


@asynccontextmanager
async def listening(daemon: Daemon, *, read: bool) -> AsyncIterator[list[int]]:
    """Twenty that subscribe to everything; how many lines each has read, if they read."""
    counts = [0] * LISTENERS

    async def reading(stream: trio.abc.ReceiveStream, place: int) -> None:
        while data := await stream.receive_some(65536):
            counts[place] += data.count(b"\n")  # no more: this process is not what is measured

    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        for place in range(LISTENERS):
            stream = await stack.enter_async_context(connected(daemon.state / "events.sock"))
            await Events(stream).say(streams=STREAMS)
            if read:
                nursery.start_soon(reading, stream, place)
        await trio.sleep(0.5)
        yield counts
        nursery.cancel_scope.cancel()


async def turns(daemon: Daemon, count: int) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {"nobody": [], "twenty who never read": [], "twenty who read": []}
    async with running(daemon), trio.open_nursery() as nursery:
        for identity in NAMES:
            nursery.start_soon(chatter, daemon, identity)
        await trio.sleep(1)
        for _ in range(count):
            found["nobody"].append(await polled(daemon))
            async with listening(daemon, read=False):
                found["twenty who never read"].append(await polled(daemon))
            async with listening(daemon, read=True) as read:
                found["twenty who read"].append(await polled(daemon))
                assert min(read) > 100, "they heard nothing"
        nursery.cancel_scope.cancel()
    return found


def best(found: list[dict[str, float]], what: str) -> float:
    return min(each[what] for each in found)


def broken(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """What of the promise does not hold."""
    wrong = []
    for who, polls in found.items():
        if best(polls, "longest") > GAP_MS:
            wrong.append(f"{who}: an answer took {best(polls, 'longest'):.1f} ms")
    return wrong


@pytest.mark.limit(240)
def test_listeners_cost_the_bms_nothing(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, charge_points(*NAMES))
    found = trio.run(partial(turns, daemon, TURNS))
    said = "p99 {:.2f} ms, longest {:.1f} ms, CPU {:.0f} %"
    figures = "; ".join(
        f"{who}: {said.format(*(best(polls, what) for what in ('p99', 'longest', 'cpu')))}"
        for who, polls in found.items()
    )
    seen("R18", f"{CHARGE_POINTS * MESSAGES_PER_S} messages/s; listeners on events.sock: {figures}")
    assert broken(found) == []


@pytest.mark.twin("R18")
def test_a_daemon_that_waits_for_its_listeners_is_found(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, charge_points(*NAMES), program=[sys.executable, "-c", WAITING])
    assert any("an answer took" in each for each in broken(trio.run(partial(one_turn, daemon))))


async def one_turn(daemon: Daemon) -> dict[str, list[dict[str, float]]]:
    """Without charge points: the BMS's own polls are enough to hear."""
    found: dict[str, list[dict[str, float]]] = {"nobody": [], "twenty who never read": []}
    async with running(daemon):
        found["nobody"].append(await polled(daemon))
        async with listening(daemon, read=False):
            found["twenty who never read"].append(await polled(daemon))
    return found
