"""A configured charge point as a plain record: its link, its connectors, its mailboxes. No I/O, no clock.

Whoever changes it calls one of its `touch…()`, so that the bank encodes those blocks again before the next read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Protocol

from gatewayd.site.agenda import Entry
from gatewayd.site.codes import CommandCode, CommandError, LinkState, QuirkBits, Role, TriggerCode
from gatewayd.site.command import Command, CommandMailbox, failed
from gatewayd.site.connector import Connector
from gatewayd.site.decision import Decisions
from gatewayd.site.limit import OwnProfile
from gatewayd.site.limit_strategy import LimitStrategy
from gatewayd.site.local_control import permitted
from gatewayd.site.owner import Ownership
from gatewayd.site.quirk_profile import STANDARD, QuirkProfile
from gatewayd.site.standing import Standing
from gatewayd.site.tag_list import Held
from gatewayd.site.timestamp import format_utc
from gatewayd.site.transaction import Transactions
from gatewayd.site.upstream_ids import UpstreamIds
from gatewayd.site.upstream_profiles import UpstreamProfiles

if TYPE_CHECKING:
    from gatewayd.site.model import BankRecords

CHARGE_POINTS_PER_BANK = 20
"""One bank is one Modbus unit; 21 blocks of 3000 registers fill its address space (modbus.md, Addresses)."""
COMMAND_REGISTERS = 106
"""`command_code` .. `command_sequence` of block 8."""
RESPONSE_REGISTERS = 15
"""`response_status` .. `response_sequence` of block 0."""
RESPONSE_TEXT_REGISTERS = 50


class Link(Protocol):
    """The live connection of a charge point, as far as whoever wants something of it must know."""

    def offer(self, command: Command, now: float) -> None:
        """Take a command: it is reported queued, sent, and then exactly one outcome."""

    def close(self, code: int, reason: str) -> None:
        """Close the WebSocket with this code."""


class Substitute(Protocol):
    """A simulated charge point that stands in until the real one connects."""

    def stop(self, now: float) -> None:
        """The real one is here."""


@dataclass(slots=True)
class Identity:
    """Who the charge point says it is, in BootNotification."""

    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    meter_serial: str = ""


@dataclass(eq=False, slots=True)
class ChargePoint:
    """A configured charge point: its link, its connectors and its mailboxes."""

    number: int
    """1..20 in bank 1, 21..40 in bank 2, … (interface.md)."""
    name: str
    """The identity that it dials with."""
    connector_count: int
    bank: BankRecords
    default_id_tag: str = "GATEWAY"
    max_current_a: float = 32.0
    limit_strategy: LimitStrategy = field(default_factory=LimitStrategy)
    fallback: OwnProfile = field(default_factory=OwnProfile)
    """The profile that it holds for a dead gateway (modbus.md, Watchdog)."""
    fallback_refused: bool = False
    """It was logged that there is no room for one."""
    renewal: Entry | None = None
    """When its live limits are said once more, before they lapse."""
    limits_told: tuple[int, int | None, int] = (0, None, 0)
    """The `rate_units`, `max_stack_level` and learned purpose that its limits were made with."""
    told_offset_s: float | None = None
    """Epoch minus monotonic seconds as it was last told in an answer: what its own clock should say."""
    connectors: list[Connector] = field(default_factory=list)
    """Index is the OCPP connector id; 0 is the charge point itself."""
    link: Link | None = None
    link_state: LinkState = LinkState.never
    address: str = ""
    """Where its last link came from; "": not known."""
    registered: bool = False
    simulated: bool = False
    stand_in: Substitute | None = None
    role: Role = Role.central_system
    """What the gateway is to this one; in bridge role a central system upstream decides."""
    local_control: bool = False
    """Bridge role: the BMS may use what `local_control` lists."""
    upstream: bool = False
    """Bridge role: the link to the central system is up."""
    upstream_profiles: UpstreamProfiles = field(default_factory=UpstreamProfiles)
    answered: dict[str, None] = field(default_factory=dict)
    """Bridge role: ids of its Calls that were answered lately, on this link or an earlier one; oldest first."""
    buffered: bool = False
    """Bridge role: it is served while its central system is away, and what that misses is kept."""
    upstream_ids: UpstreamIds = field(init=False)
    standing: Standing = field(init=False)
    clock_bad: bool = False
    silent: bool = False
    """Connected, but nothing was heard for too long."""
    quirks: int = 0
    features: int = 0
    security_profile: int | None = None
    """0..3, of its last link."""
    authenticated: bool = False
    """On its last link it showed a password or a certificate."""
    certificate_until: int = 0
    """When the certificate that the gateway's authority signed for it ends, epoch seconds; 0: there is none."""
    signed_chain: str = ""
    """A certificate that waits to be delivered, PEM."""
    certificate_requests: list[float] = field(default_factory=list)
    """When the last requests for a certificate were looked at, monotonic."""
    connected_epoch: float | None = None
    heartbeat_at: float | None = None
    message_at: float | None = None
    reconnects: int = 0
    call_timeouts: int = 0
    round_trip_ms: int | None = None
    firmware_status: int = 0
    diagnostics_status: int = 0
    security_event: int = 0
    list_version: int | None = None
    rate_units: int = 0
    max_stack_level: int | None = None
    send_list_max_length: int | None = None
    held_list: Held | None = None
    """What it accepted of the gateway's authorization list; None: not known."""
    quirk_profile: QuirkProfile = STANDARD
    """What its model needs; `take_quirks` sets it."""
    triggered_at: dict[TriggerCode, float] = field(default_factory=dict)
    """TriggerMessage → monotonic time at which the gateway last sent it of its own accord (quirk C7)."""
    triggers_due: dict[TriggerCode, Entry] = field(default_factory=dict)
    """When it will, where that was too short a while ago."""
    statuses: deque[tuple[str, object]] = field(default_factory=lambda: deque(maxlen=16))
    """Message ids and payloads of the last StatusNotifications, two of each connector: to know one that comes again."""
    boots: deque[float] = field(default_factory=lambda: deque(maxlen=3))
    """Monotonic times of the last BootNotifications; three within 5 minutes are a loop (quirk B3)."""
    booted: bool = False
    """A BootNotification was heard since the gateway started."""
    identity: Identity = field(default_factory=Identity)
    allowed: int = 1
    decisions: Decisions = field(init=False)
    transactions: Transactions = field(default_factory=Transactions)
    remote_starts: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Connector → (tag of our own RemoteStart, monotonic time until which it is accepted unasked)."""
    mailbox: CommandMailbox = field(init=False)
    mailbox_owner: Ownership = field(default_factory=Ownership)
    response_owner: Ownership = field(default_factory=Ownership)
    response_registers: bytearray = field(default_factory=lambda: bytearray(2 * RESPONSE_REGISTERS))
    response_text_registers: bytearray = field(default_factory=lambda: bytearray(2 * RESPONSE_TEXT_REGISTERS))

    def __post_init__(self) -> None:
        self.mailbox = CommandMailbox(bytearray(2 * COMMAND_REGISTERS))
        self.decisions = Decisions(self.number)
        self.upstream_ids, self.standing = UpstreamIds(self.number), Standing(self.number)
        self.connectors = [Connector(k, self) for k in range(self.connector_count + 1)]

    def take_quirks(self, profile: QuirkProfile) -> None:
        """It is of this model; what was learned of it stays, but for readings of a register that counts otherwise."""
        if profile.energy_register is not self.quirk_profile.energy_register:
            for connector in self.connectors:
                connector.meter.forget_session()
        self.quirk_profile = profile
        self.limit_strategy = LimitStrategy(
            profile.limit_purposes,
            profile.limit_kind,
            profile.limit_stack_level,
            profile.limit_unit,
            profile.limit_clearing,
            profile.when_zero_refused,
            self.limit_strategy.learned,
        )

    def stamp(self, epoch: float) -> str:
        """A time as it is written to this charge point (ocpp.md, Out; quirk B6)."""
        return format_utc(epoch, fraction=self.quirk_profile.time_fraction)

    @property
    def place(self) -> int:
        """1..20: its place in its bank."""
        return (self.number - 1) % CHARGE_POINTS_PER_BANK + 1

    @property
    def whole(self) -> Connector:
        """Connector 0."""
        return self.connectors[0]

    @property
    def connected(self) -> bool:
        return self.link is not None

    @property
    def charge_point(self) -> ChargePoint:
        """Itself: rows of block 0 and of connectors ask the same question of their record."""
        return self

    @property
    def bridged(self) -> bool:
        """A central system upstream decides, and its transaction ids count."""
        return self.role is Role.bridge

    @property
    def watched_only(self) -> bool:
        """The gateway says nothing to it by itself (modbus.md, Bridge role)."""
        return self.bridged and not self.local_control

    @property
    def comm_error(self) -> bool:
        """Values are not to be trusted: the link is down or silent (the table)."""
        return self.link is None or self.silent

    @property
    def real_connectors(self) -> list[Connector]:
        return self.connectors[1:]

    def connector(self, number: int) -> Connector | None:
        """The configured connector with this OCPP id (0 = the whole), or None."""
        return self.connectors[number] if 0 <= number <= self.connector_count else None

    def resize(self, connectors: int) -> None:
        """Another number of connectors is configured; those that remain keep everything."""
        self.connector_count = connectors
        del self.connectors[connectors + 1 :]
        self.connectors += [Connector(k, self) for k in range(len(self.connectors), connectors + 1)]

    def count_update(self) -> int:
        """Block 0 has its own `update_counter`."""
        return self.whole.count_update()

    def touch(self) -> None:
        """Blocks 0 and 9 changed."""
        self.bank.changed.add((self.place, 0))
        self.bank.changed.add((self.place, 9))
        self.bank.site.on_touch(self.whole)

    def touch_mailbox(self) -> None:
        self.bank.changed.add((self.place, 8))
        self.bank.changed.add((self.place, 0))

    def touch_all(self) -> None:
        """The link came or went: everything that depends on it shows so."""
        for block in range(self.connector_count + 1):
            self.bank.changed.add((self.place, block))
        self.bank.changed.add((self.place, 8))
        self.bank.changed.add((self.place, 9))

    def note_quirk(self, quirk: QuirkBits) -> None:
        """Remember a tolerated deviation in `quirks`."""
        if quirk and quirk & ~self.quirks:
            self.quirks |= int(quirk)
            self.touch()

    def profiles_changed(self, now: float) -> None:
        """Somebody else set or cleared charging profiles: ours may be gone with them."""
        for hook in self.bank.site.on_profiles_changed:
            hook(self, now)

    def not_before(self, command: Command) -> float:
        """Monotonic time before which a command may not go out: a start not too soon after the end before it (quirk
        T10)."""
        pause_s = self.quirk_profile.start_pause_s
        if not pause_s or command.code is not CommandCode.RemoteStartTransaction:
            return -inf
        connector = self.connector(command.connector)
        return -inf if connector is None or connector.stopped_at is None else connector.stopped_at + pause_s

    def offer(self, command: Command, now: float) -> None:
        """Hand a command to the link, or fail it at once for want of one (modbus.md, Command mailbox)."""
        if self.bridged and not (self.local_control and permitted(command)):
            command.report(failed(CommandError.blocked_by_role), now)
        elif self.link is None:
            command.report(failed(CommandError.offline), now)
        elif not self.registered:
            command.report(failed(CommandError.not_registered), now)
        else:
            self.link.offer(command, now)
