"""What the bridge adds to a Call and its answer: `python -m tests.bench.bridge [--rounds N] [--calls N]`.

1. One charge point asks one thing after the other: of the central system itself, through a bare relay of the same
   WebSocket library, through the gateway in bridge role. What is added is the difference of
   the medians.
2. 20 charge points send 20 messages a second each, through the bridge: every one is answered, and none waits long.

All four in processes of their own, the relays on one core; short rounds, one after the other, medians of them.
"""

from __future__ import annotations

import argparse
import select
import socket
import sys
import time
from contextlib import ExitStack
from statistics import median
from typing import Any

from tests.bench.modbus import on_core, quiet, running
from tests.bench.ocpp import complete, connect, others
from tests.services.ocpp_peer import TEXT, frame

ROUNDS, CALLS = 9, 300
LIMIT_MS, RELAY_RATIO = 0.7, 2.0
"""The bridge may add so much, and so many times what a bare relay adds (issue of the bridge, Speed)."""
CHARGE_POINTS, EACH_PER_S, LOAD_S = 20, 20, 5.0
LAST_MS = 20.0
"""Under that load the median of the last second stays below this: no queue grows. (A busy machine's hiccups are not
the bridge's, so the slowest are only printed.)"""
STAMP = "2026-01-01T00:00:00Z"


def round_trip_ms(connection: socket.socket, frames: list[bytes], calls: int) -> float:
    """The median from a Call to its answer."""
    connection.setblocking(True)
    found = []
    for number in range(calls):
        buffer = bytearray()
        began = time.perf_counter()
        connection.sendall(frames[number % len(frames)])
        while not complete(buffer):
            buffer += connection.recv(65536)
        found.append((time.perf_counter() - began) * 1e3)
    return median(found)


def latency(ports: dict[str, int], rounds: int, calls: int) -> bool:
    frames = [frame(TEXT, text.encode()) for n in range(60) for text in others(n, STAMP)]
    found: dict[str, list[float]] = {name: [] for name in ports}
    with ExitStack() as stack:
        links = {name: stack.enter_context(connect(port, 0)) for name, port in ports.items()}
        for _ in range(rounds):
            for name, link in links.items():
                quiet()
                found[name].append(round_trip_ms(link, frames, calls))
    direct = median(found["central"])
    added = {name: [ms - alone for ms, alone in zip(found[name], found["central"], strict=True)] for name in found}
    ratio = median(ours / theirs for ours, theirs in zip(added["bridge"], added["relay"], strict=True))
    ours = median(added["bridge"])
    print(f"A Call and its answer, medians of {rounds} rounds of {calls}")
    print(f"  the central system itself        {direct:6.3f} ms")
    print(f"  a bare relay adds                {median(added['relay']):6.3f} ms")
    print(f"  the bridge adds                  {ours:6.3f} ms; at most {LIMIT_MS}")
    print(f"  {ratio:5.2f} x the relay; at most {RELAY_RATIO}")
    return ours <= LIMIT_MS and ratio <= RELAY_RATIO


def load(port: int) -> bool:
    frames = [frame(TEXT, text.encode()) for n in range(60) for text in others(n, STAMP)]
    waits: list[float] = []
    with ExitStack() as stack:
        links = [stack.enter_context(connect(port, number)) for number in range(CHARGE_POINTS)]
        poller = select.epoll()
        by_descriptor = {link.fileno(): (link, bytearray(), list[float]()) for link in links}
        for link in links:
            poller.register(link, select.EPOLLIN)
        began = time.perf_counter()
        total, sent = int(CHARGE_POINTS * EACH_PER_S * LOAD_S), 0
        while len(waits) < total and time.perf_counter() < began + 2 * LOAD_S:
            now = time.perf_counter()
            while sent < total and now >= began + sent / (CHARGE_POINTS * EACH_PER_S):
                link, _, asked = by_descriptor[links[sent % CHARGE_POINTS].fileno()]
                link.sendall(frames[sent % len(frames)])
                asked.append(time.perf_counter())
                sent += 1
            for descriptor, _ in poller.poll(0.001):
                link, buffer, asked = by_descriptor[descriptor]
                buffer += link.recv(65536)
                for _ in range(complete(buffer)):
                    waits.append((time.perf_counter() - asked.pop(0)) * 1e3)
        poller.close()
    last = median(waits[-CHARGE_POINTS * EACH_PER_S :] or [float("inf")])
    slowest = sorted(waits)[int(len(waits) * 0.99)] if waits else float("inf")
    print(f"\n{CHARGE_POINTS} charge points, {EACH_PER_S} messages/s each, {LOAD_S:.0f} s through the bridge")
    print(f"  {len(waits)} of {total} answered, median {median(waits or [0.0]):.2f} ms, p99 {slowest:.2f} ms")
    print(f"  median of the last second {last:.2f} ms; at most {LAST_MS:.0f}")
    return len(waits) == total and last <= LAST_MS


def main() -> int:
    parser = argparse.ArgumentParser(description="What the bridge adds")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each kind, %(default)s")
    parser.add_argument("--calls", type=int, default=CALLS, help="Calls of each, %(default)s")
    arguments: Any = parser.parse_args()
    python = [sys.executable, "-m", "tests.bench.bridge_servers"]
    with ExitStack() as stack:
        ports = {"central": stack.enter_context(running([*python, "central"]))}
        for name in ("relay", "bridge"):
            ports[name] = stack.enter_context(running([*python, name, str(ports["central"])]))
        on_core(1)()
        met = [latency(ports, arguments.rounds, arguments.calls)]
        quiet()
        met.append(load(ports["bridge"]))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
