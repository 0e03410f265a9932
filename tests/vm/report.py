"""`python -m tests.vm.report`: what the appliance takes, on its own root, emulated: the figures of `make vm-report`.

Seconds are the guest's, whose clock goes by instructions, one a nanosecond: about what the module itself takes, and the
same on every machine. One of the two processors is left out: the emulator runs them in turns, and each would count the
other's instructions as time, whatever systemd prefers. The same root and kernel with an empty target beside it tell
what of it is ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hal.stewardd import REST_S
from tests.vm.machine import PROJECT, Machine

OURS = ("gatewayd", "webd", "paneld", "netd", "stewardd")
LARGEST_ROOT, LARGEST_GATEWAYD, LARGEST_OURS, LONGEST_PATH_S = 60.0, 45.0, 90.0, 3.0
"""MiB, MiB, MiB, and seconds after sysinit: to Modbus, and to READY=1, where systemd's critical chain ends and every
listener of an unconfigured gateway is bound."""

ONE_PROCESSOR = "maxcpus=1"


def memory_mib(vm: Machine, service: str) -> tuple[float, float]:
    """Resident, and its share: what several hold together is divided among them, so that shares can be added up.
    Nothing for one that has ended because nobody asks."""
    pid = vm.run("systemctl", "show", "-P", "MainPID", service).strip()
    if pid == "0":
        return 0.0, 0.0
    rows = (row.split() for row in vm.run("cat", f"/proc/{pid}/smaps_rollup").splitlines()[1:])
    kib = {words[0]: int(words[1]) for words in rows}
    return kib["Rss:"] / 1024, kib["Pss:"] / 1024


def active_at(vm: Machine, unit: str) -> float:
    """When it was up, in seconds since the kernel started."""
    return int(vm.run("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", unit)) / 1e6


def said_at(vm: Machine, words: str) -> float:
    """When gatewayd said so, in seconds since the kernel started."""
    said = vm.run("journalctl", "-b", "-u", "gatewayd", "-o", "short-monotonic", "--no-pager")
    (row,) = (row for row in said.splitlines() if words in row)
    return float(row[1 : row.index("]")])


def processor_s(vm: Machine, service: str) -> float:
    """What it took of the processors until now."""
    return int(vm.run("systemctl", "show", "-P", "CPUUsageNSec", service)) / 1e9


def with_machine(name: str, append: str, look: Callable[[Machine], dict[str, float]]) -> dict[str, float]:
    machine = Machine(name)
    machine.start(append=append)
    try:
        machine.booted()
        return look(machine)
    finally:
        machine.remove()


def ours(vm: Machine) -> dict[str, float]:
    print(vm.run("systemd-analyze", "critical-chain", "--no-pager", "gatewayd.service"))
    for name in (*OURS, "chrony", "systemd-udevd", "systemd-journald"):
        if active_at(vm, name):  # stewardd is started for whoever asks
            print(f"{name:<20}up after {active_at(vm, name):5.1f} s, {processor_s(vm, name):5.2f} s of the processor")
    busy = sum(memory_mib(vm, name)[1] for name in OURS)
    print(f"shares together, soon after the start: {busy:.1f} MiB")
    vm.run("sleep", str(int(REST_S) + 5))
    memory = {name: memory_mib(vm, name) for name in OURS}
    for name, (resident, share) in memory.items():
        print(f"{name:<20}{resident:5.1f} MiB resident, {share:5.1f} MiB its share")
    return {
        "gatewayd": memory["gatewayd"][0],
        "resident": sum(resident for resident, _ in memory.values()),
        "shares": sum(share for _, share in memory.values()),
        "sysinit": active_at(vm, "sysinit.target"),
        "modbus": said_at(vm, "modbus_tcp serves"),
        "gatewayd up": active_at(vm, "gatewayd"),
        "certified": said_at(vm, "]: ready"),
        "all up": active_at(vm, "multi-user.target"),
    }


def empty(vm: Machine) -> dict[str, float]:
    return {"up": active_at(vm, "basic.target")}


def main() -> int:
    """0; 1 when a figure is above its limit."""
    with ThreadPoolExecutor() as both:
        with_it = both.submit(with_machine, "report", ONE_PROCESSOR, ours)
        without_it = both.submit(with_machine, "report-empty", f"{ONE_PROCESSOR} systemd.unit=basic.target", empty)
    with_ours, without = with_it.result(), without_it.result()
    after_sysinit = {what: at - with_ours["sysinit"] for what, at in with_ours.items()}
    root = (PROJECT / "build/root/root.squashfs").stat().st_size / (1 << 20)
    rows = [
        ("root, compressed", root, "MiB", LARGEST_ROOT),
        ("gatewayd, resident", with_ours["gatewayd"], "MiB", LARGEST_GATEWAYD),
        ("all our services, their shares", with_ours["shares"], "MiB", LARGEST_OURS),
        ("sysinit to Modbus answering", after_sysinit["modbus"], "s", LONGEST_PATH_S),
        ("sysinit to gatewayd ready", after_sysinit["gatewayd up"], "s", LONGEST_PATH_S),
    ]
    for what, value, unit, limit in rows:
        print(f"{what:<32}{value:8.1f} {unit:<4} (at most {limit:g}){'' if value <= limit else '  MISSED'}")
    print(f"{'all our services, resident':<32}{with_ours['resident']:8.1f} MiB, what they share counted for each")
    print(f"{'sysinit to its first certificates':<32}{after_sysinit['certified']:8.1f} s")
    print(f"{'sysinit to everything':<32}{after_sysinit['all up']:8.1f} s")
    print(f"{'kernel start to Modbus answering':<32}{with_ours['modbus']:8.1f} s")
    print(f"{'as a ratio to nothing of ours':<32}{with_ours['modbus'] / without['up']:8.2f}")
    return int(any(value > limit for _, value, _, limit in rows))


if __name__ == "__main__":
    sys.exit(main())
