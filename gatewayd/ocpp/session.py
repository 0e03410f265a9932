"""One charge point's connection, sans-IO: texts and time in, words for the edge out (ocpp.md, Calls and Errors).

The edge feeds `opened`, `received`, `closed`; deadlines stand in the site's agenda. What is to be sent stands in
`words`, in order; `on_word` is called when there is a new one. One Call of ours is open at a time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from msgspec import Struct

from gatewayd.ocpp import central, frames, own_triggers, schema
from gatewayd.ocpp.requests import BadParameter, operation_of
from gatewayd.ocpp.schema_fields import Payload
from gatewayd.site.agenda import Entry
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandError, CommandState, LinkState, QuirkBits
from gatewayd.site.command import Command, Report, failed
from gatewayd.site.decision import Request

log = logging.getLogger(__name__)

SILENT_BOOT_S = 5.0
"""A charge point that did not boot counts as registered this long after its first message (ocpp.md, Calls)."""
UNANSWERED_MAX = 3
"""Calls in a row without an answer that close the link: heartbeats may go on while the rest is dead (quirk C5)."""
LOGGED_FAULTS = 20
"""Faults of one connection that are logged; more would let a peer fill the log. All are counted."""
NO_ANSWER_CLOSE = 1002
"""Protocol error: the peer does not answer Calls."""


class SessionBug(BaseException):
    """Our own session raised: no peer's fault, so no containment boundary of an edge stops it."""


class Send(Struct, frozen=True):
    """Send this text, once the journal is committed up to `durable` (0: at once)."""

    text: str | bytes
    durable: int = 0
    withheld: bool = False
    """Not sent at all if the commit fails: the charge point repeats what it gets no answer to (promises, R5)."""
    since: float = 0.0
    """Monotonic time when it was said; whoever waits for the disk does not wait for ever."""


class Close(Struct, frozen=True):
    """Close the WebSocket."""

    code: int
    reason: str


Word = Send | Close

StartKey = tuple[int, str, str, int]
"""What tells one StartTransaction from another: connector, timestamp, id tag, meter (ocpp.md, Transactions)."""


class OpenCall(Struct):
    """The one Call of ours that waits for its answer."""

    id: str
    action: str
    command: Command
    sent_at: float
    timeout: Entry


@dataclass(eq=False, slots=True)
class Session:
    """The state of one connection. It is the charge point's `link` from `opened` to `closed`."""

    charge_point: ChargePoint
    id_prefix: str
    """Begins our message ids; different for every connection, so that a late answer matches nothing."""
    call_timeout_s: float = 60.0
    heartbeat_interval_s: int = 60
    ask_bms: frozenset[str] = frozenset()
    on_word: Callable[[], None] = field(default=lambda: None)
    words: deque[Word] = field(default_factory=deque)
    waiting: dict[str, tuple[Command, Payload, str]] = field(default_factory=dict)
    """Commands not sent yet, in order: slot → (command, request, action)."""
    open_call: OpenCall | None = None
    asked: list[Request] = field(default_factory=list)
    """Decisions that wait for the BMS on behalf of this connection."""
    starting: dict[StartKey, list[str]] = field(default_factory=dict)
    """StartTransactions that wait for the BMS → the ids of all Calls that said it: one decision answers them all."""
    _later: Entry | None = None
    """When the first of those that may not go yet may."""
    closing: bool = False
    """A Close is among the words: nothing that comes after it will be sent."""
    _promised: int = 0
    """Newest journal entry that an answer waits for."""
    _numbers: int = 0
    _unanswered: int = 0
    _faults: int = 0
    _heard: bool = False
    is_open: bool = False

    # --- the edge's side ------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The WebSocket is up: the charge point is connected, not yet registered."""
        cp, site = self.charge_point, self.charge_point.bank.site
        site.advance(now)
        if cp.stand_in is not None:
            stand_in, cp.stand_in = cp.stand_in, None
            stand_in.stop(now)
        if cp.connected_epoch is not None:
            cp.reconnects += 1
        cp.link, cp.link_state, cp.registered, cp.silent = self, LinkState.open, False, False
        cp.connected_epoch = site.epoch
        if not cp.bridged:
            quirks = cp.quirk_profile
            self.call_timeout_s = quirks.call_timeout_s or self.call_timeout_s
            self.heartbeat_interval_s = quirks.heartbeat_interval_s or self.heartbeat_interval_s
        self.is_open = True
        cp.touch_all()

    def closed(self, now: float) -> None:
        """The WebSocket is gone: what was in flight is lost, what waits cannot go. A newer link stays untouched."""
        if not self.is_open:
            return
        self.is_open = False
        cp = self.charge_point
        cp.bank.site.advance(now)
        for request in self.asked:
            cp.decisions.withdraw(request)
        self.asked.clear()
        self.starting.clear()
        ours = cp.link is self
        if ours:
            cp.link, cp.link_state, cp.registered = None, LinkState.lost, False
        call, self.open_call = self.open_call, None
        waiting, self.waiting = self.waiting, {}
        if call is not None:
            call.timeout.cancel()
            call.command.report(failed(CommandError.link_lost), now)
        for command, _, _ in waiting.values():
            command.report(failed(CommandError.link_lost), now)
        for hook in cp.bank.site.on_lost if ours else ():
            hook(cp, now)
        self.words.clear()
        cp.touch_all()

    def received(self, text: str | bytes, now: float) -> None:
        """A message came. Whatever it holds, this never raises for it."""
        if not self.is_open:
            return
        self.heard(now)
        self.charge_point.message_at = now
        self._take(self._read(text), text, now)
        if not self._heard:
            self._heard = True
            if not self.charge_point.registered:
                self.charge_point.bank.site.agenda.at(now + SILENT_BOOT_S, self._came_back)

    def _read(self, text: str | bytes) -> frames.Frame:
        """The message; where its model is known for faults in its JSON, with those mended (quirk M1)."""
        frame = frames.parse(text)
        if not isinstance(frame, frames.BadFrame) or not self.charge_point.quirk_profile.repair_json:
            return frame
        mended = frames.parse(frames.repair(text if isinstance(text, str) else text.decode(errors="replace")))
        if isinstance(mended, frames.BadFrame):
            return frame
        self.charge_point.note_quirk(QuirkBits.invalid_json)
        return mended

    def _take(self, frame: frames.Frame, text: str | bytes, now: float) -> None:
        """One message, read and as it came."""
        if isinstance(frame, frames.Call):
            self._called(frame, now)
        elif isinstance(frame, frames.BadFrame):
            self._bad(frame, now)
        else:
            self._answered(frame, now)

    def heard(self, now: float) -> None:
        """Any sign of life, a pong for instance: the values are to be trusted again."""
        cp = self.charge_point
        cp.bank.site.advance(now)
        if cp.silent and cp.link is self:
            cp.silent = False
            cp.touch_all()

    def went_silent(self, now: float) -> None:
        """Nothing was heard for too long: the values are not to be trusted (`comm_error`)."""
        cp = self.charge_point
        cp.bank.site.advance(now)
        if cp.link is self:
            cp.silent = True
            cp.touch_all()

    def round_trip(self, seconds: float, now: float) -> None:
        """A pong came back after this long."""
        self.heard(now)
        self.charge_point.round_trip_ms = round(seconds * 1000)

    # --- what comes in --------------------------------------------------------------------------------------

    def _called(self, call: frames.Call, now: float) -> None:
        request = self._request_in(call)
        if request is not None:
            central.HANDLERS[call.action](central.Inbound(self.charge_point, now, self, call.id), request)

    def _request_in(self, call: frames.Call) -> Payload | None:
        """What a Call of the charge point asks for; None where that cannot be read, which it is told then."""
        try:
            if call.action not in central.HANDLERS:
                raise schema.PayloadError(frames.ErrorCode.NOT_IMPLEMENTED, call.action)
            return schema.decode_request(call.action, call.payload)
        except schema.PayloadError as error:
            unknown = error.code is frames.ErrorCode.NOT_IMPLEMENTED
            self._fault(QuirkBits(0) if unknown else QuirkBits.schema_violation, f"{call.action[:50]!r}: {error}")
            self._send(frames.call_error(call.id, error.code, error.description))
            return None

    def _bad(self, frame: frames.BadFrame, now: float) -> None:
        if not self._unanswered:
            own_triggers.unreadable(self.charge_point, now)
        self._fault(QuirkBits.invalid_json if frame.code is None else QuirkBits.schema_violation, frame.reason)
        if frame.id is not None and frame.code is not None:
            self._send(frames.call_error(frame.id, frame.code, frame.reason))
        elif frame.id is not None and self.open_call is not None and frame.id == self.open_call.id:
            self._unanswered = 0
            self._conclude(failed(CommandError.call_error, text=frame.reason), now)

    def _fault(self, quirk: QuirkBits, what: str) -> None:
        """Count and log what a peer did wrong; the link stays."""
        cp = self.charge_point
        cp.bank.site.count("ocpp_errors")
        cp.note_quirk(quirk)
        self._note(logging.WARNING, what)

    def _note(self, level: int, what: str) -> None:
        """Log something of the peer's, as often as one peer may; its text cannot begin a line of its own."""
        self._faults += 1
        if self._faults <= LOGGED_FAULTS:
            log.log(level, "%s: %s", self.charge_point.name, what.encode("unicode_escape").decode())

    def _answered(self, frame: frames.CallResult | frames.CallError, now: float) -> None:
        call = self.open_call
        if call is None or frame.id != call.id:
            if frame.id.startswith(self.id_prefix):
                self._unanswered = 0  # slow, but it answers: no reason to close the link (quirk C6)
            self.charge_point.note_quirk(QuirkBits.late_answer)
            self._note(logging.INFO, f"answer {frame.id!r} to no open Call, too late or never asked")
            return
        self._unanswered = 0
        if isinstance(frame, frames.CallError):
            unsupported = frame.code in (frames.ErrorCode.NOT_IMPLEMENTED, frames.ErrorCode.NOT_SUPPORTED)
            error = CommandError.not_supported if unsupported else CommandError.call_error
            self._conclude(failed(error, text=f"{frame.code} {frame.description}".strip()), now)
            return
        try:
            answer = schema.decode_answer(call.action, frame.payload)
        except schema.PayloadError as error:
            self._fault(QuirkBits.schema_violation, f"answer to {call.action}: {error.description}")
            self._conclude(failed(CommandError.call_error, text=error.description), now)
            return
        self._conclude(self._report_of(call.command, answer), now)

    def _report_of(self, command: Command, answer: Payload) -> Report:
        if command.conclude is not None:
            return command.conclude(answer)
        return operation_of(command).conclude(self.charge_point, command, answer)

    # --- answers to the charge point ------------------------------------------------------------------------

    def reply(self, call_id: str, payload: Payload, durable: int = 0, *, withheld: bool = False) -> None:
        """Answer a Call of the charge point; nothing if the link is gone meanwhile."""
        if self.is_open:
            self._send(frames.call_result(call_id, schema.encode(payload)), durable, withheld=withheld)

    def _send(self, text: str | bytes, durable: int = 0, *, withheld: bool = False) -> None:
        if self.closing:
            return
        site = self.charge_point.bank.site
        site.journal.hurry(self._promised)  # what is said now goes out after what was promised before
        self._promised = durable or self._promised
        self.words.append(Send(text, durable, withheld, site.now))
        self.on_word()

    # --- registration ---------------------------------------------------------------------------------------

    def register(self, now: float) -> None:
        """BootNotification was answered, or the charge point came back without one: Calls may go out."""
        cp = self.charge_point
        cp.registered, cp.link_state = True, LinkState.accepted
        cp.touch()
        for hook in cp.bank.site.on_registered:
            hook(cp, now)

    def _came_back(self, now: float) -> None:
        """The first message was heard, and no BootNotification followed: the charge point came back without one."""
        cp = self.charge_point
        if not self.is_open or cp.registered:
            return
        cp.note_quirk(QuirkBits.no_boot_notification)
        self.register(now)
        own_triggers.came_back(cp, now)

    # --- Calls to the charge point --------------------------------------------------------------------------

    def offer(self, command: Command, now: float) -> None:
        """Take a command; its request is judged at once, sent when no Call is open."""
        try:
            action, request = self._request_of(command)
            schema.encode(request)
        except (BadParameter, schema.PayloadError) as error:
            command.report(failed(CommandError.bad_parameter, text=str(error)), now)
            return
        command.report(Report(CommandState.queued), now)
        slot = command.slot or f"{id(command)}"
        replaced = self.waiting.get(slot)
        if replaced is not None:
            replaced[0].finished = True  # the newer value speaks for both
        self.waiting[slot] = (command, request, action)  # in the place of the older one: nobody has to wait for ever
        self._pump(now)

    def _request_of(self, command: Command) -> tuple[str, Payload]:
        if command.action and isinstance(command.payload, Payload):
            return command.action, command.payload
        operation = operation_of(command)
        return operation.action, operation.build(self.charge_point, command)

    def _pump(self, now: float) -> None:
        """Send the next command unless a Call is open."""
        while self.open_call is None and self.waiting and self.is_open and not self.closing:
            slot = self._next_due(now)
            if slot is None:
                return
            command, request, action = self.waiting.pop(slot)
            if not isinstance(command.payload, Payload) and (send := operation_of(command).send) is not None:
                send(self.charge_point, command, request)
            try:
                raw = schema.encode(request)
            except schema.PayloadError as error:  # of what it takes along
                command.report(failed(CommandError.bad_parameter, text=str(error)), now)
                continue
            self._numbers += 1
            call_id = f"{self.id_prefix}{self._numbers}"
            timeout = self.charge_point.bank.site.agenda.at(now + self.call_timeout_s, self._timed_out)
            self.open_call = OpenCall(call_id, action, command, now, timeout)
            self._send(frames.call(call_id, action, raw), command.durable)
            command.report(Report(CommandState.sent), now)

    def _next_due(self, now: float) -> str | None:
        """The first of those that wait and may go; None where each has to wait for its time, at which this is asked
        again."""
        earliest = inf
        for slot, (command, _, _) in self.waiting.items():
            due = self.charge_point.not_before(command)
            if due <= now:
                return slot
            earliest = min(earliest, due)
        if self._later is None or not self._later.waiting or self._later.when > earliest:
            if self._later is not None:
                self._later.cancel()
            self._later = self.charge_point.bank.site.agenda.at(earliest, self._pump)
        return None

    def _conclude(self, report: Report, now: float) -> None:
        call, self.open_call = self.open_call, None
        if call is not None:
            call.timeout.cancel()
            call.command.report(report, now)
        self._pump(now)

    def _timed_out(self, now: float) -> None:
        cp = self.charge_point
        cp.call_timeouts += 1
        self._unanswered += 1
        cp.touch()
        log.warning("%s: no answer to %s", cp.name, self.open_call.action if self.open_call else "a Call")
        if self._unanswered >= UNANSWERED_MAX:
            self.close(NO_ANSWER_CLOSE, "Calls go unanswered")
        self._conclude(failed(CommandError.no_answer), now)

    def close(self, code: int, reason: str) -> None:
        """Have the edge close the WebSocket; what was said before still goes out, nothing after."""
        if not self.closing:
            self.closing = True
            self.words.append(Close(code, reason))
            self.on_word()
