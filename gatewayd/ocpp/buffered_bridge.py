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
from collections import deque
from dataclasses import dataclass, field

from gatewayd.ocpp import central, frames, schema, schema_core
from gatewayd.ocpp.bridge import BOOT, CHANGES_LIMITS, REMEMBERED_MAX, Bridge
from gatewayd.ocpp.renumbering import NAMED_BY_CENTRAL_SYSTEM, NAMED_BY_CHARGE_POINT, named, renumbered
from gatewayd.ocpp.schema_fields import Payload
from gatewayd.ocpp.session import Send, Session
from gatewayd.ocpp.telling import NOT_ACCEPTED, TOLD_TIMEOUT_S, Ahead, Passed, TellingBridge
from gatewayd.ocpp.welcome import AUTHORIZE, REMOTE_START, Welcome
from gatewayd.site import limit_upstream, upstream_ids
from gatewayd.site.backlog import NEVER_DROPPED, START

log = logging.getLogger(__name__)

STATUS = "StatusNotification"
AHEAD = frozenset({AUTHORIZE, BOOT})
"""Actions that the central system answers itself although it has not heard everything yet."""
AHEAD_TIMEOUT_S = 10.0
"""So long they wait for their turn; then they are answered here."""
AWAITED = NEVER_DROPPED | AHEAD
"""Actions that every central system answers: one that does not within `TOLD_TIMEOUT_S` hangs, and is dialled anew."""
KEPT = NEVER_DROPPED | {
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignedFirmwareStatusNotification",
}
"""Actions that the central system is to hear of, each one; of BootNotification and StatusNotification the newest."""
ACKNOWLEDGED = KEPT - NEVER_DROPPED | {"Heartbeat", STATUS}
"""Actions whose answer says no more than that they were heard: a central system that was silent for `TOLD_TIMEOUT_S`
is spared giving it."""
NOT_HERE = frozenset({"SignCertificate"})
"""Only the central system can answer these: its authority is not ours."""
AWAY = "the central system is away"


@dataclass(eq=False, slots=True)
class BufferedBridge(TellingBridge):
    """The state of one bridged connection whose central system may be away."""

    unanswered: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED_MAX))
    """Ids of what was passed on long ago, and nobody answered: the central system still may."""
    unsure: dict[str, Passed] = field(default_factory=dict)
    """By id: what was passed on, and answered here because the central system was silent. If that answers this or
    what was said later, it had it; if its link breaks first, it is told again."""
    here: dict[str, tuple[frames.Call, str, str]] = field(default_factory=dict)
    """Ids of its Calls that are answered here → the Call, its text, and which state it tells."""
    _welcome: Welcome = field(default_factory=Welcome)

    # --- the edges' side ------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The charge point is there; its central system may come later."""
        self.charge_point.upstream = False
        Session.opened(self, now)
        self.charge_point.bank.site.touch()

    def closed(self, now: float) -> None:
        """The charge point is gone. What it has no answer to it will say again."""
        Bridge.closed(self, now)
        self._telling_ends()
        self._take_back()
        self.here.clear()

    def upstream_opened(self, now: float) -> None:
        """The central system is there. If it was away, it is told how things stand, whatever it knew, then what it
        missed; a charge point that said nothing yet may boot first."""
        if not self.is_open:
            return
        cp = self.charge_point
        cp.bank.site.advance(now)
        cp.upstream = True
        if self._heard:
            cp.standing.to_be_heard_again()
        cp.touch()
        cp.bank.site.touch()
        self._telling_begins(now)

    def upstream_closed(self, now: float) -> None:
        """The central system is gone. What it did not answer is answered here."""
        cp = self.charge_point
        cp.bank.site.advance(now)
        self._telling_ends()
        if not cp.buffered:  # any more: it has told what was left of that time
            self._take_back()
            Bridge.upstream_closed(self, now)
            return
        if not self.is_open:
            return
        cp.upstream = False
        cp.touch()
        cp.bank.site.touch()
        self.upstream_words.clear()
        self._forget_upstream()
        for call, text in self._take_back():
            self._answer_here(call, text, now)
        self._pump(now)

    def _take_back(self) -> list[tuple[frames.Call, str]]:
        """What the central system did not answer, and will not any more. What was answered for it may never have come
        there: it is kept."""
        unsure, self.unsure = self.unsure, {}
        for each in unsure.values():
            if each.call.action in KEPT:
                self._keep(each.call.action, each.text, 0, self.charge_point.bank.site.now)
        self.unanswered.clear()
        passed, self.passed = self.passed, {}
        ahead, self.ahead = self.ahead, deque()
        for timeout in [each.timeout for each in passed.values()] + [each.timeout for each in ahead]:
            timeout.cancel()
        return [(each.call, each.text) for each in passed.values()] + [(each.call, each.spelled) for each in ahead]

    def upstream_received(self, text: str | bytes, now: float) -> None:
        """A message of the central system; its answers to what it missed go no further."""
        if not self.is_open:
            return
        frame = frames.parse(text)
        if isinstance(frame, frames.Call):
            if frame.action == REMOTE_START:
                self._welcome.starts(frame, now)
            Bridge.upstream_received(self, text, now)
            return
        self._alive(frame.id)
        told = self.told
        if told is not None and frame.id == told.id:
            self.charge_point.bank.site.advance(now)
            self._heard_back(told, frame, now)
            return
        passed = self.passed.pop(frame.id or "", None)
        if passed is not None:
            passed.timeout.cancel()
            if passed.call.action == AUTHORIZE and isinstance(frame, frames.CallResult):
                self._welcome.answered(passed.call, frame, now)
            if passed.call.action == START and isinstance(frame, frames.CallResult):
                self._take_up()  # it is well
        elif frame.id is not None and frame.id in self.unanswered:
            self.unanswered.remove(frame.id)
        elif not isinstance(frame, frames.BadFrame) or (frame.id is not None and frame.code is None):
            self._note(logging.INFO, f"its central system answers {frame.id!r} again, or too late")
            return
        Bridge.upstream_received(self, text, now)
        self._go_on(now)

    def _alive(self, call_id: str | None) -> None:
        """It answers this: so it has heard what was said up to then."""
        if call_id in self.unsure:
            while next(iter(self.unsure)) != call_id:
                del self.unsure[next(iter(self.unsure))]
            del self.unsure[call_id]
        elif call_id in self.passed or (self.told is not None and self.told.id == call_id):
            self.unsure.clear()

    # --- from the charge point ------------------------------------------------------------------------------

    def _take(self, frame: frames.Frame, text: str | bytes, now: float) -> None:
        if not isinstance(frame, frames.Call):
            self._take_answer(frame, text, now)
            return
        self._asks(frame)
        if not self._heard:
            self._quiet_until = now  # it speaks: from now on it may be spoken for
        spelled = self._spelled(frame, text)
        path = NAMED_BY_CHARGE_POINT.get(frame.action)
        if path is not None and len(self.charge_point.upstream_ids):
            other = renumbered(spelled, path, self.charge_point.upstream_ids.upstream)
            again = frames.parse(other) if other != spelled else None
            if isinstance(again, frames.Call):
                frame, spelled, text = again, other, other if isinstance(text, str) else other.encode()
        if self.passing and not self._belongs_aside(frame, spelled):
            self._pass_on(frame, spelled, text, now)
        elif self.there and frame.action in AHEAD and len(self.ahead) < REMEMBERED_MAX:
            timeout = self.charge_point.bank.site.agenda.at(now + AHEAD_TIMEOUT_S, self._waited_too_long)
            self.ahead.append(Ahead(frame, spelled, text, timeout))
            self._go_on(now)
        else:
            self._answer_here(frame, spelled, now)

    def _passes_ahead(self, now: float) -> bool:
        """The first of those that wait goes up: a BootNotification always, others when the central system has heard
        one, and accepted it."""
        cp = self.charge_point
        while self.ahead and self.told is None and not self.passed:
            first = self.ahead[0]
            unheard = BOOT in cp.standing.unheard
            if first.call.action != BOOT and (cp.link_state in NOT_ACCEPTED or (unheard and now < self._quiet_until)):
                self._waited_too_long(now)
            elif first.call.action != BOOT and unheard:
                return False
            else:
                self.ahead.popleft().timeout.cancel()
                self._pass_on(first.call, first.spelled, first.text, now)
        return self.told is not None or bool(self.passed)

    def _waited_too_long(self, now: float) -> None:
        """The first of those that wait is answered here."""
        first = self.ahead.popleft()
        first.timeout.cancel()
        self._answer_here(first.call, first.spelled, now)

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

    def _belongs_aside(self, call: frames.Call, text: str) -> bool:
        """Whether it is part of a transaction of which the central system would not have the beginning."""
        cp, path, number = self.charge_point, NAMED_BY_CHARGE_POINT.get(call.action), None
        if not cp.bank.site.backlog.aside(cp.number):
            return False
        if path is not None:
            number = named(text, path)
        elif call.action == START:
            try:
                request = schema.decode_request(START, call.payload)
            except schema.PayloadError:
                return False
            assert isinstance(request, schema_core.StartTransaction)
            known = cp.transactions.known_start(
                request.connectorId, request.timestamp, request.idTag, request.meterStart
            )
            number = known.id if known is not None else None
        return number is not None and cp.bank.site.backlog.lies_aside(cp.number, number)

    def _pass_on(self, call: frames.Call, spelled: str, text: str | bytes, now: float) -> None:
        """To the central system, byte for byte."""
        timeout = self.charge_point.bank.site.agenda.at(
            now + TOLD_TIMEOUT_S, lambda then: self._not_answered_there(call, then)
        )
        before = self.passed.pop(call.id, None)
        if before is not None:
            before.timeout.cancel()
        self.passed[call.id] = Passed(call, spelled, timeout)
        if len(self.passed) > REMEMBERED_MAX:
            oldest = self.passed.pop(next(iter(self.passed)))
            oldest.timeout.cancel()
            self.unanswered.append(oldest.call.id)
        about = self._about(call)
        if about:
            self.charge_point.standing.said(about, spelled, self.charge_point.bank.site.journal, heard=True)
        self._tell_upstream(Send(text))
        self._heard_call(call, now)

    def _not_answered_there(self, call: frames.Call, now: float) -> None:
        """Passed on long ago. What every central system answers is answered here when its link is given up."""
        if call.action in AWAITED:
            self._give_up_link()
            return
        passed = self.passed.pop(call.id)
        if call.action in ACKNOWLEDGED:
            self.unsure[call.id] = passed
            if len(self.unsure) > REMEMBERED_MAX:
                del self.unsure[next(iter(self.unsure))]
            self._answer_here(call, passed.text, now)
        else:
            self.unanswered.append(call.id)
        self._go_on(now)

    def _answer_here(self, call: frames.Call, text: str, now: float) -> None:
        """As in the central system role; what the central system must hear of is kept when it is answered."""
        if call.action not in central.HANDLERS or call.action in NOT_HERE:
            self._send(frames.call_error(call.id, frames.ErrorCode.GENERIC_ERROR, AWAY))
            return
        request = self._request_in(call)
        if request is None:
            return
        if isinstance(request, schema_core.StartTransaction):
            until = self._welcome.until(request.idTag, now)
            if until > now and self.charge_point.connector(request.connectorId) is not None:
                self.charge_point.remote_starts[request.connectorId] = (request.idTag, until)
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
        if call is None or not self.is_open:
            return
        journal = cp.bank.site.journal
        if call_id in self.unsure:
            pass  # its central system may have it
        elif about:
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
        site = cp.bank.site
        backlog = site.backlog
        if action == START and (
            own < upstream_ids.FIRST
            or own in cp.upstream_ids
            or any(each.action == START and each.transaction_id == own for each in backlog.of(cp.number))
        ):
            return 0  # a repetition of one that the central system knows, or will
        path = NAMED_BY_CHARGE_POINT.get(action)
        if path is not None and (number := named(text, path) or 0) >= upstream_ids.FIRST:
            own = number
        lost = backlog.lost
        entry = backlog.add(cp.number, action, text, site.journal, now, own)
        if not entry and action in NEVER_DROPPED:
            self._note(logging.WARNING, f"no room is left to keep its {action}: it is not answered")
            return None
        backlog.losses[cp.number] += not entry
        for _ in range(backlog.lost - lost):
            site.count("ocpp_errors")
        if backlog.lost and not lost:
            log.warning("central systems are away for long: the oldest meter values are lost from now on")
        return entry

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
