"""Every command from the register that asked to its outcome: one, and in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.command import Command, Report
from tests.journeys.inspector import Inspector
from tests.journeys.invariant import Complain, Invariant

SLACK_S = 10.0
IDLE, QUEUED, SENT, DONE, FAILED = range(5)


@dataclass
class Outcomes:
    """Looks over the shoulder of `Command.report`, which every outcome passes, and at the mailboxes' registers."""

    complain: Complain
    log: Callable[[str, str], None]
    patience_s: float
    """No command takes longer: three Calls without an answer close the link, and then nothing waits any more."""
    now: Callable[[], float]
    offered: dict[Command, tuple[str, float]] = field(default_factory=dict)
    """Commands without an outcome → charge point, and since when."""
    concluded: int = 0
    mailboxes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Charge point → `command_ack`, `command_state`, `command_result` as they were seen last."""
    since: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, nothing escapes."""
        report, offer = Command.report, ChargePoint.offer

        def offered(charge_point: ChargePoint, command: Command, now: float) -> None:
            self.offered[command] = (charge_point.name, now)
            offer(charge_point, command, now)

        def reported(command: Command, told: Report, now: float) -> None:
            who, _ = self.offered.setdefault(command, ("gateway", now))
            self.log(who, f"{command.action or command.code.name} {told.state.name} {told.error.name}")
            if command.finished:
                self.complain(Invariant.outcome, f"{command.code.name} {command.slot} is concluded a second time")
            if told.final:
                self.concluded += 1
                del self.offered[command]
            report(command, told, now)

        with patch.object(ChargePoint, "offer", offered), patch.object(Command, "report", reported):
            yield

    def forget(self) -> None:
        """The gateway was started anew: what was on its way is lost with it, the acks are kept."""
        self.offered.clear()
        self.mailboxes.clear()
        self.since.clear()

    def look(self, inspector: Inspector, charge_points: int) -> None:
        """Every second."""
        now = self.now()
        for command, (who, since) in list(self.offered.items()):
            if command.finished:  # a newer value of the same setpoint speaks for it
                del self.offered[command]
            elif now - since > self.patience_s:
                self.complain(
                    Invariant.outcome, f"{who}: {command.code.name} {command.slot} has none for {now - since} s"
                )
                del self.offered[command]
        for number in range(1, charge_points + 1):
            self._look_at_mailbox(inspector, number, now)

    def _look_at_mailbox(self, inspector: Inspector, number: int, now: float) -> None:
        """The same from outside: an ack's outcome comes in time, and stands until the next one."""
        seen = inspector.registers(3000 * number + 300 * 8 + 110, 3)
        before = self.mailboxes.get(number)
        self.mailboxes[number] = seen
        if before is None or before[0] != seen[0]:
            self.since[number] = now
            return
        if before[1] in (DONE, FAILED) and seen != before:
            self.complain(Invariant.outcome, f"CP{number:03}: the outcome {before} of a command became {seen}")
        if seen[1] in (QUEUED, SENT) and now - self.since[number] > self.patience_s:
            self.complain(Invariant.outcome, f"CP{number:03}: command {seen} has none for {now - self.since[number]} s")
            self.since[number] = now
