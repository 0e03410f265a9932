"""A central system made of the `ocpp` package over `websockets`: PORT on the command line, one JSON line an event."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result

PROFILE = {
    "charging_profile_id": 1, "stack_level": 1, "charging_profile_purpose": "TxDefaultProfile",
    "charging_profile_kind": "Absolute",
    "charging_schedule": {"charging_rate_unit": "A", "charging_schedule_period": [{"start_period": 0, "limit": 10.0}]},
}  # fmt: skip
numbers = iter(range(1001, 2000))


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Seen(ChargePoint):
    @on("BootNotification")
    def boot(self, **payload: Any) -> Any:
        say(at=self.id, got="BootNotification", payload=payload)
        return call_result.BootNotification(now(), 300, "Accepted")

    @on("Heartbeat")
    def heartbeat(self) -> Any:
        return call_result.Heartbeat(now())

    @on("StatusNotification")
    def status(self, **payload: Any) -> Any:
        return call_result.StatusNotification()

    @on("Authorize")
    def authorize(self, **payload: Any) -> Any:
        return call_result.Authorize({"status": "Accepted"})

    @on("MeterValues")
    def meter(self, **payload: Any) -> Any:
        say(at=self.id, got="MeterValues")
        return call_result.MeterValues()

    @on("StartTransaction")
    def started(self, **payload: Any) -> Any:
        number = next(numbers)
        say(at=self.id, got="StartTransaction", transaction=number)
        return call_result.StartTransaction(number, {"status": "Accepted"})

    @after("StartTransaction")
    async def limit(self, **payload: Any) -> None:
        answer = await self.call(call.SetChargingProfile(1, PROFILE))
        say(at=self.id, limit=answer.status)

    @on("StopTransaction")
    def stopped(self, **payload: Any) -> Any:
        say(at=self.id, got="StopTransaction", transaction=payload["transaction_id"], meter=payload["meter_stop"])
        return call_result.StopTransaction()


async def connected(socket: Any) -> None:
    await Seen(socket.request.path.rpartition("/")[2], socket).start()


async def main() -> None:
    async with websockets.serve(connected, "127.0.0.1", int(sys.argv[1]), subprotocols=["ocpp1.6"]):
        say(ready=f"ocpp {websockets.__version__}")
        await asyncio.Future()


asyncio.run(main())
