"""From the word after `--board` to the lines (interface.md, "The board")."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hal.lines import Lines, SimLines


def open_lines(spec: str, clock: Callable[[], float] = time.monotonic) -> Lines:
    """The lines behind `sim:DIR`, `gpio:/dev/gpiochipN`, or `gpio` alone: the chip that has lines of our names.

    `clock` stamps the simulated board's history, in seconds. Raises ValueError for a spec that is none of these, and
    OSError when the directory, the chip or one of its lines cannot be had.
    """
    kind, _, where = spec.partition(":")
    if kind == "sim" and where:
        return SimLines(Path(where), clock)
    if kind == "gpio" and (where or spec == "gpio"):
        from hal.lines_gpiod import GpiodLines, find_chip  # only here: a machine without GPIO need not have the library

        return GpiodLines(where or find_chip())
    raise ValueError(f"board {spec!r}: neither sim:DIR nor gpio:CHIP")
