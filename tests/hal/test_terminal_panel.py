"""The panel in a terminal: what is drawn, what keys do, and the program on a pseudo terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.contract import Line
from hal.lines import SimLines
from hal.terminal_panel import GREEN, PLAIN, RED, cut, read, render, toggle

DARK = dict.fromkeys(Line, False)


def test_a_dark_board() -> None:
    assert render(DARK, None, colour=False) == (
        "○ OCPP  ○ Modbus  ○ feedback dark   ○ button | DIP 1 off 2 off 3 off | bias off, 120 ohm off | "
        "b: press  1 2 3: switches  q: leave"
    )


@pytest.mark.parametrize(
    ("lit", "shown"),
    [
        ({Line.LED_OCPP}, "● OCPP  ○ Modbus"),
        ({Line.LED_MODBUS}, "○ OCPP  ● Modbus"),
        ({Line.LED_FEEDBACK_RED}, "● feedback red  "),
        ({Line.LED_FEEDBACK_GREEN}, "● feedback green"),
        ({Line.LED_FEEDBACK_RED, Line.LED_FEEDBACK_GREEN}, "● feedback both "),
        ({Line.LED_BUTTON}, "● button"),
        ({Line.DIP2}, "DIP 1 off 2 on  3 off"),
        ({Line.BIAS, Line.TERMINATION}, "bias on , 120 ohm on "),
    ],
)
def test_what_is_on_shows_without_colour(lit: set[Line], shown: str) -> None:
    assert shown in render(DARK | dict.fromkeys(lit, True), None, colour=False)


def test_colours() -> None:
    text = render(DARK | {Line.LED_OCPP: True, Line.LED_MODBUS: True}, None, colour=True)
    assert f"{GREEN}●{PLAIN} OCPP" in text
    assert f"{RED}●{PLAIN} Modbus" in text


def test_a_held_button_counts_its_seconds() -> None:
    assert "b: release, held 7 s" in render(DARK | {Line.BUTTON: True}, 7.2, colour=False)


def test_the_line_never_moves_when_a_light_changes() -> None:
    lengths = {len(render(DARK | dict.fromkeys(on, True), None, colour=False)) for on in ((), Line, (Line.DIP1,))}
    assert len(lengths) == 1


def test_cut_counts_what_is_seen() -> None:
    assert cut("abcdef", 3) == "abc"
    assert cut("abc", 10) == "abc"
    assert cut(f"{GREEN}●{PLAIN} OCPP", 3) == f"{GREEN}●{PLAIN} O{PLAIN}"


def test_keys_do_what_echo_does(tmp_path: Path) -> None:
    assert toggle(tmp_path / "board", Line.DIP1) is True
    lines = SimLines(tmp_path / "board", lambda: 0.0)
    assert lines.read(Line.DIP1) is True
    assert toggle(tmp_path / "board", Line.DIP1) is False
    assert lines.read(Line.DIP1) is False


def test_read_takes_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "led_ocpp").write_text("1")
    (tmp_path / "button").write_bytes(b"\xff")
    assert read(tmp_path) == DARK | {Line.LED_OCPP: True}


class Terminal:
    """The program on a pseudo terminal."""

    def __init__(self, directory: Path) -> None:
        self.ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "hal.terminal_panel", str(directory)]
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def until(self, text: str) -> None:
        seen, deadline = "", time.monotonic() + 20
        while text not in seen:
            assert time.monotonic() < deadline, f"{text!r} was not drawn: {seen[-300:]!r}"
            if select.select([self.ours], [], [], 0.1)[0]:
                seen += os.read(self.ours, 4096).decode(errors="ignore")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.process.kill()
    terminal.process.wait()
    os.close(terminal.ours)


def test_the_program(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until("○ OCPP")
    (tmp_path / "led_ocpp").write_text("1")
    terminal.until("● OCPP")
    terminal.type("3")
    terminal.until("3 on")
    assert (tmp_path / "dip3").read_text() == "1\n"
    terminal.type("b")
    terminal.until("b: release")
    terminal.type("b")
    terminal.until("b: press")
    assert (tmp_path / "button").read_text() == "0\n"
    terminal.type("q")
    assert terminal.process.wait(timeout=20) == 0


def test_without_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "hal.terminal_panel", str(tmp_path)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "read and write the files" in run.stderr
