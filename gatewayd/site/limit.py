"""The limit of one connector, or of the whole charge point at connector 0 (modbus.md, Limits), as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from gatewayd.site.agenda import Entry
from gatewayd.site.codes import LimitResult, RateUnit
from gatewayd.site.command import Command
from gatewayd.site.supply import Supply

NO_LIMIT = -1
"""`limit` while there is none."""
NO_LIMIT_U16 = 65534
"""The same in the 16-bit registers."""

FAILED = frozenset(
    {
        LimitResult.rejected,
        LimitResult.not_supported,
        LimitResult.offline,
        LimitResult.blocked_by_role,
        LimitResult.no_answer,
        LimitResult.call_error,
    }
)
"""Results of a sending that failed: the same value written again is sent again (modbus.md, Types)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a profile of ours shall say. Two are equal when the charge point would be told the same."""

    limit: int
    """0.1 of the unit, or NO_LIMIT: the profile shall be gone."""
    unit: RateUnit = RateUnit.A
    phases: int = 0
    """1..3, or 0 = absent."""
    stack_level: int = 0
    duration_s: int = 0
    """It lapses by itself after this long; 0: it holds until it is replaced."""
    transaction_id: int | None = None
    """Only of a TxProfile."""
    limit_a: float = field(default=inf, compare=False)
    """A per phase, to tell an increase from a reduction."""
    shown: int = field(default=NO_LIMIT, compare=False)
    """What `limit_active` shows once it is accepted, in the unit that the BMS wrote its limit in."""
    shown_unit: RateUnit = field(default=RateUnit.A, compare=False)

    @property
    def nothing(self) -> bool:
        """No profile of ours shall be there."""
        return self.limit == NO_LIMIT


NOTHING = Wanted(NO_LIMIT)


@dataclass(eq=False, slots=True)
class OwnProfile:
    """One place for a profile of ours in a charge point: what shall stand there, what is on its way, what does."""

    wanted: Wanted = NOTHING
    asked: Wanted | None = None
    """What was last said over this link; None: nothing yet."""
    outcome: LimitResult = LimitResult.none
    """What came of that."""
    running: Command | None = None
    """The command that says it, until its outcome is known."""
    held: Wanted | None = None
    """What the charge point accepted last."""
    installed: int = 0
    """Id of the profile that may stand there, 0 = surely none; kept over restarts, so that it can be cleared."""
    confirmed: int = 0
    """1: that id was accepted, and nothing since has put it in doubt. Kept."""
    over_tx: bool = False
    """Bridge role: the central system's own TxProfile holds there, and only another TxProfile can lie above it."""
    attempt: int = 0
    """Place in the strategy's list of purposes while it is being learned."""
    failures: int = 0
    raised_at: float = -inf
    """Monotonic time of the last increase that went out."""
    waiting: Entry | None = None
    """An increase that waits for its time, or another try."""


@dataclass(slots=True)
class Effect:
    """Whether the charge point does what it accepted (quirk S6). Monotonic times."""

    judged: Wanted | None = None
    """The limit that is being judged."""
    since: float | None = None
    """When it was accepted."""
    obeyed: bool = False
    """No more than that was seen to be taken."""
    over_since: float | None = None
    """Since when more is taken."""
    offered_at: float | None = None
    """When Current.Offered or Power.Offered came last: a value that nobody repeats proves nothing."""
    look: Entry | None = None


@dataclass(slots=True)
class Limit:
    """What was written and what became of it. Limits count 0.1 of their unit."""

    written: int = NO_LIMIT
    unit: int = RateUnit.A
    phases: int = 0
    """1..3, or 0 = absent."""
    written_unit: int = RateUnit.A
    """The unit that took effect with the last write of `limit`."""
    written_phases: int = 0
    active: int | None = None
    """What the charge point accepted last, in the written unit; NO_LIMIT: that there is none; None before the first."""
    active_unit: int = RateUnit.A
    result: int = LimitResult.none
    upstream: int = NO_LIMIT
    upstream_unit: int = RateUnit.A
    shares: bool = False
    """Counted among the connectors that charge, when a limit was last shared."""
    zero_refused: bool = False
    """0 A was refused or had no effect, and the strategy says what to do then (quirk S3)."""
    stopped: int | None = None
    """The transaction that the gateway has asked to stop."""
    own: OwnProfile = field(default_factory=OwnProfile)
    effect: Effect = field(default_factory=Effect)
    supply: Supply = field(default_factory=Supply)

    @property
    def in_amperes(self) -> int | None:
        """For the 16-bit registers: 65534 = none, None (not available) for a limit in W."""
        if self.written == NO_LIMIT:
            return NO_LIMIT_U16
        return min(self.written, NO_LIMIT_U16 - 1) if self.written_unit == RateUnit.A else None
