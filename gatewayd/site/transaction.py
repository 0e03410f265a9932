"""A charging transaction and the rules of its life (ocpp.md, Transactions; quirks T1–T9). No I/O, no clock."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from gatewayd.site.codes import StopReason

WHOLE_SLACK = 1e-6
"""1.001 kWh is 1000.9999999999999 Wh in binary; no meter resolves a millionth of a Wh."""

TAKEN_OVER_MAX = 1 << 30
"""Transaction ids of a charge point's own that are believed: whatever it says, half of the ids remain to be given."""
LONE = "stop "
"""How the `start_stamp` of a transaction begins of which only the StopTransaction came: no timestamp begins so."""


def whole(value: float) -> int:
    """The whole units that a counter has completed, as charge points themselves cut off: rounded up, a running
    session would show a Wh that its end takes back."""
    return int(value + WHOLE_SLACK)


@dataclass(slots=True)
class Transaction:
    """One transaction of a connector, open while `stop_epoch` is None. Energies in Wh, times as epoch seconds."""

    id: int
    connector: int
    id_tag: str
    start_epoch: float
    meter_start_wh: int
    last_wh: int
    """The energy register when it was last heard of during this transaction."""
    stop_epoch: float | None = None
    meter_stop_wh: int | None = None
    stop_reason: int = StopReason.none
    start_stamp: str = ""
    """The StartTransaction's timestamp as it came: with connector, tag and meter it tells a repetition."""
    answer: str = "Accepted"
    """The idTagInfo status that the StartTransaction was answered with."""
    incomplete: bool = False
    """Closed or begun by the gateway's guess; a late StopTransaction may still correct it."""

    @property
    def open(self) -> bool:
        return self.stop_epoch is None

    @property
    def energy_wh(self) -> int:
        """meter_stop − meter_start to the Wh once stopped; while open, what has been heard so far. Never negative."""
        end = self.last_wh if self.meter_stop_wh is None else self.meter_stop_wh
        return max(0, end - self.meter_start_wh)

    def duration_s(self, epoch: float) -> int:
        """Seconds from start to stop, or to `epoch` while open; never negative, whatever the clocks did (R23)."""
        end = epoch if self.stop_epoch is None else self.stop_epoch
        return max(0, int(end - self.start_epoch))

    def is_start(self, connector: int, stamp: str, id_tag: str, meter_start_wh: int) -> bool:
        """Whether a StartTransaction with these four is this one again (quirk T4)."""
        return (
            self.connector == connector
            and self.start_stamp == stamp
            and self.id_tag == id_tag
            and self.meter_start_wh == meter_start_wh
        )

    def is_stop(self, epoch: float, meter_stop_wh: int, stamp: str) -> bool:
        """Whether a StopTransaction at this time, with this meter, ended this one already; of one that nobody saw
        begin, the timestamp as it came tells too."""
        same_time = self.stop_epoch == epoch or self.start_stamp == lone_stop(stamp)
        return same_time and self.meter_stop_wh == meter_stop_wh

    @property
    def lone(self) -> bool:
        """Whether only its StopTransaction came."""
        return self.start_stamp.startswith(LONE)

    def stop(self, epoch: float, meter_stop_wh: int, reason: int) -> None:
        """The charge point's own word on the end."""
        self.stop_epoch, self.meter_stop_wh, self.stop_reason = max(epoch, self.start_epoch), meter_stop_wh, reason
        self.last_wh = max(self.last_wh, meter_stop_wh)
        self.incomplete = False

    def abandon(self, epoch: float) -> None:
        """The gateway closes it, because the charge point evidently has: reason Other, incomplete."""
        self.stop_epoch, self.meter_stop_wh = max(epoch, self.start_epoch), self.last_wh
        self.stop_reason, self.incomplete = StopReason.Other, True


def lone_stop(stamp: str) -> str:
    """The `start_stamp` of a transaction of which only the StopTransaction came."""
    return f"{LONE}{stamp}"


KEPT_TRANSACTIONS = 64
"""Closed transactions remembered per charge point to recognise repetitions: more than an offline queue replays."""


class Transactions:
    """The transactions of one charge point: the open ones, and enough closed ones to recognise what is repeated."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, str], Transaction] = {}
        """By what tells them apart."""

    def __len__(self) -> int:
        return len(self._known)

    def add(self, transaction: Transaction) -> None:
        self._known[_key(transaction)] = transaction
        if len(self._known) > KEPT_TRANSACTIONS:
            closed = next((key for key, t in self._known.items() if not t.open), None)
            if closed is not None:
                del self._known[closed]

    def renumber(self, transaction: Transaction, transaction_id: int) -> None:
        """It has another id from now on."""
        self._known.pop(_key(transaction), None)
        transaction.id = transaction_id
        self.add(transaction)

    def by_id(self, transaction_id: int) -> Transaction | None:
        """The one with this id; of several the open one, of those the one that began last."""
        named = [t for t in self._known.values() if t.id == transaction_id]
        return max(named, key=lambda t: (t.open, t.start_epoch), default=None)

    def known_start(self, connector: int, stamp: str, id_tag: str, meter_start_wh: int) -> Transaction | None:
        """The transaction that this StartTransaction began already, if any."""
        for transaction in self._known.values():
            if transaction.is_start(connector, stamp, id_tag, meter_start_wh):
                return transaction
        return None

    def open_on(self, connector: int) -> Transaction | None:
        return next((t for t in self._known.values() if t.connector == connector and t.open), None)

    def open(self) -> list[Transaction]:
        return [t for t in self._known.values() if t.open]

    def for_stop(
        self,
        transaction_id: int,
        epoch: float,
        meter_stop_wh: int,
        stamp: str,
        id_tag: str = "",
        idle: Container[int] = frozenset(),
    ) -> Transaction | None:
        """Whom a StopTransaction means: its id, or the one that it ended already, or, where the charge point never
        learned an id (0, −1 …), the only open transaction that it fits (quirks T1, T2). A foreign positive id never
        stops another's session. `idle`: numbers of connectors that say of themselves that nothing charges there."""

        def ends(several: list[Transaction]) -> list[Transaction]:
            fit = [t for t in several if t.open and epoch >= t.start_epoch and meter_stop_wh >= t.meter_start_wh]
            for tells in (
                lambda t: t.id_tag.casefold() == id_tag.casefold(),
                lambda t: t.connector in idle,
                lambda t: t.last_wh <= meter_stop_wh,
            ):
                fit = [t for t in fit if tells(t)] or fit
            return fit

        named = [t for t in self._known.values() if t.id == transaction_id]
        if len(named) > 1 or transaction_id <= 0:  # an id that does not tell: which of them can have ended so
            named = [t for t in named if t.is_stop(epoch, meter_stop_wh, stamp)] or ends(named)
        if named:
            return max(named, key=lambda t: (t.last_wh <= meter_stop_wh, t.last_wh, t.start_epoch))
        # Of one that nobody saw begin the id was kept, where it can be one: another id is another one that ended so.
        kept_by_id = 0 < transaction_id <= TAKEN_OVER_MAX
        ended_so = (t for t in self._known.values() if t.is_stop(epoch, meter_stop_wh, stamp))
        repeated = next((t for t in ended_so if not (kept_by_id and t.lone)), None)
        if repeated is not None or transaction_id > 0:
            return repeated
        fits = ends(self.open())
        return fits[0] if len(fits) == 1 else None


def _key(transaction: Transaction) -> tuple[int, int, str]:
    """Some central systems give every transaction the id 0 (modbus.md, Bridge role): then its connector and its start
    tell it from others."""
    return transaction.id, transaction.connector, transaction.start_stamp if transaction.id <= 0 else ""
