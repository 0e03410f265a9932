"""Transactions from the accepted tag to the answered StopTransaction, and the books of them (OCPP 1.6, 4.8, 4.10)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from ..script import Payload
from .books import Transaction
from .connector import Authorization, Connector

if TYPE_CHECKING:
    from .charge_point import ChargePoint

# What StopTransaction names when the central system refused StartTransaction for good and so never gave an id.
NO_TRANSACTION_ID = -1


class Transactions:
    def __init__(self, charge_point: ChargePoint) -> None:
        self.books: list[Transaction] = []
        self._ended = trio.Event()
        self._cp = charge_point

    def cable_in(self, place: Connector) -> None:
        """The cable that an accepted tag has waited for."""
        if place.authorization and self._may_start(place):
            self._begin(place, place.authorization)

    def admit(self, place: Connector, authorization: Authorization) -> None:
        """A tag was accepted here: charge, or wait for the cable as long as ConnectionTimeOut."""
        if place.vehicle and self._may_start(place):
            self._begin(place, authorization)
            return
        place.authorization = authorization
        self._cp.notices.refresh(place)
        self._cp.start_soon(partial(self._expire, place, authorization))

    def stop(self, place: Connector, reason: str, id_tag: str | None = None) -> None:
        """End the running transaction, if there is one, and put StopTransaction into the queue."""
        transaction = place.transaction
        if transaction is None:
            return
        self._cp.settle(place)
        transaction.stopped_at, transaction.reason = self._cp.clock.now(), reason
        transaction.meter_stop_wh = int(place.meter.energy_wh)
        data = self._cp.metering.end(place, transaction)
        place.transaction, place.blocked, place.finishing = None, False, place.vehicle is not None
        self._cp.profiles.end_transaction(place.number)
        self._cp.say(f"connector {place.number}: transaction ends, {transaction.energy_wh} Wh, {reason}")
        stamp = self._cp.clock.stamp(transaction.stopped_at)

        def payload() -> Payload:
            known = transaction.transaction_id
            return {
                "transactionId": NO_TRANSACTION_ID if known is None else known,
                "meterStop": transaction.meter_stop_wh,
                "timestamp": stamp,
                "reason": reason,
                **({"idTag": id_tag} if id_tag else {}),
                **({"transactionData": data} if data else {}),
            }

        self._cp.outbox.put_durable(
            "StopTransaction", payload, partial(self._stopped, transaction), partial(self._give_up, transaction)
        )
        self._ended.set()
        self._cp.settle_all()

    async def none_running(self) -> None:
        while any(place.transaction for place in self._cp.connectors):
            self._ended = trio.Event()
            await self._ended.wait()

    def _may_start(self, place: Connector) -> bool:
        return place.transaction is None and place.usable and self._cp.operative

    def _begin(self, place: Connector, authorization: Authorization) -> None:
        self._cp.settle(place)
        if self._cp.traits.session_register:
            place.meter.energy_wh = 0.0
        held, place.reservation = place.reservation, None
        transaction = Transaction(
            place.number,
            authorization.id_tag,
            self._cp.clock.now(),
            int(place.meter.energy_wh),
            authorization.parent_id_tag,
            held.reservation_id if held else None,
        )
        self.books.append(transaction)
        place.transaction, place.authorization, place.finishing = transaction, None, False
        self._cp.metering.begin(place, transaction)
        if authorization.profile:
            count = len(self._cp.connectors)
            self._cp.profiles.set(place.number, authorization.profile, transaction.started_at, count, busy=True)
        self._cp.say(f"connector {place.number}: transaction begins for {authorization.id_tag}")
        payload: Payload = {
            "connectorId": place.number,
            "idTag": transaction.id_tag,
            "meterStart": transaction.meter_start_wh,
            "timestamp": self._cp.clock.stamp(transaction.started_at),
            **({"reservationId": held.reservation_id} if held else {}),
        }
        self._cp.outbox.put_durable(
            "StartTransaction",
            lambda: payload,
            partial(self._started, place, transaction),
            partial(self._give_up, transaction),
        )
        self._cp.settle_all()

    def _started(self, place: Connector, transaction: Transaction, answer: Payload) -> None:
        transaction.transaction_id = answer["transactionId"]
        transaction.start_acknowledged = True
        transaction.authorization = answer["idTagInfo"]["status"]
        transaction.parent_id_tag = answer["idTagInfo"].get("parentIdTag", transaction.parent_id_tag)
        if transaction.authorization != "Accepted" and place.transaction is transaction:
            self._cp.say(f"connector {place.number}: the central system says {transaction.authorization}")
            if self._cp.configuration.flag("StopTransactionOnInvalidId"):
                self.stop(place, "DeAuthorized")
            else:
                place.blocked = True
                self._cp.settle_all()

    def _stopped(self, transaction: Transaction, answer: Payload) -> None:
        transaction.stop_acknowledged = True

    def _give_up(self, transaction: Transaction, error: Exception) -> None:
        transaction.given_up = True
        self._cp.say(f"connector {transaction.connector}: transaction message refused for good: {error}")

    async def _expire(self, place: Connector, authorization: Authorization) -> None:
        await trio.sleep(self._cp.configuration.number("ConnectionTimeOut"))
        if place.authorization is authorization:
            self._cp.say(f"connector {place.number}: no cable in time, tag {authorization.id_tag} is forgotten")
            place.authorization = None
            self._cp.notices.refresh(place)
