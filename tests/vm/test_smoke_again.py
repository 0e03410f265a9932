"""A machine that has had an owner, started with the button held, the switches on, nobody who gives addresses, and a
backup on the card that a PC put there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from gatewayd.backup import contents
from gatewayd.backup.container import MODEL, Header, seal
from hal.contract import LEDS
from hal.reset_sequence import HOLD_S
from tests.vm.machine import PROJECT, Machine
from tests.vm.owner import (
    ADOPTED_S,
    FALLBACK,
    FALLBACK_S,
    Lights,
    hold_the_button,
    lights,
    nothing_is_left,
    source_is,
    used_disk,
)
from tests.vm.wire import TAP, Wire

BACKUP, PASSPHRASE = "boiler-house-20261128-1200.backup", "a boiler room in May"
HANGS_S = 60.0
"""promises R19, from a machine that hangs to one at work in 90 s: what a start takes is in there."""


@pytest.fixture(scope="module")
def owned() -> Machine:
    """Not started yet; its data partition is what an owner left."""
    return Machine("again", used_disk())


@pytest.fixture(scope="module")
def wire(owned: Machine) -> Iterator[Wire]:
    with Wire(owned.directory) as network:
        yield network


@pytest.fixture(scope="module")
def again(owned: Machine, wire: Wire) -> Iterator[Machine]:
    put_on_card(owned)
    owned.start(closed=("button", "dip1", "dip2", "dip3"), network=TAP, prefix=wire.enter)
    try:
        yield owned
    finally:
        owned.remove()


def on_card(vm: Machine, command: str) -> str:
    """A command of mtools on the card's FAT partition, while the machine is off."""
    within = f"cd {vm.directory.relative_to(PROJECT)} && {command}"
    done = subprocess.run(
        ["image/tools.sh", "run", "sh", "-c", within], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return done.stdout


def put_on_card(vm: Machine) -> None:
    """What an electrician's PC does: the backup of the gateway that broke, and its passphrase."""
    admin = contents.User("owner", "admin", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
    state = contents.packed({contents.CONFIGURATION: contents.File(b'[gateway]\nname = "boiler house"\n', 0o660)})
    payload = contents.joined(contents.Kept([admin]), state)
    header = Header(MODEL, "0.1.0", 1_796_000_000.0, "boiler house")
    (vm.directory / BACKUP).write_bytes(seal(header, payload, PASSPHRASE, os.urandom(16), os.urandom(12)))
    (vm.directory / "passphrase.txt").write_bytes(PASSPHRASE.encode("utf-16") + "\r\n".encode("utf-16-le"))
    for name in (BACKUP, "passphrase.txt"):
        on_card(vm, f"mcopy -i disk.img@@1M {name} ::/")


def levels(changes: Lights, ended_at: float) -> list[frozenset[str]]:
    """What was lit together, one after the other, up to `ended_at`; what lasted for less than two looks is left out."""
    lit: set[str] = set()
    steps: list[tuple[float, frozenset[str]]] = []
    for at, line, value in changes:
        if at <= ended_at and line in LEDS:
            (lit.add if value else lit.discard)(line)
            steps.append((at, frozenset(lit)))
    ends = [at for at, _ in steps[1:]] + [ended_at]
    lasted = [(end - at, level) for (at, level), end in zip(steps, ends, strict=True)]
    kept = [level for seconds, level in lasted if seconds >= 0.25]
    return [level for number, level in enumerate(kept) if number == 0 or kept[number - 1] != level]


def test_a_button_held_at_power_on_empties_the_gateway(again: Machine) -> None:
    """manual 5.2, its lights too."""
    held = {"led_feedback_red", "led_button"}
    released_at = hold_the_button(again)
    assert again.booted() == "running", again.run("systemctl", "--failed", "--plain")
    done = again.run("journalctl", "-b", "-u", "factory-reset", "-o", "short-monotonic", "--no-pager")
    assert "factory reset done" in done
    done_at = float(re.findall(r"\[ *([\d.]+)\].*factory reset done", done)[0])
    steps = levels(lights(again), done_at)
    turns = [frozenset(held | {"led_ocpp"}), frozenset(held | {"led_modbus"})]
    blink = [frozenset(), frozenset({"led_ocpp", "led_modbus", "led_feedback_green", "led_button"})]
    while steps and not steps[0]:
        steps.pop(0)
    assert steps[0] == turns[0]
    assert all(level == turns[number % 2] for number, level in enumerate(steps[: 2 * int(HOLD_S)])), steps
    assert [level for level in steps if level not in turns][:2] == blink
    assert released_at < done_at
    assert nothing_is_left(again)


def test_the_backup_on_the_card_is_in_force(again: Machine) -> None:
    """On a gateway that a factory reset had just emptied."""
    assert again.booted() == "running"
    said = again.run("cat", "/run/card-restore/restore.txt")
    assert said.startswith("Restored."), said
    assert "boiler house" in again.run("cat", "/data/gateway/gateway.toml")
    assert again.run("stat", "-c", "%U %G", "/data/gateway/gateway.toml") == "gatewayd gatewayd\n"
    again.until(lambda: "owner" in again.run("cat", "/data/webd/users.json", code=None), 120, "its users")
    assert "/run/card-restore/card" not in again.run("cat", "/proc/mounts")


def test_the_switches_are_as_they_were_at_power_on(again: Machine) -> None:
    board = json.loads(again.run("cat", "/run/paneld/board.json"))
    assert board == dict.fromkeys(("dip1", "dip2", "dip3", "bias", "termination"), True) | {"dip_conflict": False}
    assert {"bias", "termination"} <= {line for _, line, value in lights(again) if value}


def test_without_a_dhcp_server_the_address_is_the_fallback(
    again: Machine, wire: Wire, seen: Callable[[str], None]
) -> None:
    found = source_is(again, "fallback")
    journal = again.run("journalctl", "-b", "-u", "netd", "-o", "short-monotonic", "--no-pager")
    added = re.findall(rf"\[ *([\d.]+)\].*ip addr add {FALLBACK}", journal)
    assert added, journal
    after_s = float(added[0]) - found["asking_since_s"]
    seen(f"the fallback address came after {after_s:.1f} s of the guest's time")
    assert FALLBACK_S[0] <= after_s <= FALLBACK_S[1]
    said = subprocess.run(
        [*wire.enter, "mbpoll", "-a", "1", "-0", "-1", "-r", "0", "-o", "10", FALLBACK],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    ).stdout  # fmt: skip
    assert "[0]: \t20291\n" in said


def test_a_dhcp_server_that_comes_late_is_followed(again: Machine, wire: Wire, seen: Callable[[str], None]) -> None:
    began_at = again.clock()
    wire.serve_dhcp()
    found = source_is(again, "lease")
    took_s = again.clock() - began_at
    seen(f"a late lease was adopted after {took_s:.1f} s of the guest's time")
    assert found["addresses"][0].startswith("10.9.8.1")
    assert took_s <= ADOPTED_S


def test_a_systemd_that_hangs_restarts_the_machine(again: Machine, seen: Callable[[str], None]) -> None:
    """The last test of a running machine, which is off afterwards. What crashes systemd leaves it standing still,
    everything else goes on, and only the watchdog's chip notices."""
    assert again.run("cat", "/sys/class/watchdog/watchdog0/state") == "active\n"
    frozen_at = again.clock()
    again.run("kill", "-ABRT", "1")
    took_s = again.until_it_ends(HANGS_S) - frozen_at
    seen(f"a systemd that hangs: restarted after {took_s:.1f} s of the guest's time")


def test_the_card_is_tidy_after_it(again: Machine) -> None:
    """While the machine is off, since nobody may look into a partition that it has."""
    again.stop()
    listed = on_card(again, "mdir -b -i disk.img@@1M ::/")
    assert {row.removeprefix("::/") for row in listed.split()} == {"boot.scr", f"{BACKUP}.restored", "restore.txt"}
    assert PASSPHRASE.encode("utf-16-le") not in (again.directory / "disk.img").read_bytes()[: 49 << 20]
