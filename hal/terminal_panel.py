"""The front panel of a simulated board in one line of a terminal: dots are its lights, keys its button and switches.

It only reads and writes the files of `--board sim:DIR` (interface.md, "The simulated board"), so it can come and go
beside a gateway that runs. It keeps to the line that the cursor is on and draws it again and again, so that another
program may write whole lines above it. A lit light differs from a dark one by its shape too, not by colour alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from hal.contract import INPUTS, Line

LOOK_S: Final = 0.04
"""Twice in each half of a traffic LED's blink."""

DRAW_S: Final = 0.2
"""The line is drawn again this often even if nothing changed: another program may have written over it."""

KEYS: Final[Mapping[str, Line]] = {"b": Line.BUTTON, "1": Line.DIP1, "2": Line.DIP2, "3": Line.DIP3}
"""A key presses and a second press releases: a terminal does not tell when a key comes up."""

GREEN: Final = "\x1b[32m"
RED: Final = "\x1b[31m"
YELLOW: Final = "\x1b[33m"
PLAIN: Final = "\x1b[0m"
CLEAR_LINE: Final = "\r\x1b[2K"

Values = Mapping[Line, bool]


def read(directory: Path) -> dict[Line, bool]:
    """Every line as its file says; what is missing or being rewritten is 0."""
    values = {}
    for line in Line:
        try:
            values[line] = (directory / line).read_text(encoding="ascii").strip() == "1"
        except (OSError, ValueError):
            values[line] = False
    return values


def toggle(directory: Path, line: Line) -> bool:
    """Presses or releases, as `echo` would; returns the new value."""
    value = not read(directory)[line]
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f".{line}.new"
    fresh.write_text(f"{value:d}\n", encoding="ascii")
    fresh.replace(directory / line)
    return value


def render(values: Values, held_s: float | None, *, colour: bool) -> str:
    """The line as it is shown; `held_s` is how long the button has been down, None while it is up."""
    red, green = values[Line.LED_FEEDBACK_RED], values[Line.LED_FEEDBACK_GREEN]
    feedback = {(True, True): ("both", YELLOW), (True, False): ("red", RED), (False, True): ("green", GREEN)}
    word, tint = feedback.get((red, green), ("dark", ""))
    lights = [
        _light("OCPP", values[Line.LED_OCPP], GREEN, colour),
        _light("Modbus", values[Line.LED_MODBUS], RED, colour),
        _light(f"feedback {word:5}", red or green, tint, colour),
        _light("button", values[Line.LED_BUTTON], GREEN, colour),
    ]
    switches = " ".join(f"{n} {_on(values[line])}" for n, line in enumerate(INPUTS[1:], 1))
    port = f"bias {_on(values[Line.BIAS])}, 120 ohm {_on(values[Line.TERMINATION])}"
    button = "b: press" if held_s is None else f"b: release, held {held_s:.0f} s"
    return f"{'  '.join(lights)} | DIP {switches} | {port} | {button}  1 2 3: switches  q: leave"


def _light(name: str, lit: bool, tint: str, colour: bool) -> str:
    dot = "●" if lit else "○"
    return f"{tint}{dot}{PLAIN} {name}" if lit and colour else f"{dot} {name}"


def _on(value: bool) -> str:
    return "on " if value else "off"


def cut(text: str, columns: int) -> str:
    """The first `columns` characters that can be seen; colours cost no place."""
    seen, shown = 0, 0
    while shown < len(text) and seen < columns:
        if text[shown] == "\x1b":
            shown = text.index("m", shown) + 1
        else:
            shown, seen = shown + 1, seen + 1
    return text if shown >= len(text) else text[:shown] + (PLAIN if "\x1b" in text else "")


@contextlib.contextmanager
def _keys_at_once(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def show(directory: Path, keys: int) -> None:
    """Draws and takes keys until `q`, or until the terminal goes away."""
    colour = "NO_COLOR" not in os.environ
    pressed_at: float | None = None
    drawn, drawn_at = "", 0.0
    while True:
        values, now = read(directory), time.monotonic()
        pressed_at = (now if pressed_at is None else pressed_at) if values[Line.BUTTON] else None
        text = render(values, None if pressed_at is None else now - pressed_at, colour=colour)
        text = cut(text, shutil.get_terminal_size().columns - 1)
        if text != drawn or now >= drawn_at + DRAW_S:
            sys.stdout.write(f"{CLEAR_LINE}{text}\r")
            sys.stdout.flush()
            drawn, drawn_at = text, now
        if select.select([keys], [], [], LOOK_S)[0]:
            typed = os.read(keys, 16).decode("ascii", "ignore")
            if typed == "" or "q" in typed:
                return
            for key in typed:
                if key in KEYS:
                    toggle(directory, KEYS[key])


def _stop(signum: int, frame: object) -> None:
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: left. 2: not in a terminal."""
    parser = argparse.ArgumentParser(prog="terminal_panel", description="the simulated board's front panel")
    parser.add_argument("directory", type=Path, help="DIR of --board sim:DIR")
    options = parser.parse_args(arguments)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        parser.error("it needs a terminal; elsewhere, read and write the files")
    signal.signal(signal.SIGTERM, _stop)
    try:
        with contextlib.suppress(KeyboardInterrupt), _keys_at_once(sys.stdin.fileno()):
            show(options.directory, sys.stdin.fileno())
    finally:
        sys.stdout.write(CLEAR_LINE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
