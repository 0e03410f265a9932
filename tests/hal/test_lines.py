"""One contract, every implementation of `Lines`.

The GPIO chip is the kernel's own simulation: set GATEWAY_GPIO_SIM to the sysfs directory of a gpio-sim bank whose
lines have the names of hal.board (the emulated machine does); without it those cases are skipped, and say so.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gpiod
import pytest
from gpiod.line import Bias, Direction

from hal import lines as lines_module
from hal.board import PINS, Pin
from hal.contract import HISTORY_FILE, INPUTS, OUTPUTS, Line
from hal.lines import Edge, Lines, MemoryLines, SimLines
from hal.lines_gpiod import GpiodLines, find_chip, settings_of

GPIO_SIM = os.environ.get("GATEWAY_GPIO_SIM")


class Rig:
    """A board under test, its finger and its eyes."""

    def __init__(self, lines: Lines, push: Callable[[Line, bool], None], see: Callable[[Line], bool]) -> None:
        self.lines = lines
        self.push = push
        self.see = see


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sim", "gpio"] if GPIO_SIM else ["memory", "sim"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Rig]:
    if request.param == "memory":
        memory = MemoryLines(clock)
        rig = Rig(memory, memory.set_input, lambda line: [e.value for e in memory.history if e.line is line][-1])
    elif request.param == "sim":

        def push(line: Line, value: bool) -> None:
            (tmp_path / line).write_text(f"{value:d}\n")

        rig = Rig(SimLines(tmp_path, clock), push, lambda line: (tmp_path / line).read_text() == "1")
    else:
        rig = gpio_sim_rig(Path(GPIO_SIM or ""))
    yield rig
    rig.lines.close()


def gpio_sim_rig(bank: Path) -> Rig:
    """`bank` is /sys/devices/platform/gpio-sim.N/gpiochipM; sim_gpioK/pull is the finger, sim_gpioK/value the eyes."""
    from gpiod import Chip

    from hal.board import Sense, pin
    from hal.lines_gpiod import GpiodLines

    chip_path = f"/dev/{bank.name}"
    with Chip(chip_path) as chip:
        offsets = {line: chip.line_offset_from_id(line.value) for line in Line}

    def push(line: Line, value: bool) -> None:
        high = value is (pin(line).sense is Sense.HIGH)
        (bank / f"sim_gpio{offsets[line]}" / "pull").write_text("pull-up" if high else "pull-down")
        time.sleep(0.05)  # the kernel debounces for 20 ms of real time

    def see(line: Line) -> bool:
        high = (bank / f"sim_gpio{offsets[line]}" / "value").read_text().strip() == "1"
        return high is (pin(line).sense is Sense.HIGH)

    for line in INPUTS:
        push(line, False)
    return Rig(GpiodLines(chip_path), push, see)


@pytest.mark.skipif(not GPIO_SIM, reason="GATEWAY_GPIO_SIM names no gpio-sim bank: the contract ran without a chip")
def test_the_chip_is_a_simulated_one() -> None:
    assert (Path(GPIO_SIM or "") / "sim_gpio0" / "pull").exists()


@pytest.mark.parametrize("line", Line)
def test_a_line_is_false_until_something_happens(rig: Rig, line: Line) -> None:
    assert rig.lines.read(line) is False


@pytest.mark.parametrize("line", INPUTS)
def test_an_input_reads_as_it_is_pushed(rig: Rig, line: Line) -> None:
    for value in (True, False, True):
        rig.push(line, value)
        assert rig.lines.read(line) is value


@pytest.mark.parametrize("line", OUTPUTS)
def test_an_output_shows_and_reads_back_what_was_written(rig: Rig, line: Line) -> None:
    for value in (False, True, True, False):
        rig.lines.write(line, value)
        assert rig.lines.read(line) is value
    rig.lines.write(line, True)
    assert rig.see(line) is True
    rig.lines.write(line, False)
    assert rig.see(line) is False


@pytest.mark.parametrize("line", INPUTS)
def test_an_input_cannot_be_driven(rig: Rig, line: Line) -> None:
    with pytest.raises(ValueError, match="is an input"):
        rig.lines.write(line, True)


def test_edges_tell_each_change_once_oldest_first(rig: Rig) -> None:
    assert rig.lines.edges() == []
    rig.push(Line.BUTTON, True)
    rig.lines.read(Line.BUTTON)
    rig.push(Line.DIP3, True)
    rig.lines.read(Line.DIP3)
    rig.push(Line.BUTTON, False)
    edges = rig.lines.edges()
    assert [(edge.line, edge.value) for edge in edges] == [
        (Line.BUTTON, True),
        (Line.DIP3, True),
        (Line.BUTTON, False),
    ]
    assert [edge.t for edge in edges] == sorted(edge.t for edge in edges)
    assert rig.lines.edges() == []


def test_reading_does_not_eat_an_edge(rig: Rig) -> None:
    rig.push(Line.BUTTON, True)
    assert rig.lines.read(Line.BUTTON) is True
    assert [edge.value for edge in rig.lines.edges()] == [True]


def test_what_we_drive_makes_no_edge(rig: Rig) -> None:
    rig.lines.write(Line.BIAS, True)
    assert rig.lines.edges() == []


def test_it_says_how_to_wait_for_edges(rig: Rig) -> None:
    assert (rig.lines.poll_s is None) is (rig.lines.fileno() is not None)


# --- the simulated board: files that people and tests look at


def history(directory: Path) -> list[dict[str, object]]:
    return [json.loads(row) for row in (directory / HISTORY_FILE).read_text().splitlines()]


def test_sim_makes_its_directory(tmp_path: Path, clock: Clock) -> None:
    SimLines(tmp_path / "a" / "b", clock)
    assert (tmp_path / "a" / "b").is_dir()


def test_sim_output_file_is_one_digit_and_nothing_else(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "bias").write_text("garbage from somewhere\n")
    lines = SimLines(tmp_path, clock)
    lines.write(Line.BIAS, True)
    assert (tmp_path / "bias").read_bytes() == b"1"
    lines.write(Line.BIAS, False)
    assert (tmp_path / "bias").read_bytes() == b"0"


def test_sim_output_is_made_again_after_its_file_was_removed(tmp_path: Path, clock: Clock) -> None:
    lines = SimLines(tmp_path, clock)
    lines.write(Line.LED_OCPP, True)
    (tmp_path / "led_ocpp").unlink()
    lines.write(Line.LED_OCPP, False)
    assert (tmp_path / "led_ocpp").read_bytes() == b"0"


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("1\n", True), (" 1 \r\n", True), ("0", False), ("", False), ("on", False)]
)
def test_sim_input_file_as_found_at_the_start(tmp_path: Path, clock: Clock, text: str, value: bool) -> None:
    (tmp_path / "dip2").write_text(text)
    assert SimLines(tmp_path, clock).read(Line.DIP2) is value


@pytest.mark.parametrize("text", ["", "x", "11", "01234567890"])
def test_sim_input_that_is_being_rewritten_keeps_its_value(tmp_path: Path, clock: Clock, text: str) -> None:
    (tmp_path / "button").write_text("1")
    lines = SimLines(tmp_path, clock)
    (tmp_path / "button").write_text(text)
    assert lines.read(Line.BUTTON) is True
    assert lines.edges() == []


def test_sim_input_removed_is_up(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "button").write_text("1")
    lines = SimLines(tmp_path, clock)
    (tmp_path / "button").unlink()
    assert lines.read(Line.BUTTON) is False


def test_sim_history_holds_first_values_and_every_change_but_no_repetition(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "dip1").write_text("1")
    lines = SimLines(tmp_path, clock)
    for line in OUTPUTS:
        lines.write(line, line is Line.BIAS)
    assert {(row["line"], row["value"]) for row in history(tmp_path)} == {
        (line.value, int(line in {Line.DIP1, Line.BIAS})) for line in Line
    }
    before = len(history(tmp_path))
    clock.now = 101.25
    lines.write(Line.BIAS, True)
    lines.write(Line.LED_OCPP, True)
    lines.edges()
    assert history(tmp_path)[before:] == [{"t": 101.25, "line": "led_ocpp", "value": 1}]


def test_sim_history_is_json_lines_byte_for_byte(tmp_path: Path, clock: Clock) -> None:
    lines = SimLines(tmp_path, clock)
    clock.now = 1 / 3
    lines.write(Line.TERMINATION, True)
    text = (tmp_path / HISTORY_FILE).read_bytes()
    assert text.endswith(b'\n{"t": 0.333333, "line": "termination", "value": 1}\n')
    assert all(
        re.fullmatch(rb'\{"t": [0-9.]+, "line": "[a-z0-9_]+", "value": [01]\}', row) for row in text.split(b"\n")[:-1]
    )


def test_sim_history_goes_on_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    SimLines(tmp_path, clock).write(Line.LED_BUTTON, True)
    clock.now += 5
    SimLines(tmp_path, clock).write(Line.LED_BUTTON, True)
    times = [row["t"] for row in history(tmp_path) if row["line"] == "led_button"]
    assert times == [100.0, 105.0]


def test_sim_history_moves_aside_at_its_limit(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_HISTORY_BYTES", 1000)
    lines = SimLines(tmp_path, clock)
    for n in range(100):
        lines.write(Line.LED_OCPP, n % 2 == 0)
    sizes = [path.stat().st_size for path in tmp_path.glob("history.jsonl*")]
    assert len(sizes) == 2
    assert max(sizes) < 1100


def test_pending_edges_are_bounded(clock: Clock) -> None:
    lines = MemoryLines(clock)
    for n in range(1000):
        lines.set_input(Line.BUTTON, n % 2 == 0)
    edges = lines.edges()
    assert len(edges) == lines_module.MAX_PENDING_EDGES
    assert edges[-1] == Edge(100.0, Line.BUTTON, False)


@pytest.mark.parametrize("row", PINS, ids=lambda row: row.line)
def test_what_the_kernel_is_asked_for(row: Pin) -> None:
    """Without a chip: the settings of each line, before the library hands them to the kernel."""
    settings = settings_of(row)
    if row.is_input:
        assert settings.direction is Direction.INPUT
        assert settings.bias is Bias.PULL_UP
        assert settings.active_low, "a switch to ground is on when the pin is low"
        assert settings.edge_detection is gpiod.line.Edge.BOTH
        assert settings.event_clock is gpiod.line.Clock.MONOTONIC
        assert (settings.debounce_period.total_seconds() > 0) is (row.line is Line.BUTTON)
    else:
        assert settings.direction is Direction.OUTPUT
        assert not settings.output_value, "an output is on before anybody asked"
        assert settings.edge_detection is gpiod.line.Edge.NONE


def test_a_chip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)):
        GpiodLines(str(tmp_path / "gpiochip0"))


@pytest.mark.skipif(bool(GPIO_SIM), reason="a simulated chip is here")
def test_no_chip_has_our_button_here() -> None:
    with pytest.raises(OSError, match="called button"):
        find_chip()
