"""A central system made of the `ocpp-csms` package: PORT on the command line, one JSON line an event."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import ocpp_csms
from ocpp.v16 import call

PROFILE = {
    "charging_profile_id": 1, "stack_level": 1, "charging_profile_purpose": "TxDefaultProfile",
    "charging_profile_kind": "Absolute",
    "charging_schedule": {"charging_rate_unit": "A", "charging_schedule_period": [{"start_period": 0, "limit": 10.0}]},
}  # fmt: skip


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    tasks: set[Any] = set()
    async with ocpp_csms.CentralSystem(port=int(sys.argv[1]), host="127.0.0.1") as system:

        async def limit(charge_point: Any) -> None:
            answer = await charge_point.async_call(call.SetChargingProfile(1, PROFILE))
            say(at=charge_point.id, limit=answer.status)

        def heard(event: Any) -> None:
            name = type(event).__name__
            if name == "BootEvent":
                say(at=event.charge_point_id, got="BootNotification")
            elif name == "MeterValuesEvent":
                say(at=event.charge_point_id, got="MeterValues")
            elif name == "TransactionStartedEvent":
                say(at=event.charge_point_id, got="StartTransaction", transaction=event.transaction.transaction_id)
                tasks.add(asyncio.ensure_future(limit(system.charge_points[event.charge_point_id])))
            elif name == "TransactionStoppedEvent":
                say(
                    at=event.charge_point_id, got="StopTransaction", transaction=event.transaction.transaction_id,
                    meter=event.transaction.meter_stop,
                )  # fmt: skip

        system.add_listener(heard)
        say(ready="ocpp-csms")
        await asyncio.Future()


asyncio.run(main())
