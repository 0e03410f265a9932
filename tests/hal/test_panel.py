"""What the lights show, in virtual time: the table's programs, and how words and silence choose between them."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal import panel
from hal.contract import LEDS, SILENT_S, Line, Words
from hal.panel import PROGRAMS, Program, duration_s, turn

ALIVE = Words()
LINKED = Words(ocpp_link=True)
Changes = list[tuple[float, bool]]


class Watcher:
    """Drives the panel as its programs do: at every deadline and at every word, and notes what changes."""

    def __init__(self, start: float = 1000.0, dip_conflict: bool = False) -> None:
        self.start = self.now = start
        self.state = panel.begin(start, dip_conflict=dip_conflict)
        self.changes: dict[Line, Changes] = {led: [] for led in LEDS}
        self.steps = 0
        self._step(None)

    def program(self) -> Program:
        return self.state.program

    def _step(self, words: Words | None) -> None:
        self.state, lit, self.deadline = panel.step(self.state, words, self.now)
        self.steps += 1
        assert self.deadline > self.now, "a deadline that does not move is a busy loop"
        for led, changes in self.changes.items():
            if not changes or changes[-1][1] is not (led in lit):
                changes.append((round(self.now - self.start, 6), led in lit))

    def hear(self, words: Words, at: float) -> None:
        self.until(at)
        self._step(words)

    def until(self, at: float) -> None:
        while self.deadline < self.start + at:
            self.now = self.deadline
            self._step(None)
        self.now = self.start + at

    def alive_until(self, at: float, words: Words = ALIVE) -> None:
        second = math.floor(self.now - self.start) + 1.0
        while second < at:
            self.hear(words, second)
            second += 1.0
        self.until(at)

    def since(self, led: Line, at: float) -> Changes:
        return [change for change in self.changes[led] if change[0] >= at]


def on_off(changes: Changes) -> list[float]:
    """Seconds between one change and the next."""
    return [round(later[0] - earlier[0], 6) for earlier, later in itertools.pairwise(changes)]


def test_normal_operation_feedback_green_at_1_hz_button_solid_others_dark() -> None:
    watch = Watcher()
    watch.hear(ALIVE, 0)
    watch.alive_until(20)
    assert on_off(watch.changes[Line.LED_FEEDBACK_GREEN]) == [0.5] * 39
    assert watch.changes[Line.LED_BUTTON] == [(0.0, True)]
    for dark in (Line.LED_OCPP, Line.LED_MODBUS, Line.LED_FEEDBACK_RED):
        assert watch.changes[dark] == [(0.0, False)]


def test_starting_until_the_first_word_then_normal() -> None:
    watch = Watcher()
    watch.until(30)
    assert watch.changes[Line.LED_FEEDBACK_GREEN] == [(0.0, True)]
    watch.hear(ALIVE, 30)
    watch.alive_until(33)
    assert on_off(watch.since(Line.LED_FEEDBACK_GREEN, 30)) == [0.5] * 4


def test_a_gateway_that_never_starts_is_a_fault() -> None:
    watch = Watcher()
    watch.until(panel.STARTING_S)
    assert watch.program() is Program.STARTING
    watch.until(panel.STARTING_S + 1)
    assert watch.program() is Program.FAULT


def test_ocpp_led_is_on_while_a_link_is_up() -> None:
    watch = Watcher()
    watch.hear(LINKED, 2)
    watch.alive_until(9.5, LINKED)
    watch.hear(ALIVE, 9.5)
    watch.alive_until(12)
    assert watch.changes[Line.LED_OCPP] == [(0.0, False), (2.0, True), (9.5, False)]


@pytest.mark.parametrize("frame_every_s", [0.0005, 0.013, 0.02, 0.079, 0.08, 0.081, 0.1, 0.13, 0.15])
def test_continuous_traffic_alternates_80_ms_whatever_its_rhythm(frame_every_s: float) -> None:
    watch = Watcher()
    at = 1.0
    while at < 4.0:
        watch.hear(Words(ocpp_link=True, ocpp_traffic=True, modbus_traffic=True), at)
        at += frame_every_s
    for led in (Line.LED_OCPP, Line.LED_MODBUS):
        halves = on_off(watch.since(led, 1.0))
        assert len(halves) >= 35
        assert set(halves) == {0.08}


def test_one_frame_is_one_blink() -> None:
    watch = Watcher()
    watch.hear(LINKED, 1)
    watch.hear(Words(ocpp_link=True, ocpp_traffic=True, modbus_traffic=True), 2)
    watch.alive_until(5, LINKED)
    assert watch.since(Line.LED_OCPP, 1.5) == [(2.0, False), (2.08, True)]
    assert watch.since(Line.LED_MODBUS, 1.5) == [(2.0, True), (2.08, False)]


def test_traffic_without_a_link_lights_the_dark_led() -> None:
    watch = Watcher()
    watch.hear(Words(ocpp_traffic=True), 2)
    watch.alive_until(4)
    assert watch.since(Line.LED_OCPP, 1.5) == [(2.0, True), (2.08, False)]


def test_modbus_traffic_leaves_the_ocpp_led_alone_and_the_other_way_round() -> None:
    watch = Watcher()
    watch.hear(Words(modbus_traffic=True), 1)
    watch.hear(Words(ocpp_traffic=True), 2)
    watch.alive_until(4)
    assert watch.changes[Line.LED_OCPP] == [(0.0, False), (2.0, True), (2.08, False)]
    assert watch.changes[Line.LED_MODBUS] == [(0.0, False), (1.0, True), (1.08, False)]


def test_silence_of_ten_seconds_is_a_fault_and_one_word_heals_it() -> None:
    watch = Watcher()
    watch.hear(LINKED, 1)
    watch.until(1 + SILENT_S - 0.001)
    assert watch.program() is Program.NORMAL
    watch.until(15)
    assert watch.program() is Program.FAULT
    assert watch.since(Line.LED_FEEDBACK_RED, 1)[0] == (11.0, True)
    assert set(on_off(watch.since(Line.LED_FEEDBACK_RED, 11))) == {0.125}
    assert watch.changes[Line.LED_FEEDBACK_GREEN][-1][1] is False
    assert watch.changes[Line.LED_OCPP][-1] == (11.0, False)
    watch.hear(LINKED, 15)
    watch.until(15.01)
    assert watch.program() is Program.NORMAL
    assert watch.changes[Line.LED_OCPP][-1] == (15.0, True)
    assert watch.changes[Line.LED_FEEDBACK_RED][-1][1] is False


def test_identify_blinks_ten_seconds_and_gives_back_what_was_there() -> None:
    watch = Watcher()
    watch.hear(LINKED, 1)
    watch.hear(Words(ocpp_link=True, identify=True), 3)
    watch.alive_until(20, LINKED)
    for led in (Line.LED_OCPP, Line.LED_MODBUS, Line.LED_BUTTON):
        blinking = [change for change in watch.since(led, 3) if change[0] < 13]
        assert set(on_off(blinking)) == {0.25}
    assert watch.changes[Line.LED_OCPP][-1] == (13.0, True)
    assert watch.changes[Line.LED_MODBUS][-1][0] <= 13.0
    assert watch.changes[Line.LED_BUTTON][-1] == (13.0, True)
    assert on_off(watch.since(Line.LED_FEEDBACK_GREEN, 13)) == [0.5] * 13


def test_a_second_click_on_identify_starts_its_ten_seconds_again() -> None:
    watch = Watcher()
    watch.hear(Words(identify=True), 1)
    watch.hear(Words(identify=True), 8)
    watch.alive_until(17.9)
    assert watch.program() is Program.IDENTIFY
    watch.alive_until(18.1)
    assert watch.program() is Program.NORMAL


def test_switches_that_disagree_show_red_where_normal_is_dark() -> None:
    watch = Watcher(dip_conflict=True)
    watch.hear(ALIVE, 0)
    watch.alive_until(5)
    red, green = watch.changes[Line.LED_FEEDBACK_RED], watch.changes[Line.LED_FEEDBACK_GREEN]
    assert on_off(red) == on_off(green) == [0.5] * 9
    assert all(r != g for (_, r), (_, g) in zip(red[1:], green[1:], strict=True))


def test_a_flood_of_words_costs_no_more_changes_than_a_trickle() -> None:
    watch = Watcher()
    for n in range(3000):
        watch.hear(Words(ocpp_link=True, ocpp_traffic=True), 1 + n / 3000)
    assert len(watch.changes[Line.LED_OCPP]) <= 2 + 1 / panel.PULSE_S + 1


@given(
    start=st.floats(0, 1e6),
    words=st.lists(
        st.tuples(st.floats(0, 12), st.none() | st.builds(Words, *[st.booleans()] * 4)),
        max_size=30,
    ),
)
def test_whatever_is_heard_whenever_deadlines_move_and_halves_are_whole(
    start: float, words: list[tuple[float, Words | None]]
) -> None:
    watch = Watcher(start)
    at = 0.0
    for wait_s, said in words:
        at += wait_s
        watch.until(at)
        watch._step(said)
    watch.until(at + 30)
    assert watch.program() in {Program.FAULT, Program.STARTING}
    assert watch.steps < 10_000


@pytest.mark.parametrize("program", Program)
def test_every_program_turns_for_ever_on_its_own_boundaries(program: Program) -> None:
    elapsed = 0.0
    seen = []
    while elapsed < 3 * duration_s(program):
        levels, change = turn(program, elapsed)
        assert change > elapsed
        seen.append((round(change - elapsed, 6), levels))
        elapsed = change
    assert seen == [(round(seconds, 6), levels) for seconds, levels in PROGRAMS[program]] * 3


def test_programs_differ_to_an_eye_that_sees_no_colour() -> None:
    both = {Line.LED_FEEDBACK_GREEN, Line.LED_FEEDBACK_RED}
    rhythms = {
        program: tuple(
            (seconds, bool(levels & both), Line.LED_BUTTON in levels) for seconds, levels in PROGRAMS[program]
        )
        for program in (Program.STARTING, Program.NORMAL, Program.FAULT, Program.IDENTIFY)
    }
    assert len(set(rhythms.values())) == len(rhythms)
