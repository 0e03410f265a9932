"""Charging sessions on a charge point's connectors: how OCPP's transaction messages change the site.

The rules are ocpp.md, Transactions, and quirks T1–T8. Every change that must not be lost is journalled here.
"""

from __future__ import annotations

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits, RequestType, Status
from gatewayd.site.connector import Connector
from gatewayd.site.decision import Request
from gatewayd.site.journal import SaveFact, SaveTransaction
from gatewayd.site.kept import keep
from gatewayd.site.transaction import Transaction

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
) -> Transaction:
    """A StartTransaction was decided: a new transaction is open, durable with the journal entry just written."""
    site = charge_point.bank.site
    old = charge_point.transactions.open_on(number)
    if old is not None:
        abandon(charge_point, old)
    transaction = Transaction(
        site.new_transaction_id(), number, id_tag, start_epoch, meter_start_wh, meter_start_wh,
        start_stamp=stamp, answer=answer,
    )  # fmt: skip
    site.journal.write(SaveFact("next_transaction_id", site.next_transaction_id))
    _open(charge_point, transaction)
    if reservation_id is not None:
        for connector in charge_point.connectors:
            if connector.reservation_id == reservation_id:
                connector.reservation_id = 0
                connector.touch()
    return transaction


def _open(charge_point: ChargePoint, transaction: Transaction) -> None:
    charge_point.transactions.add(transaction)
    charge_point.bank.site.journal.write(SaveTransaction(charge_point.number, transaction))
    connector = charge_point.connector(transaction.connector)
    if connector is not None:
        connector.transaction = transaction
        connector.touch()


def stop(
    charge_point: ChargePoint,
    transaction_id: int,
    stop_epoch: float,
    meter_stop_wh: int,
    reason: int,
    id_tag: str,
    epoch: float,
) -> Transaction | None:
    """A StopTransaction came. Returns the transaction that it ended or corrected, None where nobody knows it.

    A repetition changes nothing. A stop whose start never came is kept as an incomplete record (quirk T5)."""
    site = charge_point.bank.site
    found = charge_point.transactions.for_stop(transaction_id, stop_epoch, meter_stop_wh)
    if found is not None and found.id != transaction_id:
        charge_point.note_quirk(QuirkBits.unknown_transaction)
    if found is None:
        charge_point.note_quirk(QuirkBits.unknown_transaction)
        _inform(charge_point, Request(
            RequestType.StopTransaction, timestamp=stop_epoch, meter_wh=meter_stop_wh, transaction_id=transaction_id,
            reason=reason, id_tag=id_tag,
        ))  # fmt: skip
        return None
    if not found.open and not found.incomplete:
        return found
    was_open = found.open
    found.stop(stop_epoch, meter_stop_wh, reason)
    site.journal.write(SaveTransaction(charge_point.number, found))
    _inform(charge_point, Request(
        RequestType.StopTransaction, found.connector, stop_epoch, meter_stop_wh, found.id, reason=reason,
        id_tag=id_tag or found.id_tag, session_energy_wh=found.energy_wh, transaction_start=found.start_epoch,
    ))  # fmt: skip
    if was_open:
        _count(charge_point, found)
    connector = charge_point.connector(found.connector)
    if connector is not None:
        connector.touch()
    return found


def abandon(charge_point: ChargePoint, transaction: Transaction) -> None:
    """The gateway closes a transaction by itself: reason Other, incomplete."""
    transaction.abandon(charge_point.bank.site.epoch)
    _closed(charge_point, transaction)


def _closed(charge_point: ChargePoint, transaction: Transaction) -> None:
    """The gateway closed it by itself."""
    charge_point.bank.site.journal.write(SaveTransaction(charge_point.number, transaction))
    _count(charge_point, transaction)
    connector = charge_point.connector(transaction.connector)
    if connector is not None:
        connector.touch()


def _count(charge_point: ChargePoint, transaction: Transaction) -> None:
    connector = charge_point.connector(transaction.connector)
    if connector is not None and transaction.stop_epoch is not None:
        connector.session_count += 1
        connector.session_time_total_s += transaction.duration_s(transaction.stop_epoch)
        keep(connector)


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
    reading = connector.meter.energy_active_import_wh
    if transaction is None:
        if transaction_id is None or transaction_id <= 0 or connector.status != Status.Charging:
            return 0
        if charge_point.transactions.by_id(transaction_id) is not None:
            return 0  # the tail of a session that has ended (quirk T7)
        transaction = _adopt(connector, transaction_id, epoch)
    elif transaction_id is not None and transaction_id != transaction.id:
        charge_point.note_quirk(QuirkBits.unknown_transaction)
        return 0
    if reading is not None and transaction.last_wh < reading < ENERGY_SANE_WH:
        transaction.last_wh = int(reading)
    return site.journal.write(SaveTransaction(charge_point.number, transaction))


def _adopt(connector: Connector, transaction_id: int, epoch: float) -> Transaction:
    """A connector charges in a transaction that began before the gateway knew it (quirk T6): take its id over."""
    charge_point = connector.charge_point
    site = charge_point.bank.site
    charge_point.note_quirk(QuirkBits.unknown_transaction)
    site.next_transaction_id = max(site.next_transaction_id, transaction_id + 1)
    site.journal.write(SaveFact("next_transaction_id", site.next_transaction_id))
    reading = int(connector.meter.energy_active_import_wh or 0)
    transaction = Transaction(transaction_id, connector.number, "", epoch, reading, reading, incomplete=True)
    _open(charge_point, transaction)
    return transaction


def meter_heard(connector: Connector, now: float) -> None:
    """The values are fresh for a while."""
    if connector.meter_fresh:
        return  # an entry of the agenda watches already
    connector.meter_fresh = True
    agenda = connector.charge_point.bank.site.agenda

    def look(then: float) -> None:
        heard = connector.meter_at
        if heard is not None and then - heard < METER_FRESH_S:
            agenda.at(heard + METER_FRESH_S, look)
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
    if connector.status != Status.Available:
        connector.available_since = None
        return
    if connector.available_since is not None or connector.open_transaction is None:
        return
    connector.available_since = now

    def ghost(then: float) -> None:
        transaction = connector.open_transaction
        if transaction is not None and connector.available_since == now:
            abandon(connector.charge_point, transaction)

    connector.charge_point.bank.site.agenda.at(now + GHOST_S, ghost)
