"""A simulated charge point inside the gateway: it stands in until the real one connects (interface.md, `simulated`).

It lets a BMS programmer finish before the electrician. It speaks OCPP to a session as a real one would, in texts,
so registers, decisions, limits and commands all behave as they will later. Sans-IO: the agenda drives it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from gatewayd.ocpp.outlet import Held, Outlet, highest, limit_in_force
from gatewayd.ocpp.session import Close, Send, Session
from gatewayd.site import sessions
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.timestamp import format_utc

METER_INTERVAL_S = 10.0
"""Between two MeterValues of a charging connector; short, so that a programmer sees registers move."""
SETTLED_S = 1.0
"""A start and another limit show on the meter so soon, as on a charge point that reports changes."""
FIRST_CAR_S, NEXT_CAR_S = 15.0, 30.0
"""When the first connector gets a car after the start, and how much later each next one."""
TAG_AFTER_S = 5.0
"""From plugging in to presenting the tag."""
AWAY_S = 120.0
"""How long a connector stays free before the next car."""
CAR_NEEDS_WH = 9_000.0
CAR_TAKES_A = 16.0
LOWEST_A = 6.0
"""Below this a car takes nothing (IEC 61851-1)."""
PHASES, VOLTAGE_V = 3, 230.0
MODEL = {"chargePointVendor": "OCPP Modbus Gateway", "chargePointModel": "stand-in", "firmwareVersion": "1"}
CONFIGURATION = {
    "SupportedFeatureProfiles": "Core,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargeProfileMaxStackLevel": "8",
    "SendLocalListMaxLength": "100",
    "HeartbeatInterval": "60",
}


class StandIn:
    """One simulated charge point; `start` it, and it lives by the agenda until `stop`."""

    def __init__(self, charge_point: ChargePoint, session: Session) -> None:
        self._cp, self._session = charge_point, session
        self._site = charge_point.bank.site
        self._outlets = [Outlet(number) for number in range(charge_point.connector_count + 1)]
        self._pending: dict[str, Callable[[Any], None]] = {}
        self._numbers = 0
        self._alive = False

    # --- life -----------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Connect, boot, show all connectors; cars arrive one by one."""
        self._alive = True
        self._cp.simulated = True
        self._session.on_word = lambda: self._later(0, self._pump)
        self._session.opened(now)
        self._cp.stand_in = self
        self._ask("BootNotification", MODEL, lambda _answer: self._booted())

    def stop(self, now: float) -> None:
        """The real one is here: what was simulated ends."""
        if not self._alive:
            return
        self._alive = False
        self._cp.stand_in = None
        self._cp.simulated = False
        self._session.closed(now)
        for transaction in self._cp.transactions.open():
            sessions.abandon(self._cp, transaction)
        self._cp.touch_all()

    def _booted(self) -> None:
        for outlet in self._outlets:
            self._show(outlet, outlet.status)
        for outlet in self._outlets[1:]:
            self._later(FIRST_CAR_S + NEXT_CAR_S * (outlet.number - 1), partial(self._arrive, outlet))
        self._later(60, self._heartbeat)

    def _heartbeat(self) -> None:
        self._ask("Heartbeat", {}, lambda _answer: None)
        self._later(60, self._heartbeat)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        """Do this then, if the stand-in still stands."""
        self._site.agenda.at(self._site.now + seconds, lambda _now: do() if self._alive else None)

    # --- the wire -------------------------------------------------------------------------------------------

    def _ask(self, action: str, payload: Any, then: Callable[[Any], None]) -> None:
        self._numbers += 1
        call_id = f"stand-in-{self._numbers}"
        self._pending[call_id] = then
        self._session.received(json.dumps([2, call_id, action, payload]), self._site.now)

    def _pump(self) -> None:
        """Take what the session wants sent."""
        while self._session.words and self._alive:
            word = self._session.words.popleft()
            if isinstance(word, Close):
                self.stop(self._site.now)
            elif isinstance(word, Send):
                self._hear(json.loads(word.text))

    def _hear(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            _, call_id, action, payload = frame
            handler = getattr(self, f"_on_{action}", None)
            if handler is None:
                answer: list[Any] = [4, call_id, "NotImplemented", "", {}]
            else:
                answer = [3, call_id, handler(payload)]
            self._session.received(json.dumps(answer), self._site.now)
            return
        then = self._pending.pop(frame[1], None)
        if then is not None and frame[0] == 3:
            then(frame[2])

    # --- cars -----------------------------------------------------------------------------------------------

    def _show(self, outlet: Outlet, status: str) -> None:
        outlet.status = status
        self._ask(
            "StatusNotification",
            {"connectorId": outlet.number, "errorCode": "NoError", "status": status, "timestamp": self._stamp()},
            lambda _answer: None,
        )

    def _show_free(self, outlet: Outlet) -> None:
        self._show(outlet, "Available" if outlet.operative else "Unavailable")

    def _stamp(self) -> str:
        return format_utc(self._site.epoch)

    def _arrive(self, outlet: Outlet) -> None:
        if outlet.status not in ("Available", "Reserved"):
            return
        outlet.needs_wh = CAR_NEEDS_WH
        self._show(outlet, "Preparing")
        self._later(TAG_AFTER_S, partial(self._present, outlet, f"SIM{outlet.number}"))

    def _present(self, outlet: Outlet, id_tag: str) -> None:
        def authorized(answer: Any) -> None:
            if answer["idTagInfo"]["status"] == "Accepted":
                self._begin(outlet, id_tag)

        if outlet.status == "Preparing" and outlet.transaction_id is None:
            self._ask("Authorize", {"idTag": id_tag}, authorized)

    def _begin(self, outlet: Outlet, id_tag: str) -> None:
        if outlet.transaction_id is not None or outlet.status not in ("Available", "Preparing"):
            return

        def started(answer: Any) -> None:
            outlet.transaction_id, outlet.id_tag = answer["transactionId"], id_tag
            if answer["idTagInfo"]["status"] != "Accepted":
                self._end(outlet, "DeAuthorized")
                return
            outlet.metered_at = self._site.now
            self._show(outlet, "Charging")
            self._later(SETTLED_S, partial(self._measure, outlet))
            self._later(METER_INTERVAL_S, partial(self._meter, outlet))

        request = {
            "connectorId": outlet.number,
            "idTag": id_tag,
            "meterStart": int(outlet.energy_wh),
            "timestamp": self._stamp(),
        }
        self._ask("StartTransaction", request, started)

    def _current_a(self, outlet: Outlet) -> float:
        """What flows per phase: the car's wish under all limits; nothing below 6 A."""
        now = self._site.now
        limits = (limit_in_force(outlet, self._outlets[0], now), self._max_a(now))
        amps = min([CAR_TAKES_A, *(limit for limit in limits if limit is not None)])
        return amps if amps >= LOWEST_A else 0.0

    def _max_a(self, now: float) -> float | None:
        return highest(self._outlets[0].in_force("ChargePointMaxProfile", now))

    def _meter(self, outlet: Outlet) -> None:
        """Measure now and from now on, while this session lasts."""
        if outlet.transaction_id is not None:
            self._measure(outlet)
            self._later(METER_INTERVAL_S, partial(self._meter, outlet))

    def _measure(self, outlet: Outlet) -> None:
        if outlet.transaction_id is None:
            return
        amps = self._current_a(outlet)
        watts = amps * VOLTAGE_V * PHASES
        now = self._site.now
        taken = min(watts * (now - outlet.metered_at) / 3600, outlet.needs_wh)
        outlet.metered_at = now
        outlet.energy_wh += taken
        outlet.needs_wh -= taken
        self._send_meter(outlet, amps, watts)
        wanted = "Charging" if watts else "SuspendedEVSE"
        if outlet.status != wanted:
            self._show(outlet, wanted)
        if outlet.needs_wh <= 0:
            self._end(outlet, "EVDisconnected")

    def _all_settle(self) -> None:
        for outlet in self._outlets:
            if outlet.transaction_id is not None:
                self._later(SETTLED_S, partial(self._measure, outlet))

    def _send_meter(self, outlet: Outlet, amps: float, watts: float) -> None:
        samples = [
            {"value": f"{outlet.energy_wh:.0f}", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": f"{watts:.0f}", "measurand": "Power.Active.Import", "unit": "W"},
            *(
                {"value": f"{amps:.1f}", "measurand": "Current.Import", "phase": f"L{n}", "unit": "A"}
                for n in range(1, PHASES + 1)
            ),
            *(
                {"value": f"{VOLTAGE_V:.1f}", "measurand": "Voltage", "phase": f"L{n}-N", "unit": "V"}
                for n in range(1, PHASES + 1)
            ),
        ]
        payload: dict[str, Any] = {
            "connectorId": outlet.number,
            "meterValue": [{"timestamp": self._stamp(), "sampledValue": samples}],
        }
        if outlet.transaction_id is not None:
            payload["transactionId"] = outlet.transaction_id
        self._ask("MeterValues", payload, lambda _answer: None)

    def _end(self, outlet: Outlet, reason: str) -> None:
        if outlet.transaction_id is None:
            return
        request = {
            "transactionId": outlet.transaction_id,
            "idTag": outlet.id_tag,
            "meterStop": int(outlet.energy_wh),
            "timestamp": self._stamp(),
            "reason": reason,
        }
        outlet.transaction_id = None
        outlet.limits = {key: value for key, value in outlet.limits.items() if key[0] != "TxProfile"}
        self._ask("StopTransaction", request, lambda _answer: None)
        self._send_meter(outlet, 0, 0)
        self._show(outlet, "Finishing")
        self._later(TAG_AFTER_S, partial(self._leave, outlet))

    def _leave(self, outlet: Outlet) -> None:
        if outlet.status == "Finishing":
            self._show_free(outlet)
            self._later(AWAY_S, partial(self._arrive, outlet))

    # --- what the gateway asks: `_on_` and the action, payload in, answer out ---------------------------------

    def _outlet(self, payload: Any) -> Outlet:
        number = payload.get("connectorId", 0)
        return self._outlets[number if number < len(self._outlets) else 0]

    def _on_RemoteStartTransaction(self, payload: Any) -> Any:
        outlet = self._outlet(payload)
        if outlet.number == 0 or outlet.transaction_id is not None or outlet.status in ("Unavailable", "Finishing"):
            return {"status": "Rejected"}
        if outlet.status != "Preparing":
            outlet.needs_wh = CAR_NEEDS_WH
            self._later(0, partial(self._show, outlet, "Preparing"))
        self._later(0.1, partial(self._begin, outlet, payload["idTag"]))
        return {"status": "Accepted"}

    def _on_RemoteStopTransaction(self, payload: Any) -> Any:
        for outlet in self._outlets:
            if outlet.transaction_id == payload["transactionId"]:
                self._later(0.1, partial(self._end, outlet, "Remote"))
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _on_UnlockConnector(self, payload: Any) -> Any:
        outlet = self._outlet(payload)
        self._later(0.1, partial(self._end, outlet, "UnlockCommand"))
        return {"status": "Unlocked"}

    def _on_ChangeAvailability(self, payload: Any) -> Any:
        operative = payload["type"] == "Operative"
        busy = False
        for outlet in self._outlets[1:] if payload["connectorId"] == 0 else [self._outlet(payload)]:
            outlet.operative = operative
            if outlet.transaction_id is not None:
                busy = True
            elif outlet.status in ("Available", "Unavailable"):
                self._later(0.1, partial(self._show_free, outlet))
        return {"status": "Scheduled" if busy and not operative else "Accepted"}

    def _on_SetChargingProfile(self, payload: Any) -> Any:
        profile = payload["csChargingProfiles"]
        schedule = profile["chargingSchedule"]
        amps = schedule["chargingSchedulePeriod"][0]["limit"]
        if schedule["chargingRateUnit"] == "W":
            amps /= VOLTAGE_V * PHASES
        until = self._site.now + schedule["duration"] if schedule.get("duration") else float("inf")
        limits = self._outlet(payload).limits
        limits[profile["chargingProfilePurpose"], profile["stackLevel"]] = Held(
            profile["chargingProfileId"], amps, until
        )
        self._all_settle()
        return {"status": "Accepted"}

    def _on_ClearChargingProfile(self, payload: Any) -> Any:
        cleared = [outlet.clear(payload) for outlet in self._outlets]
        self._all_settle()
        return {"status": "Accepted" if any(cleared) else "Unknown"}

    def _on_GetCompositeSchedule(self, payload: Any) -> Any:
        outlet = self._outlet(payload)
        period = {"startPeriod": 0, "limit": self._current_a(outlet) or 0.0}
        schedule = {"duration": payload["duration"], "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
        return {
            "status": "Accepted",
            "connectorId": outlet.number,
            "scheduleStart": self._stamp(),
            "chargingSchedule": schedule,
        }

    def _on_GetConfiguration(self, payload: Any) -> Any:
        keys = payload.get("key") or list(CONFIGURATION)
        known = [{"key": key, "readonly": True, "value": CONFIGURATION[key]} for key in keys if key in CONFIGURATION]
        return {"configurationKey": known, "unknownKey": [key for key in keys if key not in CONFIGURATION]}

    def _on_ChangeConfiguration(self, payload: Any) -> Any:
        return {"status": "Rejected" if payload["key"] in CONFIGURATION else "NotSupported"}

    def _on_TriggerMessage(self, payload: Any) -> Any:
        wanted = payload["requestedMessage"]
        outlets = [self._outlet(payload)] if "connectorId" in payload else self._outlets
        if wanted == "StatusNotification":
            for outlet in outlets:
                self._later(0.1, partial(self._show, outlet, outlet.status))
        elif wanted == "MeterValues":
            for outlet in outlets[-1:]:
                amps = self._current_a(outlet) if outlet.transaction_id is not None else 0.0
                self._later(0.1, partial(self._send_meter, outlet, amps, amps * VOLTAGE_V * PHASES))
        elif wanted == "BootNotification":
            self._later(0.1, lambda: self._ask("BootNotification", MODEL, lambda _answer: None))
        elif wanted != "Heartbeat":
            return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    def _on_Reset(self, payload: Any) -> Any:
        for outlet in self._outlets:
            self._later(0.1, partial(self._end, outlet, f"{payload['type']}Reset"))
        self._later(1, lambda: self._ask("BootNotification", MODEL, lambda _answer: None))
        return {"status": "Accepted"}

    def _on_ReserveNow(self, payload: Any) -> Any:
        outlet = self._outlet(payload)
        if outlet.status != "Available":
            return {"status": "Occupied"}
        self._later(0.1, partial(self._show, outlet, "Reserved"))
        return {"status": "Accepted"}

    def _on_CancelReservation(self, payload: Any) -> Any:
        for outlet in self._outlets:
            if outlet.status == "Reserved":
                self._later(0.1, partial(self._show, outlet, "Available"))
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _on_ClearCache(self, payload: Any) -> Any:
        return {"status": "Accepted"}

    def _on_GetLocalListVersion(self, payload: Any) -> Any:
        return {"listVersion": self._list_version}

    def _on_SendLocalList(self, payload: Any) -> Any:
        self._list_version = payload["listVersion"]
        return {"status": "Accepted"}

    def _on_DataTransfer(self, payload: Any) -> Any:
        return {"status": "UnknownVendorId"}

    _list_version = 0
