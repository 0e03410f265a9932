"""What must survive a power cut, as words for the ledger to write down; no I/O here.

Whoever changes something durable says so with one of these records. The ledger takes them in order, commits
them together and tells how far it got; answers that promise durability wait for that (promises, R9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct

from gatewayd.site.reading_pace import ReadingPace

if TYPE_CHECKING:
    from gatewayd.site.transaction import Transaction


class SaveTransaction(Struct, frozen=True):
    """A transaction as it stands now; replaces what was saved under its id."""

    charge_point: int
    transaction: Transaction


class SaveReading(Struct, frozen=True):
    """The meter of a running transaction, which was saved before: nothing else of it has changed."""

    charge_point: int
    transaction: Transaction


class SaveFact(Struct, frozen=True):
    """One named number or text: an ack, a sequence, a setting, a counter."""

    name: str
    value: int | str


class SaveTag(Struct, frozen=True):
    """One entry of the gateway's own authorization list; `status` 0 forgets it."""

    id_tag: str
    status: int
    expiry: int
    parent_id_tag: str
    position: int = 0


class ClearTags(Struct, frozen=True):
    """The whole authorization list is forgotten."""


class SaveInformative(Struct, frozen=True):
    """One informative request waits for the BMS; kept under its sequence of that charge point."""

    charge_point: int
    sequence: int
    fields: Mapping[str, float | str | None]


class DropInformative(Struct, frozen=True):
    """That informative request was confirmed, or fell out of the queue."""

    charge_point: int
    sequence: int


class RenumberTransaction(Struct, frozen=True):
    """The transaction goes by another id from now on."""

    charge_point: int
    former: int
    id: int


class SaveMessage(Struct, frozen=True):
    """A message waits for a central system that is away; kept under its number."""

    charge_point: int
    number: int
    action: str
    text: str
    transaction_id: int


class DropMessage(Struct, frozen=True):
    """That message was delivered, or fell out of the queue."""

    charge_point: int
    number: int


class SaveUpstreamId(Struct, frozen=True):
    """The central system's id of a transaction to which the gateway gave an id of its own."""

    charge_point: int
    own: int
    upstream: int


class DropUpstreamId(Struct, frozen=True):
    """Nobody will name that transaction any more."""

    charge_point: int
    own: int


Entry = (
    SaveTransaction
    | SaveReading
    | SaveFact
    | SaveTag
    | ClearTags
    | SaveInformative
    | DropInformative
    | RenumberTransaction
    | SaveMessage
    | DropMessage
    | SaveUpstreamId
    | DropUpstreamId
)


SETTING_DELAY_S = 0.5
"""A written setting is journalled this much later, so that a burst of writes is one; within the promised 1 s."""
SETTING_INTERVAL_S = 10.0
"""A setting that was journalled is not journalled again sooner, whatever a BMS writes: flash lasts (R4)."""
AT_ONCE = -inf


@dataclass(slots=True)
class Journal:
    """Entries not yet handed to the ledger, and a number for each so that one can wait for it."""

    waiting: list[Entry] = field(default_factory=list)
    written: int = 0
    """How many entries were ever written here; the number of the newest one."""
    promised: int = 0
    """The newest entry that the answer to a Modbus write promises to be durable: an ack, a confirmation."""
    committed: int = 0
    """Number of the newest entry that is on the disk; the ledger says so."""
    due: float = inf
    """Monotonic time by which what waits is to be taken; `inf` when nothing waits."""
    on_write: Callable[[], None] = field(default=lambda: None)
    """Called when there is something to take, so that the ledger's task need not poll."""
    on_transaction: Callable[[int, Transaction], None] = field(default=lambda _charge_point, _transaction: None)
    """A transaction began, ended or was mended: number of the charge point, and how it stands now."""
    _pace: ReadingPace = field(default_factory=ReadingPace)
    _settings: dict[str, int | str] = field(default_factory=dict)
    """Name → value as last kept."""
    _due: dict[str, float] = field(default_factory=dict)
    """Name → monotonic time at which it is to be journalled."""
    _saved: dict[str, float] = field(default_factory=dict)

    def write(self, entry: Entry, due: float = AT_ONCE) -> int:
        """Note an entry, to be committed by `due`; returns its number, to be compared with what the ledger has
        committed."""
        self.waiting.append(entry)
        self.written += 1
        self.due = min(self.due, due)
        self.on_write()
        if isinstance(entry, SaveTransaction):
            self.on_transaction(entry.charge_point, entry.transaction)
        return self.written

    def promise(self, entry: Entry) -> int:
        """Note an entry that must be durable before whoever caused it by Modbus has the answer; returns its number."""
        self.promised = self.write(entry)
        return self.promised

    def reading(self, charge_point: int, transaction: Transaction, now: float) -> int:
        """Note that the meter of a running transaction went on; it may wait for others a moment. Returns its number."""
        return self.patient(SaveReading(charge_point, transaction), charge_point, now)

    def patient(self, entry: Entry, charge_point: int, now: float) -> int:
        """Note what a charge point says again and again; it may wait for others a moment. Returns its number."""
        return self.write(entry, self._pace.until(charge_point, now))

    def hurry(self, number: int) -> None:
        """Somebody waits for this entry who should not wait any longer."""
        if number > self.committed and self.waiting and self.due != AT_ONCE:
            self.due = AT_ONCE
            self.on_write()

    def take(self, now: float) -> list[Entry]:
        """Hand over all that waits, oldest first."""
        if self.due != AT_ONCE and self.waiting:
            self._pace.spend(now)
        taken, self.waiting, self.due = self.waiting, [], inf
        return taken

    def keep(self, name: str, value: int | str, now: float) -> float | None:
        """A setting has this value; journalled soon if that is news (modbus.md: within 1 s, at most every 10 s).
        Returns when to `settle`, None where nothing new is to be done."""
        value = value if isinstance(value, str) else int(value)
        if self._settings.get(name) == value:
            return None
        self._settings[name] = value
        if name in self._due:
            return None
        saved = self._saved.get(name)
        soon = now + SETTING_DELAY_S
        self._due[name] = soon if saved is None else max(soon, saved + SETTING_INTERVAL_S)
        return self._due[name]

    def known(self, name: str, value: int | str) -> None:
        """The ledger holds this already, or nobody has changed it ever."""
        self._settings[name] = value

    def settle(self, now: float, *, all_of_them: bool = False) -> None:
        """Journal the settings that are due; `all_of_them` before a clean stop."""
        for name in [name for name, due in self._due.items() if due <= now or all_of_them]:
            del self._due[name]
            self._saved[name] = now
            self.write(SaveFact(name, self._settings[name]))
