"""What a charge point asks of the BMS, and how it is answered (modbus.md, Decision mailbox)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gatewayd.site.agenda import Agenda, Entry
from gatewayd.site.codes import DecisionDefault, RequestType, ResponseState, ResponseStatus
from gatewayd.site.journal import DropInformative, Journal, SaveFact, SaveInformative
from gatewayd.site.tag_list import Tag, TagList

if TYPE_CHECKING:
    from gatewayd.site.charge_point import ChargePoint

INFORMATIVE_MAX = 16
"""Informative requests kept per charge point until the BMS confirms them (modbus.md)."""
WAITING_MAX = 16
"""Requests of one charge point that may wait at once. It may have one Call open, so a second one is a fault already:
a few are shown one after the other, a flood is answered with the default."""
SEQUENCE_LAST = 65534
"""After it comes 1: 0 means none, and a register that reads 65535 is not available."""
EXPIRED_KEPT = 16
"""Sequences remembered to say too_late instead of bad_sequence."""
REMEMBER_FLAG = 1
"""Bit 0 of `response_flags`: remember the tag in the gateway's list."""

ALLOWED_STATUS = {
    RequestType.Authorize: frozenset(range(ResponseStatus.Accepted, ResponseStatus.ConcurrentTx + 1)),
    RequestType.StartTransaction: frozenset(range(ResponseStatus.Accepted, ResponseStatus.ConcurrentTx + 1)),
    RequestType.DataTransfer: frozenset(
        {
            ResponseStatus.Accepted,
            ResponseStatus.Rejected,
            ResponseStatus.UnknownMessageId,
            ResponseStatus.UnknownVendorId,
        }
    ),
    RequestType.SignCertificate: frozenset({ResponseStatus.Accepted, ResponseStatus.Rejected}),
}
REFUSAL = {
    RequestType.Authorize: ResponseStatus.Invalid,
    RequestType.StartTransaction: ResponseStatus.Invalid,
    RequestType.DataTransfer: ResponseStatus.UnknownVendorId,
    RequestType.SignCertificate: ResponseStatus.Rejected,
}
"""How each type is refused; also what a status that does not belong to the type becomes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a request. `expiry` is an epoch or 0."""

    status: ResponseStatus
    expiry: int = 0
    parent_id_tag: str = ""
    text: str = ""


@dataclass(eq=False, slots=True)
class Request:
    """What stands in `request_*`. Times are epoch seconds, energies Wh; None reads "not available"."""

    type: RequestType
    connector: int = 0
    timestamp: float | None = None
    meter_wh: int | None = None
    transaction_id: int | None = None
    reservation_id: int | None = None
    reason: int = 0
    id_tag: str = ""
    session_energy_wh: int | None = None
    transaction_start: float | None = None
    key: str = ""
    text: str = ""
    sequence: int = 0
    deadline: float = 0.0
    """Monotonic."""
    reply: Callable[[Verdict], None] | None = None
    """None: informative."""
    entry: Entry | None = None

    @property
    def informative(self) -> bool:
        return self.reply is None


NOTHING_ASKED = Request(
    RequestType.none, timestamp=0, meter_wh=0, transaction_id=0, reservation_id=0, session_energy_wh=0,
    transaction_start=0,
)  # fmt: skip
"""What `request_*` shows while nobody asks."""

INFORMATIVE_FIELDS = (
    "type", "connector", "timestamp", "meter_wh", "transaction_id", "reason", "id_tag", "session_energy_wh",
    "transaction_start",
)  # fmt: skip
"""What of an informative request is kept over a restart."""


def informative_request(sequence: int, fields: Mapping[str, Any]) -> Request:
    """The request of which these fields were kept; unknown ones are of another version of the gateway."""
    request = Request(RequestType.StopTransaction, sequence=sequence)
    for name in INFORMATIVE_FIELDS:
        if name in fields:
            setattr(request, name, fields[name])
    return request


@dataclass(eq=False, slots=True)
class Decisions:
    """The decision mailbox of one charge point: those that wait first, then the informative ones."""

    charge_point: int
    sequence: int = 0
    """The newest request's; kept over restarts so that an old response answers nothing."""
    waiting: deque[Request] = field(default_factory=deque)
    informative: deque[Request] = field(default_factory=deque)
    state: ResponseState = ResponseState.idle
    lost: int = 0
    last_response: int = 0
    expired: deque[int] = field(default_factory=lambda: deque(maxlen=EXPIRED_KEPT))

    @property
    def current(self) -> Request:
        """The request shown."""
        if self.waiting:
            return self.waiting[0]
        return self.informative[0] if self.informative else NOTHING_ASKED

    @property
    def pending(self) -> bool:
        return bool(self.waiting)

    def ask(self, request: Request, timeout_s: float, now: float, agenda: Agenda, journal: Journal) -> None:
        """Show a request and wait for the BMS at most `timeout_s`; its `reply` is called exactly once, unless
        it is withdrawn."""
        self._number(request, journal)
        request.deadline = now + timeout_s
        self.waiting.append(request)
        if self.waiting[0] is request:
            self.state = ResponseState.idle

    def inform(self, request: Request, journal: Journal) -> None:
        """Show an informative request until the BMS confirms it; the oldest falls out of a full queue, counted."""
        self._number(request, journal)
        self.informative.append(request)
        kept = {name: getattr(request, name) for name in INFORMATIVE_FIELDS}
        journal.write(SaveInformative(self.charge_point, request.sequence, kept))
        if len(self.informative) > INFORMATIVE_MAX:
            dropped = self.informative.popleft()
            self.lost += 1
            journal.write(DropInformative(self.charge_point, dropped.sequence))

    def _number(self, request: Request, journal: Journal) -> None:
        self.sequence = self.sequence % SEQUENCE_LAST + 1
        request.sequence = self.sequence
        journal.write(SaveFact(f"request_sequence/{self.charge_point}", self.sequence))

    def respond(self, sequence: int, verdict: Verdict, journal: Journal) -> Request | None:
        """The BMS wrote `response_sequence`; returns the request that this answered or confirmed, if any.

        A wrong value that is written again does nothing more, so a PLC may write its block in every cycle."""
        repeated, self.last_response = sequence == self.last_response, sequence
        current = self.current
        if current is NOTHING_ASKED or sequence != current.sequence:
            if sequence and not repeated:
                late = sequence in self.expired
                self.state = ResponseState.too_late if late else ResponseState.bad_sequence
            return None
        if current.informative:
            self.informative.popleft()
            journal.promise(DropInformative(self.charge_point, current.sequence))
            return current
        if verdict.status not in ALLOWED_STATUS[current.type]:
            verdict = Verdict(REFUSAL[current.type])
        self._conclude(current, verdict, ResponseState.sent)
        return current

    def expire(self, request: Request, verdict: Verdict) -> None:
        """The deadline passed: the default decision is answered."""
        self.expired.append(request.sequence)
        self._conclude(request, verdict, ResponseState.default_used)

    def withdraw(self, request: Request) -> None:
        """Nobody waits for this any more: its link is gone."""
        if request in self.waiting:
            shown = self.waiting[0] is request
            self.expired.append(request.sequence)
            self._remove(request)
            if shown and self.waiting:
                self.state = ResponseState.idle

    def _conclude(self, request: Request, verdict: Verdict, state: ResponseState) -> None:
        shown = self.waiting[0] is request
        self._remove(request)
        if shown and not self.waiting:
            self.state = state
        elif shown:
            self.state = ResponseState.idle
        reply = request.reply
        if reply is not None:
            reply(verdict)

    def _remove(self, request: Request) -> None:
        self.waiting.remove(request)
        if request.entry is not None:
            request.entry.cancel()


def default_verdict(
    policy: DecisionDefault, request_type: RequestType, id_tag: str, tags: TagList, epoch: float
) -> Verdict:
    """What is answered when the BMS stays silent (`decision_default`). DataTransfer is UnknownVendorId and
    SignCertificate rejected whatever the policy: accepting what nobody understood would be a lie."""
    if request_type not in (RequestType.Authorize, RequestType.StartTransaction):
        return Verdict(REFUSAL[request_type])
    listed: Tag | None = tags.find(id_tag) if policy >= DecisionDefault.list_then_reject else None
    if listed is not None:
        return Verdict(ResponseStatus(listed.status_at(epoch)), listed.expiry, listed.parent_id_tag)
    accept = policy in (DecisionDefault.accept, DecisionDefault.list_then_accept)
    return Verdict(ResponseStatus.Accepted if accept else ResponseStatus.Invalid)


def ask_bms(charge_point: ChargePoint, request: Request, now: float, agenda: Agenda) -> None:
    """Put a request to the BMS with the site's deadline and default (modbus.md, Decision mailbox)."""
    site, decisions = charge_point.bank.site, charge_point.decisions

    def default() -> Verdict:
        return default_verdict(site.decision_default, request.type, request.id_tag, site.tags, site.epoch)

    def too_late(_now: float) -> None:
        decisions.expire(request, default())
        charge_point.touch()

    if len(decisions.waiting) >= WAITING_MAX:
        site.count("ocpp_errors")
        if request.reply is not None:
            request.reply(default())
        return
    timeout_s = site.decision_timeout / 10
    decisions.ask(request, timeout_s, now, agenda, site.journal)
    request.entry = agenda.at(now + timeout_s, too_late)
    charge_point.touch()
