"""What must hold of a bridge, whatever its central system does: judged on both wires, by readers of their own.

One witness stands at the gateway's end of a charge point's wire, another at the central system's end of its wire. What
they see of one charge point comes together in its `Case`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import trio

from tests.journeys.frames import Frame

CALL = 2
START, STOP, METER = "StartTransaction", "StopTransaction", "MeterValues"
ANSWER_S = 50.0
"""Under `buffer`: 10 s until it goes up ahead of the rest, 30 s for the central system, and a decision."""


class Bridging(Enum):
    """ocpp.md, Bridge; promises R10."""

    kept = "no StartTransaction or StopTransaction is lost or doubled"
    ids = "transaction ids are the central system's there, and the charge point's own here"
    order = "what a charge point says arrives in its order"
    dropped = "`disconnect`: the charge point is dropped within 10 s"
    served = "`buffer`: the charge point stays, and every Call of it is answered"
    drained = "all is heard 60 s after the weather"
    leaks = "nothing of our own goes upstream"
    once = "an answer reaches the charge point once"
    one_call = "a Call of ours and one of the central system's are never open together"
    verbatim = "`disconnect`: not a byte is changed"


Complain = Callable[[Bridging, str], None]


@dataclass
class Case:
    """One charge point, seen on both wires."""

    name: str
    said: dict[str, str] = field(default_factory=dict)
    """Ids of its Calls, in the order of saying → action."""
    texts: set[str] = field(default_factory=set)
    """All that it said."""
    transactions: dict[str, int] = field(default_factory=dict)
    """Ids of its Calls → the transaction that they belong to, by the charge point's number."""
    answers: Counter[str] = field(default_factory=Counter)
    """Ids of its Calls → how often it was answered."""
    owed: dict[str, float] = field(default_factory=dict)
    """Ids of its Calls on the wire that stands → since when they wait."""
    open_calls: dict[str, float] = field(default_factory=dict)
    """Ids of Calls to it on the wire that stands."""
    centre_texts: set[str] = field(default_factory=set)
    centre_calls: set[str] = field(default_factory=set)
    centre_ids: set[int] = field(default_factory=set)
    """Of transactions, as the central system gave them."""
    heard: dict[str, list[str]] = field(default_factory=dict)
    """Wire upstream → ids of the Calls that came there, each when it came anywhere first."""
    known: dict[str, None] = field(default_factory=dict)
    """Ids of its Calls that came to the central system, in the order of coming first."""


class Judges:
    """Makes the witnesses. `buffered`: the policy."""

    def __init__(self, complain: Complain, log: Callable[[str, str], None], *, buffered: bool) -> None:
        self.complain, self.log, self.buffered = complain, log, buffered
        self.cases: dict[str, Case] = {}
        self.frames = 0
        self.stopping = False
        """The gateway is being stopped, and says goodbye."""
        self.on_answer: Callable[[str, str], None] = lambda _who, _text: None
        """Hears whom the central system answered, and what."""

    def case(self, name: str) -> Case:
        return self.cases.setdefault(name, Case(name))

    def downstream(self, who: str, name: str) -> Downstream:
        case = self.case(who)
        case.owed.clear()
        case.open_calls.clear()
        return Downstream(self, case, name)

    def upstream(self, who: str, name: str) -> Upstream:
        return Upstream(self, self.case(who), name)

    def restarted(self) -> None:
        """The gateway was started anew. Under `disconnect` frames pass and it keeps nothing of them, so it cannot know
        that an answer was heard before."""
        for case in self.cases.values() if not self.buffered else ():
            case.answers.clear()

    def look(self) -> None:
        """Whether a charge point waits too long for an answer."""
        now = trio.current_time()
        for case in self.cases.values() if self.buffered else ():
            for unique_id, since in list(case.owed.items()):
                if now - since > ANSWER_S:
                    del case.owed[unique_id]
                    self.complain(Bridging.served, f"{case.name}: {case.said[unique_id]} has no answer")

    def in_order(self) -> None:
        """Call it at the end: the ids of transactions are known late."""
        for case in self.cases.values():
            place = {unique_id: at for at, unique_id in enumerate(case.said)}
            for wire, heard in case.heard.items() if not self.buffered else ():
                if heard != sorted(heard, key=place.__getitem__):
                    self.complain(Bridging.order, f"{wire}: {heard}")
            by_transaction: dict[int, list[str]] = {}
            for unique_id in case.known:
                if unique_id in case.transactions:
                    by_transaction.setdefault(case.transactions[unique_id], []).append(unique_id)
            for number, heard in by_transaction.items():
                if heard != sorted(heard, key=place.__getitem__):
                    what = [case.said[each] for each in heard]
                    self.complain(Bridging.order, f"{case.name}: of transaction {number} came {what}")


@dataclass(eq=False)
class Downstream:
    """The gateway's end of a charge point's wire."""

    all: Judges
    case: Case
    name: str

    def said(self, frame: Frame) -> None:
        """By the gateway."""
        if frame.what == "close" and self.all.buffered and not self.all.stopping:
            self.all.complain(Bridging.served, f"{self.name} was closed")
        if frame.what != "message":
            return
        self.all.log(self.name, f"> {frame.text}")
        message = json.loads(frame.text)
        if message[0] == CALL:
            self._asked(message, frame.text)
        else:
            self._answered(message, frame.text)

    def heard(self, frame: Frame) -> None:
        """By the gateway."""
        if frame.what != "message":
            return
        self.all.frames += 1
        self.all.log(self.name, f"< {frame.text}")
        case, message = self.case, json.loads(frame.text)
        case.texts.add(frame.text)
        if message[0] != CALL:
            case.open_calls.pop(message[1], None)
            return
        unique_id, action, payload = message[1:4]
        case.said[unique_id] = action
        case.owed[unique_id] = trio.current_time()
        if action in (METER, STOP) and "transactionId" in payload:
            case.transactions[unique_id] = payload["transactionId"]

    def ended(self) -> None:
        self.case.owed.clear()

    def _asked(self, message: list[Any], text: str) -> None:
        case, unique_id, now = self.case, message[1], trio.current_time()
        ours = unique_id not in case.centre_calls
        for other, until in case.open_calls.items():
            if now < until and (ours or other not in case.centre_calls):
                self.all.complain(Bridging.one_call, f"{self.name}: {message[2]} {unique_id} while {other} is open")
        case.open_calls[unique_id] = now + OPEN_S
        if not ours and not self.all.buffered and text not in case.centre_texts:
            self.all.complain(Bridging.verbatim, f"{self.name} got {text}")

    def _answered(self, message: list[Any], text: str) -> None:
        case, unique_id = self.case, message[1]
        case.owed.pop(unique_id, None)
        case.answers[unique_id] += 1
        if case.answers[unique_id] > 1:
            self.all.complain(Bridging.once, f"{self.name}: {case.said.get(unique_id)} {unique_id} again: {text}")
        elif not self.all.buffered and text not in case.centre_texts:
            self.all.complain(Bridging.verbatim, f"{self.name} got {text}")
        if case.said.get(unique_id) == START and message[0] != CALL and "transactionId" in message[2]:
            case.transactions.setdefault(unique_id, message[2]["transactionId"])


OPEN_S = 59.9
"""`call_timeout_s` of the gateway, less a moment: after that a Call counts as not answered."""


@dataclass(eq=False)
class Upstream:
    """The central system's end of its wire for one charge point."""

    all: Judges
    case: Case
    name: str

    def said(self, frame: Frame) -> None:
        """By the central system."""
        if frame.what != "message":
            return
        self.all.log(self.name, f"> {frame.text}")
        message = json.loads(frame.text)
        self.case.centre_texts.add(frame.text)
        if message[0] == CALL:
            self.case.centre_calls.add(message[1])
        else:
            if self.case.said.get(message[1]) == START and "transactionId" in message[2]:
                self.case.centre_ids.add(message[2]["transactionId"])
            self.all.on_answer(self.case.name, frame.text)

    def heard(self, frame: Frame) -> None:
        """By the central system."""
        if frame.what != "message":
            return
        self.all.frames += 1
        self.all.log(self.name, f"< {frame.text}")
        case, message = self.case, json.loads(frame.text)
        unique_id = message[1]
        if unique_id not in (case.said if message[0] == CALL else case.centre_calls):
            self.all.complain(Bridging.leaks, f"{self.name}: {frame.text}")
        elif not self.all.buffered and frame.text not in case.texts:
            self.all.complain(Bridging.verbatim, f"{self.name} passed on {frame.text}")
        if message[0] == CALL and message[2] in (METER, STOP):
            number = message[3].get("transactionId")
            if number is not None and number not in case.centre_ids:
                self.all.complain(Bridging.ids, f"{self.name}: nobody gave {number}: {frame.text}")
        if message[0] == CALL and unique_id not in case.known:
            case.known[unique_id] = None
            case.heard.setdefault(self.name, []).append(unique_id)

    def ended(self) -> None:
        pass
