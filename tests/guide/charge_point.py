"""A charge point on the kit's wire that does what it is asked, and whatever a driver does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.kit import Frame, Kit, WireEnd
from tests.ocpp.standard import is_valid

OWN_QUESTIONS = {"GetConfiguration", "GetLocalListVersion", "TriggerMessage"}
"""What the gateway asks by itself after a charge point has come; a sequence may ask the same."""
CARD, GATEWAY_TAG = "CARD-1", "GATEWAY"


class ChargePoint:
    """Two connectors, of which the first is used."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.asked: list[Frame] = []
        self.answers: list[Any] = []
        """What the gateway answered to what this charge point asked."""
        self.meter_wh = 10_000
        self.transaction = 0
        self.tag = ""
        self.list_version = 0
        self._waiting = ""
        self._questions = 0
        self.end: WireEnd
        self.dial()

    def dial(self) -> None:
        self.end = self.kit.connect("CP001")
        self.end.boot()
        for connector in (0, 1, 2):
            self.end.status(connector, "Available")

    def act(self) -> None:
        """Answer every Call that came, then do what it says."""
        for call in self.end.calls():
            assert is_valid(call.action, call.payload), call
            self.asked.append(call)
            self.end.answer(call, self._answer(call))
            self._do(call)

    def _answer(self, call: Frame) -> dict[str, Any]:
        payload = call.payload
        match call.action:
            case "UnlockConnector":
                return {"status": "Unlocked"}
            case "GetConfiguration":
                known = {"HeartbeatInterval": "60", "ChargeProfileMaxStackLevel": "8"}
                keys = payload.get("key", list(known))
                return {
                    "configurationKey": [{"key": key, "readonly": False, "value": known[key]} for key in keys
                                         if key in known],
                    "unknownKey": [key for key in keys if key not in known],
                }  # fmt: skip
            case "GetLocalListVersion":
                return {"listVersion": self.list_version}
            case "GetCompositeSchedule":
                periods = [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 1800, "limit": 6.0}]
                schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods, "duration": payload["duration"]}
                return {
                    "status": "Accepted", "connectorId": payload["connectorId"], "scheduleStart": self.kit.stamp(),
                    "chargingSchedule": schedule,
                }  # fmt: skip
            case "SendLocalList":
                self.list_version = payload["listVersion"]
        return {"status": "Accepted"}

    def _do(self, call: Frame) -> None:
        match call.action:
            case "RemoteStartTransaction":
                self.start(call.payload["idTag"])
            case "RemoteStopTransaction":
                self.stop("Remote")
            case "Reset":
                self.end.disconnect()
                self.dial()
            case "ChangeAvailability":
                status = "Available" if call.payload["type"] == "Operative" else "Unavailable"
                self.end.status(call.payload["connectorId"], status)
            case "ReserveNow":
                self.end.status(1, "Reserved")
            case "CancelReservation":
                self.end.status(1, "Available")
            case "TriggerMessage" if call.payload["requestedMessage"] == "MeterValues":
                self.meter()

    def start(self, tag: str) -> None:
        self.tag = tag
        self.ask("StartTransaction", connectorId=1, idTag=tag, meterStart=self.meter_wh, timestamp=self.kit.stamp())
        self.take_answer()

    def ask(self, action: str, **payload: Any) -> None:
        """A Call of ours; its answer may take as long as the BMS does."""
        self._questions += 1
        self._waiting = f"ask-{self._questions}"
        self.end.send(action, payload, self._waiting)

    def take_answer(self) -> Any:
        """What came, if it came; a transaction that was accepted charges from then on."""
        answer = self.end.answer_to(self._waiting) if self._waiting else None
        if isinstance(answer, dict) and "transactionId" in answer:
            self.transaction = answer["transactionId"]
            if answer["idTagInfo"]["status"] == "Accepted":
                self.end.status(1, "Charging")
                self.meter()
        if answer is not None:
            self.answers.append(answer)
            self._waiting = ""
        return answer

    def stop(self, reason: str) -> None:
        payload = {"transactionId": self.transaction, "idTag": self.tag, "meterStop": self.meter_wh, "reason": reason,
                   "timestamp": self.kit.stamp()}  # fmt: skip
        self.end.send("StopTransaction", payload)
        self.end.status(1, "Finishing")

    def meter(self, more_wh: int = 0) -> None:
        self.meter_wh += more_wh
        sampled = [
            {"value": str(self.meter_wh), "unit": "Wh"},
            {"value": "7360", "measurand": "Power.Active.Import", "unit": "W"},
        ]
        values = [{"timestamp": self.kit.stamp(), "sampledValue": sampled}]
        self.end.send("MeterValues", {"connectorId": 1, "meterValue": values, "transactionId": self.transaction})


def registered(cp: ChargePoint) -> None:
    """It has come, and nothing is plugged in."""


def plugged(cp: ChargePoint) -> None:
    cp.end.status(1, "Preparing")


def charging(cp: ChargePoint) -> None:
    plugged(cp)
    cp.kit.write(3300 + 18, 1, client="before")
    cp.kit.run_for(1)
    cp.act()
    assert cp.transaction
    cp.kit.write(3300 + 18, 0, client="before")


def holding_a_tag(cp: ChargePoint) -> None:
    """CARD-1 stands in the gateway's list."""
    kit = cp.kit
    kit.write(2300, 1, client="before")
    kit.write_text(2304, CARD, 10, client="before")
    kit.write(2324, 1, client="before")
    kit.write(2328, kit.read(2332) + 1, client="before")


def reserved(cp: ChargePoint) -> None:
    kit = cp.kit
    kit.write(5400, 11, 1, 0, 5, client="before")
    kit.write_32(5408, int(kit.epoch) + 3600, client="before")
    kit.write_text(5410, CARD, 10, client="before")
    kit.write(5505, 1, client="before")
    cp.act()


def limited(cp: ChargePoint) -> None:
    charging(cp)
    cp.kit.write(3300 + 118, 100, client="before")
    cp.kit.run_for(1)
    cp.act()


GIVEN: dict[str, Callable[[ChargePoint], None]] = {
    "registered": registered,
    "plugged": plugged,
    "charging": charging,
    "limited": limited,
    "reserved": reserved,
    "a card in the list": holding_a_tag,
}


def shows_card(cp: ChargePoint) -> None:
    cp.ask("Authorize", idTag=CARD)


def starts(cp: ChargePoint) -> None:
    cp.ask("StartTransaction", connectorId=1, idTag=CARD, meterStart=cp.meter_wh, timestamp=cp.kit.stamp())


def unplugs(cp: ChargePoint) -> None:
    cp.meter(1500)
    cp.stop("EVDisconnected")


def asks_a_question(cp: ChargePoint) -> None:
    cp.ask("DataTransfer", vendorId="com.example", messageId="price", data="kWh")


EVENTS: dict[str, Callable[[ChargePoint], None]] = {
    "A driver shows card CARD-1.": shows_card,
    "The charge point wants to start with CARD-1.": starts,
    "The car is unplugged: the charge point stops.": unplugs,
    "The charge point sends a DataTransfer.": asks_a_question,
    "The car has charged 10 kWh.": lambda cp: cp.meter(10_000),
    "The BMS writes nothing for 60 s.": lambda cp: cp.kit.run_for(60),
}
"""What a row without a function code may say, and what happens then."""
