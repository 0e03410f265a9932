"""How fast Modbus TCP is, beside its peers: `python -m tests.bench.modbus [--rounds N] [--seconds S]`.

One C client (modbus_client.c) reads 125 holding registers as fast as it is answered, over one connection and over six,
from this gateway's own service over a full bank, from a C server as libmodbus' users write it, and from pymodbus'
server. Server and client have a core each, and each measurement waits a while for both to be idle. Short rounds, one
server after the other, so that what else the machine does hits all alike; the figures are medians, the ratios medians
of the rounds' own ratios. gcc and libmodbus must be there; what they build goes to build/bench/.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).parent
BUILD = Path("build/bench")
ADDRESS = 3300  # the first 125 registers of connector 1 of charge point 1: the block that a BMS polls most
CONNECTIONS = (1, 6)
ROUNDS, SECONDS = 9, 0.4
WARM_UP_S = 0.1  # per server and round: the first requests after a pause find cold caches

IDLE = 0.93  # this part of all cores' time unused is quiet
LOOK_S = 0.15  # so long a look says whether it is
PATIENCE_S = 10.0  # on a machine that is never quiet: measure all the same, and say so

OURS, LIBMODBUS, PYMODBUS = "this gateway", "libmodbus (C)", "pymodbus"

# What a change may not fall below: ratios of requests/s, by number of connections, and of the 99th percentile.
FLOORS = {(LIBMODBUS, 1): 0.65, (LIBMODBUS, 6): 0.70, (PYMODBUS, 1): 3.0, (PYMODBUS, 6): 6.0}
P99_CEILING = 2.0


class Result(NamedTuple):
    """What the client measured in one round."""

    requests_per_s: float
    median_us: float
    p99_us: float


def build() -> None:
    """The C client and the C server; raises CalledProcessError or FileNotFoundError without gcc or libmodbus."""
    BUILD.mkdir(parents=True, exist_ok=True)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    )
    for name, libraries in (("modbus_client", []), ("modbus_libmodbus_server", flags.stdout.split())):
        source = str(HERE / f"{name}.c")
        subprocess.run(["gcc", "-O2", "-Wall", "-o", str(BUILD / name), source, *libraries], check=True)


def on_core(core: int) -> Callable[[], None]:
    """For a child process: stay on this core, where there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[core % len(cores)]})


@contextmanager
def running(command: list[str]) -> Iterator[int]:
    """A server process; gives the port that it prints first."""
    # The core is set between fork and exec; this program has no threads that could make that unsafe.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=on_core(0))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.strip().isdigit():
            raise SystemExit(f"{' '.join(command)} did not start")
        yield int(line)
    finally:
        process.terminate()
        process.wait()


def idle_and_total() -> tuple[int, int]:
    """Clock ticks of all cores together since boot, idle or waiting for a disk and all."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks)


def quiet() -> bool:
    """Waits until nobody else is busy; False if that does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        idle, total = idle_and_total()
        time.sleep(LOOK_S)
        idle_now, total_now = idle_and_total()
        if idle_now - idle >= IDLE * (total_now - total):
            return True
    return False


def measure(port: int, connections: int, seconds: float) -> Result:
    command = [str(BUILD / "modbus_client"), str(port), str(connections), str(seconds), str(ADDRESS)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=on_core(1))
    return Result(*map(float, out.stdout.split()))


def compare(rounds: int, seconds: float) -> dict[tuple[str, int], list[Result]]:
    python = [sys.executable, "-m", "tests.bench.modbus_servers"]
    commands = {
        LIBMODBUS: [str(BUILD / "modbus_libmodbus_server")],
        OURS: [*python, "gateway"],
        PYMODBUS: [*python, "pymodbus"],
    }
    results: dict[tuple[str, int], list[Result]] = {}
    disturbed = 0
    with ExitStack() as stack:
        ports = {name: stack.enter_context(running(command)) for name, command in commands.items()}
        for _ in range(rounds):
            for connections in CONNECTIONS:
                for name, port in ports.items():
                    disturbed += not quiet()
                    measure(port, connections, WARM_UP_S)
                    results.setdefault((name, connections), []).append(measure(port, connections, seconds))
    print(f"{disturbed} of {rounds * len(CONNECTIONS) * len(ports)} measurements began on a busy machine")
    return results


def ratio(
    results: dict[tuple[str, int], list[Result]], peer: str, connections: int, figure: str, of: str = OURS
) -> float:
    pairs = zip(results[of, connections], results[peer, connections], strict=True)
    return float(median(getattr(ours, figure) / getattr(theirs, figure) for ours, theirs in pairs))


def report(results: dict[tuple[str, int], list[Result]]) -> bool:
    """Prints the table and the floors; False if one is missed."""
    print(f"\nModbus TCP, FC3 x 125 registers, {len(results[OURS, 1])} rounds, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'connections':>11}  {'server':<14} {'requests/s':>10} {'median us':>10} {'p99 us':>8}")
    for connections in CONNECTIONS:
        for name in (OURS, LIBMODBUS, PYMODBUS):
            of = results[name, connections]
            figures = [median(getattr(result, figure) for result in of) for figure in Result._fields]
            print(f"{connections:>11}  {name:<14} {figures[0]:>10,.0f} {figures[1]:>10.0f} {figures[2]:>8.0f}")
    print()
    met = True
    for (peer, connections), floor in FLOORS.items():
        reached = ratio(results, peer, connections, "requests_per_s")
        met &= reached >= floor
        word = "met" if reached >= floor else "MISSED"
        print(f"{reached:5.2f} x {peer}, {connections} connection(s); at least {floor:.2f}: {word}")
    possible = ratio(results, PYMODBUS, 1, "requests_per_s", of=LIBMODBUS)
    print(f"{possible:5.2f} x {PYMODBUS}, 1 connection, is what {LIBMODBUS} reaches in the same rounds")
    for connections in CONNECTIONS:
        reached = ratio(results, LIBMODBUS, connections, "p99_us")
        met &= reached <= P99_CEILING
        word = "met" if reached <= P99_CEILING else "MISSED"
        print(
            f"{reached:5.2f} x the p99 of {LIBMODBUS}, {connections} connection(s); at most {P99_CEILING:.2f}: {word}"
        )
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description="Modbus TCP beside its peers")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each kind, %(default)s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of each, %(default)s")
    arguments = parser.parse_args()
    build()
    return 0 if report(compare(arguments.rounds, arguments.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
