"""What the BMS wants of a charge point, from the register that asks to exactly one outcome.

A `Command` is offered to the charge point's link. Whoever asked is told of each step through `Origin.report`:
queued → sent → done or failed. The last report is the outcome; there is never a second one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct

from gatewayd.site.codes import CommandCode, CommandError, CommandState, Result

RESPONSE_TEXT_LENGTH = 100
"""Characters of `command_text` (the table)."""


class Report(Struct, frozen=True):
    """Where a command stands. `result` and `error` are codes of the table; `r1` and `text` carry the answer."""

    state: CommandState
    result: int = Result.none
    error: CommandError = CommandError.none
    r1: int | None = None
    text: str = ""
    content: object | None = None
    """What else the answer brought, for an origin that knows it."""

    @property
    def final(self) -> bool:
        return self.state in (CommandState.done, CommandState.failed)


def failed(error: CommandError, result: int = Result.none, text: str = "") -> Report:
    return Report(CommandState.failed, result, error, text=text)


class Origin(Protocol):
    """Who asked, and shows the outcome in registers."""

    def report(self, command: Command, report: Report, now: float) -> None: ...


@dataclass(eq=False, slots=True)
class Command:
    """One operation towards the charge point, with the arguments of the command mailbox (modbus.md, Command mailbox).

    `slot` names the place among waiting commands: a newer command with the same slot replaces an older one that
    has not been sent yet (triggers and setpoints wait one per point, the newest value wins); None never replaces.
    """

    code: CommandCode
    origin: Origin
    connector: int = 0
    p1: int = 0
    p2: int = 0
    p3: int = 0
    t1: int = 0
    id_tag: str = ""
    parent_id_tag: str = ""
    key: str = ""
    value: str = ""
    slot: str | None = None
    payload: object | None = None
    """What does not fit the arguments (limits, profiles, lists): the record that says what is wanted."""
    action: str = ""
    """The OCPP action, where `payload` is a ready request."""
    durable: int = 0
    """Number of the journal entry that must be committed before the Call goes out; 0 = none."""
    conclude: Callable[[Any], Report] | None = None
    """How the answer to `payload` becomes a report; None: as the table of operations says."""
    finished: bool = False

    def report(self, report: Report, now: float) -> None:
        """Tell the origin; refuses to conclude twice (a bug, so it is loud)."""
        if self.finished:
            raise RuntimeError(f"{self.code.name} was already concluded")
        self.finished = report.final
        self.origin.report(self, report, now)


class TriggerOutcome(Struct):
    """`trigger_command` .. `trigger_error` of one block: the last trigger or setpoint there."""

    command: int = CommandCode.none
    state: int = CommandState.idle
    result: int = Result.none
    error: int = CommandError.none

    def show(self, code: int, report: Report) -> None:
        self.command, self.state, self.result, self.error = code, report.state, report.result, report.error


HELD_TRIGGER_S = 10.0
"""A 1 written again and again acts once; after this long without a 1 the trigger is armed again (modbus.md, Types)."""


class Trigger(Struct):
    """The memory of one trigger register: tells a fresh 1 from one that a PLC keeps writing."""

    last_one: float | None = None

    def fires(self, value: int, now: float, *, every_write: bool) -> bool:
        """Whether this written value acts. `every_write` is notify = "always"."""
        if not value:
            self.last_one = None
            return False
        held = self.last_one is not None and now - self.last_one < HELD_TRIGGER_S
        self.last_one = now
        return every_write or not held


@dataclass(slots=True)
class CommandMailbox:
    """`command_ack` .. `command_text` of block 8, and the registers that the BMS fills."""

    registers: bytearray
    """Offsets 0..105 as they were written, on the wire's own word order."""
    ack: int = 0
    state: int = CommandState.idle
    result: int = Result.none
    error: int = CommandError.none
    r1: int | None = 0
    """0 before the first command, as all of a mailbox but its ack is after a restart (modbus.md, Types)."""
    text: str = ""
    since: float | None = None
    running: Command | None = field(default=None, repr=False)

    @property
    def busy(self) -> bool:
        return self.running is not None

    def show(self, report: Report, now: float) -> None:
        """Put a step of the running command into the registers; the final one frees the mailbox."""
        self.state, self.result, self.error = report.state, report.result, report.error
        self.r1, self.text = report.r1, report.text[:RESPONSE_TEXT_LENGTH]
        if report.final:
            self.running = None
