"""A charge point made of the `ocpp` package over `websockets`: URL and IDENTITY on the command line; a line on stdin
ends its transaction."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Charger(ChargePoint):
    @on("SetChargingProfile")
    def profile(self, **payload: Any) -> Any:
        period = payload["cs_charging_profiles"]["charging_schedule"]["charging_schedule_period"][0]
        say(profile=float(period["limit"]))
        return call_result.SetChargingProfile("Accepted")

    async def story(self) -> None:
        booted = await self.call(call.BootNotification("M", "V"))
        say(booted=booted.status)
        await self.call(call.StatusNotification(1, "NoError", "Preparing"))
        await self.call(call.Authorize("TAG"))
        started = await self.call(call.StartTransaction(1, "TAG", 1000, now()))
        say(started=started.transaction_id)
        await self.call(call.StatusNotification(1, "NoError", "Charging"))
        sampled = [{"timestamp": now(), "sampled_value": [{"value": "1700"}]}]
        await self.call(call.MeterValues(1, sampled, started.transaction_id))
        say(metered=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await self.call(call.StopTransaction(2500, now(), started.transaction_id))
        say(stopped=True)


async def main() -> None:
    url, identity = sys.argv[1:]
    async with websockets.connect(f"{url}/{identity}", subprotocols=["ocpp1.6"]) as socket:
        charger = Charger(identity, socket)
        listening = asyncio.ensure_future(charger.start())
        await charger.story()
        listening.cancel()


asyncio.run(main())
