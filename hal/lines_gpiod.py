"""The board's lines on a kernel GPIO chip, through gpiod v2: the CM4's own, or a simulated one (gpio-sim).

Lines are found by name, so the chip may number them as it likes. The kernel debounces the button and stamps its
edges; the DIP switches are only ever read, and a switch that was debounced could not be believed in the moment after
the pull-ups were turned on, so they are not.
"""

from __future__ import annotations

import errno
import glob
import time
from datetime import timedelta
from typing import Final

import gpiod
from gpiod.line import Bias, Direction, Value
from gpiod.line import Edge as EdgeDetection

from hal.board import DEBOUNCE_S, PINS, Pin, Sense
from hal.contract import Line
from hal.lines import MAX_PENDING_EDGES, Edge, refuse_input

CONSUMER: Final = "gateway"
"""What `gpioinfo` shows beside the lines."""

SETTLE_S: Final = 0.001
"""A pull-up of 50 kilo-ohm lifts a metre of wire within 20 microseconds; this is fifty times that."""


class GpiodLines:
    """All lines of `hal.board` on one chip, in one request. Outputs start as False."""

    def __init__(self, chip_path: str) -> None:
        """Takes the lines. OSError when the chip, or a line by its name, is missing, or somebody else has it."""
        self._values: dict[Line, bool] = {}
        try:
            with gpiod.Chip(chip_path) as chip:
                self._request = chip.request_lines(
                    {row.line.value: settings_of(row) for row in PINS},
                    consumer=CONSUMER,
                    event_buffer_size=MAX_PENDING_EDGES,
                )
                self._by_offset = {chip.line_offset_from_id(row.line.value): row.line for row in PINS}
        except OSError as why:
            raise OSError(why.errno, why.strerror, chip_path) from why  # the library does not say which
        time.sleep(SETTLE_S)

    @property
    def poll_s(self) -> float | None:
        return None

    def fileno(self) -> int | None:
        return self._request.fd

    def read(self, line: Line) -> bool:
        return bool(self._request.get_value(line.value))

    def write(self, line: Line, value: bool) -> None:
        refuse_input(line)
        if self._values.get(line, False) is not value:
            self._request.set_value(line.value, Value.ACTIVE if value else Value.INACTIVE)
            self._values[line] = value

    def edges(self) -> list[Edge]:
        edges: list[Edge] = []
        while self._request.wait_edge_events(0):  # reading without asking would wait for the next edge
            edges += [
                Edge(event.timestamp_ns / 1e9, self._by_offset[event.line_offset], _rising(event))
                for event in self._request.read_edge_events()
            ]
        return edges

    def close(self) -> None:
        self._request.release()


def settings_of(row: Pin) -> gpiod.LineSettings:
    """What the kernel is asked for this line."""
    active_low = row.sense is Sense.LOW
    if not row.is_input:
        return gpiod.LineSettings(direction=Direction.OUTPUT, active_low=active_low)
    return gpiod.LineSettings(
        direction=Direction.INPUT,
        active_low=active_low,
        bias=Bias.PULL_UP,
        edge_detection=EdgeDetection.BOTH,
        debounce_period=timedelta(seconds=DEBOUNCE_S if row.line is Line.BUTTON else 0),
    )


def _rising(event: gpiod.EdgeEvent) -> bool:
    """Rising is in the line's words: the kernel has turned an active-low line round already."""
    return event.event_type is gpiod.EdgeEvent.Type.RISING_EDGE


def find_chip() -> str:
    """The path of the first chip that has a line called like our button. Raises OSError when none has."""
    for path in sorted(glob.glob("/dev/gpiochip*")):
        if gpiod.is_gpiochip_device(path):
            with gpiod.Chip(path) as chip:
                count = chip.get_info().num_lines
                if any(chip.get_line_info(offset).name == Line.BUTTON for offset in range(count)):
                    return path
    raise OSError(
        errno.ENODEV, "no GPIO chip has a line called button: the device tree does not name the board's lines"
    )
