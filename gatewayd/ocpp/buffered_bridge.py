"""A bridged charge point that is served while its central system is away, sans-IO: `offline = "buffer"` (ocpp.md,
Bridge).

While the central system is there and owed nothing, everything passes as in `Bridge`. While it is away, and until it
has heard all that it missed, the charge point is answered here, as in the central system role: the decision policy
decides. What the central system must hear later is kept: states of which only the newest counts in `standing`, all
else in the `backlog`. It is told one at a time, states first, each until it is answered.

A transaction that begins meanwhile has an id of our own. The charge point keeps that one; the central system gives
another when it hears of it. Whatever passes later is renumbered, in the text, on its way up and down.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from gatewayd.ocpp import central, frames, schema, schema_core
from gatewayd.ocpp.bridge import BOOT, CHANGES_LIMITS, REMEMBERED_MAX, Bridge
from gatewayd.ocpp.own_triggers import QUIET
from gatewayd.ocpp.renumbering import NAMED_BY_CENTRAL_SYSTEM, NAMED_BY_CHARGE_POINT, renumbered
from gatewayd.ocpp.schema_fields import Payload
from gatewayd.ocpp.session import Close, Send, Session
from gatewayd.ocpp.upstream_heard import told_the_time
from gatewayd.site import limit_upstream, sessions, upstream_ids
from gatewayd.site.agenda import Entry
from gatewayd.site.backlog import NEVER_DROPPED, Message
from gatewayd.site.codes import CommandCode, QuirkBits
from gatewayd.site.command import Command

log = logging.getLogger(__name__)

STATUS, START = "StatusNotification", "StartTransaction"
STATES = frozenset({BOOT, STATUS})
"""Actions of which only the newest is worth telling."""
KEPT = NEVER_DROPPED | {
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignedFirmwareStatusNotification",
}
"""Actions that the central system is to hear of, each one."""
NOT_HERE = frozenset({"SignCertificate"})
"""Only the central system can answer these: its authority is not ours."""
AWAY = "the central system is away"
TOLD_TIMEOUT_S = 30.0
"""For its answer to something it missed; then the link is taken for dead."""
ATTEMPTS_MAX, ATTEMPT_PAUSE_S = 3, 5.0
"""A central system that answers a message with an error, or not, is told so often, with longer pauses each time (OCPP
1.6, 3.7.1); then the message is lost, and counted: one message must not keep all others waiting."""
NOT_ACCEPTED_PAUSE_S = 30.0
"""After its central system did not accept the BootNotification, at least."""


@dataclass(slots=True)
class Told:
    """The one message that the central system was told and has not answered."""

    id: str
    about: str
    """Of a state; empty for a message of the backlog."""
    text: str
    message: Message | None
    timeout: Entry


@dataclass(eq=False, slots=True)
class BufferedBridge(Bridge):
    """The state of one bridged connection whose central system may be away."""

    there: bool = False
    """The central system's end is up."""
    told: Told | None = None
    passed: dict[str, tuple[frames.Call, str]] = field(default_factory=dict)
    """Ids of the charge point's Calls that were passed on and not answered yet → the Call, and its text."""
    here: dict[str, tuple[frames.Call, str, str]] = field(default_factory=dict)
    """Ids of its Calls that are answered here → the Call, its text, and which state it tells."""
    _quiet_until: float = 0.0
    """When the central system is told the next thing."""

    @property
    def passing(self) -> bool:
        """Whether the central system is there and has heard everything."""
        cp = self.charge_point
        owed = cp.standing.next() is not None or cp.bank.site.backlog.first(cp.number) is not None
        return self.there and self.told is None and not owed

    # --- the edges' side ------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The charge point is there; its central system may come later."""
        self.charge_point.upstream = False
        Session.opened(self, now)
        self.charge_point.bank.site.touch()

    def closed(self, now: float) -> None:
        """The charge point is gone. What it has no answer to it will say again."""
        Bridge.closed(self, now)
        self._forget_told()
        self.passed.clear()
        self.here.clear()
        self.there = False

    def upstream_opened(self, now: float) -> None:
        """The central system is back: whatever it knew, it is told how things stand, then what it missed."""
        if not self._open:
            return
        cp = self.charge_point
        cp.bank.site.advance(now)
        self.there, cp.upstream, self._quiet_until = True, True, now
        cp.standing.to_be_heard_again()
        cp.touch()
        cp.bank.site.touch()
        waiting = sum(1 for _ in cp.bank.site.backlog.of(cp.number))
        log.info("%s: its central system is there; %d messages wait for it", cp.name, waiting)
        self._go_on(now)

    def upstream_closed(self, now: float) -> None:
        """The central system is gone. What it did not answer is answered here."""
        cp = self.charge_point
        cp.bank.site.advance(now)
        self.there = False
        self._forget_told()
        if not self._open:
            return
        cp.upstream = False
        cp.touch()
        cp.bank.site.touch()
        self.upstream_words.clear()
        self._forget_upstream()
        passed, self.passed = self.passed, {}
        for call, text in passed.values():
            self._answer_here(call, text, now)
        self._pump(now)

    def upstream_received(self, text: str | bytes, now: float) -> None:
        """A message of the central system; its answers to what it missed go no further."""
        if not self._open:
            return
        frame = frames.parse(text)
        if not isinstance(frame, frames.Call):
            told = self.told
            if told is not None and frame.id == told.id:
                self.charge_point.bank.site.advance(now)
                self._heard_back(told, frame, now)
                return
            self.passed.pop(frame.id or "", None)
        Bridge.upstream_received(self, text, now)

    # --- from the charge point ------------------------------------------------------------------------------

    def _take(self, frame: frames.Frame, text: str | bytes, now: float) -> None:
        if not isinstance(frame, frames.Call):
            self._take_answer(frame, text, now)
            return
        spelled = self._spelled(frame, text)
        path = NAMED_BY_CHARGE_POINT.get(frame.action)
        if path is not None and len(self.charge_point.upstream_ids):
            other = renumbered(spelled, path, self.charge_point.upstream_ids.upstream)
            again = frames.parse(other) if other != spelled else None
            if isinstance(again, frames.Call):
                frame, spelled, text = again, other, other if isinstance(text, str) else other.encode()
        if self.passing:
            self._pass_on(frame, spelled, text, now)
        else:
            self._answer_here(frame, spelled, now)

    def _take_answer(
        self, frame: frames.CallResult | frames.CallError | frames.BadFrame, text: str | bytes, now: float
    ) -> None:
        """An answer to us or to the central system, or something unreadable."""
        if self.there or self._is_ours(frame):
            Bridge._take(self, frame, text, now)
        elif isinstance(frame, frames.BadFrame):
            self._bad(frame, now)

    def _spelled(self, call: frames.Call, text: str | bytes) -> str:
        """The Call as text that can be kept: as it came, or spelled anew where only mending made it readable."""
        if self.charge_point.quirk_profile.repair_json and isinstance(frames.parse(text), frames.BadFrame):
            return frames.call(call.id, call.action, call.payload)
        return text if isinstance(text, str) else text.decode()

    def _pass_on(self, call: frames.Call, spelled: str, text: str | bytes, now: float) -> None:
        """To the central system, byte for byte."""
        self.passed[call.id] = call, spelled
        if len(self.passed) > REMEMBERED_MAX:
            del self.passed[next(iter(self.passed))]
        about = self._about(call)
        if about:
            self.charge_point.standing.said(about, spelled, self.charge_point.bank.site.journal, heard=True)
        self._tell_upstream(Send(text))
        self._heard_call(call, now)

    def _answer_here(self, call: frames.Call, text: str, now: float) -> None:
        """As in the central system role; what the central system must hear of is kept when it is answered."""
        if call.action not in central.HANDLERS or call.action in NOT_HERE:
            self._send(frames.call_error(call.id, frames.ErrorCode.GENERIC_ERROR, AWAY))
            return
        request = self._request_in(call)
        if request is None:
            return
        self.here[call.id] = call, text, self._about(call)
        central.HANDLERS[call.action](central.Inbound(self.charge_point, now, self, call.id), request)
        if call.action in CHANGES_LIMITS and self.charge_point.upstream_profiles.held:
            limit_upstream.reconsider(self.charge_point, now)

    @staticmethod
    def _about(call: frames.Call) -> str:
        """Which state it tells; empty for none."""
        if call.action == BOOT:
            return BOOT
        if call.action != STATUS:
            return ""
        try:
            request = schema.decode_request(STATUS, call.payload)
        except schema.PayloadError:
            return ""
        assert isinstance(request, schema_core.StatusNotification)
        return f"{STATUS}/{request.connectorId}"

    def reply(self, call_id: str, payload: Payload, durable: int = 0, *, withheld: bool = False) -> None:
        """Answer, after what the central system missed is as durable as the rest."""
        call, text, about = self.here.pop(call_id, (None, "", ""))
        cp, now = self.charge_point, self.charge_point.bank.site.now
        if call is None or not self._open:
            return
        journal = cp.bank.site.journal
        if about:
            cp.standing.said(about, text, journal, heard=False)
        elif call.action in KEPT:
            own = 0
            if isinstance(payload, schema_core.StartTransactionAnswer):
                own = payload.transactionId
                payload.transactionId = cp.upstream_ids.at_charge_point(own)
            entry = self._keep(call.action, text, own, now)
            if entry is None:
                return
            durable = max(durable, entry)
        Session.reply(self, call_id, payload, durable, withheld=withheld)
        self._go_on(now)

    def _keep(self, action: str, text: str, own: int, now: float) -> int | None:
        """Put it into the backlog. Returns the journal entry; None where the charge point must keep it itself."""
        cp = self.charge_point
        backlog, journal = cp.bank.site.backlog, cp.bank.site.journal
        if action == START and (
            own < upstream_ids.FIRST
            or own in cp.upstream_ids
            or any(each.transaction_id == own for each in backlog.of(cp.number))
        ):
            return 0  # a repetition of one that the central system knows, or will
        lost = backlog.lost
        entry = backlog.add(cp.number, action, text, journal, now, own)
        if backlog.lost and not lost:
            log.warning("central systems are away for long: the oldest meter values are lost from now on")
        if entry:
            return entry
        if action in NEVER_DROPPED:
            self._note(logging.WARNING, f"no room is left to keep its {action}: it is not answered")
            return None
        backlog.lost += 1
        return 0

    # --- what the central system missed ---------------------------------------------------------------------

    def _go_on(self, now: float) -> None:
        """Tell it the next thing, if there is one and none is open."""
        cp = self.charge_point
        if not self.there or self.told is not None or now < self._quiet_until:
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
                cp.bank.site.backlog.drop(message, cp.bank.site.journal)
            else:
                cp.standing.heard(about, text, cp.bank.site.journal)
            self._go_on(now)
            return
        timeout = cp.bank.site.agenda.at(now + TOLD_TIMEOUT_S, self._not_answered_upstream)
        self.told = Told(frame.id, about, text, message, timeout)
        self._tell_upstream(Send(text))

    def _heard_back(
        self, told: Told, frame: frames.CallResult | frames.CallError | frames.BadFrame, now: float
    ) -> None:
        """It answered what it was told."""
        self._forget_told()
        cp = self.charge_point
        journal = cp.bank.site.journal
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
            log.info("%s: its central system has heard everything", cp.name)
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
        cp = self.charge_point
        try:
            answer = schema.decode_answer(START, frame.payload)
        except schema.PayloadError as error:
            self._refused(message, f"an answer that cannot be read: {error.description}", now)
            return False
        assert isinstance(answer, schema_core.StartTransactionAnswer)
        own, theirs = message.transaction_id, answer.transactionId
        if own and theirs != own:
            sessions.renumber(cp, own, theirs)
            cp.upstream_ids.learn(own, theirs, cp.bank.site.journal, self._runs)
        if answer.idTagInfo.status != "Accepted" and self._runs(theirs):
            # The charge point would have ended it itself, had it heard this answer.
            self._note(logging.WARNING, f"its central system says {answer.idTagInfo.status}: transaction {theirs} ends")
            self.offer(Command(CommandCode.RemoteStopTransaction, QUIET, p1=theirs, slot="own/stop"), now)
        return True

    def _runs(self, transaction_id: int) -> bool:
        transaction = self.charge_point.transactions.by_id(transaction_id)
        return transaction is not None and transaction.open

    def _refused(self, message: Message, why: str, now: float) -> None:
        """It cannot take a message: again, for a while; then that is lost."""
        site = self.charge_point.bank.site
        message.attempts += 1
        if message.attempts < ATTEMPTS_MAX:
            self._pause(now, ATTEMPT_PAUSE_S * message.attempts)
            return
        site.backlog.drop(message, site.journal)
        self._note(logging.ERROR, f"its central system refused a {message.action} {ATTEMPTS_MAX} times: {why}")

    def _not_answered_upstream(self, now: float) -> None:
        """A central system that does not answer is dialled anew."""
        told = self.told
        self._forget_told()
        if told is None:
            return
        if told.message is not None:
            self._refused(told.message, "no answer", now)
        else:
            self.charge_point.standing.heard(told.about, told.text, self.charge_point.bank.site.journal)
        self._tell_upstream(Close(1001, "no answer"))

    def _pause(self, now: float, seconds: float) -> None:
        self._quiet_until = now + seconds
        self.charge_point.bank.site.agenda.at(self._quiet_until, self._go_on)

    def _forget_told(self) -> None:
        told, self.told = self.told, None
        if told is not None:
            told.timeout.cancel()

    # --- to the charge point --------------------------------------------------------------------------------

    def _send(self, text: str | bytes, durable: int = 0, *, withheld: bool = False) -> None:
        """With the ids by which the charge point knows its transactions."""
        if len(self.charge_point.upstream_ids):
            frame = frames.parse(text)
            path = NAMED_BY_CENTRAL_SYSTEM.get(frame.action) if isinstance(frame, frames.Call) else None
            if path is not None:
                spelled = text if isinstance(text, str) else text.decode()
                other = renumbered(spelled, path, self.charge_point.upstream_ids.at_charge_point)
                text = other if isinstance(text, str) else other.encode()
        Session._send(self, text, durable, withheld=withheld)
