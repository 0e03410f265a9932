"""What a charge point still has to say: transactions until they are answered, the rest only while somebody listens."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import trio

from ..ocpp_link import CallFailed, Link, LinkLost, NoAnswer
from ..script import Payload

# MeterValues that may wait while offline: a month of one-minute samples of one connector. Start and stop are never
# dropped.
MAX_WAITING_METER_VALUES = 43_200
# Calls in a row that nobody answered: then the link is taken for dead, as most charge points do.
MAX_UNANSWERED = 3
MAX_WAIT_FACTOR = 6  # a repeated message waits no longer than this many retry intervals


class Offline(Exception):
    """The message was not sent, or the link went down before its answer."""


@dataclass(slots=True, eq=False)
class Message:
    """One Call to make. The payload is made when it is sent: an offline transaction gets its id that late."""

    action: str
    payload: Callable[[], Payload]
    on_answer: Callable[[Payload], None] | None = None
    on_failure: Callable[[Exception], None] | None = None
    sequence: int = 0
    attempts: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class Outbox:
    """`put` is for now or never, `put_durable` is kept, in order, over disconnects and resets until answered."""

    call_timeout_s: float = 60.0
    attempts_allowed: Callable[[], int] = lambda: 3
    retry_interval_s: Callable[[], int] = lambda: 10
    online: bool = False
    dropped_meter_values: int = 0
    _durable: deque[Message] = field(default_factory=deque)
    _passing: deque[Message] = field(default_factory=deque)
    _meter_values: int = 0
    _sequence: int = 0
    _backlog_until: int = 0
    _changed: trio.Event = field(default_factory=trio.Event)
    _moved: trio.Event = field(default_factory=trio.Event)

    @property
    def waiting_durable(self) -> int:
        """Transaction messages not yet answered."""
        return len(self._durable)

    def put(
        self,
        action: str,
        payload: Payload,
        on_answer: Callable[[Payload], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        """Send soon, or fail with Offline."""
        if not self.online:
            if on_failure:
                on_failure(Offline())
            return
        self._passing.append(Message(action, lambda: payload, on_answer, on_failure, self._next_sequence()))
        self._wake()

    async def ask(self, action: str, payload: Payload) -> Payload:
        """Send, and wait for the answer. Offline, NoAnswer or CallFailed."""
        answered = trio.Event()
        outcome: list[Payload | Exception] = []

        def done(result: Payload | Exception) -> None:
            outcome.append(result)
            answered.set()

        self.put(action, payload, done, done)
        await answered.wait()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def put_durable(
        self,
        action: str,
        payload: Callable[[], Payload],
        on_answer: Callable[[Payload], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self._durable.append(Message(action, payload, on_answer, on_failure, self._next_sequence()))
        if action == "MeterValues":
            self._meter_values += 1
            self._thin_out()
        self._wake()

    async def deliver(self, link: Link, announce: Callable[[], None]) -> None:
        """Send while this link is up; what `announce` puts goes first.

        Returns when the link is lost, or when the other side has stopped answering.
        """
        self.online = True
        unanswered = 0
        sending: Message | None = None
        self._backlog_until = self._sequence
        if self._durable:
            self._durable[0].not_before = 0.0
        announce()
        try:
            while unanswered < MAX_UNANSWERED:
                sending = await self._next()
                try:
                    answer = await link.call(sending.action, sending.payload(), self.call_timeout_s)
                except LinkLost:
                    return
                except NoAnswer as error:
                    unanswered += 1
                    self._fail(sending, error)
                except CallFailed as error:
                    unanswered = 0
                    self._fail(sending, error)
                else:
                    unanswered = 0
                    self._forget(sending)
                    if sending.on_answer:
                        sending.on_answer(answer)
                sending = None
        finally:
            self.online = False
            self._moved.set()
            unsent, self._passing = [*([sending] if sending else []), *self._passing], deque()
            for message in unsent:
                self._fail(message, Offline())

    async def drained(self) -> None:
        """Wait until no transaction message is left; at once when offline, where waiting would help nobody."""
        while self.online and self._durable:
            self._moved = trio.Event()
            await self._moved.wait()

    async def _next(self) -> Message:
        """The next one that may go: in the order of putting, but people do not wait for an old backlog."""
        while True:
            self._changed = trio.Event()
            now = trio.current_time()
            durable = self._durable[0] if self._durable else None
            passing = self._passing[0] if self._passing else None
            if durable and durable.not_before <= now:
                backlog = durable.sequence <= self._backlog_until or durable.attempts > 0
                if passing is None or (not backlog and durable.sequence < passing.sequence):
                    return durable
            if passing:
                return self._passing.popleft()
            with trio.move_on_at(durable.not_before if durable else float("inf")):
                await self._changed.wait()

    def _fail(self, message: Message, error: Exception) -> None:
        if self._is_first(message):
            message.attempts += not isinstance(error, Offline)
            if not isinstance(error, CallFailed) or message.attempts < self.attempts_allowed():
                # OCPP 1.6, 3.7.1: the wait grows with every attempt.
                wait_s = self.retry_interval_s() * min(message.attempts, MAX_WAIT_FACTOR)
                message.not_before = 0.0 if isinstance(error, Offline) else trio.current_time() + wait_s
                return
            self._forget(message)
        if message.on_failure:
            message.on_failure(error)

    def _forget(self, message: Message) -> None:
        if self._is_first(message):
            self._durable.popleft()
            self._meter_values -= message.action == "MeterValues"
            self._moved.set()

    def _is_first(self, message: Message) -> bool:
        return bool(self._durable) and self._durable[0] is message

    def _thin_out(self) -> None:
        if self._meter_values > MAX_WAITING_METER_VALUES:
            # Not the very first: it may be on the wire at this moment.
            oldest = next(m for m in islice(self._durable, 1, None) if m.action == "MeterValues")
            self._durable.remove(oldest)
            self._meter_values -= 1
            self.dropped_meter_values += 1

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _wake(self) -> None:
        self._changed.set()
