"""Who attacks a gateway, in a process of its own: `python -m tests.promises.attackers KIND SECONDS PORT ...`.

`connects SECONDS RATE PORT …`: opens connections, so many a second at most, to one port after the other, says nothing,
half a request or nonsense, and resets them. `messages SECONDS RATE COUNT PORT`: so many charge points CP001 …, which
send so many Calls a second each and read what is answered. Prints what it did as JSON. Loopback only, bounded by its
arguments.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, cycle

import trio

from tests.services.ocpp_peer import TEXT, Peer, frame, request

HOST = "127.0.0.1"
OPEN_MAX = 200
"""Connections of `connects` at a time; the oldest is reset first."""
TURN_S = 0.01
GREETINGS = (
    b"",
    request()[:60],
    b"\x00\x01\x00\x00\x00\x06\x01\x03",
    b"\x16\x03\x01\x02\x00\x01",
    b"no protocol at all\r\n\r\n",
)
METER_VALUES = {
    "connectorId": 1,
    "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1234", "unit": "Wh"}]}],
}
CALLS: tuple[tuple[str, dict[str, object]], ...] = (
    ("Heartbeat", {}),
    ("MeterValues", METER_VALUES),
    ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
    ("DataTransfer", {"vendorId": "V", "data": "x" * 200}),
)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no port of ours stays in TIME_WAIT
    sock.close()


def connects(seconds: float, rate: float, ports: list[int]) -> dict[str, int]:
    done: Counter[str] = Counter()
    opened: deque[socket.socket] = deque()
    began = time.monotonic()
    places, greetings = cycle(ports), cycle(GREETINGS)
    while (now_s := time.monotonic() - began) < seconds:
        while done["connects"] < rate * now_s:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((HOST, next(places)))
            with suppress(OSError):
                sock.send(next(greetings))
            opened.append(sock)
            done["connects"] += 1
            if len(opened) > OPEN_MAX:
                reset(opened.popleft())
        time.sleep(TURN_S)
    while opened:
        reset(opened.popleft())
    return dict(done)


def calls(identity: str) -> Iterator[bytes]:
    for number, (action, payload) in zip(count(), cycle(CALLS), strict=False):
        yield frame(TEXT, json.dumps([2, f"{identity}-{number}", action, payload]).encode())


async def one_talks(identity: str, port: int, seconds: float, rate: float, done: Counter[str]) -> None:
    """At its own rate, whatever is answered; a link that the gateway ends is dialled again."""
    began, texts, sent = trio.current_time(), calls(identity), 0
    while trio.current_time() - began < seconds:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError, EOFError, AssertionError):
            peer = Peer(await trio.open_tcp_stream(HOST, port))
            assert await peer.upgrade(request(f"/ocpp/{identity}".encode())) == 101
            await peer.boot()
            done["links"] += 1
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_count_answers, peer, done)
                while trio.current_time() - began < seconds:
                    while sent < rate * (trio.current_time() - began):
                        await peer.send(next(texts))
                        sent += 1
                        done["messages"] += 1
                    await trio.sleep(TURN_S)
                await trio.sleep(1.0)  # the last answers
                nursery.cancel_scope.cancel()
        await trio.sleep(0.1)


async def _count_answers(peer: Peer, done: Counter[str]) -> None:
    while True:
        opcode, _ = await peer.frame()
        done["answers"] += opcode == TEXT


async def messages(seconds: float, rate: float, charge_points: int, port: int) -> dict[str, int]:
    done: Counter[str] = Counter()
    async with trio.open_nursery() as nursery:
        for number in range(1, charge_points + 1):
            nursery.start_soon(one_talks, f"CP{number:03}", port, seconds, rate, done)
    return dict(done)


def main() -> None:
    kind, seconds, rate, *rest = sys.argv[1:]
    numbers = [int(each) for each in rest]
    if kind == "connects":
        done = connects(float(seconds), float(rate), numbers)
    else:
        done = trio.run(messages, float(seconds), float(rate), numbers[0], numbers[1])
    print(json.dumps(done))


if __name__ == "__main__":
    main()
