"""The pin table: a Raspberry Pi Compute Module 4 on its IO Board, with a Waveshare RS485 CAN HAT.

The pair was chosen because anybody can buy it, its HAT switches the direction of the bus by itself as delivered,
and it leaves enough of the 40-pin header for the panel. The lights, the button, the switches and the two relays
for polarization and termination are wired to the header; neither the IO Board nor the HAT has them.

Why these pins:
- what we drive sits on GPIO 9 and above, where the chip pulls down at reset: dark, and both relays open, until
  paneld speaks; that is also the manual's default of the DIP switches;
- what we read goes to ground when pressed or on; the button sits on GPIO 5, which is pulled up at reset, so that the
  firmware could sample it too;
- left alone: 0 and 1 (HAT EEPROM), 2 and 3 (I2C), 8 to 11 and 25 (the HAT's CAN controller), 14 and 15 (UART),
  4 (the HAT's direction input when soldered for it), 17 (the UART's RTS, for `direction = "rts"`).

The device-tree overlay under image/ gives the lines these names; a test compares the two.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from hal.contract import INPUTS, Line

CARRIER: Final = "Raspberry Pi Compute Module 4 IO Board"
HAT: Final = "Waveshare RS485 CAN HAT"

DEBOUNCE_S: Final = 0.02
"""Contacts of small buttons and DIP switches settle within a few milliseconds; a finger is slower than this."""


class Sense(enum.Enum):
    """What the pin does when the line is true."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Pin:
    """One row: a line of the contract, its GPIO number on the BCM2711, its place on the 40-pin header."""

    line: Line
    gpio: int
    header: int
    sense: Sense
    wired_to: str

    @property
    def is_input(self) -> bool:
        """We read it, with the chip's own pull-up; otherwise we drive it."""
        return self.line in INPUTS


PINS: Final = (
    Pin(Line.BUTTON, 5, 29, Sense.LOW, "push button to ground"),
    Pin(Line.DIP1, 6, 31, Sense.LOW, "DIP switch 1 to ground"),
    Pin(Line.DIP2, 26, 37, Sense.LOW, "DIP switch 2 to ground"),
    Pin(Line.DIP3, 27, 13, Sense.LOW, "DIP switch 3 to ground"),
    Pin(Line.LED_OCPP, 16, 36, Sense.HIGH, "LED 1, green, 470 ohm to ground"),
    Pin(Line.LED_MODBUS, 20, 38, Sense.HIGH, "LED 2, red, 470 ohm to ground"),
    Pin(Line.LED_FEEDBACK_RED, 19, 35, Sense.HIGH, "feedback LED, red half, 470 ohm, common cathode"),
    Pin(Line.LED_FEEDBACK_GREEN, 13, 33, Sense.HIGH, "feedback LED, green half, 470 ohm, common cathode"),
    Pin(Line.LED_BUTTON, 12, 32, Sense.HIGH, "button LED, green, 470 ohm to ground"),
    Pin(Line.BIAS, 22, 15, Sense.HIGH, "two-pole solid-state relay: 560 ohm from B+ to +5 V and from A- to ground"),
    Pin(Line.TERMINATION, 23, 16, Sense.HIGH, "solid-state relay: 120 ohm between B+ and A-"),
)


def pin(line: Line) -> Pin:
    """The row of a line."""
    return next(row for row in PINS if row.line is line)
