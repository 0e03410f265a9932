"""paneld: a turn at a time without a clock, and as the program it is on a simulated board."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hal.contract import BUTTON_FACTS, LEDS, SILENT_S, BoardFacts, Line, Words, button_held
from hal.lines import MemoryLines
from hal.panel import Program
from hal.paneld import MAX_WORDS_PER_TURN, Paneld, heard, switches
from hal.reset_sequence import STUCK_S
from hal.systemd import activated_socket, watchdog_every_s


def board(**inputs: bool) -> MemoryLines:
    return MemoryLines(lambda: 0.0, {Line(name): value for name, value in inputs.items()})


def test_switches_are_applied_when_it_starts() -> None:
    lines = board()
    Paneld(lines, BoardFacts(dip1=True, dip2=True, dip3=False), 0.0)
    assert (lines.read(Line.BIAS), lines.read(Line.TERMINATION)) == (True, False)


def test_starting_then_words_then_silence_then_words_again() -> None:
    lines = board()
    paneld = Paneld(lines, BoardFacts(), 0.0)
    paneld.turn([], 0.0)
    assert lines.read(Line.LED_FEEDBACK_GREEN) is True
    paneld.turn([], 4.75)
    assert lines.read(Line.LED_FEEDBACK_GREEN) is True
    paneld.turn([b"alive"], 5.0)
    deadline = 5.0
    while deadline < 5.0 + SILENT_S:
        deadline = paneld.turn([], deadline)
    assert lines.read(Line.LED_FEEDBACK_RED) is False
    paneld.turn([], 5.0 + SILENT_S)
    assert paneld.program is Program.FAULT
    assert lines.read(Line.LED_FEEDBACK_RED) is True
    paneld.turn([b"alive ocpp_link"], 20.0)
    assert lines.read(Line.LED_OCPP) is True
    assert lines.read(Line.LED_FEEDBACK_RED) is False


def test_what_is_no_word_keeps_nobody_alive() -> None:
    paneld = Paneld(board(), BoardFacts(), 0.0)
    paneld.turn([b"alive"], 0.0)
    paneld.turn([b"", b"\xff\x00", b"hello"], 9.0)
    paneld.turn([], SILENT_S)
    assert paneld.program is Program.FAULT


def test_several_words_in_one_turn_all_count() -> None:
    paneld = Paneld(board(), BoardFacts(), 0.0)
    paneld.turn([Words(identify=True).encode(), Words(ocpp_link=True).encode()], 1.0)
    assert paneld.program is Program.IDENTIFY


def test_dark_at_the_end() -> None:
    lines = board()
    paneld = Paneld(lines, BoardFacts(), 0.0)
    paneld.turn([b"alive ocpp_link"], 0.0)
    paneld.dark()
    assert not any(lines.read(led) for led in LEDS)


def test_the_button_is_held_while_it_is_down_and_broken_when_it_stays_so() -> None:
    lines = board()
    paneld = Paneld(lines, BoardFacts(), 0.0)
    assert not paneld.button(1.0)
    lines.set_input(Line.BUTTON, True)
    assert paneld.button(2.0)
    assert paneld.button(2.0 + STUCK_S - 1)
    assert not paneld.button(2.0 + STUCK_S)
    lines.set_input(Line.BUTTON, False)
    assert not paneld.button(200.0)
    lines.set_input(Line.BUTTON, True)
    assert paneld.button(201.0)


def test_switches_are_read_once_a_boot(tmp_path: Path) -> None:
    published = tmp_path / "board.json"
    assert switches(board(dip1=True, dip2=True), published) == BoardFacts(True, True, False)
    assert json.loads(published.read_text()) == {
        "dip1": True,
        "dip2": True,
        "dip3": False,
        "bias": True,
        "termination": False,
        "dip_conflict": False,
    }
    assert switches(board(dip3=True), published) == BoardFacts(True, True, False)


def test_facts_that_are_damaged_are_read_anew(tmp_path: Path) -> None:
    published = tmp_path / "board.json"
    published.write_text("{half")
    assert switches(board(dip3=True), published) == BoardFacts(False, False, True)
    assert json.loads(published.read_text())["termination"] is True


def test_a_flood_is_taken_in_portions() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        for _ in range(MAX_WORDS_PER_TURN + 5):
            theirs.send(b"alive")
        assert len(heard(ours)) == MAX_WORDS_PER_TURN
        assert len(heard(ours)) == 5


@pytest.mark.parametrize(
    ("environment", "every_s"),
    [
        ({}, float("inf")),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, float("inf")),
        ({"WATCHDOG_USEC": "soon"}, float("inf")),
        ({"WATCHDOG_USEC": "0"}, float("inf")),
    ],
)
def test_the_watchdog_is_fed_three_times_in_its_time(environment: dict[str, str], every_s: float) -> None:
    assert watchdog_every_s(environment) == every_s


def test_no_socket_of_systemd_unless_it_is_meant_for_us() -> None:
    assert activated_socket(socket.SOCK_DGRAM, {}) is None
    assert activated_socket(socket.SOCK_DGRAM, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None


# --- the program


class Daemon:
    """paneld on a simulated board; `say` is gatewayd."""

    def __init__(self, directory: Path) -> None:
        self.board, self.run = directory / "board", directory / "run"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "hal.paneld", "--board", f"sim:{self.board}", "--run", str(self.run)]
        return subprocess.Popen(command)

    def restart(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def say(self, words: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gatewayd:
            gatewayd.sendto(words, str(self.run / "words"))

    def said(self, words: bytes) -> bool:
        try:
            self.say(words)
        except OSError:
            return False
        return True

    def lit(self, line: Line) -> str:
        try:
            return (self.board / line).read_text()
        except FileNotFoundError:
            return ""


def eventually(truth: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not truth():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.01)


@pytest.fixture
def paneld(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "dip3").write_text("1")
    program = Daemon(tmp_path)
    yield program
    program.process.kill()
    program.process.wait()


def test_the_program_shows_words_and_stops_dark(paneld: Daemon) -> None:
    eventually(lambda: paneld.said(b"alive ocpp_link"))
    eventually(lambda: paneld.lit(Line.LED_OCPP) == "1")
    paneld.say(b"alive ocpp_link modbus_traffic")
    eventually(lambda: '"led_modbus", "value": 1' in (paneld.board / "history.jsonl").read_text())
    assert paneld.lit(Line.TERMINATION) == "1"
    published = paneld.run / BUTTON_FACTS
    eventually(lambda: published.exists() and not button_held(published.read_text()))
    (paneld.board / "button").write_text("1")
    eventually(lambda: button_held(published.read_text()))
    paneld.process.send_signal(signal.SIGTERM)
    assert paneld.process.wait(timeout=10) == 0
    assert not published.exists()
    assert [paneld.lit(led) for led in LEDS] == ["0"] * len(LEDS)


def test_a_paneld_that_crashed_keeps_the_switches_of_the_boot(paneld: Daemon) -> None:
    eventually(lambda: paneld.said(b"alive"))
    (paneld.board / "dip3").write_text("0")
    (paneld.board / "termination").unlink()
    paneld.restart()
    eventually(lambda: paneld.lit(Line.TERMINATION) == "1")
    eventually(lambda: paneld.said(b"alive"))


def test_the_program_refuses_a_board_that_is_none(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "hal.paneld", "--board", "usb"], capture_output=True, check=False)
    assert run.returncode == 2
    assert b"neither" in run.stderr
