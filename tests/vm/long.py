"""`python -m tests.vm.long [COUNT]`: the long form of `make vm-smoke`, COUNT starts of each kind (promises R21).

Every start is a fresh machine, and a line in build/vm/long.jsonl as soon as it was seen: a run goes on where the last
one stopped, until COUNT of each kind were seen of this very root; then it says so again. What is random is drawn from
the kind and the number of the start, so that one that failed can be had again. Seconds are the guest's, whose clock
goes by instructions: AT_ONCE machines side by side, or a busy one beneath, change nothing of what is seen.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import Any, Final

from tests.vm.machine import BUILT, PROJECT, Machine
from tests.vm.owner import ADOPTED_S, FALLBACK, FALLBACK_S, hold_the_button, nothing_is_left, source_is, used_disk
from tests.vm.wire import TAP, Wire

SEEN: Final = BUILT / "long.jsonl"
COUNT: Final = 20
AT_ONCE: Final = 2
"""An emulated machine is one core and 1 GiB of this one; `vm.sh able` asks for memory for two."""
FLAPS: Final = 5
FLAP_S: Final = (1.0, 9.0)
"""How long a server of the kind `flapping` is there, and not there, each time."""
START_S: Final = 16.0
"""A start takes so long: a plug is pulled at an instant within it, or a while after."""

Figures = dict[str, float]


def used_memory_mib(vm: Machine) -> float:
    rows = (row.split() for row in vm.run("cat", "/proc/meminfo").splitlines())
    kib = {words[0].rstrip(":"): int(words[1]) for words in rows}
    return (kib["MemTotal"] - kib["MemAvailable"]) / 1024


def figures(vm: Machine) -> Figures:
    """Memory and boot report of a machine that must be well."""
    state = vm.booted()
    assert state == "running", vm.run("systemctl", "--failed", "--plain", "--no-legend")
    up_s = int(vm.run("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", "gatewayd")) / 1e6
    return {"gatewayd up, s": up_s, "memory used, MiB": used_memory_mib(vm)}


def answers(wire: Wire, address: str) -> None:
    """Modbus, read by a program that is not ours."""
    said = subprocess.run(
        [*wire.enter, "mbpoll", "-a", "1", "-0", "-1", "-r", "0", "-o", "10", address],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    ).stdout  # fmt: skip
    assert "[0]: \t20291\n" in said, said


def fallback_came_s(vm: Machine) -> float:
    """After how long of asking; AssertionError unless it is what was promised."""
    asking_since_s = float(source_is(vm, "fallback")["asking_since_s"])
    journal = vm.run("journalctl", "-b", "-u", "netd", "-o", "short-monotonic", "--no-pager").splitlines()
    added = [row for row in journal if f"ip addr add {FALLBACK}" in row]
    assert added, journal
    took_s = float(added[0].strip("[ ").split("]")[0]) - asking_since_s
    assert FALLBACK_S[0] <= took_s <= FALLBACK_S[1], took_s
    return took_s


def lease_came_s(vm: Machine, wire: Wire, since: float) -> float:
    lease = source_is(vm, "lease")
    took_s = vm.clock() - since
    assert took_s <= ADOPTED_S, took_s
    answers(wire, lease["addresses"][0].partition("/")[0])
    return took_s


def with_a_server(vm: Machine, wire: Wire, _: random.Random) -> Figures:
    answers(wire, source_is(vm, "lease")["addresses"][0].partition("/")[0])
    return {}


def without_one(vm: Machine, wire: Wire, _: random.Random) -> Figures:
    took_s = fallback_came_s(vm)
    answers(wire, FALLBACK)
    return {"fallback, s": took_s}


def one_that_comes_late(vm: Machine, wire: Wire, chance: random.Random) -> Figures:
    fallback_s = fallback_came_s(vm)
    passed(vm, chance.uniform(0.0, 20.0))
    since = vm.clock()
    wire.serve_dhcp()
    return {"fallback, s": fallback_s, "late lease, s": lease_came_s(vm, wire, since)}


def one_that_flaps(vm: Machine, wire: Wire, chance: random.Random) -> Figures:
    for _ in range(FLAPS):
        wire.serve_dhcp()
        passed(vm, chance.uniform(*FLAP_S))
        wire.end_dhcp()
        passed(vm, chance.uniform(*FLAP_S))
    since = vm.clock()
    wire.serve_dhcp()
    return {"lease after flapping, s": lease_came_s(vm, wire, since)}


def passed(vm: Machine, seconds: float) -> None:
    end = vm.clock() + seconds
    while vm.clock() < end:
        time.sleep(0.3)


def factory_reset(kind: str, vm: Machine, chance: random.Random) -> Figures:
    """A start with the button held, in a network of this kind, until that network's part is done."""
    with Wire(vm.directory) as wire:
        if kind == "with":
            wire.serve_dhcp()
        try:
            vm.start(closed=("button",), network=TAP, prefix=wire.enter)
            hold_the_button(vm)
            found = figures(vm)
            assert nothing_is_left(vm), "the canary is still on the disk"
            return found | NETWORKS[kind](vm, wire, chance)
        finally:
            vm.remove()


def kill(vm: Machine, chance: random.Random) -> Figures:
    """The plug is pulled at an instant of a start or after it; the start after that must be as good as any."""
    try:
        vm.start()
        at = chance.uniform(3.0, START_S + 5)
        while vm.clock() < at:
            time.sleep(0.3)
        vm.stop()
        vm.start()
        return {"pulled at, s": at} | figures(vm)
    finally:
        vm.remove()


NETWORKS: Final[dict[str, Callable[[Machine, Wire, random.Random], Figures]]] = {
    "with": with_a_server,
    "without": without_one,
    "late": one_that_comes_late,
    "flapping": one_that_flaps,
}
KINDS: Final = (*NETWORKS, "kill")


def of_this_root() -> tuple[str, list[dict[str, Any]]]:
    """Which root this is, and what was seen of it so far."""
    root = hashlib.sha256((PROJECT / "build/root/root.squashfs").read_bytes()).hexdigest()[:16]
    rows = [json.loads(row) for row in SEEN.read_text().splitlines()] if SEEN.exists() else []
    return root, [row for row in rows if row["root"] == root]


def one(kind: str, number: int, place: str) -> dict[str, Any]:
    """`place`: the machine's directory within build/vm, which no other may have meanwhile."""
    chance = random.Random(f"{kind} {number}")
    try:
        if kind == "kill":
            found = kill(Machine(place), chance)
        else:
            found = factory_reset(kind, Machine(place, BUILT / "used.img"), chance)
    except (AssertionError, subprocess.TimeoutExpired) as why:  # a machine that hangs answers nobody
        return {"kind": kind, "number": number, "failed": str(why)}
    return {"kind": kind, "number": number, "figures": found}


def side_by_side(wanted: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """What was seen of each, in the order in which they end."""
    places: SimpleQueue[str] = SimpleQueue()
    for place in range(AT_ONCE):
        places.put(f"long-{place}")

    def next_one(kind: str, number: int) -> dict[str, Any]:
        place = places.get()
        try:
            return one(kind, number, place)
        finally:
            places.put(place)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for each in as_completed([pool.submit(next_one, *each) for each in wanted]):
                yield each.result()
        finally:
            pool.shutdown(cancel_futures=True)


def told(rows: list[dict[str, Any]]) -> None:
    """The sum of all runs so far."""
    for kind in KINDS:
        seen = [row for row in rows if row["kind"] == kind]
        good = [row["figures"] for row in seen if "figures" in row]
        spans = (
            f"{name} {min(v):.1f} to {max(v):.1f}"
            for name in (good[0] if good else {})
            if (v := [g[name] for g in good])
        )
        print(f"{kind:<10}{len(good):3d} of {len(seen):3d} good; {'; '.join(spans)}")


def main(count: int) -> int:
    """0; 1 when a start was not as it should be, in this run or one before of the same root."""
    root, rows = of_this_root()
    used_disk()
    seen = {(row["kind"], row["number"]) for row in rows}
    wanted = [(kind, number) for number in range(count) for kind in KINDS if (kind, number) not in seen]
    for row in side_by_side(wanted):
        rows.append(row | {"root": root})
        with open(SEEN, "a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(f"{row['kind']} {row['number']}: {row.get('failed') or row['figures']}", flush=True)
    told(rows)
    return int(any("failed" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
