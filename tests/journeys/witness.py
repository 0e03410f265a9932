"""What the gateway says and hears on its OCPP connections, judged by what ocpp.md promises of every one of them.

The witness stands at the gateway's end of the wire: what the weather did to a message on its way out is not the
gateway's doing, and what it did on the way in is what the gateway has to live with. It reads frames by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import trio

from tests.journeys.frames import Frame
from tests.journeys.invariant import Complain, Invariant

CALL, RESULT, ERROR = 2, 3, 4
SILENT_BOOT_S = 5.0  # ocpp.md, Calls: nothing before Boot is answered, or this long after any first message
ANSWER_S = 25.0  # a decision takes 8 s, a reading may wait 6 s for company on the disk, a disk that hangs counts 5 s
TICK_S = 0.001
ID_LONGEST = 36
ANSWER_HEAD = re.compile(r'\s*\[\s*[34]\s*,\s*"([^"\\]{1,36})"')


@dataclass
class Witnesses:
    """Makes a witness for every connection, and remembers what must hold between them."""

    complain: Complain
    log: Callable[[str, str], None]
    call_timeout_s: float
    transactions: dict[int, tuple[object, ...]] = field(default_factory=dict)
    """Transaction id → whose StartTransaction it answered."""
    alive: set[OcppWitness] = field(default_factory=set)
    calls: int = 0
    answers: int = 0

    def witness(self, who: str, name: str) -> OcppWitness:
        made = OcppWitness(self, who, name)
        self.alive.add(made)
        return made

    def look(self) -> None:
        """Whether anybody waits too long for an answer."""
        for witness in self.alive:
            witness.look()

    def given(self, transaction_id: Any, start: tuple[object, ...]) -> None:
        """StartTransaction was answered with this id."""
        if not isinstance(transaction_id, int) or transaction_id <= 0:
            self.complain(Invariant.transaction_ids, f"transaction ids are positive, not {transaction_id!r}")
        elif self.transactions.setdefault(transaction_id, start) != start:
            former = self.transactions[transaction_id]
            self.complain(Invariant.transaction_ids, f"id {transaction_id} given twice: {former}, {start}")


@dataclass(eq=False)
class OcppWitness:
    """One connection."""

    all: Witnesses
    who: str
    name: str
    open_call: tuple[str, str, float] | None = None
    """Id, action and time of the gateway's Call that has no answer yet."""
    owed: dict[str, list[tuple[float, str, Any]]] = field(default_factory=dict)
    """Id of the charge point's Call → when each of them came that has no answer yet, action and payload."""
    first_heard: float | None = None
    booted: bool = False
    closing: bool = False

    def said(self, frame: Frame) -> None:
        """By the gateway."""
        if frame.what == "close":
            self.closing = True
        if frame.what != "message":
            return
        self.all.log(self.name, f"> {frame.text}")
        message = json.loads(frame.text)
        if message[0] == CALL:
            self._called(message[1], message[2])
        else:
            self._answered(message)

    def heard(self, frame: Frame) -> None:
        """By the gateway."""
        if frame.what not in ("message", "garbled"):
            return
        now = trio.current_time()
        self.all.log(self.name, f"< {frame.text or frame.data.hex()}")
        if self.first_heard is None:
            self.first_heard = now
        head = ANSWER_HEAD.match(frame.text)
        if head and self.open_call and head[1] == self.open_call[0]:
            self.open_call = None
        message = _read(frame.text)
        if isinstance(message, list) and message[:1] == [CALL] and len(message) > 1 and _is_id(message[1]):
            action, payload = [*message[2:4], None, None][:2]
            self.owed.setdefault(message[1], []).append((now, str(action), payload))

    def ended(self) -> None:
        self.all.alive.discard(self)

    def look(self) -> None:
        now = trio.current_time()
        for unique_id, waiting in self.owed.items():
            if not self.closing and now - waiting[0][0] > ANSWER_S:
                what = f"{self.name}: {waiting[0][1]} {unique_id} has no answer for {ANSWER_S} s"
                self.all.complain(Invariant.answered, what)
                self.closing = True

    def _called(self, unique_id: str, action: str) -> None:
        now = trio.current_time()
        self.all.calls += 1
        if self.open_call and now - self.open_call[2] < self.all.call_timeout_s - TICK_S:
            what = f"{self.name}: {action} {unique_id} while {self.open_call} is open"
            self.all.complain(Invariant.one_call, what)
        silent_boot = self.first_heard is not None and now >= self.first_heard + SILENT_BOOT_S - TICK_S
        if not self.booted and not silent_boot:
            self.all.complain(
                Invariant.quiet_before_boot, f"{self.name}: {action} before BootNotification was answered"
            )
        self.open_call = (unique_id, action, now)

    def _answered(self, message: list[Any]) -> None:
        self.all.answers += 1
        waiting = self.owed.get(message[1])
        if not waiting:
            self.all.complain(Invariant.answered, f"{self.name}: an answer that nobody waits for: {message}")
            return
        _, action, payload = waiting.pop(0)
        if not waiting:
            del self.owed[message[1]]
        if message[0] != RESULT:
            return
        if action == "BootNotification":
            self.booted = True
        if action == "StartTransaction":
            start = (self.who, *(payload[key] for key in ("connectorId", "timestamp", "idTag", "meterStart")))
            self.all.given(message[2].get("transactionId"), start)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= ID_LONGEST


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
