"""What central systems upstream have not heard yet, kept while they are away (ocpp.md, Bridge, `offline = "buffer"`).

Messages of all charge points in one bounded record; each charge point's stand in the order in which it said them. Full,
it makes room by what is worth least: the oldest MeterValues. A StartTransaction or StopTransaction is never dropped:
where nothing else is left to drop, a new one is not taken, and its charge point, which gets no answer, keeps it.

One that a central system will not have is set aside, so that it does not keep the others waiting. With a
StartTransaction go the messages of its transaction: without it they would mean nothing. A restart tries all anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge

from gatewayd.site.journal import DropMessage, Journal, SaveMessage

MESSAGES_MAX = 10_000
"""Kept at most, of all charge points together (ocpp.md, Bridge): a day and a half of ten that charge all the time, and
what a central system can take within the minute there is for it."""
BYTES_MAX = 32 << 20
"""And no more than this: one message may be as long as `max_message_bytes`, and the memory is the appliance's."""
NEVER_DROPPED = frozenset({"StartTransaction", "StopTransaction"})
START, DROPPED_FIRST = "StartTransaction", "MeterValues"


@dataclass(eq=False, slots=True)
class Message:
    """A Call of a charge point, as it said it."""

    number: int
    """Grows; the order of saying."""
    charge_point: int
    action: str
    text: str
    transaction_id: int = 0
    """Of a StartTransaction: the id that the gateway answered it with. Of another: the one of those that it names; 0:
    none."""
    attempts: int = 0
    """How often the central system answered with an error, or not."""


@dataclass(slots=True)
class Backlog:
    """The messages that wait, and how many were lost."""

    losses: Counter[int] = field(default_factory=Counter)
    """By charge point: messages dropped for want of room, or because its central system would not have them, since the
    gateway started."""
    bytes: int = 0
    _last: int = 0
    _waiting: dict[int, dict[int, Message]] = field(default_factory=dict)
    """By charge point and number, so in order."""
    _aside: dict[int, dict[int, Message]] = field(default_factory=dict)
    """The same, of those that do not take part for now."""
    _droppable: tuple[dict[int, Message], dict[int, Message]] = field(default_factory=lambda: ({}, {}))
    """Meter values, and all others that may go; by number."""
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    @property
    def lost(self) -> int:
        """Of all charge points."""
        return self.losses.total()

    def count(self, charge_point: int) -> int:
        """How many of this one are kept, those set aside included."""
        return sum(len(places.get(charge_point, ())) for places in (self._waiting, self._aside))

    def add(
        self, charge_point: int, action: str, text: str, journal: Journal, now: float, transaction_id: int = 0
    ) -> int:
        """Keep one more, and drop others for it where there is no room. Returns the journal entry that makes it
        durable; 0 where it cannot be taken."""
        size = len(text)
        if not self._make_room(size, journal):
            return 0
        self._last += 1
        message = Message(self._last, charge_point, action, text, transaction_id)
        self._put(message)
        entry = SaveMessage(charge_point, message.number, action, text, transaction_id)
        if action in NEVER_DROPPED:
            return journal.write(entry)
        return journal.patient(entry, charge_point, now)

    def restore(self, messages: Iterable[Message]) -> None:
        """What the ledger held, in any order."""
        for message in sorted(messages, key=lambda each: each.number):
            self._last = message.number
            self._put(message)

    def first(self, charge_point: int) -> Message | None:
        """What this charge point's central system is to hear next."""
        return next(iter(self._waiting.get(charge_point, {}).values()), None)

    def of(self, charge_point: int) -> Iterator[Message]:
        """All of one charge point, oldest first."""
        both = (places.get(charge_point, {}).values() for places in (self._waiting, self._aside))
        return merge(*both, key=lambda each: each.number)

    def delivered(self, message: Message, journal: Journal) -> None:
        """The central system has it."""
        self._remove(message, journal)

    def drop(self, message: Message, journal: Journal) -> None:
        """It is lost, and counted."""
        if self._remove(message, journal):
            self.losses[message.charge_point] += 1

    # --- set aside ------------------------------------------------------------------------------------------

    def set_aside(self, message: Message) -> None:
        """The central system will not have it now: the others go on, but for those of a transaction of which this is
        the beginning."""
        of_it = self._waiting.get(message.charge_point, {})
        begins = message.transaction_id if message.action == START else 0
        for each in [m for m in of_it.values() if m is message or (begins and m.transaction_id == begins)]:
            del of_it[each.number]
            self._aside.setdefault(message.charge_point, {})[each.number] = each

    def aside(self, charge_point: int) -> int:
        """How many of this charge point are set aside."""
        return len(self._aside.get(charge_point, {}))

    @property
    def all_aside(self) -> int:
        """How many of all charge points."""
        return sum(len(of_it) for of_it in self._aside.values())

    def stranded(self, known: Container[int]) -> Counter[int]:
        """Numbers of charge points that are none of these → how many wait of each, set aside or not: nobody tells
        them, until one has that number again."""
        found: Counter[int] = Counter()
        for places in (self._waiting, self._aside):
            found.update({number: len(of_it) for number, of_it in places.items() if of_it and number not in known})
        return found

    def lies_aside(self, charge_point: int, transaction_id: int) -> bool:
        """Whether the beginning of this transaction does."""
        aside = self._aside.get(charge_point, {})
        return any(each.action == START and each.transaction_id == transaction_id for each in aside.values())

    def take_up(self, charge_point: int) -> None:
        """All that was set aside waits again, in its old place."""
        if self.aside(charge_point):
            self._waiting[charge_point] = {each.number: each for each in self.of(charge_point)}
            del self._aside[charge_point]

    # --- one more, one less ---------------------------------------------------------------------------------

    def _put(self, message: Message) -> None:
        aside = message.transaction_id and self.lies_aside(message.charge_point, message.transaction_id)
        places = self._aside if aside else self._waiting
        places.setdefault(message.charge_point, {})[message.number] = message
        if message.action not in NEVER_DROPPED:
            self._droppable[message.action != DROPPED_FIRST][message.number] = message
        self.bytes += len(message.text)
        self._count += 1

    def _remove(self, message: Message, journal: Journal) -> bool:
        number = message.number
        for places in (self._waiting, self._aside):
            of_it = places.get(message.charge_point, {})
            if of_it.pop(number, None) is not None:
                break
        else:
            return False
        for kind in self._droppable:
            kind.pop(number, None)
        self.bytes -= len(message.text)
        self._count -= 1
        journal.write(DropMessage(message.charge_point, number))
        return True

    def _make_room(self, size: int, journal: Journal) -> bool:
        """Whether there is room for one more of this size, now that the oldest were dropped for it."""
        while self._count >= MESSAGES_MAX or self.bytes + size > BYTES_MAX:
            oldest = next((next(iter(kind.values())) for kind in self._droppable if kind), None)
            if oldest is None:
                return False
            self.drop(oldest, journal)
        return True
