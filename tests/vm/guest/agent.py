"""What tests ask of the emulated machine from inside: run a command, close a contact, say what the lights did.

Runs in the guest, as root, in its Python and with nothing else. One JSON object a line each way, over a virtio port.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PORT = "/dev/vport0p1"
LOOK_S = 0.1
CHIP = next(Path("/sys/devices/platform/gpio-sim.0").glob("gpiochip*"), Path("/nonexistent"))
NUMBERS = dict(row.split() for row in Path("/run/test/lines").read_text().splitlines())
INPUTS = ("button", "dip1", "dip2", "dip3")


def attribute(line: str, name: str) -> Path:
    return CHIP / f"sim_gpio{NUMBERS[line]}" / name


class Lights(threading.Thread):
    """Writes down every change of an output, with the time since the machine started."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, str, bool]] = []

    def run(self) -> None:
        values = {line: attribute(line, "value") for line in NUMBERS if line not in INPUTS}
        before: dict[str, bool] = {}
        while True:
            for line, path in values.items():
                value = path.read_text().strip() == "1"
                if before.get(line) is not value:
                    before[line] = value
                    self.seen.append((time.monotonic(), line, value))
            time.sleep(LOOK_S)


def answer(asked: dict[str, Any], lights: Lights) -> dict[str, Any]:
    if "run" in asked:
        try:
            done = subprocess.run(
                asked["run"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=asked.get("limit_s"),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"code": None, "out": "", "err": "took too long"}
        return {"code": done.returncode, "out": done.stdout, "err": done.stderr}
    if "contact" in asked:
        attribute(asked["contact"], "pull").write_text("pull-down" if asked["closed"] else "pull-up")
        return {"at": time.monotonic()}
    if "lights" in asked:
        return {"lights": lights.seen}
    return {"at": time.monotonic()}


def main() -> None:
    lights = Lights()
    if "board.closed=" in Path("/proc/cmdline").read_text():  # looking costs the emulated machine a lot
        lights.start()
    with open(PORT, "r+b", buffering=0) as port:
        pending = b""
        while True:
            some = port.read(65536)
            if not some:  # nobody listens on the other side yet
                time.sleep(0.1)
                continue
            pending += some
            while b"\n" in pending:
                row, pending = pending.split(b"\n", 1)
                asked: dict[str, Any] = {}
                try:
                    asked = json.loads(row)
                    said = answer(asked, lights)
                except Exception as error:
                    said = {"error": repr(error)}
                said["id"] = asked.get("id")  # who asked gave up long ago, perhaps
                rest = memoryview(json.dumps(said).encode() + b"\n")
                while rest:
                    rest = rest[port.write(rest) :]


if __name__ == "__main__":
    main()
