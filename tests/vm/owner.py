"""A machine that had an owner: what he left on its data partition, and the button that empties it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from hal.reset_sequence import HOLD_S
from tests.vm.machine import BUILT, PROJECT, Machine

CANARY: Final = b"the secret of the owner before"
HELD_S: Final = HOLD_S + 2

FALLBACK: Final = "192.168.100.246"
FALLBACK_S: Final = (28.0, 32.0)
"""promises R21: without an answer the fallback address comes after 30 ± 2 s of asking."""
ADOPTED_S: Final = 30.0
"""promises R21: a lease that comes late."""

Lights = list[tuple[float, str, bool]]


def used_disk() -> Path:
    """Made anew from the root of now, with the canary on the data partition."""
    left, disk = BUILT / "left", BUILT / "used.img"
    (left / "gateway").mkdir(parents=True, exist_ok=True)
    (left / "gateway/canary").write_bytes(CANARY)
    command = ["image/vm.sh", "disk", str(disk.relative_to(PROJECT)), str(left.relative_to(PROJECT))]
    subprocess.run(command, cwd=PROJECT, check=True)
    assert CANARY in disk.read_bytes()
    return disk


def lights(vm: Machine) -> Lights:
    """Every change of an output since the start: when, which, lit."""
    return [(float(at), str(line), bool(value)) for at, line, value in vm.ask(lights=True)["lights"]]


def hold_the_button(vm: Machine) -> float:
    """Held since power-on, for as long as a factory reset wants it; when it was released."""
    lit_at = vm.until(
        lambda: next((at for at, *what in lights(vm) if what == ["led_feedback_red", True]), 0.0), 60, "red"
    )
    vm.until(lambda: vm.clock() >= lit_at + HELD_S, HELD_S + 60, "held for long enough")
    return float(vm.ask(contact="button", closed=False)["at"])


def nothing_is_left(vm: Machine) -> bool:
    """As the machine sees it, and as it is on the disk."""
    vm.run("sh", "-c", "! ls /data/gateway/canary 2>/dev/null && sync")
    return CANARY not in (vm.directory / "disk.img").read_bytes()


def facts(vm: Machine) -> dict[str, Any]:
    """What netd publishes; nothing before it does."""
    said = vm.run("cat", "/run/netd/network.json", code=None)
    return dict(json.loads(said)) if said else {}


def source_is(vm: Machine, source: str) -> dict[str, Any]:
    """Waits until the address comes from there: `lease`, `fallback`; the facts of then."""
    found = vm.until(lambda: (each := facts(vm)).get("source") == source and each, 120, source)
    return dict(found)
