"""WHAT IS TRUE: the gateway and its banks as plain records; charge points and connectors have modules of their own.
No I/O, no clock.

A change is a plain function call with no `await` inside; with one trio thread it is atomic. Whoever changes a
record calls its `touch()`, so that the bank encodes that block again before the next read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gatewayd.site import upstream_ids
from gatewayd.site.agenda import Agenda, Entry
from gatewayd.site.backlog import Backlog
from gatewayd.site.certificate import Signer
from gatewayd.site.charge_point import CHARGE_POINTS_PER_BANK, ChargePoint
from gatewayd.site.clock import Clock
from gatewayd.site.codes import DecisionDefault, DiskState, GatewayState, LimitResult, Role, WordOrder
from gatewayd.site.connector import Connector
from gatewayd.site.journal import Journal
from gatewayd.site.list_mailbox import ListMailbox
from gatewayd.site.profile_mailbox import ProfileMailbox
from gatewayd.site.refusal import Refusals
from gatewayd.site.slot import Slot
from gatewayd.site.tag_list import TagList

CONFIGURATION = "configuration"
"""The trouble of a configuration that was refused while running."""


class Written(NamedTuple):
    """The last write of a point, or of a mailbox."""

    client: str
    """An address, `rtu`, or `page`."""
    registers: int
    epoch: float


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
    counted: set[str] = field(default_factory=set)
    """Counters that moved since the bank last looked. They stand by themselves, because one of them moves at every
    frame of a serial line, and to encode the gateway block for it would cost more than to answer the frame."""
    profile: ProfileMailbox = field(default_factory=ProfileMailbox)
    written: dict[int, Written] = field(default_factory=dict)
    """First register → who wrote it last since the start; a mailbox is one entry."""
    written_news: set[int] = field(default_factory=set)
    """Those that were written since somebody last looked."""
    holds_lost: bool = False
    """on_comm_error = "hold": sums count charge points whose link is down with what they said last."""

    def touch(self) -> None:
        self.changed.add((0, 0))

    def note_write(self, register: int, registers: int, client: str) -> None:
        """Somebody wrote this point or mailbox."""
        self.written[register] = Written(client, registers, self.site.epoch)
        self.written_news.add(register)


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
    certificate_until: float | None = None
    """When the certificate of the user's own authority ends, seconds since 1970; None: there is none."""
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
    refusals: Refusals = field(default_factory=Refusals)
    signer: Signer | None = None
    """The gateway's own authority; None: it has none, or cannot use it."""
    journal: Journal = field(default_factory=Journal)
    agenda: Agenda = field(default_factory=Agenda)
    banks: list[BankRecords] = field(default_factory=list)
    charge_points: dict[str, ChargePoint] = field(default_factory=dict)
    """Identity → charge point."""
    tags: TagList = field(default_factory=TagList)
    list_mailbox: ListMailbox = field(default_factory=ListMailbox)
    slots: dict[int, Slot] = field(default_factory=dict)
    next_transaction_id: int = 1
    backlog: Backlog = field(default_factory=Backlog)
    next_own_id: int = upstream_ids.FIRST
    """Of transactions that begin while their central system upstream is away."""
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
    sharing_count: int = 0
    """Connectors that charged when the site's limit was last shared."""
    min_limit_interval_s: float = 2.0
    """Between increases of one limit."""
    heartbeat_at: float = 0.0
    """Monotonic time at which `bms_heartbeat` last changed, or the watchdog was switched on."""
    watchdog_look: Entry | None = None
    unsettled: set[Connector] = field(default_factory=set)
    """Connectors that changed at this instant; what follows for limits is not settled yet."""
    on_touch: Callable[[Connector], None] = field(default=lambda _connector: None)
    """Something of this connector changed; connector 0: of the charge point."""
    on_trouble: Callable[[str, bool], None] = field(default=lambda _name, _there: None)
    """One of the troubles came, or went."""
    on_registered: list[Callable[[ChargePoint, float], None]] = field(default_factory=list)
    """What is to be done when Calls may go out to a charge point: limits again, questions of our own."""
    on_profiles_changed: list[Callable[[ChargePoint, float], None]] = field(default_factory=list)
    """What is to be done when somebody else set or cleared charging profiles: limits again."""
    on_lost: list[Callable[[ChargePoint, float], None]] = field(default_factory=list)
    """What is to be done when its link is gone."""

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
            self.on_trouble(name, there)
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

    def put_back(self, charge_point: ChargePoint) -> None:
        """One that was removed is configured again, perhaps by another name or with other connectors."""
        charge_point.bank.charge_points[charge_point.place] = charge_point
        self.charge_points[charge_point.name] = charge_point
        charge_point.touch_all()

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

    @property
    def stranded(self) -> Counter[int]:
        """Numbers of charge points that are configured no more → messages for their central systems that still wait."""
        return self.backlog.stranded({charge_point.number for charge_point in self.charge_points.values()})

    def count(self, counter: str) -> None:
        """One more of a counter, shown at the next read."""
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)
        for bank in self.banks:
            bank.counted.add(counter)

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

    def new_own_id(self) -> int:
        """The same for a transaction of a bridged charge point, whose central system is away."""
        given = self.next_own_id
        self.next_own_id += 1
        return given
