"""What the lights show: programs as a table, and a pure function that turns them with the time.

`step(state, words, now)` returns the next state, the lit lines, and when to come back. manual 6 for LED 1 and LED 2,
manual 5.2 for the reset and for normal operation; interface.md, "The simulated board", for 80/80 ms and 1 Hz. What
neither describes (starting, fault, identify, switches that disagree) differs in rhythm, not only in colour.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import Final

from hal.contract import LEDS, SILENT_S, Line, Words

Levels = frozenset[Line]
"""The lines that are lit; every other light is dark."""

PULSE_S: Final = 0.08
"""Each half of a traffic LED's blink (interface.md, "The simulated board")."""

IDENTIFY_S: Final = 10.0
"""How long a click on "identify" blinks the lights (experience.md)."""

STARTING_S: Final = 180.0
"""How long the panel believes that gatewayd is still starting: a first boot makes keys on a slow card."""

TICK_S: Final = 1e-6
"""A moment this close to a change counts as the change: sums of floats land on either side of it."""

_OCPP, _MODBUS, _RED, _GREEN, _BUTTON = LEDS


class Program(enum.Enum):
    """What the lights can be doing."""

    STARTING = "starting"
    NORMAL = "normal"
    DIP_WARNING = "dip warning"
    FAULT = "fault"
    IDENTIFY = "identify"
    RESET_HOLD = "factory reset, button held"
    RESET_DONE = "factory reset, done"


Steps = tuple[tuple[float, Levels], ...]

PROGRAMS: Final[dict[Program, Steps]] = {
    # seconds and what is lit, over and over; LED 1 and LED 2 come on top where OVERLAID says so
    Program.STARTING: ((1.0, frozenset({_GREEN, _BUTTON})),),
    Program.NORMAL: ((0.5, frozenset({_GREEN, _BUTTON})), (0.5, frozenset({_BUTTON}))),
    Program.DIP_WARNING: ((0.5, frozenset({_GREEN, _BUTTON})), (0.5, frozenset({_RED, _BUTTON}))),
    Program.FAULT: ((0.125, frozenset({_RED, _BUTTON})), (0.125, frozenset({_BUTTON}))),
    Program.IDENTIFY: ((0.25, frozenset({_OCPP, _MODBUS, _GREEN, _BUTTON})), (0.25, frozenset())),
    Program.RESET_HOLD: ((0.5, frozenset({_RED, _BUTTON, _OCPP})), (0.5, frozenset({_RED, _BUTTON, _MODBUS}))),
    Program.RESET_DONE: ((0.5, frozenset()), (0.5, frozenset(LEDS) - {_RED}), (0.5, frozenset())),
}

OVERLAID: Final = frozenset({Program.NORMAL, Program.DIP_WARNING})
"""The programs under which LED 1 and LED 2 show link and traffic; in the others nobody knows, or they are busy."""


def duration_s(program: Program) -> float:
    """Seconds of one turn of a program."""
    return math.fsum(seconds for seconds, _ in PROGRAMS[program])


def turn(program: Program, elapsed_s: float) -> tuple[Levels, float]:
    """What a program lights after `elapsed_s` seconds (>= 0), and the elapsed time at which that changes."""
    steps = PROGRAMS[program]
    whole = duration_s(program)
    turns, into = divmod(elapsed_s + TICK_S, whole)
    end = 0.0
    for seconds, levels in steps:
        end += seconds
        if into < end:
            return levels, turns * whole + end
    return steps[0][1], (turns + 1) * whole + steps[0][0]  # `into` rounded up to the whole: the next turn begins


@dataclass(frozen=True, slots=True)
class Pulse:
    """One traffic LED: resting, or inverted until `inverted_until`, then at rest at least until `busy_until`.

    Traffic in either half asks for another blink afterwards, so that a stream alternates 80 ms on, 80 ms off however
    it falls on the halves.
    """

    inverted_until: float = -math.inf
    busy_until: float = -math.inf
    pending: bool = False

    def after(self, traffic: bool, now: float) -> Pulse:
        """The pulse at `now`, having met `traffic` since it was last asked."""
        if now < self.busy_until:
            return replace(self, pending=self.pending or traffic)
        if traffic or self.pending:
            return Pulse(now + PULSE_S, now + 2 * PULSE_S)
        return Pulse()

    def inverted(self, now: float) -> bool:
        return now < self.inverted_until

    def deadline(self, now: float) -> float:
        if now < self.inverted_until:
            return self.inverted_until
        return self.busy_until if now < self.busy_until else math.inf


@dataclass(frozen=True, slots=True)
class PanelState:
    """All that the panel remembers. Times are seconds of the caller's monotonic clock."""

    program: Program
    since: float
    silent_at: float
    heard: bool = False
    dip_conflict: bool = False
    link: bool = False
    identify_until: float = -math.inf
    ocpp: Pulse = Pulse()
    modbus: Pulse = Pulse()

    def busy(self, now: float) -> bool:
        """A traffic LED is within a blink: more traffic changes nothing before the next deadline."""
        return now < max(self.ocpp.busy_until, self.modbus.busy_until)


def begin(now: float, *, dip_conflict: bool = False) -> PanelState:
    """The panel when power comes: starting, until the first word from gatewayd or for `STARTING_S`."""
    return PanelState(Program.STARTING, now, silent_at=now + STARTING_S, dip_conflict=dip_conflict)


def step(state: PanelState, words: Words | None, now: float) -> tuple[PanelState, Levels, float]:
    """The panel at `now`, having heard `words` (None: nothing, only time passed).

    Returns the new state, the lit lines, and the time of the next change if nothing is heard before.
    """
    if words is not None:
        state = replace(
            state,
            heard=True,
            silent_at=now + SILENT_S,
            link=words.ocpp_link,
            identify_until=now + IDENTIFY_S if words.identify else state.identify_until,
        )
    state = replace(
        state,
        ocpp=state.ocpp.after(words is not None and words.ocpp_traffic, now),
        modbus=state.modbus.after(words is not None and words.modbus_traffic, now),
    )
    program = _program(state, now)
    if program is not state.program:
        state = replace(state, program=program, since=now)
    lit, changes_after_s = turn(program, now - state.since)
    deadlines = [state.since + changes_after_s]
    if now < state.silent_at:
        deadlines.append(state.silent_at)
    if now < state.identify_until:
        deadlines.append(state.identify_until)
    if program in OVERLAID:
        if state.link != state.ocpp.inverted(now):
            lit |= {Line.LED_OCPP}
        if state.modbus.inverted(now):
            lit |= {Line.LED_MODBUS}
        deadlines += [state.ocpp.deadline(now), state.modbus.deadline(now)]
    return state, lit, min(deadlines)


def _program(state: PanelState, now: float) -> Program:
    if now < state.identify_until:
        return Program.IDENTIFY
    if now >= state.silent_at:
        return Program.FAULT
    if not state.heard:
        return Program.STARTING
    return Program.DIP_WARNING if state.dip_conflict else Program.NORMAL
