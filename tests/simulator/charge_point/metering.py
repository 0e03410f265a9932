"""What a charge point measures and when it says so: MeterValues, and the samples within StopTransaction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio

from .books import Transaction
from .connector import Connector

if TYPE_CHECKING:
    from .charge_point import ChargePoint


class Metering:
    """Runs as long as the charge point has power, connected or not."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self._cp = charge_point
        self._stirred = trio.Event()
        self._aligned_slot: int | None = None

    def stir(self) -> None:
        """Something has changed that may bring the next look forward."""
        self._stirred.set()

    async def run(self) -> None:
        """Settle every running session each `step_s`, and sample when it is due."""
        while True:
            self._stirred = trio.Event()
            for connector in self._cp.connectors:
                if connector.transaction:
                    self._cp.settle(connector)
                    self._cp.notices.refresh(connector)
                    self._sample_if_due(connector)
            self._sample_aligned_if_due()
            with trio.move_on_at(self._next_look()):
                await self._stirred.wait()

    def report(self, connector: Connector, context: str, key: str = "MeterValuesSampledData") -> None:
        """One MeterValues; with a transaction it is kept until answered, without one it is for now or never."""
        names = self._cp.configuration.names(key)
        value = self.meter_value(connector, names, context)
        if value is None:
            return
        payload: dict[str, Any] = {"connectorId": connector.number, "meterValue": [value]}
        transaction = connector.transaction
        if transaction is None:
            self._cp.outbox.put("MeterValues", payload)
            return

        def with_transaction() -> dict[str, Any]:
            known = transaction.transaction_id
            return payload if known is None else payload | {"transactionId": known}

        self._cp.outbox.put_durable("MeterValues", with_transaction)

    def report_all_now(self, connectors: list[Connector]) -> None:
        """What TriggerMessage asks for: one MeterValues each, for now or never."""
        for connector in connectors:
            self._report_now(connector)

    def _report_now(self, connector: Connector) -> None:
        self._cp.settle(connector)
        value = self.meter_value(connector, self._cp.configuration.names("MeterValuesSampledData"), "Trigger")
        if value is None:
            return
        payload: dict[str, Any] = {"connectorId": connector.number, "meterValue": [value]}
        if connector.transaction and connector.transaction.transaction_id is not None:
            payload["transactionId"] = connector.transaction.transaction_id
        self._cp.outbox.put("MeterValues", payload)

    def meter_value(self, connector: Connector, measurands: list[str], context: str) -> dict[str, Any] | None:
        """One MeterValue of now; None when there is nothing to say."""
        samples = connector.meter.samples(
            measurands,
            context,
            self._cp.traits.manner,
            offered_a=connector.offered_a,
            phases=self._cp.traits.phases,
            soc_percent=connector.vehicle.soc_percent if connector.vehicle else None,
        )
        return {"timestamp": self._cp.clock.stamp(), "sampledValue": samples} if samples else None

    def begin(self, connector: Connector, transaction: Transaction) -> None:
        connector.sampled_at = trio.current_time()
        names = self._cp.configuration.names("StopTxnSampledData")
        if names and (value := self.meter_value(connector, names, "Transaction.Begin")):
            transaction.begin_samples = [value]

    def end(self, connector: Connector, transaction: Transaction) -> list[dict[str, Any]]:
        """`transactionData` of StopTransaction."""
        names = self._cp.configuration.names("StopTxnSampledData")
        value = self.meter_value(connector, names, "Transaction.End") if names else None
        return [*transaction.begin_samples, value] if value else []

    def _sample_if_due(self, connector: Connector) -> None:
        interval_s = self._cp.configuration.number("MeterValueSampleInterval")
        if interval_s > 0 and trio.current_time() - connector.sampled_at >= interval_s:
            connector.sampled_at = trio.current_time()
            self.report(connector, "Sample.Periodic")

    def _sample_aligned_if_due(self) -> None:
        interval_s = self._cp.configuration.number("ClockAlignedDataInterval")
        if interval_s <= 0:
            self._aligned_slot = None
            return
        slot = math.floor(self._cp.clock.now() / interval_s)
        if self._aligned_slot is not None and slot > self._aligned_slot:
            for connector in self._cp.connectors:
                self.report(connector, "Sample.Clock", "MeterValuesAlignedData")
        self._aligned_slot = slot

    def _next_look(self) -> float:
        """When to look again, in trio's time."""
        now = trio.current_time()
        looks = [math.inf]
        running = [c for c in self._cp.connectors if c.transaction]
        if running:
            looks.append(now + self._cp.traits.step_s)
            interval_s = self._cp.configuration.number("MeterValueSampleInterval")
            if interval_s > 0:
                looks += [connector.sampled_at + interval_s for connector in running]
        aligned_s = self._cp.configuration.number("ClockAlignedDataInterval")
        if aligned_s > 0:
            wall = self._cp.clock.now()
            looks.append(now + (math.floor(wall / aligned_s) + 1) * aligned_s - wall)
        return max(min(looks), now + 0.001)
