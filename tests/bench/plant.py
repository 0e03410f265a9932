"""What a whole plant costs the gateway: `python -m tests.bench.plant [--seconds S] [scenario ...]`.

The real executable on loopback, with its ledger on the disk, in a process of its own on one core; charge points and
BMS on the other. Its share of a core is what the kernel accounts to it, so a busy machine changes little of it.

- plant: 20 charge points with 7 connectors, MeterValues of 18 samples every 10 s, two BMS that read every block once a
  second. At most 10 % of a core. Beside it the same reads of a bare trio server, which answers with zeros: what being
  woken 1,300 times a second costs on this machine, before a register is looked up or a charge point heard.
- campus: 1,000 charge points in 50 banks, MeterValues every 60 s, one BMS that reads a hot block of each bank. At most
  15 % of a core, 40 KiB each, Modbus p99 5 ms.
- limit: a written `limit` until its SetChargingProfile is at the charge point's socket. Median at most 2 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, connect_websocket

from tests.bench.modbus import on_core
from tests.bench.ocpp import meter_values

GATEWAY_CORE, LOAD_CORE = 0, 1
SECONDS = 20.0
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024
TICKS = os.sysconf("SC_CLK_TCK")
WRITES = 200
"""Limits written one after the other."""
DIALS = 50
"""Charge points that dial at a time: the listen queue and the gateway's handshakes are not what is measured here."""


class Process:
    """The gateway as the kernel accounts it."""

    def __init__(self, pid: int, ports: dict[str, int]) -> None:
        self.pid, self.ports = pid, ports

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_kib(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE_KIB


BARE = """
import struct, trio

async def answer(stream):
    while request := await stream.receive_some(512):
        size = 2 * struct.unpack(">H", request[10:12])[0]
        await stream.send_all(request[:4] + struct.pack(">HBBB", 3 + size, 1, 3, size) + bytes(size))

async def main():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(answer, listeners)

trio.run(main)
"""


@contextmanager
def bare_server() -> Iterator[Process]:
    """The peer of `plant`: as little as a trio program can do that answers these reads."""
    command = [sys.executable, "-c", BARE]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=on_core(GATEWAY_CORE)
    ) as process:
        assert process.stdout is not None
        try:
            yield Process(process.pid, {"modbus_tcp": int(process.stdout.readline())})
        finally:
            process.kill()


@contextmanager
def gateway(charge_points: int, connectors: int) -> Iterator[Process]:
    """The real executable with so many charge points configured."""
    with tempfile.TemporaryDirectory() as place:
        config, state = Path(place) / "gateway.toml", Path(place) / "state"
        lines = ["[modbus.tcp]", 'host = "127.0.0.1"', "port = 0", "[ocpp]", 'host = "127.0.0.1"', "port = 0"]
        lines += ["min_limit_interval_s = 0", "[metrics]", "port = -1"]
        for number in range(1, charge_points + 1):
            lines += [
                "[[charge_point]]",
                f"number = {number}",
                f'identity = "CP{number}"',
                f"connectors = {connectors}",
            ]
        config.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "gatewayd", "--config", str(config), "--state", str(state)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=on_core(GATEWAY_CORE)
        ) as process:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise SystemExit("the gateway did not start")
            try:
                yield Process(process.pid, json.loads((state / "ports.json").read_text()))
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()


async def dial(process: Process, number: int, nursery: trio.Nursery) -> WebSocketConnection:
    path = f"/ocpp/CP{number}"
    socket = await connect_websocket(
        nursery, "127.0.0.1", process.ports["ocpp"], path, use_ssl=False, subprotocols=["ocpp1.6"]
    )
    await socket.send_message('[2,"boot","BootNotification",{"chargePointVendor":"Bench","chargePointModel":"Plant"}]')
    while '"boot"' not in str(await socket.get_message()):
        pass
    return socket


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


async def charge_point(
    process: Process, number: int, connectors: int, interval_s: float, dials: trio.Semaphore, nursery: trio.Nursery,
    task_status: trio.TaskStatus[None],
) -> None:  # fmt: skip
    """Boots, shows its connectors charging, and sends MeterValues in turn; answers what the gateway asks."""
    async with dials:
        socket = await dial(process, number, nursery)
    for connector in range(1, connectors + 1):
        payload = {"connectorId": connector, "errorCode": "NoError", "status": "Charging", "timestamp": stamp()}
        await socket.send_message(json.dumps([2, f"s{connector}", "StatusNotification", payload]))
    nursery.start_soon(answer_all, socket)
    task_status.started()
    await trio.sleep(interval_s * (number * 0.618 % 1))
    with suppress(ConnectionClosed):
        while True:
            for connector in range(1, connectors + 1):
                text = meter_values(number, stamp()).replace('"connectorId":1', f'"connectorId":{connector}')
                text = text.replace('"connectorId": 1', f'"connectorId": {connector}')
                await socket.send_message(text)
                await trio.sleep(interval_s / connectors)


async def answer_all(socket: WebSocketConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            frame = json.loads(await socket.get_message())
            if frame[0] == 2:
                await socket.send_message(json.dumps([3, frame[1], {"status": "Accepted"}]))


async def poll(process: Process, reads: list[tuple[int, int, int]], every_s: float, waits: list[float]) -> None:
    """One BMS: all these (unit, address, quantity) once in `every_s`, evenly, each answer awaited."""
    stream = await trio.open_tcp_stream("127.0.0.1", process.ports["modbus_tcp"])
    pause_s, due = every_s / len(reads), trio.current_time()
    async with stream:
        while True:
            for unit, address, quantity in reads:
                due = max(due + pause_s, trio.current_time() - every_s)
                await trio.sleep_until(due)
                began = time.perf_counter()
                await stream.send_all(struct.pack(">HHHBBHH", 1, 0, 6, unit, 3, address, quantity))
                size, got = 9 + 2 * quantity, 0
                while got < size:
                    data = await stream.receive_some(size - got)
                    if not data:
                        raise SystemExit("the gateway closed a BMS's connection")
                    got += len(data)
                waits.append(time.perf_counter() - began)


def every_block(charge_points: int, connectors: int) -> list[tuple[int, int, int]]:
    """All blocks of bank 1 in as few reads as the protocol allows."""
    blocks = [300 * block for block in range(10)]
    for place in range(1, charge_points + 1):
        blocks += [3000 * place + 300 * block for block in (*range(connectors + 1), 8, 9)]
    return [(1, start + part, size) for start in blocks for part, size in ((0, 125), (125, 125), (250, 50))]


async def load(
    process: Process, charge_points: int, connectors: int, interval_s: float, reads: list[tuple[int, int, int]],
    clients: int, seconds: float,
) -> tuple[float, float, list[float]]:  # fmt: skip
    """Share of a core, KiB a connection, and the waits of all reads."""
    before_kib = process.rss_kib()
    waits: list[float] = []
    dials = trio.Semaphore(DIALS)
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as starting:
            for number in range(1, charge_points + 1):
                started = partial(nursery.start, charge_point, process, number, connectors, interval_s, dials, nursery)
                starting.start_soon(started)
        connected_kib = process.rss_kib()
        await trio.sleep(2)
        for _ in range(clients):
            nursery.start_soon(poll, process, reads, 1.0, waits)
        await trio.sleep(2)
        waits.clear()
        cpu_s, began = process.cpu_s(), time.perf_counter()
        await trio.sleep(seconds)
        share = (process.cpu_s() - cpu_s) / (time.perf_counter() - began)
        nursery.cancel_scope.cancel()
    return share, (connected_kib - before_kib) / max(charge_points, 1), list(waits)


def told(name: str, found: float, ceiling: float, unit: str) -> bool:
    good = found <= ceiling
    print(f"  {name:<44} {found:8.2f} {unit:<12} at most {ceiling:g}{'' if good else '   MISSED'}")
    return good


def percentile_99_ms(waits: list[float]) -> float:
    return quantiles(waits, n=100)[98] * 1000


def plant(seconds: float) -> bool:
    print("20 charge points x 7 connectors, MeterValues every 10 s, two BMS read every block once a second")
    reads = every_block(20, 7)
    with bare_server() as process:
        bare, _, _ = trio.run(load, process, 0, 0, 10.0, reads, 2, seconds)
    with gateway(20, 7) as process:
        share, _, waits = trio.run(load, process, 20, 7, 10.0, reads, 2, seconds)
    print(f"  {len(waits) / seconds:.0f} reads a second; {share / bare:.2f} x a bare trio server ({100 * bare:.1f} %)")
    good = told("of one core", 100 * share, 10, "%")
    good &= told("Modbus p99", percentile_99_ms(waits), 5, "ms")
    return told("longest answer", max(waits) * 1000, 100, "ms") and good


def campus(seconds: float) -> bool:
    print("1,000 charge points in 50 banks, MeterValues every 60 s, one BMS reads a hot block of every bank")
    with gateway(1000, 1) as process:
        reads = [(unit, 0, 125) for unit in range(1, 51)]
        share, kib, waits = trio.run(load, process, 1000, 1, 60.0, reads, 1, seconds)
    good = told("of one core", 100 * share, 15, "%")
    good &= told("of memory for each connection", kib, 40, "KiB")
    return told("Modbus p99", percentile_99_ms(waits), 5, "ms") and good


async def written_limits(process: Process) -> list[float]:
    """Seconds from writing a limit to its request at the charge point, values going down and up."""
    waits = []
    async with trio.open_nursery() as nursery:
        socket = await dial(process, 1, nursery)
        stream = await trio.open_tcp_stream("127.0.0.1", process.ports["modbus_tcp"])
        for number in range(WRITES):
            amps = 320 - number % 2 * 160
            request = struct.pack(">HHHBBHHBi", number, 0, 11, 1, 16, 3400, 2, 4, amps)
            began = time.perf_counter()
            await stream.send_all(request)
            while True:
                frame = json.loads(await socket.get_message())
                if frame[0] == 2 and frame[2] == "SetChargingProfile":
                    break
            waits.append(time.perf_counter() - began)
            await socket.send_message(json.dumps([3, frame[1], {"status": "Accepted"}]))
            await stream.receive_some(64)
            await trio.sleep(0.005)
        nursery.cancel_scope.cancel()
    return waits


def limit(seconds: float) -> bool:
    print("a written limit until it is at the charge point's socket")
    with gateway(1, 2) as process:
        waits = trio.run(written_limits, process)
    return told("median", median(waits) * 1000, 2, "ms")


SCENARIOS = {"plant": plant, "campus": campus, "limit": limit}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", help=f"{', '.join(SCENARIOS)}; all of them without")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    on_core(LOAD_CORE)()
    good = [SCENARIOS[name](options.seconds) for name in options.scenario or SCENARIOS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
