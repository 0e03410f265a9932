"""What the board and the gateway have agreed on: names, words and files; nothing that does anything.

The gateway knows the board by these names only. Which pin is behind a name is `hal.board`; what the
light-emitting diodes show is `hal.panel`. Serves interface.md, "The board", and manual 5.1, 5.2 and 6.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final


class Line(enum.StrEnum):
    """Every line of the board: the file of the simulated board, the name on a GPIO chip, the name in the history."""

    BUTTON = "button"
    DIP1 = "dip1"
    DIP2 = "dip2"
    DIP3 = "dip3"
    LED_OCPP = "led_ocpp"  # LED 1, green
    LED_MODBUS = "led_modbus"  # LED 2, red
    LED_FEEDBACK_RED = "led_feedback_red"
    LED_FEEDBACK_GREEN = "led_feedback_green"
    LED_BUTTON = "led_button"  # green
    BIAS = "bias"
    TERMINATION = "termination"


INPUTS: Final = (Line.BUTTON, Line.DIP1, Line.DIP2, Line.DIP3)
LEDS: Final = (Line.LED_OCPP, Line.LED_MODBUS, Line.LED_FEEDBACK_RED, Line.LED_FEEDBACK_GREEN, Line.LED_BUTTON)
OUTPUTS: Final = (*LEDS, Line.BIAS, Line.TERMINATION)

HISTORY_FILE: Final = "history.jsonl"
"""The simulated board's record of every change, beside the files of the lines."""

PANEL_SOCKET: Final = "/run/paneld/words"
"""Where paneld hears gatewayd: UNIX datagrams."""

BOARD_FACTS: Final = "/run/paneld/board.json"
"""What paneld publishes, written by rename: `BoardFacts` as JSON."""

BUTTON_FACTS: Final = "button.json"
"""Beside that socket, what paneld publishes of the button as it is now: `button_text`."""

NETWORK_FACTS: Final = "/run/netd/network.json"
"""What netd publishes, written by rename."""

OPEN_PORTS: Final = "/run/gatewayd/open_ports.json"
"""What gatewayd publishes, written by rename: `open_ports_text` of the services that others are to reach."""

IMAGE_PORTS: Final = "/usr/lib/gateway/open_ports.json"
"""The same of the services whose ports systemd binds: they stand in the image."""

STEWARD_SOCKET: Final = "/run/stewardd/wishes"
"""Where stewardd hears wishes: a UNIX stream socket, one JSON line each way."""

EARLIEST_EPOCH_S: Final = 1_735_689_600
"""2025-01-01: before this program was written no clock was right."""

LATEST_EPOCH_S: Final = 4_102_444_800
"""2100-01-01: OCPP and Modbus carry 32 bits of seconds; later is a misread year."""

ALIVE_S: Final = 1.0
"""gatewayd says a word at least this often, so that its silence means something."""

SILENT_S: Final = 10.0
"""Silence after which the panel shows a fault: ten words lost in a row, so a busy second is no fault yet."""

MAX_DATAGRAM_BYTES: Final = 256
"""All words there are come to 49 bytes; the rest is room for words to come. Longer datagrams are cut."""


def button_text(*, held: bool) -> str:
    """The published form of the button."""
    return json.dumps({"held": held})


def button_held(text: str) -> bool:
    """Whether somebody holds the button. Raises ValueError for what is no published form."""
    try:
        held = json.loads(text)["held"]
    except (KeyError, TypeError) as wrong:
        raise ValueError(f"not the facts of a button: {wrong!r}") from wrong
    if not isinstance(held, bool):
        raise ValueError("not the facts of a button: it is held or not")
    return held


def open_ports_text(ports: Mapping[str, int]) -> str:
    """The published form of the TCP ports that others are to reach, each by its service's name in `ports.json`."""
    return json.dumps(dict(ports)) + "\n"


def open_ports(text: str) -> dict[str, int]:
    """Service → TCP port, 1 to 65535. Raises ValueError for what is no published form."""
    ports = json.loads(text)
    if not isinstance(ports, dict):
        raise ValueError("not the open ports: no object")
    for name, port in ports.items():
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            raise ValueError(f"not the open ports: {name} is no TCP port")
    return ports


@dataclass(frozen=True, slots=True)
class Words:
    """What gatewayd tells the panel: always the whole truth, so a lost datagram is mended by the next one.

    `ocpp_traffic` and `modbus_traffic` mean "since the last datagram"; `identify` asks once.
    """

    ocpp_link: bool = False
    ocpp_traffic: bool = False
    modbus_traffic: bool = False
    identify: bool = False

    def encode(self) -> bytes:
        """The datagram: `alive` and the words that are true, separated by blanks."""
        true_words = [word for word, value in asdict(self).items() if value]
        return " ".join(["alive", *true_words]).encode("ascii")

    @classmethod
    def decode(cls, datagram: bytes) -> Words | None:
        """The words of a datagram, or None if it does not begin with `alive`. Unknown words are left out.

        A newer gatewayd may know more words than this paneld: during an update the two differ.
        """
        words = datagram.split()
        if not words or words[0] != b"alive":
            return None
        return cls(**{name: name.encode("ascii") in words for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """The DIP switches as they were when the board started, and what was made of them (manual 5.1)."""

    dip1: bool = False
    dip2: bool = False
    dip3: bool = False

    @property
    def dip_conflict(self) -> bool:
        """Switches 1 and 2 disagree: the manual defines only both off and both on."""
        return self.dip1 != self.dip2

    @property
    def bias(self) -> bool:
        """Polarization of the EIA-485 bus: only when both switches say so."""
        return self.dip1 and self.dip2

    @property
    def termination(self) -> bool:
        """The 120 ohm resistor of the EIA-485 bus."""
        return self.dip3

    def to_json(self) -> str:
        """The published form: the switches and what follows from them."""
        derived = {"bias": self.bias, "termination": self.termination, "dip_conflict": self.dip_conflict}
        return json.dumps(asdict(self) | derived)

    @classmethod
    def from_json(cls, text: str) -> BoardFacts:
        """The switches of a published form. Raises ValueError when it is none."""
        try:
            facts = json.loads(text)
            values = [facts[name] for name in cls.__slots__]
        except (KeyError, TypeError) as wrong:
            raise ValueError(f"not the facts of a board: {wrong!r}") from wrong
        if not all(isinstance(value, bool) for value in values):
            raise ValueError("not the facts of a board: a switch is true or false")
        return cls(*values)
