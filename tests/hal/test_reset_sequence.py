"""manual 5.2, step by step and to the second, without a line or a disk."""

import pytest

from hal import reset_sequence
from hal.contract import LEDS, Line
from hal.reset_sequence import DARK, ENDS, HOLD_S, STUCK_S, Phase

RED, GREEN, BUTTON = Line.LED_FEEDBACK_RED, Line.LED_FEEDBACK_GREEN, Line.LED_BUTTON


class Finger:
    """Holds the button from power-on until `release_at`, and erases `erase_s` after being asked to."""

    def __init__(self, release_at: float, erase_s: float = 0.0, held_before_s: float = 0.0) -> None:
        self.asked_at: list[float] = []
        self.lit: list[tuple[float, frozenset[Line]]] = []
        self.phases: list[tuple[float, Phase]] = []
        now, erased_at = 0.0, float("inf")
        sequence = reset_sequence.begin(release_at > 0, now, held_before_s=held_before_s)
        while True:
            sequence, lit, deadline = reset_sequence.step(sequence, now < release_at, now)
            if not self.lit or self.lit[-1][1] != lit:
                self.lit.append((round(now, 3), lit))
            if not self.phases or self.phases[-1][1] is not sequence.phase:
                self.phases.append((round(now, 3), sequence.phase))
            if sequence.phase in ENDS:
                break
            if sequence.phase is Phase.ERASING and not sequence.erased:
                if erased_at == float("inf"):
                    self.asked_at.append(round(now, 3))
                    erased_at = now + erase_s
                if now >= erased_at:
                    sequence = reset_sequence.erased(sequence)
            now = min(max(deadline, now), now + 0.05) if deadline > now else now + 0.05

    @property
    def end(self) -> Phase:
        return self.phases[-1][1]


def test_button_up_is_a_normal_boot_at_once_and_touches_no_light() -> None:
    sequence = reset_sequence.begin(False, 5.0)
    assert sequence.phase is Phase.NORMAL_BOOT
    assert reset_sequence.step(sequence, False, 5.0) == (sequence, DARK, 5.0)


def test_held_shows_red_button_green_and_the_pair_in_turn() -> None:
    finger = Finger(release_at=10.5)
    held = [lit for at, lit in finger.lit if at < 10]
    assert all({RED, BUTTON} <= lit and GREEN not in lit for lit in held)
    assert [Line.LED_OCPP in lit for lit in held] == [True, False] * 10
    assert [Line.LED_MODBUS in lit for lit in held] == [False, True] * 10


def test_released_after_ten_seconds_erases_once_then_off_one_blink_and_normal() -> None:
    finger = Finger(release_at=10.5)
    assert finger.end is Phase.RESET
    assert len(finger.asked_at) == 1
    assert 10.5 <= finger.asked_at[0] <= 10.6
    assert [lit for _, lit in finger.lit[-3:]] == [DARK, frozenset(LEDS) - {RED}, DARK]


def test_lights_go_on_as_before_while_erasing_however_long_that_takes() -> None:
    finger = Finger(release_at=11, erase_s=20)
    blink_at = next(at for at, phase in finger.phases if phase is Phase.BLINK)
    assert blink_at >= 31
    erasing = [lit for at, lit in finger.lit if 11 <= at < blink_at]
    assert len(erasing) >= 40
    assert all({RED, BUTTON} <= lit for lit in erasing)


@pytest.mark.parametrize("release_at", [0.05, 1, 5, 9.9])
def test_released_early_is_a_normal_boot_with_dark_lights(release_at: float) -> None:
    finger = Finger(release_at)
    assert finger.end is Phase.NORMAL_BOOT
    assert finger.asked_at == []
    assert finger.lit[-1][1] == DARK


def test_nothing_is_erased_before_the_release() -> None:
    finger = Finger(release_at=60)
    assert finger.end is Phase.RESET
    assert finger.asked_at[0] >= 60


def test_time_since_power_on_counts() -> None:
    assert Finger(release_at=9.3, held_before_s=0.8).end is Phase.RESET
    assert Finger(release_at=9.0, held_before_s=0.8).end is Phase.NORMAL_BOOT


def test_a_stuck_button_lets_the_gateway_boot_and_erases_nothing() -> None:
    finger = Finger(release_at=1e9)
    assert finger.end is Phase.STUCK
    assert finger.asked_at == []
    assert finger.phases[-1][0] == pytest.approx(STUCK_S, abs=0.2)


def test_the_button_pressed_again_while_erasing_changes_nothing() -> None:
    sequence = reset_sequence.begin(True, 0.0)
    sequence, _, _ = reset_sequence.step(sequence, False, HOLD_S)
    assert sequence.phase is Phase.ERASING
    sequence, lit, _ = reset_sequence.step(sequence, True, HOLD_S + 0.3)
    assert sequence.phase is Phase.ERASING
    assert RED in lit
