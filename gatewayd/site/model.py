"""WHAT IS TRUE: the gateway, its charge points and their connectors as plain records. No I/O, no clock.

A change is a plain function call with no `await` inside; with one trio thread it is atomic. Whoever changes a
record calls its `touch()`, so that the bank encodes that block again before the next read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gatewayd.site.agenda import Agenda
from gatewayd.site.charging_profile import Profile
from gatewayd.site.clock import Clock
from gatewayd.site.codes import (
    CommandError,
    DecisionDefault,
    DiskState,
    GatewayState,
    LimitResult,
    LinkState,
    QuirkBits,
    Role,
    Status,
    WordOrder,
)
from gatewayd.site.command import Command, CommandMailbox, Trigger, TriggerOutcome, failed
from gatewayd.site.decision import Decisions
from gatewayd.site.journal import Journal
from gatewayd.site.limit import Limit
from gatewayd.site.list_mailbox import ListMailbox
from gatewayd.site.meter import Meter
from gatewayd.site.owner import Ownership
from gatewayd.site.profile_mailbox import ProfileMailbox
from gatewayd.site.slot import Slot
from gatewayd.site.tag_list import TagList
from gatewayd.site.transaction import Transaction, Transactions

CHARGE_POINTS_PER_BANK = 20
"""One bank is one Modbus unit; 21 blocks of 3000 registers fill its address space (modbus.md, Addresses)."""
CONNECTORS_MAX = 7
"""Connectors per charge point (manual 2.2)."""
COMMAND_REGISTERS = 106
"""`command_code` .. `command_sequence` of block 8."""
RESPONSE_REGISTERS = 15
"""`response_status` .. `response_sequence` of block 0."""
RESPONSE_TEXT_REGISTERS = 50

CONFIGURATION = "configuration"
"""The trouble of a configuration that was refused while running."""

PLUGGED = frozenset(
    {Status.Preparing, Status.Charging, Status.SuspendedEV, Status.SuspendedEVSE, Status.Finishing},
)
"""The states of a connector with a cable in it (the table, `plugged`)."""


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


@dataclass(eq=False, slots=True)
class Connector:
    """One connector (1..7), or with number 0 what OCPP says of the charge point as a whole."""

    number: int
    charge_point: ChargePoint
    status: int = Status.unknown
    error_code: int | None = None
    vendor_error_code: str = ""
    status_time: float | None = None
    """Epoch seconds of the status shown; an older one does not overwrite it (quirk M10)."""
    status_at: float | None = None
    """Monotonic time when it came."""
    available_since: float | None = None
    meter: Meter = field(default_factory=Meter)
    meter_at: float | None = None
    meter_fresh: bool = False
    transaction: Transaction | None = None
    """The open transaction, else the last one: it stays in the registers until the next start."""
    reservation_id: int = 0
    session_count: int = 0
    session_time_total_s: int = 0
    enable: int = 1
    operative: int = 1
    operative_sent_ok: bool = True
    start_id_tag: str = ""
    attached_profile: Profile | None = None
    """Goes out with the next RemoteStartTransaction."""
    energy_limit_wh: int = 0
    limit: Limit = field(default_factory=Limit)
    outcome: TriggerOutcome = field(default_factory=TriggerOutcome)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    update_counter: int = 0

    @property
    def open_transaction(self) -> Transaction | None:
        return self.transaction if self.transaction is not None and self.transaction.open else None

    @property
    def plugged(self) -> bool:
        return self.status in PLUGGED

    @property
    def charging(self) -> bool:
        return self.status == Status.Charging

    @property
    def faulted(self) -> bool:
        return self.status == Status.Faulted

    def count_update(self) -> None:
        """A BMS sees from `update_counter` that the block changed."""
        self.update_counter += 1

    def touch(self) -> None:
        """This connector changed: its block, and what the gateway block says of it, will be encoded again."""
        self.charge_point.bank.changed.add((self.charge_point.place, self.number))


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
    connectors: list[Connector] = field(default_factory=list)
    """Index is the OCPP connector id; 0 is the charge point itself."""
    link: Link | None = None
    link_state: LinkState = LinkState.never
    registered: bool = False
    simulated: bool = False
    stand_in: Substitute | None = None
    upstream: bool = False
    clock_bad: bool = False
    silent: bool = False
    """Connected, but nothing was heard for too long."""
    quirks: int = 0
    features: int = 0
    security_profile: int = 0
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
        self.connectors = [Connector(k, self) for k in range(self.connector_count + 1)]

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
    def comm_error(self) -> bool:
        """Values are not to be trusted: the link is down or silent (the table)."""
        return self.link is None or self.silent

    @property
    def real_connectors(self) -> list[Connector]:
        return self.connectors[1:]

    def connector(self, number: int) -> Connector | None:
        """The configured connector with this OCPP id (0 = the whole), or None."""
        return self.connectors[number] if 0 <= number <= self.connector_count else None

    def count_update(self) -> None:
        """Block 0 has its own `update_counter`."""
        self.whole.count_update()

    def touch(self) -> None:
        """Blocks 0 and 9 changed."""
        self.bank.changed.add((self.place, 0))
        self.bank.changed.add((self.place, 9))

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

    def offer(self, command: Command, now: float) -> None:
        """Hand a command to the link, or fail it at once for want of one (modbus.md, Command mailbox)."""
        if self.link is None:
            command.report(failed(CommandError.offline), now)
        elif not self.registered:
            command.report(failed(CommandError.not_registered), now)
        else:
            self.link.offer(command, now)


@dataclass(eq=False, slots=True)
class BankRecords:
    """What belongs to one bank of 20 charge points."""

    number: int
    """1, 2, … in the order of unit ids."""
    site: Site
    charge_points: dict[int, ChargePoint] = field(default_factory=dict)
    """Place 1..20 → charge point."""
    changed: set[tuple[int, int]] = field(default_factory=set)
    """(place, block) changed since the bank last looked; (0, 0) is the gateway block alone."""
    profile: ProfileMailbox = field(default_factory=ProfileMailbox)

    def touch(self) -> None:
        self.changed.add((0, 0))


@dataclass(slots=True)
class Counters:
    """What the gateway block counts. They wrap at 65536 where they stand in one register."""

    modbus_tcp_clients: int = 0
    modbus_exceptions: int = 0
    modbus_refused: int = 0
    ocpp_errors: int = 0
    watchdog_trips: int = 0
    rtu_frames: int = 0
    rtu_crc_errors: int = 0
    rtu_foreign_frames: int = 0
    rtu_collisions: int = 0


@dataclass(eq=False, slots=True)
class Site:
    """Everything that is true here; the only state of the gateway."""

    role: Role = Role.central_system
    name: str = ""
    serial: str = ""
    firmware: str = ""
    config_checksum: int = 0
    ready: bool = False
    """Every listener is bound."""
    troubles: set[str] = field(default_factory=set)
    """What is wrong with the gateway itself: CONFIGURATION, or the name of what is missing (a port, the disk)."""
    disk_state: DiskState = DiskState.unknown
    word_order: WordOrder = WordOrder.big
    notify_always: bool = False
    """notify = "always": setpoints and triggers act at every write."""
    started: float = 0.0
    """Monotonic time of the start."""
    now: float = 0.0
    """Monotonic time of the last thing that happened; every entry point sets it through `advance`."""
    clock: Clock = field(default_factory=Clock)
    counters: Counters = field(default_factory=Counters)
    journal: Journal = field(default_factory=Journal)
    agenda: Agenda = field(default_factory=Agenda)
    banks: list[BankRecords] = field(default_factory=list)
    charge_points: dict[str, ChargePoint] = field(default_factory=dict)
    """Identity → charge point."""
    tags: TagList = field(default_factory=TagList)
    list_mailbox: ListMailbox = field(default_factory=ListMailbox)
    slots: dict[int, Slot] = field(default_factory=dict)
    next_transaction_id: int = 1
    next_request_id: int = 1
    bms_heartbeat: int = 0
    watchdog_timeout_s: int = 0
    watchdog_state: int = 0
    watchdog_action: int = 0
    watchdog_limit: int = 60
    decision_timeout: int = 80
    """0.1 s."""
    decision_default: DecisionDefault = DecisionDefault.list_then_reject
    site_limit_w: int = -1
    site_limit_result: int = LimitResult.none
    on_registered: list[Callable[[ChargePoint, float], None]] = field(default_factory=list)
    """What is to be done when Calls may go out to a charge point: limits again, questions of our own."""

    def advance(self, now: float) -> None:
        """Something happens at `now`."""
        self.now = now

    @property
    def state(self) -> GatewayState:
        """The register `state`: a refused configuration shows before anything that merely degrades."""
        if not self.ready:
            return GatewayState.booting
        if CONFIGURATION in self.troubles:
            return GatewayState.configuration_error
        return GatewayState.degraded if self.troubles else GatewayState.running

    def trouble(self, name: str, *, there: bool) -> None:
        """Something is missing, or is back."""
        if there != (name in self.troubles):
            (self.troubles.add if there else self.troubles.discard)(name)
            self.touch()

    @property
    def epoch(self) -> float:
        """The gateway's time, seconds since 1970."""
        return self.clock.epoch(self.now)

    def add_charge_point(self, number: int, name: str, connectors: int) -> ChargePoint:
        """Configure one charge point. Its bank must be there (`set_bank_count`)."""
        bank = self.banks[(number - 1) // CHARGE_POINTS_PER_BANK]
        charge_point = ChargePoint(number, name, connectors, bank)
        bank.charge_points[charge_point.place] = charge_point
        self.charge_points[name] = charge_point
        charge_point.touch_all()
        return charge_point

    def remove_charge_point(self, charge_point: ChargePoint) -> None:
        """It is no longer configured; its open connection is the caller's to close."""
        del self.charge_points[charge_point.name]
        del charge_point.bank.charge_points[charge_point.place]

    def set_bank_count(self, count: int) -> None:
        """Banks 1..count, those there already kept."""
        del self.banks[count:]
        while len(self.banks) < count:
            self.banks.append(BankRecords(len(self.banks) + 1, self))

    def by_number(self) -> Iterator[ChargePoint]:
        return iter(sorted(self.charge_points.values(), key=lambda cp: cp.number))

    def touch(self) -> None:
        """The gateway block of every bank changed."""
        for bank in self.banks:
            bank.touch()

    def count(self, counter: str) -> None:
        """One more of a counter, shown at the next read."""
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)
        self.touch()

    def new_request_id(self) -> int:
        """For GetLog and SignedUpdateFirmware; 31 bits, as small charge points keep it."""
        given = self.next_request_id
        self.next_request_id = given % 0x7FFFFFFF + 1
        return given

    def new_transaction_id(self) -> int:
        """Positive and never given before, over restarts too: the ledger keeps the next one."""
        given = self.next_transaction_id
        self.next_transaction_id += 1
        return given
