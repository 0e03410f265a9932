"""What a program sees of the board through hal.lines_gpiod, in the guest: prints it as JSON. paneld must be stopped."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(1, "/usr/lib/gateway/python")

from hal.contract import INPUTS, OUTPUTS, Line
from hal.lines_gpiod import GpiodLines, find_chip

CHIP = next(Path("/sys/devices/platform/gpio-sim.0").glob("gpiochip*"))
NUMBERS = dict(row.split() for row in Path("/run/test/lines").read_text().splitlines())
SETTLED_S = 0.2
"""Ten times as long as the kernel debounces."""


def attribute(line: Line, name: str) -> Path:
    return CHIP / f"sim_gpio{NUMBERS[line]}" / name


def refused(call: object, *arguments: object) -> str:
    try:
        call(*arguments)  # type: ignore[operator]
    except (OSError, ValueError) as why:
        return type(why).__name__
    return "nothing"


chip = find_chip()
lines = GpiodLines(chip)
seen: dict[str, object] = {"at_rest": [line for line in INPUTS if lines.read(line)]}
seen["dark"] = [line for line in OUTPUTS if attribute(line, "value").read_text().strip() != "0"]
driven = []
for line in OUTPUTS:
    lines.write(line, True)
    driven.append([each for each in OUTPUTS if attribute(each, "value").read_text().strip() == "1"])
    lines.write(line, False)
seen["driven"] = driven
changes = []
for line in INPUTS:
    for closed in (True, False):
        attribute(line, "pull").write_text("pull-down" if closed else "pull-up")
        time.sleep(SETTLED_S)
        changes.append([line, lines.read(line), [[edge.line, edge.value] for edge in lines.edges()]])
seen["changes"] = changes
attribute(Line.BUTTON, "pull").write_text("pull-down")  # a contact that bounces: shorter than the kernel believes
attribute(Line.BUTTON, "pull").write_text("pull-up")
time.sleep(SETTLED_S)
seen["bounce"] = [[edge.line, edge.value] for edge in lines.edges()]
seen["an input driven"] = refused(lines.write, Line.BUTTON, True)
seen["a second owner"] = refused(GpiodLines, chip)
lines.close()
print(json.dumps(seen))
