"""factory_reset: the button at power-on, and the data partition it empties. manual 5.2; promises R24.

Three ways to call it, all before the data partition is mounted:
- `button`: up, gone at once; held ten seconds and released, the partition is made anew, with the manual's lights;
- `heal`: a partition that a cut left half erased, or that never was made, is made;
- `now`: what stewardd asks for from the page, once everything that used the partition has stopped.

Imports are few and late: with the button up this costs every boot its whole run time.
"""

from __future__ import annotations

import argparse
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from hal import reset_sequence
from hal.board_spec import open_lines
from hal.contract import LEDS, Line
from hal.lines import Lines
from hal.panel import Program, turn
from hal.reset_sequence import Phase

log = logging.getLogger("factory_reset")

DATA: Final = Path("/dev/disk/by-partlabel/data")
"""The data partition by the name in the partition table, so that card and eMMC need not be told apart."""

LOOK_S: Final = 0.05
"""How often button and lights are looked after."""

DEVICE_WAIT_S: Final = 30.0
"""How long a partition may take to appear after power-on: a slow card's first answer takes a few seconds."""

Erasing = Callable[[], Iterator[float]]


def button(
    lines: Lines,
    erasing: Erasing,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Phase:
    """The manual's 5.2 on these lines; `erasing` is begun once, after the release. Returns how it ended."""
    sequence = reset_sequence.begin(lines.read(Line.BUTTON), clock())
    steps: Iterator[float] | None = None
    while sequence.phase not in reset_sequence.ENDS:
        sequence, lit, deadline = reset_sequence.step(sequence, lines.read(Line.BUTTON), clock())
        _show(lines, lit)
        if sequence.phase is Phase.ERASING and not sequence.erased:
            if steps is None:
                log.warning("factory reset: erasing")
                steps = erasing()
            if next(steps, None) is None:
                sequence = reset_sequence.erased(sequence)
        else:
            sleep(min(max(deadline - clock(), 0.0), LOOK_S))
    return sequence.phase


def now(lines: Lines, erasing: Erasing, clock: Callable[[], float] = time.monotonic) -> None:
    """Erases without a finger, under the same lights."""
    started = clock()
    for _ in erasing():
        _show(lines, turn(Program.RESET_HOLD, clock() - started)[0])
    _show(lines, reset_sequence.DARK)


def _show(lines: Lines, lit: frozenset[Line]) -> None:
    for led in LEDS:
        lines.write(led, led in lit)


def make_anew(path: Path, *, erase: bool = True) -> Iterator[float]:
    """The partition at `path`, once it is there, erased and made. Raises OSError, and Mounted while it is used."""
    from hal import data_partition

    device = data_partition.FileDevice(_appeared(path))
    try:
        yield from data_partition.make_anew(device, data_partition.mkfs(path), erase=erase)
    finally:
        device.close()


def heal(path: Path) -> str:
    """Makes the partition if it holds no file system; says what was found. Raises OSError, and Mounted.

    Unknown content may be a file system whose first block went bad: e2fsck may still find it by a copy of that block.
    """
    from hal.data_partition import Condition, FileDevice, condition

    device = FileDevice(_appeared(path))
    try:
        found = condition(device)
    finally:
        device.close()
    if found is Condition.FILE_SYSTEM or (found is Condition.UNKNOWN and _repaired(path)):
        return f"{found.value}: kept"
    for _ in make_anew(path, erase=found is Condition.ERASING):
        pass
    return f"{found.value}: made anew"


def _repaired(path: Path) -> bool:
    code = subprocess.run(
        ["e2fsck", "-y", "-f", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        check=False,
    ).returncode
    return code in (0, 1)  # e2fsck(8): no errors, or all of them corrected


def _appeared(path: Path) -> Path:
    deadline = time.monotonic() + DEVICE_WAIT_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or nothing to do. 1: refused or failed; then nothing, or a mark that the next boot heals, is left."""
    parser = argparse.ArgumentParser(prog="factory_reset", description="the data partition, emptied or made")
    parser.add_argument("when", choices=["button", "heal", "now"])
    parser.add_argument("--board", default="gpio", help="sim:DIR, gpio:/dev/gpiochipN; gpio: the chip with our lines")
    parser.add_argument("--data", type=Path, default=DATA, help="the data partition, or a file that stands for it")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a cut like any other: the mark heals it
    try:
        if options.when == "heal":
            log.info("%s", heal(options.data))
            return 0
        lines = open_lines(options.board)
        if options.when == "now":
            now(lines, lambda: make_anew(options.data))
            log.warning("factory reset done")
            return 0
        phase = button(lines, lambda: make_anew(options.data))
        if phase is Phase.STUCK:
            log.error("the button has been down for %.0f s: taken for broken", reset_sequence.STUCK_S)
        elif phase is Phase.RESET:
            log.warning("factory reset done")
    except (OSError, ValueError, RuntimeError) as why:
        log.error("%s", why)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
