"""The front panel's edge in gatewayd: what the services tell it goes to paneld, or with `--board` to the lines.

On the appliance (no `--board`) paneld owns the lines and hears datagrams, sent without waiting and dropped if nobody
listens. With `--board` the same panel logic (`hal.panel`, `hal.reset_sequence`) runs here, on files or on a GPIO chip:
the one place where gatewayd sees more of hal than `hal.contract`. interface.md, "The board"; manual 5.1, 5.2, 6.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from hal import panel, reset_sequence
from hal.board_spec import open_lines
from hal.contract import ALIVE_S, BUTTON_FACTS, LEDS, PANEL_SOCKET, BoardFacts, Line, Words, button_held
from hal.lines import Lines

log = logging.getLogger(__name__)

SAMPLE_S: Final = panel.PULSE_S
"""Under traffic paneld hears a datagram this often, however many frames there are: one for each half of a blink."""

BUTTON_POLL_S: Final = 0.05
"""How often the held button is looked at: a release is seen sooner than a person sees a light."""

COMPLAIN_EVERY_S: Final = 3600.0
"""A board that is gone fails at every blink; the log hears of it once an hour."""


class BoardMissing(Exception):
    """What `--board` names cannot be had; the message says why. Exit code 2."""


def open_board(spec: str | None, clock: Callable[[], float] = time.monotonic) -> Lines | None:
    """The lines behind `--board`, or None without it: then paneld owns them. Raises BoardMissing."""
    try:
        return None if spec is None else open_lines(spec, clock)
    except ValueError as error:
        raise BoardMissing(f"--board {spec}: write sim:DIR or gpio:CHIP") from error
    except OSError as error:
        raise BoardMissing(f"--board {spec}: {error.strerror or error}") from error


def process_age_s() -> float:
    """Seconds since this process was started: on a simulated board that is when power came."""
    with open("/proc/self/stat", "rb") as stat:
        started_ticks = int(stat.read().rpartition(b")")[2].split()[19])  # field 22; the name before ) may hold blanks
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / _TICKS_PER_S


_TICKS_PER_S: Final = 100  # USER_HZ, fixed by the kernel's interface on every architecture that we run on


async def factory_reset_at_start(
    board: Lines | None,
    wipe: Callable[[], None],
    clock: Callable[[], float] = trio.current_time,
    *,
    held_before_s: float = 0.0,
) -> bool:
    """The manual's 5.2 at the start of the daemon: True after a factory reset, False for a normal boot.

    Returns at once when the button is up or there is no board (on the appliance the one-shot does this before the
    data partition is mounted). `wipe` is called once, after the release; what it raises goes to the caller. `clock`
    must be one that `trio.sleep` moves; `held_before_s` counts towards the ten seconds (a daemon: `process_age_s()`).
    """
    if board is None:
        return False
    sequence = reset_sequence.begin(board.read(Line.BUTTON), clock(), held_before_s=held_before_s)
    while sequence.phase not in reset_sequence.ENDS:
        sequence, lit, deadline = reset_sequence.step(sequence, board.read(Line.BUTTON), clock())
        show(board, lit)
        if sequence.phase is reset_sequence.Phase.ERASING and not sequence.erased:
            log.warning("factory reset: erasing")
            wipe()
            sequence = reset_sequence.erased(sequence)
        await trio.sleep(min(max(deadline - clock(), 0), BUTTON_POLL_S))
    if sequence.phase is reset_sequence.Phase.STUCK:
        log.error("the button has been down for %.0f s: taken for broken, no factory reset", reset_sequence.STUCK_S)
    return sequence.phase is reset_sequence.Phase.RESET


def show(board: Lines, lit: panel.Levels) -> None:
    """Lights these LEDs and darkens the others. Raises OSError when the board is gone."""
    for led in LEDS:
        board.write(led, led in lit)


class FrontPanel:
    """What the services may say about themselves. None of the four words waits, fails or costs more than a flag.

    `facts` are the DIP switches as read when `run` started; None without a board (then paneld publishes them).
    """

    def __init__(self, board: Lines | None, panel_socket: str = PANEL_SOCKET) -> None:
        self.facts: BoardFacts | None = None
        self._board = board
        self._panel_socket = panel_socket
        self._wake = trio.Event()
        self._link = False
        self._ocpp = False
        self._modbus = False
        self._identify = False
        self.lit: panel.Levels | None = None
        """What is lit now; None where paneld does it."""
        self.ocpp_seen = self.modbus_seen = False
        """There was traffic since somebody last put these to False."""

    @property
    def linked(self) -> bool:
        """At least one OCPP link is up."""
        return self._link

    @property
    def button(self) -> bool | None:
        """Whether somebody holds the button now; None: nobody can tell, because there is no paneld."""
        try:
            if self._board is not None:
                return self._board.read(Line.BUTTON)
            return button_held(Path(self._panel_socket).with_name(BUTTON_FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def ocpp_link(self, up: bool) -> None:
        """At least one OCPP link is up, or none is: LED 1 is on, or off."""
        if up != self._link:
            self._link = up
            self._wake.set()

    def ocpp_traffic(self) -> None:
        """An OCPP frame came or went: LED 1 blinks."""
        if not self._ocpp:
            self._ocpp = self.ocpp_seen = True
            self._wake.set()

    def modbus_traffic(self) -> None:
        """A Modbus TCP frame came or went: LED 2 blinks. Modbus RTU does not show (manual 6)."""
        if not self._modbus:
            self._modbus = self.modbus_seen = True
            self._wake.set()

    def identify(self) -> None:
        """Blink all lights for ten seconds, so that somebody finds this gateway among others."""
        self._identify = True
        self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Shows what was said, for ever. Started once the lights are lit, or the first datagram has gone out."""
        if self._board is None:
            await self._tell_paneld(task_status)
        else:
            await self._drive(self._board, task_status)

    def _take(self) -> Words:
        words = Words(self._link, self._ocpp, self._modbus, self._identify)
        self._ocpp = self._modbus = self._identify = False
        self._wake = trio.Event()
        return words

    async def _tell_paneld(self, task_status: trio.TaskStatus[None]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as paneld:
            while True:
                words = self._take()
                # No paneld, or one that does not read: the next datagram is as good as this one.
                try:
                    paneld.sendto(words.encode(), self._panel_socket)
                except OSError as why:
                    log.debug("paneld does not hear: %s", why)
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                if words.ocpp_traffic or words.modbus_traffic:
                    await trio.sleep(SAMPLE_S)
                else:
                    await self._woken(trio.current_time() + ALIVE_S)

    async def _drive(self, board: Lines, task_status: trio.TaskStatus[None]) -> None:
        # A board that fails (a directory removed, a disk full) is retried at the next change; the gateway works on.
        self.facts = _read_switches(board)
        state = panel.begin(trio.current_time(), dip_conflict=self.facts.dip_conflict)
        quiet_until = -math.inf
        while True:
            now = trio.current_time()
            state, lit, deadline = panel.step(state, self._take(), now)
            try:
                board.write(Line.BIAS, self.facts.bias)
                board.write(Line.TERMINATION, self.facts.termination)
                show(board, lit)
                self.lit = lit
                board.edges()
            except OSError as why:
                if now >= quiet_until:
                    log.warning("the board does not answer: %s", why)
                    quiet_until = now + COMPLAIN_EVERY_S
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            if state.busy(now):
                await trio.sleep_until(deadline)  # frames that come meanwhile only set their flag
            else:
                await self._woken(min(deadline, now + (math.inf if board.poll_s is None else board.poll_s)))

    async def _woken(self, deadline: float) -> None:
        with trio.move_on_at(deadline):
            await self._wake.wait()


def _read_switches(board: Lines) -> BoardFacts:
    facts = BoardFacts(board.read(Line.DIP1), board.read(Line.DIP2), board.read(Line.DIP3))
    if facts.dip_conflict:
        log.warning("DIP switches 1 and 2 disagree: no polarization; set both on or both off and power off and on")
    return facts
