"""The lines of the board, as seen by a program: read, write, and what changed since one last asked.

Values are in the board's words: True is pressed, on, lit, closed; the electrical sense is behind this door.
Three implementations keep one contract (tests/hal/test_lines.py): in memory, as files (`sim:DIR`, interface.md,
"The simulated board"), and `hal.lines_gpiod` on a GPIO chip. Times are seconds of CLOCK_MONOTONIC, the clock of the
kernel's own edge timestamps.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hal.contract import HISTORY_FILE, INPUTS, OUTPUTS, Line

SIM_POLL_S: Final = 0.05
"""How often the simulated board's input files are looked at: faster than a finger, and 80 small reads a second."""

MAX_PENDING_EDGES: Final = 64
"""Edges kept until someone asks, oldest dropped: as many as a finger makes in many seconds."""

MAX_HISTORY_BYTES: Final = 32 * 1024 * 1024
"""Where the simulated board's history moves to `history.jsonl.1`: three days of blinking, hours of traffic."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One change of one line, `t` in seconds of the lines' clock."""

    t: float
    line: Line
    value: bool


class Lines(Protocol):
    """The board's lines. Outputs read as False until first written. Nothing here waits."""

    @property
    def poll_s(self) -> float | None:
        """Call `edges` at least this often; None: only when `fileno` is readable."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when an input has changed, or None."""

    def read(self, line: Line) -> bool:
        """The value of a line now; of an output what was last written. Raises OSError when the board is gone."""

    def write(self, line: Line, value: bool) -> None:
        """Drives an output; the same value again does nothing. ValueError for an input, OSError for a lost board."""

    def edges(self) -> list[Edge]:
        """The changes of inputs since the last call, oldest first."""

    def close(self) -> None:
        """Lets the lines go; outputs stay as they are."""


def refuse_input(line: Line) -> None:
    """Raises ValueError unless the line is one that we drive."""
    if line not in OUTPUTS:
        raise ValueError(f"{line} is an input")


class MemoryLines:
    """A board for tests, and for machines without one: `set_input` is the finger, `history` what was seen."""

    def __init__(self, clock: Callable[[], float], inputs: Mapping[Line, bool] | None = None) -> None:
        self._clock = clock
        self._values = dict.fromkeys(INPUTS, False) | dict(inputs or {})
        self._pending: deque[Edge] = deque(maxlen=MAX_PENDING_EDGES)
        self.history = [Edge(clock(), line, self._values[line]) for line in INPUTS]

    @property
    def poll_s(self) -> float | None:
        return SIM_POLL_S

    def fileno(self) -> int | None:
        return None

    def set_input(self, line: Line, value: bool) -> None:
        """Presses the button or moves a switch."""
        if self._change(line, value):
            self._pending.append(self.history[-1])

    def read(self, line: Line) -> bool:
        return self._values.get(line, False)

    def write(self, line: Line, value: bool) -> None:
        refuse_input(line)
        self._change(line, value)

    def edges(self) -> list[Edge]:
        edges = list(self._pending)
        self._pending.clear()
        return edges

    def close(self) -> None:
        pass

    def _change(self, line: Line, value: bool) -> bool:
        if self._values.get(line) is value:
            return False
        self._values[line] = value
        self.history.append(Edge(self._clock(), line, value))
        return True


class SimLines:
    """The board as files in a directory, so that a person or a test can use `cat` and `echo`.

    A line's file holds `0` or `1` and nothing else. A file that is being rewritten by `echo` is empty for a moment:
    an input that holds neither 0 nor 1 keeps its value; a missing one is 0. Only one daemon may have a directory.
    """

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        """Makes the directory if it is missing; OSError when that cannot be."""
        self._directory = directory
        self._clock = clock
        self._values: dict[Line, bool] = {}
        self._pending: deque[Edge] = deque(maxlen=MAX_PENDING_EDGES)
        directory.mkdir(parents=True, exist_ok=True)
        self._look()
        self._pending.clear()  # what was found at the start is no change

    @property
    def poll_s(self) -> float | None:
        return SIM_POLL_S

    def fileno(self) -> int | None:
        return None

    def read(self, line: Line) -> bool:
        if line in INPUTS:
            self._look()
        return self._values.get(line, False)

    def write(self, line: Line, value: bool) -> None:
        refuse_input(line)
        if self._values.get(line) is value:
            return
        # In place and of one length: a reader never meets an empty file, as it would after a truncation.
        descriptor = os.open(self._directory / line, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(descriptor, b"1" if value else b"0", 0)
            os.ftruncate(descriptor, 1)
        finally:
            os.close(descriptor)
        self._values[line] = value
        self._record(Edge(self._clock(), line, value))

    def edges(self) -> list[Edge]:
        self._look()
        edges = list(self._pending)
        self._pending.clear()
        return edges

    def close(self) -> None:
        pass

    def _look(self) -> None:
        for line in INPUTS:
            value = self._input_file(line)
            if self._values.get(line) is not value:
                self._values[line] = value
                edge = Edge(self._clock(), line, value)
                self._pending.append(edge)
                self._record(edge)

    def _input_file(self, line: Line) -> bool:
        try:
            with open(self._directory / line, "rb") as file:
                text = file.read(8).strip()  # one digit and white space; the bound keeps a wrong file cheap
        except FileNotFoundError:
            return False
        return {b"0": False, b"1": True}.get(text, self._values.get(line, False))

    def _record(self, edge: Edge) -> None:
        path = self._directory / HISTORY_FILE
        row = {"t": round(edge.t, 6), "line": edge.line.value, "value": int(edge.value)}
        with open(path, "a", encoding="ascii") as history:
            history.write(json.dumps(row) + "\n")
            full = history.tell() >= MAX_HISTORY_BYTES
        if full:
            path.replace(path.with_name(HISTORY_FILE + ".1"))
