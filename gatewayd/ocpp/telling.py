"""What a central system missed while it was away, and how it is told, sans-IO (ocpp.md, Bridge).

States, of which only the newest counts, first, then the backlog; one message at a time, each until it is answered. A
central system that does not answer is dialled anew. What it does not answer, or refuses, three times in a row must not
keep all others waiting: a StartTransaction or StopTransaction is set aside, with what belongs to it, and told again
later; any other message is lost, and counted.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass, field

from msgspec import Struct

from gatewayd.ocpp import frames, schema, schema_core
from gatewayd.ocpp.bridge import BOOT, Bridge
from gatewayd.ocpp.own_triggers import QUIET
from gatewayd.ocpp.renumbering import NAMED_BY_CHARGE_POINT, renumbered
from gatewayd.ocpp.session import NO_ANSWER_CLOSE, SILENT_BOOT_S, Close, Send
from gatewayd.ocpp.upstream_heard import told_the_time
from gatewayd.site import sessions
from gatewayd.site.agenda import Entry
from gatewayd.site.backlog import NEVER_DROPPED, START, Message
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandCode, LinkState, QuirkBits
from gatewayd.site.command import Command

log = logging.getLogger(__name__)

TOLD_TIMEOUT_S = 30.0
"""For its answer to something it missed; then the link is taken for dead."""
ATTEMPTS_MAX, ATTEMPT_PAUSE_S = 3, 5.0
"""So often it is told a message that it answers with an error, with longer pauses each time, or not at all, on a new
link each time (OCPP 1.6, 3.7.1)."""
ASIDE_S, ASIDE_MAX_S = 60.0, 900.0
"""What is set aside is told again so much later, at first and at most, or when the link comes back."""
NOT_ACCEPTED = frozenset({LinkState.pending, LinkState.rejected})
"""The central system said so to the charge point's own BootNotification, and is to hear that again before all else."""
NOT_ACCEPTED_PAUSE_S = 30.0
"""After its central system did not accept the BootNotification, at least."""


class Told(Struct):
    """The one message that the central system was told and has not answered."""

    id: str
    about: str
    """Of a state; empty for a message of the backlog."""
    text: str
    message: Message | None
    timeout: Entry


class Passed(Struct):
    """A Call of the charge point that was passed on and is not answered yet."""

    call: frames.Call
    text: str
    timeout: Entry


class Ahead(Struct):
    """A Call of the charge point that goes up as soon as none is open there."""

    call: frames.Call
    spelled: str
    text: str | bytes
    timeout: Entry


@dataclass(eq=False, slots=True)
class TellingBridge(Bridge):
    """A bridge that tells its central system what that missed."""

    there: bool = False
    """The central system's end is up."""
    told: Told | None = None
    passed: dict[str, Passed] = field(default_factory=dict)
    """By id."""
    ahead: deque[Ahead] = field(default_factory=deque)
    _quiet_until: float = 0.0
    """When the central system is told the next thing."""
    _silences: Counter[str] = field(default_factory=Counter)
    """How often in a row a state was told and not answered."""
    _ignored: set[int] = field(default_factory=set)
    """Numbers of messages that it did not answer since it answered one. If there are several, it is not for a message
    of its own kind that it is silent: it hangs, and order counts for more than getting on."""
    _hung: bool = False
    """The last link was given up because no answer came: what gave way does not come first on the next one."""
    _again: Entry | None = None
    """When what is set aside is told again."""

    @property
    def reaches_out(self) -> bool:
        """Whether its central system is to be dialled, again and again, while the charge point is served."""
        return self.charge_point.buffered

    @property
    def passing(self) -> bool:
        """Whether the central system is there and has heard everything that it will have."""
        cp = self.charge_point
        owed = cp.standing.next() is not None or cp.bank.site.backlog.first(cp.number) is not None
        return self.there and self.told is None and not self.ahead and not owed

    # --- its link -------------------------------------------------------------------------------------------

    def _telling_begins(self, now: float) -> None:
        cp = self.charge_point
        self.there = True
        self._pause(now, 0.0 if self._heard else SILENT_BOOT_S)
        if self._hung:
            cp.standing.unheard -= {about for about, silences in self._silences.items() if silences >= ATTEMPTS_MAX}
        else:
            self._take_up()
            self._silences.clear()
        self._hung = False
        waiting = cp.bank.site.backlog.count(cp.number)
        log.info("%s: its central system is there; %d messages wait for it", cp.name, waiting)
        self._go_on(now)

    def _telling_ends(self) -> None:
        self.there = False
        self._forget_told()

    # --- one message after the other ------------------------------------------------------------------------

    def _go_on(self, now: float) -> None:
        """Tell it the next thing, if there is one and none is open."""
        cp = self.charge_point
        if not self.there or self.told is not None or self.passed or self._passes_ahead(now):
            return
        if now < self._quiet_until or cp.link_state in NOT_ACCEPTED:
            return
        about, message = cp.standing.next() or "", None
        if about:
            text = cp.standing.texts[about]
        else:
            message = cp.bank.site.backlog.first(cp.number)
            if message is None:
                return
            text = message.text
            path = NAMED_BY_CHARGE_POINT.get(message.action)
            if path is not None:
                text = renumbered(text, path, cp.upstream_ids.upstream)
        frame = frames.parse(text)
        if not isinstance(frame, frames.Call):  # the ledger held something else
            if message is not None:
                self._drop(message, "it cannot be read")
            else:
                cp.standing.heard(about, text, cp.bank.site.journal)
            self._go_on(now)
            return
        timeout = cp.bank.site.agenda.at(now + TOLD_TIMEOUT_S, self._not_answered_upstream)
        self.told = Told(frame.id, about, text, message, timeout)
        self._tell_upstream(Send(text))

    def _passes_ahead(self, now: float) -> bool:
        """Whether a Call of the charge point goes up first."""
        return False

    def _heard_back(
        self, told: Told, frame: frames.CallResult | frames.CallError | frames.BadFrame, now: float
    ) -> None:
        """It answered what it was told."""
        self._forget_told()
        cp = self.charge_point
        journal = cp.bank.site.journal
        self._silences.pop(told.about, None)
        if told.message is not None:
            if len(self._ignored) > 1:
                self._take_up()
            self._ignored.clear()
        if told.message is None:
            cp.standing.heard(told.about, told.text, journal)
            if told.about == BOOT and isinstance(frame, frames.CallResult):
                self._booted_upstream(frame, now)
        elif not isinstance(frame, frames.CallResult):
            why = f"{frame.code} {frame.description}" if isinstance(frame, frames.CallError) else frame.reason
            self._refused(told.message, why, now)
        elif told.message.action != START or self._started(told.message, frame, now):
            cp.bank.site.backlog.delivered(told.message, journal)
        if self.passing:
            aside = cp.bank.site.backlog.aside(cp.number)
            log.info("%s: its central system has heard everything%s", cp.name, f" but {aside} messages" * (aside > 0))
        self._go_on(now)

    def _booted_upstream(self, frame: frames.CallResult, now: float) -> None:
        cp = self.charge_point
        try:
            answer = schema.decode_answer(BOOT, frame.payload)
        except schema.PayloadError as error:
            self._fault(QuirkBits(0), f"the central system's answer to {BOOT}: {error.description}")
            return
        assert isinstance(answer, schema_core.BootNotificationAnswer)
        told_the_time(cp, answer.currentTime, now)
        if answer.status != "Accepted":
            self._note(logging.WARNING, f"its central system says {answer.status}; it is asked again")
            cp.standing.unheard.add(BOOT)
            self._pause(now, max(NOT_ACCEPTED_PAUSE_S, answer.interval))

    def _started(self, message: Message, frame: frames.CallResult, now: float) -> bool:
        """It has this transaction now, under an id of its own; False where the answer cannot be read."""
        try:
            answer = schema.decode_answer(START, frame.payload)
        except schema.PayloadError as error:
            self._refused(message, f"an answer that cannot be read: {error.description}", now)
            return False
        assert isinstance(answer, schema_core.StartTransactionAnswer)
        self._began(message.transaction_id, answer.transactionId, answer.idTagInfo.status, now)
        return True

    def _began(self, own: int, theirs: int, status: str, now: float) -> None:
        """The central system calls this transaction of ours so, and says this of its tag."""
        cp = self.charge_point
        if own and theirs != own:
            sessions.renumber(cp, own, theirs)
            cp.upstream_ids.learn(own, theirs, cp.bank.site.journal, self._runs)
        if status != "Accepted" and self._runs(theirs):
            # The charge point would have ended it itself, had it heard this answer.
            self._note(logging.WARNING, f"its central system says {status}: transaction {theirs} ends")
            self.offer(Command(CommandCode.RemoteStopTransaction, QUIET, p1=theirs, slot="own/stop"), now)

    def _runs(self, transaction_id: int) -> bool:
        transaction = self.charge_point.transactions.by_id(transaction_id)
        return transaction is not None and transaction.open

    # --- what it will not have ------------------------------------------------------------------------------

    def _refused(self, message: Message, why: str, now: float) -> None:
        """It answered with an error: again, for a while."""
        message.attempts += 1
        if message.attempts < ATTEMPTS_MAX:
            self._pause(now, ATTEMPT_PAUSE_S * message.attempts)
        else:
            self._give_way(message, why, now)

    def _not_answered_upstream(self, now: float) -> None:
        """A central system that does not answer is dialled anew: on this link its answer may still come."""
        told = self.told
        self._forget_told()
        if told is None:
            return
        if told.message is None:
            self._silences[told.about] += told.about != BOOT
        else:
            self._ignored.add(told.message.number)
            told.message.attempts += 1
            if told.message.attempts >= ATTEMPTS_MAX:
                self._give_way(told.message, "no answer", now)
            backlog, number = self.charge_point.bank.site.backlog, self.charge_point.number
            if len(self._ignored) > 1 and (told.message.attempts < ATTEMPTS_MAX or backlog.first(number) is None):
                self._take_up()
        self._give_up_link()

    def _give_up_link(self) -> None:
        self._hung, self.there = True, False  # nothing more is said on this one
        self._tell_upstream(Close(NO_ANSWER_CLOSE, "no answer"))

    def _give_way(self, message: Message, why: str, now: float) -> None:
        """To the others."""
        if message.action not in NEVER_DROPPED:
            self._drop(message, why)
            return
        site = self.charge_point.bank.site
        site.backlog.set_aside(message)
        if message.attempts == ATTEMPTS_MAX:
            self._note(logging.ERROR, f"its central system will not have a {message.action}, it is set aside: {why}")
        if self._again is None or not self._again.waiting:
            pause_s = min(ASIDE_MAX_S, ASIDE_S * 2 ** min(10, message.attempts - ATTEMPTS_MAX))
            self._again = site.agenda.at(now + pause_s, self._tell_again)

    def _drop(self, message: Message, why: str) -> None:
        """It is lost: counted in `ocpp_errors` too."""
        site = self.charge_point.bank.site
        site.backlog.drop(message, site.journal)
        self._fault(QuirkBits(0), f"a {message.action} is lost to its central system: {why}")

    def _take_up(self) -> None:
        self.charge_point.bank.site.backlog.take_up(self.charge_point.number)

    def _tell_again(self, now: float) -> None:
        self._take_up()
        if self.is_open:
            self._go_on(now)

    # --- when -----------------------------------------------------------------------------------------------

    def _pause(self, now: float, seconds: float) -> None:
        self._quiet_until = now + seconds
        self.charge_point.bank.site.agenda.at(self._quiet_until, self._go_on)

    def _forget_told(self) -> None:
        told, self.told = self.told, None
        if told is not None:
            told.timeout.cancel()


def owes(charge_point: ChargePoint) -> bool:
    """Whether the messages of a bridged one are kept for its central system, or something is left of a time when they
    were."""
    waiting = charge_point.bank.site.backlog.count(charge_point.number)
    return charge_point.buffered or waiting > 0 or len(charge_point.upstream_ids) > 0
