"""A charge point on a kit's wire that takes limits: it answers every Call, and keeps profiles as a real one does.

Every request is held against the standard's JSON schema. `refuse` may give other answers: action and payload in, the
answer's payload out, or None for the ordinary answer; a text is a CALLERROR; Ellipsis is no answer at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatewayd.assembly import restore_site
from gatewayd.services.ledger.database import Restored
from gatewayd.site.journal import SaveFact
from tests.kit import Frame, Kit, WireEnd
from tests.ocpp.standard import is_valid
from tests.simulator.charge_point.charging_profiles import Capability, ProfileStore

CP, BLOCK = 3000, 300
LIMIT, UNIT, PHASES, ACTIVE, RESULT, LIMIT_U16 = 100, 102, 103, 104, 106, 118
ENABLE, OPERATIVE, ENERGY_LIMIT, ENERGY_LIMIT_U16 = 16, 17, 146, 148
LIMIT_OK, QUIRKS, WHOLE_RESULT, LIMIT_MATRIX = 7, 44, 114, 1800
HEARTBEAT, TIMEOUT, STATE, ACTION, WATCHDOG_LIMIT, TRIPS = 9, 12, 13, 14, 15, 16
SITE_LIMIT, SITE_RESULT, SITE_LIMIT_U16 = 50, 52, 53

Refusal = Callable[[str, Any], Any]
STEP_S = 0.25


class Taker:
    """Its end of the wire, what it was asked, and the profiles that it holds."""

    def __init__(self, kit: Kit, identity: str = "CP001", capability: Capability | None = None) -> None:
        self.kit, self.identity = kit, identity
        self.store = ProfileStore(capability or Capability())
        self.refuse: Refusal = lambda _action, _payload: None
        self.asked: list[Frame] = []
        self.cp = kit.site.charge_points[identity]
        self.transactions: dict[int, int] = {}
        """Connector → the transaction that runs there."""
        self._starting: dict[int, str] = {}
        self.end: WireEnd
        self.dial()

    # --- the wire -------------------------------------------------------------------------------------------

    def dial(self) -> list[Frame]:
        """Connect and boot; what the gateway asked then."""
        self.end = self.kit.connect(self.identity)
        self.end.boot()
        return self.pump()

    def pump(self) -> list[Frame]:
        """Answer all that the gateway asks; returns it."""
        new: list[Frame] = []
        self._started()
        while calls := self.end.calls():
            for call in calls:
                assert is_valid(call.action, call.payload), call
                new.append(call)
                answer = self.refuse(call.action, call.payload)
                if answer is None:
                    answer = self._answer(call.action, call.payload)
                if isinstance(answer, str):
                    self.end.refuse(call, answer)
                elif answer is not ...:
                    self.end.answer(call, answer)
        self.asked += new
        return new

    def run_for(self, seconds: float) -> list[Frame]:
        """Let time pass, answering; what was asked meanwhile."""
        until, new = self.kit.now + seconds, self.pump()
        while self.kit.now < until:
            self.kit.run_until(min(until, self.kit.now + STEP_S))
            new += self.pump()
        return new

    def _answer(self, action: str, payload: Any) -> Any:
        if action == "SetChargingProfile":
            number, profile = payload["connectorId"], payload["csChargingProfiles"]
            busy = number in self.transactions
            status = self.store.set(number, profile, self.kit.epoch, self.cp.connector_count, busy)
            return {"status": status}
        if action == "ClearChargingProfile":
            return {"status": self.store.clear(payload)}
        return {"status": "Accepted"}

    # --- what a car does ------------------------------------------------------------------------------------

    def start(self, connector: int = 1, meter_start: int = 0) -> int:
        """A transaction that the BMS accepts, and the connector charges. Its id."""
        kit = self.kit
        kit.write(18, 1)  # decision_default: accept
        self.end.status(connector, "Preparing")
        request = {
            "connectorId": connector,
            "idTag": f"TAG{connector}",
            "meterStart": meter_start,
            "timestamp": kit.stamp(),
        }
        unique_id = f"start-{connector}-{kit.now}"
        self._starting[connector] = unique_id
        self.end.send("StartTransaction", request, unique_id)
        self.run_for(9)
        self.end.status(connector, "Charging")
        self.run_for(0.5)
        return self.transactions[connector]

    def _started(self) -> None:
        """A car charges from the moment on that its StartTransaction is answered."""
        for connector, unique_id in list(self._starting.items()):
            answer = self.end.answer_to(unique_id)
            if answer is not None:
                self.transactions[connector] = answer["transactionId"]
                del self._starting[connector]

    def stop(self, connector: int = 1, meter_stop: int = 100) -> None:
        transaction_id = self.transactions.pop(connector)
        self.store.end_transaction(connector)
        request = {"transactionId": transaction_id, "meterStop": meter_stop, "timestamp": self.kit.stamp()}
        self.end.send("StopTransaction", request)
        self.end.status(connector, "Finishing")
        self.run_for(0.5)

    def meter(self, connector: int = 1, **values: float) -> None:
        """MeterValues: L1=16, V=230 (of every phase), W=…, Wh=…, offered_A=…, offered_W=…, A=… without phase."""
        samples: list[dict[str, str]] = []
        for name, value in values.items():
            if name[0] == "L":
                samples.append({"measurand": "Current.Import", "phase": name, "unit": "A", "value": f"{value}"})
            elif name == "V":
                samples += [
                    {"measurand": "Voltage", "phase": f"L{n}-N", "unit": "V", "value": f"{value}"} for n in (1, 2, 3)
                ]
            else:
                measurand, unit = {
                    "A": ("Current.Import", "A"),
                    "W": ("Power.Active.Import", "W"),
                    "Wh": ("Energy.Active.Import.Register", "Wh"),
                    "offered_A": ("Current.Offered", "A"),
                    "offered_W": ("Power.Offered", "W"),
                }[name]
                samples.append({"measurand": measurand, "unit": unit, "value": f"{value}"})
        payload: dict[str, Any] = {
            "connectorId": connector,
            "meterValue": [{"timestamp": self.kit.stamp(), "sampledValue": samples}],
        }
        if connector in self.transactions:
            payload["transactionId"] = self.transactions[connector]
        self.end.send("MeterValues", payload)

    def limit_a(self, connector: int = 1) -> float | None:
        """What its profiles allow this connector now; None: they say nothing."""
        now = self.kit.epoch
        started = now if connector in self.transactions else None
        found = [self.store.connector_limit_a(connector, now, started, 3), self.store.charge_point_limit_a(now, 3)]
        return min((limit for limit in found if limit is not None), default=None)

    # --- registers ------------------------------------------------------------------------------------------

    @property
    def base(self) -> int:
        return CP * self.cp.place

    def at(self, connector: int, offset: int) -> int:
        return self.base + BLOCK * connector + offset

    def write_limit(self, limit: int, connector: int = 1) -> None:
        """`limit`, with FC16."""
        self.kit.write_32(self.at(connector, LIMIT), limit)

    def result(self, connector: int = 1) -> int:
        found: int = self.kit.read(self.at(connector, RESULT if connector else WHOLE_RESULT))
        return found

    def active(self, connector: int = 1) -> int:
        return self.kit.read_32(self.at(connector, ACTIVE), signed=True)


def said(frames: list[Frame]) -> list[tuple[int, float, str]]:
    """(connector, limit, unit) of every SetChargingProfile; limit −1 of every ClearChargingProfile."""
    found = []
    for frame in frames:
        if frame.action == "SetChargingProfile":
            schedule = frame.payload["csChargingProfiles"]["chargingSchedule"]
            (period,) = schedule["chargingSchedulePeriod"]
            found.append((frame.payload["connectorId"], period["limit"], schedule["chargingRateUnit"]))
        elif frame.action == "ClearChargingProfile":
            found.append((frame.payload["id"] % 10, -1, ""))
    return found


def facts(kit: Kit) -> dict[str, int | str]:
    """What this gateway would leave in its ledger, settings included."""
    kit.site.journal.settle(kit.now, all_of_them=True)
    return {entry.name: entry.value for entry in kit.site.journal.waiting if isinstance(entry, SaveFact)}


def restarted(kit: Kit, **changed: int) -> Kit:
    """Another gateway with what this one left; `changed` among the settings of the site."""
    new = Kit()
    restore_site(new.site, Restored(facts(kit) | {f"site/{name}": value for name, value in changed.items()}))
    return new


def profile(frame: Frame) -> Any:
    return frame.payload["csChargingProfiles"]
