"""How fast OCPP is, beside its peers: `python -m tests.bench.ocpp [--rounds N] [--seconds S]`.

1. From the text of a MeterValues with 18 samples to its answer and to encoded registers (Session.received and a read of
   that connector's block), next to what the `ocpp` package needs to unpack and validate the same text. One process.
2. Messages a second over real loopback WebSockets with 20 connections, each with one Call open: this gateway's
   listener, which decodes, judges, changes the site and answers, next to a bare echo on the same library. Server and
   client have a core each; short rounds, one server after the other: what else the machine does hits both alike.

The figures are the best of the rounds for the first, medians for the second; ratios are medians of the rounds' own.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from statistics import median
from typing import Any

from ocpp import messages
from ocpp.messages import unpack, validate_payload

from tests.bench.modbus import on_core, quiet, running
from tests.kit import Kit
from tests.services.ocpp_peer import TEXT, frame, request

ROUNDS, SECONDS = 9, 0.5
WARM_UP_S = 0.1
CONNECTIONS = 20
MESSAGES = 500
"""Different texts of one measurement, so that nothing is answered from a cache."""
LIMIT_US = 150.0
"""A MeterValues of 18 samples, text to registers: 20 charge points that send one a second take 0.3 % of a core."""
VALIDATION_FLOOR, ECHO_FLOOR = 5.0, 0.35
"""What a change may not fall below: ratios of speed to the peer's."""


def samples(number: int) -> list[dict[str, str]]:
    """18 samples as a three-phase charge point sends them."""
    by_phase = (
        ("Current.Import", "A", "16.0{}"), ("Voltage", "V", "230.{}"), ("Power.Active.Import", "W", "3680.{}"),
        ("Energy.Active.Import.Register", "Wh", "10000{}"),
    )  # fmt: skip
    alone = (
        ("Energy.Active.Import.Register", "Wh", "30000{}"), ("Power.Active.Import", "W", "11041.{}"),
        ("Power.Offered", "W", "2200{}"), ("Current.Offered", "A", "3{}"), ("SoC", "Percent", "5{}"),
        ("Temperature", "Celsius", "3{}"),
    )  # fmt: skip
    common = {"context": "Sample.Periodic", "format": "Raw", "location": "Outlet"}
    return [
        *(
            {"value": value.format(number % 10), "measurand": measurand, "phase": phase, "unit": unit} | common
            for measurand, unit, value in by_phase
            for phase in ("L1", "L2", "L3")
        ),
        *({"value": value.format(number % 10), "measurand": measurand, "unit": unit} | common
          for measurand, unit, value in alone),
    ]  # fmt: skip


def meter_values(number: int, stamp: str) -> str:
    values = [{"timestamp": stamp, "sampledValue": samples(number)}]
    return json.dumps([2, f"meter-{number}", "MeterValues", {"connectorId": 1, "meterValue": values}])


def others(number: int, stamp: str) -> list[str]:
    """What else a charge point says all day."""
    status = {"connectorId": 1, "errorCode": "NoError", "status": ("Charging", "SuspendedEV")[number % 2]}
    return [
        json.dumps([2, f"heartbeat-{number}", "Heartbeat", {}]),
        json.dumps([2, f"status-{number}", "StatusNotification", status | {"timestamp": stamp}]),
    ]


# --- text to registers --------------------------------------------------------------------------------------------


def best_us(step: Callable[[str], None], texts: list[str], rounds: int) -> list[float]:
    """Microseconds of this core's time for one text, for each round: others may use the machine meanwhile."""
    found = []
    for _ in range(rounds):
        began = time.thread_time()
        for text in texts:
            step(text)
        found.append((time.thread_time() - began) / len(texts) * 1e6)
    return found


def text_to_registers(rounds: int) -> bool:
    """Prints the first comparison; False if it misses its limit."""
    kit = Kit()
    end = kit.connect()
    end.boot()
    texts = [meter_values(number, kit.stamp()) for number in range(MESSAGES)]
    messages.ASYNC_VALIDATION = False
    received, words, read, now = end.session.received, end.session.words, kit.bank_1.read, kit.now

    def ours(text: str) -> None:
        received(text, now)
        words.clear()
        read(3300, 125)

    def theirs(text: str) -> None:
        with suppress(StopIteration):  # without its thread it never waits
            validate_payload(unpack(text), "1.6").send(None)

    best_us(ours, texts, 1)
    best_us(theirs, texts[:20], 1)
    quiet()
    pairs = [(best_us(ours, texts, 1)[0], best_us(theirs, texts[:50], 1)[0]) for _ in range(rounds)]
    mine, peers = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    ratio = median(theirs_us / ours_us for ours_us, theirs_us in pairs)
    print(f"MeterValues of 18 samples, best of {rounds}, load {os.getloadavg()[0]:.1f}")
    print(f"  this gateway, text to answer and registers  {mine:8.1f} us; at most {LIMIT_US:.0f}")
    print(f"  ocpp package, unpack and validate alone     {peers:8.1f} us")
    print(f"  {ratio:5.1f} x as fast; at least {VALIDATION_FLOOR:.0f}")
    return mine <= LIMIT_US and ratio >= VALIDATION_FLOOR


# --- over WebSockets ----------------------------------------------------------------------------------------------


def connect(port: int, number: int) -> socket.socket:
    """One charge point's WebSocket."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(request(f"/ocpp/CP{number + 1:03}".encode()))
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    assert head.startswith(b"HTTP/1.1 101"), head
    connection.setblocking(False)
    return connection


def complete(buffer: bytearray) -> int:
    """Cuts whole frames off the buffer; how many of them were messages."""
    found = 0
    while len(buffer) >= 2:
        size, at = buffer[1] & 0x7F, 2
        if size > 125:
            at += 2 if size == 126 else 8
            size = int.from_bytes(buffer[2:at], "big")
        if len(buffer) < at + size:
            break
        found += buffer[0] & 0x0F == TEXT
        del buffer[: at + size]
    return found


def messages_per_s(connections: list[socket.socket], frames: list[bytes], seconds: float) -> float:
    """One Call open on every connection, the next when it is answered."""
    poller = select.epoll()
    by_descriptor: dict[int, tuple[socket.socket, bytearray]] = {}
    for connection in connections:
        poller.register(connection, select.EPOLLIN)
        by_descriptor[connection.fileno()] = connection, bytearray()
    sent = answered = 0
    for connection in connections:
        connection.sendall(frames[sent % len(frames)])
        sent += 1
    began = time.perf_counter()
    deadline = began + seconds
    while (now := time.perf_counter()) < deadline or answered < sent:
        for descriptor, _ in poller.poll(1.0):
            connection, buffer = by_descriptor[descriptor]
            buffer += connection.recv(65536)
            for _ in range(complete(buffer)):
                answered += 1
                if now < deadline:
                    connection.sendall(frames[sent % len(frames)])
                    sent += 1
    poller.close()
    return answered / (time.perf_counter() - began)


def over_websockets(rounds: int, seconds: float) -> bool:
    """Prints the second comparison; False if it misses its floor."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1.8e9))
    texts = [text for n in range(60) for text in (meter_values(n, stamp), *others(n, stamp))]
    frames = [frame(TEXT, text.encode()) for text in texts]
    python = [sys.executable, "-m", "tests.bench.ocpp_servers"]
    results: dict[str, list[float]] = {"gateway": [], "echo": []}
    with ExitStack() as stack:
        links: dict[str, list[socket.socket]] = {}
        for name in results:
            port = stack.enter_context(running([*python, name]))
            links[name] = [stack.enter_context(connect(port, number)) for number in range(CONNECTIONS)]
        on_core(1)()
        for _ in range(rounds):
            for name, of in results.items():
                quiet()
                messages_per_s(links[name], frames, WARM_UP_S)
                of.append(messages_per_s(links[name], frames, seconds))
    ratio = median(ours / theirs for ours, theirs in zip(results["gateway"], results["echo"], strict=True))
    print(f"\n{CONNECTIONS} WebSockets, a third of the messages MeterValues of 18 samples, medians of {rounds}")
    print(f"  this gateway, to the site and answered      {median(results['gateway']):8,.0f} messages/s")
    print(f"  trio-websocket, echo of the same texts      {median(results['echo']):8,.0f} messages/s")
    print(f"  {ratio:5.2f} of the echo; at least {ECHO_FLOOR}")
    return ratio >= ECHO_FLOOR


def main() -> int:
    parser = argparse.ArgumentParser(description="OCPP beside its peers")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each kind, %(default)s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of each over WebSockets, %(default)s")
    arguments: Any = parser.parse_args()
    met = [text_to_registers(arguments.rounds), over_websockets(arguments.rounds, arguments.seconds)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
