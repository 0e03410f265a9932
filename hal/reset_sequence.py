"""The factory reset as the manual tells it (5.2), without lines, clock or disk.

Held at power-on: red, button green, LED 1 and LED 2 in turn. Released after ten seconds: erase while the lights go on
as before, then off, one blink, normal. Released earlier: a normal boot. The appliance's one-shot (`hal.factory_reset`)
and the daemon with `--board` drive the same steps.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final

from hal.panel import Levels, Program, duration_s, turn

HOLD_S: Final = 10.0
"""manual 5.2, step 4."""

ERASING_S: Final = 1.0
"""The lights go on at least this long after the release, however quick the erasing: as the manual describes it."""

STUCK_S: Final = 120.0
"""A button held longer than any person would is broken, and a broken button must not keep the gateway from booting."""

DARK: Final[Levels] = frozenset()


class Phase(enum.Enum):
    """Where the sequence stands; the last three are ends."""

    HELD = "held"
    ERASING = "erasing"
    BLINK = "blink"
    RESET = "reset"  # erased, and shown to be
    NORMAL_BOOT = "normal boot"  # the button was up, or came up too early
    STUCK = "stuck button"


ENDS: Final = frozenset({Phase.RESET, Phase.NORMAL_BOOT, Phase.STUCK})


@dataclass(frozen=True, slots=True)
class Sequence:
    """`held_since` and `since` (of the phase) in seconds of the caller's monotonic clock."""

    phase: Phase
    held_since: float
    since: float
    erased: bool = False


def begin(pressed: bool, now: float, *, held_before_s: float = 0.0) -> Sequence:
    """The sequence at power-on. `held_before_s`: how long ago power came, if the first look comes late."""
    return Sequence(Phase.HELD if pressed else Phase.NORMAL_BOOT, now - held_before_s, now)


def erased(sequence: Sequence) -> Sequence:
    """To be told once the data is gone; asked for while the phase is ERASING and `erased` is False."""
    return replace(sequence, erased=True)


def step(sequence: Sequence, pressed: bool, now: float) -> tuple[Sequence, Levels, float]:
    """The sequence at `now`: its new state, the lit lines, and the time of the next change if the button stays."""
    phase = _next_phase(sequence, pressed, now)
    if phase is not sequence.phase:
        sequence = replace(sequence, phase=phase, since=now)
    if phase in ENDS:
        return sequence, DARK, now
    if phase is Phase.BLINK:
        lit, changes_after_s = turn(Program.RESET_DONE, now - sequence.since)
        return sequence, lit, sequence.since + changes_after_s
    lit, changes_after_s = turn(Program.RESET_HOLD, now - sequence.held_since)
    return sequence, lit, sequence.held_since + changes_after_s


def _next_phase(sequence: Sequence, pressed: bool, now: float) -> Phase:
    in_phase_s = now - sequence.since
    match sequence.phase:
        case Phase.HELD if not pressed:
            return Phase.ERASING if now - sequence.held_since >= HOLD_S else Phase.NORMAL_BOOT
        case Phase.HELD if now - sequence.held_since >= STUCK_S:
            return Phase.STUCK
        case Phase.ERASING if sequence.erased and in_phase_s >= ERASING_S:
            return Phase.BLINK
        case Phase.BLINK if in_phase_s >= duration_s(Program.RESET_DONE):
            return Phase.RESET
        case unchanged:
            return unchanged
