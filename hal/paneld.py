"""paneld: owns the lights, the DIP switches, polarization and termination, and shows when gatewayd is dead.

Words come as datagrams on a UNIX socket; the DIP switches are read once at boot and published, for the page, in
`board.json` beside it. A paneld that systemd started again takes the switches from that file: they take effect at the
next boot, not at the next crash (manual 5.1). The button is published as it is now, in `button.json`: whoever holds it
may claim the gateway. manual 6, interface.md "The board".
"""

from __future__ import annotations

import argparse
import logging
import math
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hal import facts_file, panel
from hal.board_spec import open_lines
from hal.contract import (
    BUTTON_FACTS,
    LEDS,
    MAX_DATAGRAM_BYTES,
    PANEL_SOCKET,
    BoardFacts,
    Line,
    Words,
    button_text,
)
from hal.lines import Lines
from hal.reset_sequence import STUCK_S
from hal.systemd import Systemd, activated_socket

log = logging.getLogger("paneld")

MAX_WORDS_PER_TURN: Final = 32
"""Datagrams taken before the lights are looked after again: a flood must not stop them."""


class Paneld:
    """The panel between datagrams and lines, a turn at a time; the time is an argument."""

    def __init__(self, lines: Lines, facts: BoardFacts, now: float) -> None:
        self.lines = lines
        self._state = panel.begin(now, dip_conflict=facts.dip_conflict)
        self._down_since: float | None = None
        lines.write(Line.BIAS, facts.bias)
        lines.write(Line.TERMINATION, facts.termination)

    @property
    def program(self) -> panel.Program:
        return self._state.program

    def turn(self, datagrams: Iterable[bytes], now: float) -> float:
        """Shows what was heard, or only what time it is; returns when to come back. OSError: the board is gone."""
        for words in [*filter(None, map(Words.decode, datagrams)), None]:
            self._state, lit, deadline = panel.step(self._state, words, now)
        for led in LEDS:
            self.lines.write(led, led in lit)
        self.lines.edges()
        return deadline

    def button(self, now: float) -> bool:
        """Whether somebody holds it. Down for longer than anybody would hold it, it is broken. OSError as `turn`."""
        if not self.lines.read(Line.BUTTON):
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now
        return self._down_since is not None and now - self._down_since < STUCK_S

    def dark(self) -> None:
        """The last thing before power goes."""
        for led in LEDS:
            self.lines.write(led, False)


def switches(lines: Lines, published: Path) -> BoardFacts:
    """The DIP switches as they were at boot: from what this boot's first paneld published, or read now."""
    text = facts_file.read(published)
    if text is not None:
        try:
            return BoardFacts.from_json(text)
        except ValueError as wrong:
            log.warning("%s: %s", published, wrong)
    facts = BoardFacts(lines.read(Line.DIP1), lines.read(Line.DIP2), lines.read(Line.DIP3))
    facts_file.publish(published, facts.to_json())
    return facts


def words_socket(path: Path) -> socket.socket:
    """Where words come in: systemd's socket, or one of our own at `path`."""
    given = activated_socket(socket.SOCK_DGRAM)
    if given is not None:
        return given
    path.unlink(missing_ok=True)
    own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    own.bind(str(path))
    return own


def heard(words: socket.socket) -> list[bytes]:
    """The datagrams that are there, at most `MAX_WORDS_PER_TURN`."""
    datagrams: list[bytes] = []
    while len(datagrams) < MAX_WORDS_PER_TURN:
        try:
            datagrams.append(words.recv(MAX_DATAGRAM_BYTES))
        except BlockingIOError:
            break
    return datagrams


def serve(paneld: Paneld, words: socket.socket, systemd: Systemd, button_facts: Path) -> None:
    """For ever: wait for words or for the next change of a light."""
    with selectors.DefaultSelector() as selector:
        selector.register(words, selectors.EVENT_READ)
        edges = paneld.lines.fileno()
        if edges is not None:
            selector.register(edges, selectors.EVENT_READ)
        look_s = min(paneld.lines.poll_s or math.inf, systemd.watchdog_every_s)
        alive_at, program, held = -math.inf, None, None
        while True:
            now = time.monotonic()
            deadline = paneld.turn(heard(words), now)
            if (down := paneld.button(now)) is not held:
                facts_file.publish(button_facts, button_text(held=down))
                held = down
            if now >= alive_at:
                systemd.alive()
                alive_at = now + systemd.watchdog_every_s
            if paneld.program is not program:
                program = paneld.program
                log.info("the panel shows: %s", program.value)
                systemd.status(f"shows: {program.value}")
            selector.select(max(0.0, min(deadline - now, look_s)))


def stop(signum: int, frame: object) -> None:
    """SIGTERM: out of whatever waits."""
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM (exit 0). 2: the board's name is none."""
    parser = argparse.ArgumentParser(prog="paneld", description="lights, DIP switches, polarization and termination")
    parser.add_argument("--board", default="gpio", help="sim:DIR, gpio:/dev/gpiochipN; gpio: the chip with our lines")
    parser.add_argument("--run", type=Path, default=Path(PANEL_SOCKET).parent, help="directory of socket and facts")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, stop)
    systemd = Systemd()
    try:
        lines = open_lines(options.board)
    except ValueError as wrong:
        parser.error(str(wrong))
    run = facts_file.made_directory(options.run)
    facts = switches(lines, run / "board.json")
    if facts.dip_conflict:
        log.warning("DIP switches 1 and 2 disagree: no polarization; set both on or both off, power off and on")
    paneld = Paneld(lines, facts, time.monotonic())
    with words_socket(run / Path(PANEL_SOCKET).name) as words:
        systemd.ready("listening")
        try:
            serve(paneld, words, systemd, run / BUTTON_FACTS)
        except KeyboardInterrupt:
            return 0
        finally:
            systemd.stopping()
            facts_file.remove(run / BUTTON_FACTS)
            paneld.dark()
    return 0


if __name__ == "__main__":
    sys.exit(main())
