"""One bridged charge point, sans-IO: what it says goes to its central system, and back, byte for byte and in order;
both are listened to, so that every read point is live (ocpp.md, Bridge).

A `Bridge` is a `Session` whose questions somebody else answers. The edge of the charge point sees no difference; the
edge of the central system feeds `upstream_received` and `upstream_closed` and sends what stands in `upstream_words`.

With local control our own Calls go to the charge point as well. They and the central system's wait for each other, so
that one is open at a time; who asked is known by that, whatever the ids are.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gatewayd.ocpp import frames, schema, schema_core
from gatewayd.ocpp.heard import HEARD, Said
from gatewayd.ocpp.schema_fields import Payload
from gatewayd.ocpp.session import Close, Send, Session, Word
from gatewayd.ocpp.upstream_heard import AGREED_TO, ANSWERED, told_the_time
from gatewayd.site import limit_upstream
from gatewayd.site.agenda import Entry
from gatewayd.site.codes import LinkState, QuirkBits

GOING_AWAY = 1001
"""Close code for either side when the other is gone (RFC 6455, 7.4.1)."""
REMEMBERED_MAX = 100
"""Calls of one side whose answers are waited for. Each side should have one open; older ones are passed on all the
same, only not understood any more."""
BOOT = "BootNotification"
CHANGES_LIMITS = frozenset({"MeterValues", "StatusNotification", "StopTransaction"})
"""After these a TxProfile of the central system may have ended."""
HEARTBEAT_UNKNOWN_S = 900
"""A bridged charge point's heartbeat interval until its central system says one: long enough for most, so that a
charge point that answers no ping is not taken for dead."""


@dataclass(slots=True)
class Asked:
    """A Call of the central system that the charge point has not answered yet."""

    action: str
    request: Payload | None
    """None where its answer changes nothing, or it cannot be read."""
    timeout: Entry


@dataclass(eq=False, slots=True)
class Bridge(Session):
    """The state of one bridged connection, both of its ends."""

    upstream_words: deque[Word] = field(default_factory=deque)
    on_upstream_word: Callable[[], None] = field(default=lambda: None)
    said: dict[str, tuple[str, Payload]] = field(default_factory=dict)
    """Ids of the charge point's Calls whose answers change something → (action, request)."""
    asked_upstream: dict[str, Asked] = field(default_factory=dict)
    """Ids of the central system's Calls that are open at the charge point."""
    held: deque[tuple[frames.Call, str | bytes]] = field(default_factory=deque)
    """Calls of the central system that wait for ours to be answered."""

    # --- the edges' side ------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """Both ends are up."""
        self.heartbeat_interval_s = HEARTBEAT_UNKNOWN_S
        self.charge_point.upstream = True
        Session.opened(self, now)
        self.charge_point.bank.site.touch()

    def closed(self, now: float) -> None:
        """The charge point is gone, so its place upstream is given up."""
        if not self.is_open:
            return
        if self.charge_point.link is self:
            self.charge_point.upstream = False
            self.charge_point.bank.site.touch()
        Session.closed(self, now)
        self._forget_upstream()
        self._tell_upstream(Close(GOING_AWAY, "charge point gone"))

    def upstream_opened(self, now: float) -> None:
        """The central system's end runs; it was up before the charge point was let in."""

    def upstream_received(self, text: str | bytes, now: float) -> None:
        """A message of the central system. Whatever it holds, this never raises for it."""
        if not self.is_open:
            return
        self.charge_point.bank.site.advance(now)
        frame = frames.parse(text)
        if isinstance(frame, frames.Call):
            if self.open_call is not None:
                self.held.append((frame, text))
            else:
                self._ask(frame, text, now)
            return
        answered = frames.answered_by(frame)
        if answered is not None:
            if answered in self.charge_point.answered:
                self._note(logging.INFO, f"its central system answers {answered!r} again, or too late")
                return
            self._answers(answered)
        self._send(text)
        if isinstance(frame, frames.CallResult):
            self._upstream_answered(frame, now)
        elif isinstance(frame, frames.CallError):
            self.said.pop(frame.id, None)
        else:
            self._note_bad(frame)

    def upstream_closed(self, now: float) -> None:
        """The central system is gone: the charge point is dropped, so that its own offline queue works."""
        cp = self.charge_point
        cp.bank.site.advance(now)
        if cp.link is self and cp.upstream:
            cp.upstream = False
            cp.touch()
            cp.bank.site.touch()
        if self.is_open:
            self.close(GOING_AWAY, "central system gone")

    # --- from the charge point ------------------------------------------------------------------------------

    def _take(self, frame: frames.Frame, text: str | bytes, now: float) -> None:
        if not isinstance(frame, frames.Call) and self._is_ours(frame):
            Session._take(self, frame, text, now)
            return
        self._asks(frame)
        self._tell_upstream(Send(text))
        if isinstance(frame, frames.Call):
            self._heard_call(frame, now)
        elif isinstance(frame, frames.BadFrame):
            quirk = QuirkBits.invalid_json if frame.code is None else QuirkBits.schema_violation
            self._fault(quirk, frame.reason)
            self._agreed(frame.id, None, now)
        else:
            self._agreed(frame.id, frame, now)

    def _asks(self, frame: frames.Frame) -> None:
        """If it is a Call that comes again, its answer may come again too."""
        if frame.id is not None and frames.answered_by(frame) is None:
            self.charge_point.answered.pop(frame.id, None)

    def _answers(self, call_id: str) -> None:
        """The charge point gets its answer now. Another one, on whatever link, would be nobody's."""
        answered = self.charge_point.answered
        answered[call_id] = None
        if len(answered) > REMEMBERED_MAX:
            del answered[next(iter(answered))]

    def _is_ours(self, frame: frames.CallResult | frames.CallError | frames.BadFrame) -> bool:
        """Whether it answers a Call of our own, now or too late: such answers never go upstream."""
        answered = frames.answered_by(frame)
        if answered is None:
            return False
        if self.open_call is not None and answered == self.open_call.id:
            return True
        return answered.startswith(self.id_prefix) and answered not in self.asked_upstream

    def _heard_call(self, call: frames.Call, now: float) -> None:
        told, waits = HEARD.get(call.action), call.action in ANSWERED or call.action == BOOT
        if told is None and not waits:
            return
        try:
            request = schema.decode_request(call.action, call.payload)
        except schema.PayloadError as error:
            self._fault(QuirkBits.schema_violation, f"{call.action}: {error}")
            return
        if waits:
            self.said[call.id] = (call.action, request)
            if len(self.said) > REMEMBERED_MAX:
                del self.said[next(iter(self.said))]
        if told is not None:
            told(Said(self.charge_point, now), request)
        if call.action in CHANGES_LIMITS and self.charge_point.upstream_profiles.held:
            limit_upstream.reconsider(self.charge_point, now)

    def _agreed(self, call_id: str | None, frame: frames.CallResult | frames.CallError | None, now: float) -> None:
        """A Call of the central system was answered by the charge point; None: with something unreadable."""
        asked = None if call_id is None else self.asked_upstream.pop(call_id, None)
        if asked is None:
            return
        asked.timeout.cancel()
        if asked.request is not None and isinstance(frame, frames.CallResult):
            try:
                answer = schema.decode_answer(asked.action, frame.payload)
            except schema.PayloadError as error:
                self._fault(QuirkBits.schema_violation, f"answer to {asked.action}: {error.description}")
            else:
                AGREED_TO[asked.action](self.charge_point, asked.request, answer, now)
        self._pump(now)

    def _came_back(self, now: float) -> None:
        """No BootNotification, and none that still waits for its answer. Nothing is asked of it for that."""
        cp = self.charge_point
        boots = any(action == BOOT for action, _ in self.said.values())
        if self.is_open and cp.link_state is LinkState.open and not boots:
            cp.note_quirk(QuirkBits.no_boot_notification)
            self.register(now)

    # --- from the central system ----------------------------------------------------------------------------

    def _upstream_answered(self, frame: frames.CallResult, now: float) -> None:
        action, request = self.said.pop(frame.id, ("", None))
        if request is None:
            return
        try:
            answer = schema.decode_answer(action, frame.payload)
        except schema.PayloadError as error:
            self._fault(QuirkBits(0), f"the central system's answer to {action}: {error.description}")
            return
        if isinstance(answer, schema_core.BootNotificationAnswer):
            self._booted(answer, now)
        else:
            ANSWERED[action](Said(self.charge_point, now), request, answer)

    def _booted(self, answer: schema_core.BootNotificationAnswer, now: float) -> None:
        """The central system says whether the charge point may work."""
        cp = self.charge_point
        told_the_time(cp, answer.currentTime, now)
        if answer.interval > 0:
            self.heartbeat_interval_s = answer.interval
        if answer.status == "Accepted":
            self.register(now)
            return
        cp.registered = False
        cp.link_state = LinkState.pending if answer.status == "Pending" else LinkState.rejected
        cp.touch()

    def _note_bad(self, frame: frames.BadFrame) -> None:
        self._fault(QuirkBits(0), f"the central system sent what cannot be read: {frame.reason}")

    def _ask(self, call: frames.Call, text: str | bytes, now: float) -> None:
        """Pass a Call of the central system on to the charge point."""
        request = None
        if call.action in AGREED_TO:
            try:
                request = schema.decode_request(call.action, call.payload)
            except schema.PayloadError as error:
                self._fault(QuirkBits(0), f"the central system's {call.action}: {error.description}")
        timeout = self.charge_point.bank.site.agenda.at(
            now + self.call_timeout_s, lambda then: self._not_answered(call.id, then)
        )
        known = self.asked_upstream.pop(call.id, None)
        if known is not None:
            known.timeout.cancel()
        self.asked_upstream[call.id] = Asked(call.action, request, timeout)
        if len(self.asked_upstream) > REMEMBERED_MAX:
            self.asked_upstream.pop(next(iter(self.asked_upstream))).timeout.cancel()
        self._send(text)

    def _not_answered(self, call_id: str, now: float) -> None:
        """It is the central system's business; ours need not wait for it any longer."""
        self.asked_upstream.pop(call_id, None)
        self._pump(now)

    # --- to both --------------------------------------------------------------------------------------------

    def _pump(self, now: float) -> None:
        """The central system's Calls that waited go first; ours when none of those is open."""
        while self.held and self.open_call is None:
            self._ask(*self.held.popleft(), now)
        if not self.asked_upstream:
            Session._pump(self, now)

    def _forget_upstream(self) -> None:
        """One of the two ends is gone: what either asked the other is not waited for any more."""
        for asked in self.asked_upstream.values():
            asked.timeout.cancel()
        self.asked_upstream.clear()
        self.held.clear()
        self.said.clear()

    def _tell_upstream(self, word: Word) -> None:
        self.upstream_words.append(word)
        self.on_upstream_word()
