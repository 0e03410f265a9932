"""Charging sessions on a charge point's connectors: how OCPP's transaction messages change the site.

The rules are ocpp.md, Transactions, and quirks T1–T8. Every change that must not be lost is journalled here.
"""

from __future__ import annotations

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits, RequestType, Status
from gatewayd.site.connector import Connector
from gatewayd.site.decision import Request
from gatewayd.site.journal import RenumberTransaction, SaveFact, SaveTransaction
from gatewayd.site.kept import keep_at_once
from gatewayd.site.quirk_profile import EnergyRegister
from gatewayd.site.timestamp import FUTURE_TOLERANCE_S
from gatewayd.site.transaction import TAKEN_OVER_MAX, Transaction, lone_stop, whole

IDLE = frozenset({Status.Available, Status.Finishing})
"""A connector that says so has no transaction, or one that just ended. (Preparing may have one that just began.)"""
GHOST_S = 60.0
"""A connector that is Available this long has no transaction, whatever the charge point forgot to say (quirk T8)."""
METER_FRESH_S = 180.0
"""Meter values are fresh this long: three of the usual intervals of 60 s."""
ENERGY_SANE_WH = 1 << 40
"""Energy registers beyond this are a fault, not a meter."""


def started_by_us(charge_point: ChargePoint, connector: int | None, id_tag: str, now: float) -> bool:
    """Whether our own RemoteStart brought this tag to this connector within the last five minutes; an Authorize
    does not say where, so any connector will do for it."""
    for number, (tag, until) in charge_point.remote_starts.items():
        if (not connector or number == connector) and tag.casefold() == id_tag.casefold() and now <= until:
            return True
    return False


def start(
    charge_point: ChargePoint,
    number: int,
    id_tag: str,
    start_epoch: float,
    meter_start_wh: int,
    stamp: str,
    answer: str,
    reservation_id: int | None,
    epoch: float,
    transaction_id: int | None = None,
    *,
    over: bool = False,
) -> Transaction:
    """A StartTransaction was decided: a new transaction is open, durable with the journal entry just written. Its id
    is `transaction_id` where a central system upstream decided.

    Of two on one connector the older is closed as incomplete: nearly always the one that was open, but not where an
    offline queue brings a session that was over before that one began. So is one on a connector that is not
    configured, since nothing else would ever close it; and one that is `over` as it comes (quirk T9)."""
    given = new_id(charge_point) if transaction_id is None else transaction_id
    transaction = Transaction(
        given, number, id_tag, start_epoch, meter_start_wh, meter_start_wh, start_stamp=stamp, answer=answer
    )
    old = charge_point.transactions.open_on(number)
    if old is not None and start_epoch < old.start_epoch - FUTURE_TOLERANCE_S:
        transaction.abandon(old.start_epoch)
    elif over or charge_point.connector(number) is None:
        transaction.abandon(start_epoch)
        if old is not None:
            abandon(charge_point, old, min(epoch, start_epoch))
    elif old is not None:
        abandon(charge_point, old, min(epoch, start_epoch))
    _open(charge_point, transaction)
    begun = charge_point.connector(number)
    if begun is not None and transaction.open:
        begun.meter.began_at(meter_start_wh)
    if reservation_id is not None:
        for connector in charge_point.connectors:
            if connector.reservation_id == reservation_id:
                connector.reservation_id = 0
                connector.touch()
    return transaction


def new_id(charge_point: ChargePoint) -> int:
    """An id that was never given before, journalled; of a bridged charge point one that no central system is likely
    to give, and none that it gave already."""
    site = charge_point.bank.site
    if not charge_point.bridged:
        given = site.new_transaction_id()
        site.journal.write(SaveFact("next_transaction_id", site.next_transaction_id))
        return given
    while charge_point.transactions.by_id(given := site.new_own_id()) is not None:
        pass
    site.journal.write(SaveFact("next_own_id", site.next_own_id))
    return given


def renumber(charge_point: ChargePoint, former: int, number: int) -> None:
    """The central system upstream is back, and has an id of its own for what began without it."""
    charge_point.bank.site.journal.write(RenumberTransaction(charge_point.number, former, number))
    transaction = charge_point.transactions.by_id(former)
    if transaction is None:
        return  # so long ago that only the ledger remembers it
    charge_point.transactions.renumber(transaction, number)
    connector = charge_point.connector(transaction.connector)
    if connector is not None:
        connector.touch()


def _open(charge_point: ChargePoint, transaction: Transaction) -> None:
    """A new record: journalled, and shown unless it is of the past."""
    charge_point.transactions.add(transaction)
    charge_point.bank.site.journal.write(SaveTransaction(charge_point.number, transaction))
    connector = charge_point.connector(transaction.connector)
    if connector is None:
        return
    shown = connector.transaction
    if transaction.open or shown is None or (not shown.open and shown.start_epoch <= transaction.start_epoch):
        connector.transaction = transaction
    if not transaction.open:
        _count(charge_point, transaction)
    connector.touch()


def stop(
    charge_point: ChargePoint,
    transaction_id: int,
    stop_epoch: float,
    meter_stop_wh: int,
    reason: int,
    id_tag: str,
    stamp: str,
    *,
    began: tuple[float, int] | None = None,
) -> Transaction:
    """A StopTransaction came, its timestamp as text in `stamp`. Returns the transaction that it ended, corrected or
    had ended before; a repetition changes nothing.

    A stop whose start never came becomes an incomplete record (quirk T5): of what `began` says of time and energy
    register, else of no length and no energy."""
    site = charge_point.bank.site
    idle = {each.number for each in charge_point.real_connectors if each.status in IDLE}
    found = charge_point.transactions.for_stop(transaction_id, stop_epoch, meter_stop_wh, stamp, id_tag, idle)
    if found is None or found.id != transaction_id:
        charge_point.note_quirk(QuirkBits.unknown_transaction)
    if (
        found is not None
        and not found.open
        and (not found.incomplete or found.is_stop(stop_epoch, meter_stop_wh, stamp))
    ):
        return found
    if found is None:
        found = _lone(charge_point, transaction_id, stop_epoch, meter_stop_wh, reason, id_tag, stamp, began)
    else:
        counted_s = None if found.open else _duration_s(found)
        found.stop(stop_epoch, meter_stop_wh, reason)
        site.journal.write(SaveTransaction(charge_point.number, found))
        _count(charge_point, found, counted_s)
    connector = charge_point.connector(found.connector)
    if connector is not None:
        connector.stopped_at = site.now
    if meter_stop_wh < found.meter_start_wh:
        charge_point.note_quirk(QuirkBits.energy_backwards)
    _inform(charge_point, Request(
        RequestType.StopTransaction, found.connector, stop_epoch, meter_stop_wh, found.id, reason=reason,
        id_tag=id_tag or found.id_tag, session_energy_wh=found.energy_wh, transaction_start=found.start_epoch,
    ))  # fmt: skip
    if connector is not None:
        connector.touch()
    return found


def _lone(
    charge_point: ChargePoint,
    transaction_id: int,
    stop_epoch: float,
    meter_stop_wh: int,
    reason: int,
    id_tag: str,
    stamp: str,
    began: tuple[float, int] | None,
) -> Transaction:
    """A record of a transaction that nobody saw begin. Its id is the charge point's where that can be one."""
    if began is None or began[0] > stop_epoch or began[1] > meter_stop_wh:
        began = stop_epoch, meter_stop_wh
    site = charge_point.bank.site
    known = _take_over(charge_point, transaction_id)
    if known is None:
        known = site.new_transaction_id()
        site.journal.write(SaveFact("next_transaction_id", site.next_transaction_id))
    # Where there is only one connector, there is no doubt which one it was.
    number = 1 if charge_point.connector_count == 1 else 0
    transaction = Transaction(
        known, number, id_tag, began[0], began[1], meter_stop_wh, stop_epoch, meter_stop_wh, reason,
        start_stamp=lone_stop(stamp), incomplete=True,
    )  # fmt: skip
    _open(charge_point, transaction)
    return transaction


def abandon(charge_point: ChargePoint, transaction: Transaction, epoch: float | None = None) -> None:
    """The gateway closes a transaction by itself, now or at `epoch`: reason Other, incomplete."""
    transaction.abandon(charge_point.bank.site.epoch if epoch is None else epoch)
    charge_point.bank.site.journal.write(SaveTransaction(charge_point.number, transaction))
    _count(charge_point, transaction)
    connector = charge_point.connector(transaction.connector)
    if connector is not None:
        connector.touch()


def _count(charge_point: ChargePoint, transaction: Transaction, counted_s: int | None = None) -> None:
    """A transaction ended; or, `counted_s` of it being counted already, its end was corrected."""
    connector = charge_point.connector(transaction.connector)
    if connector is None or transaction.connector == 0:
        return
    if counted_s is None:
        connector.session_count += 1
    connector.session_time_total_s = max(
        0, connector.session_time_total_s + _duration_s(transaction) - (counted_s or 0)
    )
    # Not as a setting, a moment later: a power cut after the answer would leave a transaction that was never counted.
    keep_at_once(connector, "session_count", "session_time_total_s")


def _duration_s(transaction: Transaction) -> int:
    return 0 if transaction.stop_epoch is None else transaction.duration_s(transaction.stop_epoch)


def _inform(charge_point: ChargePoint, request: Request) -> None:
    """Tell the BMS of an end; kept until it confirms."""
    charge_point.decisions.inform(request, charge_point.bank.site.journal)
    charge_point.touch()


def metered(connector: Connector, transaction_id: int | None, epoch: float) -> int:
    """Meter values were fed to this connector: credit its open transaction. Returns the journal entry that must be
    durable before they are acknowledged, 0 where they belong to no transaction."""
    charge_point = connector.charge_point
    site = charge_point.bank.site
    transaction = connector.open_transaction
    reading = _register_wh(connector, transaction_id)
    if transaction_id is not None and (transaction is None or transaction.id != transaction_id):
        known = charge_point.transactions.by_id(transaction_id)
        if known is not None:
            return _credit(connector, known, reading)
    if transaction is None:
        believed = transaction_id is not None and (transaction_id > 0 or charge_point.bridged)
        if transaction_id is None or not believed or connector.status != Status.Charging:
            return 0
        transaction = _adopt(connector, transaction_id, epoch)
        if transaction is None:
            return 0
    elif transaction_id is not None and transaction_id != transaction.id:
        charge_point.note_quirk(QuirkBits.unknown_transaction)
        if transaction_id > 0:
            return 0
    if reading is not None and transaction.last_wh < reading < ENERGY_SANE_WH:
        transaction.last_wh = whole(reading)
    return site.journal.reading(charge_point.number, transaction, site.now)


def _register_wh(connector: Connector, transaction_id: int | None) -> float | None:
    """The reading that counts for a transaction, as its meterStart and meterStop do; None: there is none (quirk M9)."""
    register = connector.charge_point.quirk_profile.energy_register
    if register is EnergyRegister.total:
        return connector.meter.energy_active_import_wh
    if transaction_id is None and register is EnergyRegister.session_in_transaction:
        return None
    return connector.meter.session_reading_wh


def _credit(connector: Connector, transaction: Transaction, reading: float | None) -> int:
    """Meter values of a transaction that is over (quirk T7): where its end was only guessed, and nothing has begun
    since, it took no less than they say; where the charge point said itself what the meter read, that stands."""
    charge_point = connector.charge_point
    if transaction.open or not transaction.incomplete or connector.transaction is not transaction:
        return 0
    if reading is None or not (transaction.meter_stop_wh or 0) < reading < ENERGY_SANE_WH:
        return 0
    transaction.last_wh = transaction.meter_stop_wh = whole(reading)
    return charge_point.bank.site.journal.write(SaveTransaction(charge_point.number, transaction))


def _adopt(connector: Connector, transaction_id: int, epoch: float) -> Transaction | None:
    """A connector charges in a transaction that began before the gateway knew it (quirk T6): take its id over. None
    where it can be none of ours."""
    charge_point = connector.charge_point
    charge_point.note_quirk(QuirkBits.unknown_transaction)
    known = _take_over(charge_point, transaction_id)
    if known is None:
        return None
    reading = whole(_register_wh(connector, transaction_id) or 0)
    transaction = Transaction(known, connector.number, "", epoch, reading, reading, incomplete=True)
    _open(charge_point, transaction)
    return transaction


def _take_over(charge_point: ChargePoint, transaction_id: int) -> int | None:
    """This id is in use, so it will not be given again; None for one that nobody can have been given. In bridge role
    ids are the central system's, whatever they are."""
    if charge_point.bridged:
        return transaction_id
    if not 0 < transaction_id <= TAKEN_OVER_MAX:
        return None
    site = charge_point.bank.site
    site.next_transaction_id = max(site.next_transaction_id, transaction_id + 1)
    site.journal.write(SaveFact("next_transaction_id", site.next_transaction_id))
    return transaction_id


def meter_heard(connector: Connector, now: float) -> None:
    """The values are fresh for a while."""
    if connector.meter_fresh:
        return  # an entry of the agenda watches already
    connector.meter_fresh = True
    agenda = connector.charge_point.bank.site.agenda

    def look(then: float) -> None:
        heard = connector.meter_at
        # Compared as it was reckoned: a difference may round down, and this would be due at the same time for ever.
        if heard is not None and then < (until := heard + METER_FRESH_S):
            agenda.at(until, look)
            return
        connector.meter_fresh = False
        connector.touch()

    agenda.at(now + METER_FRESH_S, look)


def status_changed(connector: Connector, now: float) -> None:
    """The connector's status was set: a reservation ends with Reserved, a ghost transaction after a minute of
    Available."""
    if connector.status != Status.Reserved:
        connector.reservation_id = (
            0 if connector.status in (Status.Available, Status.Charging) else (connector.reservation_id)
        )
    watched = connector.ghost
    transaction = connector.open_transaction if connector.status == Status.Available else None
    if watched is not None:
        if watched[0] is transaction:
            return
        watched[1].cancel()
        connector.ghost = None
    if transaction is None:
        return
    ghost = transaction

    def close(then: float) -> None:
        connector.ghost = None
        if ghost.open:
            abandon(connector.charge_point, ghost)

    connector.ghost = ghost, connector.charge_point.bank.site.agenda.at(now + GHOST_S, close)
