"""What central systems upstream have not heard yet, kept while they are away (ocpp.md, Bridge, `offline = "buffer"`).

Messages of all charge points in one bounded record; each charge point's stand in the order in which it said them. Full,
it makes room by what is worth least: the oldest MeterValues. A StartTransaction or StopTransaction is never dropped:
where nothing else is left to drop, a new one is not taken, and its charge point, which gets no answer, keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gatewayd.site.journal import DropMessage, Journal, SaveMessage

MESSAGES_MAX = 10_000
"""Kept at most, of all charge points together (ocpp.md, Bridge): a day and a half of ten that charge all the time, and
what a central system can take within the minute there is for it."""
BYTES_MAX = 32 << 20
"""And no more than this: one message may be as long as `max_message_bytes`, and the memory is the appliance's."""
NEVER_DROPPED = frozenset({"StartTransaction", "StopTransaction"})
DROPPED_FIRST = "MeterValues"


@dataclass(eq=False, slots=True)
class Message:
    """A Call of a charge point, as it said it."""

    number: int
    """Grows; the order of saying."""
    charge_point: int
    action: str
    text: str
    transaction_id: int = 0
    """Of a StartTransaction: the id that the gateway answered it with."""
    attempts: int = 0
    """How often the central system answered with an error."""


@dataclass(slots=True)
class Backlog:
    """The messages that wait, and how many were lost."""

    lost: int = 0
    """Messages dropped for want of room, since the gateway started."""
    unreported: int = 0
    """Of these, how many nobody was told of yet."""
    bytes: int = 0
    _last: int = 0
    _by_charge_point: dict[int, dict[int, Message]] = field(default_factory=dict)
    _droppable: tuple[dict[int, Message], dict[int, Message]] = field(default_factory=lambda: ({}, {}))
    """Meter values, and all others that may go; by number, so in order."""
    _count: int = 0

    def __len__(self) -> int:
        return self._count

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
        return next(iter(self._by_charge_point.get(charge_point, {}).values()), None)

    def of(self, charge_point: int) -> Iterator[Message]:
        """All of one charge point, oldest first."""
        return iter(self._by_charge_point.get(charge_point, {}).values())

    def delivered(self, message: Message, journal: Journal) -> None:
        """The central system has it."""
        self._remove(message, journal)

    def drop(self, message: Message, journal: Journal) -> None:
        """It is lost, and counted."""
        if self._remove(message, journal):
            self.lost += 1
            self.unreported += 1

    def _put(self, message: Message) -> None:
        self._by_charge_point.setdefault(message.charge_point, {})[message.number] = message
        if message.action not in NEVER_DROPPED:
            self._droppable[message.action != DROPPED_FIRST][message.number] = message
        self.bytes += len(message.text)
        self._count += 1

    def _remove(self, message: Message, journal: Journal) -> bool:
        of_it = self._by_charge_point.get(message.charge_point, {})
        if of_it.pop(message.number, None) is None:
            return False
        if not of_it:
            del self._by_charge_point[message.charge_point]
        for kind in self._droppable:
            kind.pop(message.number, None)
        self.bytes -= len(message.text)
        self._count -= 1
        journal.write(DropMessage(message.charge_point, message.number))
        return True

    def _make_room(self, size: int, journal: Journal) -> bool:
        """Whether there is room for one more of this size, now that the oldest were dropped for it."""
        while self._count >= MESSAGES_MAX or self.bytes + size > BYTES_MAX:
            oldest = next((next(iter(kind.values())) for kind in self._droppable if kind), None)
            if oldest is None:
                return False
            self.drop(oldest, journal)
        return True
