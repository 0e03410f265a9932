"""The gateway stops a transaction by itself: at its energy limit (modbus.md, Limits), or where 0 A is refused (S3)."""

from __future__ import annotations

from gatewayd.site.codes import CommandCode, CommandError
from gatewayd.site.command import Command, Report
from gatewayd.site.connector import Connector
from gatewayd.site.setpoint import TriggerOrigin
from gatewayd.site.transaction import Transaction

UNHEARD_S = 60.0
"""Pause before a stop that got no answer is said again."""


def stop(connector: Connector, transaction: Transaction, now: float) -> None:
    """RemoteStopTransaction, once for each transaction; again only if the charge point did not hear it. The outcome
    stands in `trigger_*` of the connector."""
    if connector.limit.stopped == transaction.id or not connector.charge_point.registered:
        return
    connector.limit.stopped = transaction.id

    def again(_now: float) -> None:
        if connector.limit.stopped == transaction.id:
            connector.limit.stopped = None
            connector.touch()

    def concluded(report: Report) -> None:
        if report.error in (CommandError.link_lost, CommandError.offline):
            connector.limit.stopped = None
        elif report.error is CommandError.no_answer:
            connector.charge_point.bank.site.agenda.at(connector.charge_point.bank.site.now + UNHEARD_S, again)

    connector.charge_point.offer(
        Command(
            CommandCode.RemoteStopTransaction,
            TriggerOrigin(connector, then=concluded),
            connector.number,
            p1=transaction.id,
            slot=f"{connector.number}/own_stop",
        ),
        now,
    )


def at_energy_limit(connector: Connector, now: float) -> None:
    """Stop the connector's transaction if it reached `energy_limit_wh` (0 = none)."""
    transaction, limit_wh = connector.open_transaction, connector.energy_limit_wh
    if limit_wh and transaction is not None and transaction.energy_wh >= limit_wh:
        stop(connector, transaction, now)
