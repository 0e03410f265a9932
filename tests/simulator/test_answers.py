"""What the charge point answers to every operation that a central system may ask for."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from .charge_point import ALL_MEASURANDS, Capability, Traits
from .clock import stamp
from .conftest import Plant
from .ocpp_link import CallFailed
from .schema_judge import SCHEMAS
from .script import Payload


async def ask(plant: Plant, action: str, payload: Payload | None = None) -> Any:
    """The answer, or just its status when that is all it has."""
    answer = await plant.central.call("CP001", action, payload or {})
    return answer["status"] if list(answer) == ["status"] else answer


def limit(number: int, amperes: float, purpose: str = "TxDefaultProfile", **changes: Any) -> Payload:
    return {
        "chargingProfileId": number,
        "stackLevel": changes.pop("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amperes}],
            **changes,
        },
    }


async def test_limits_are_obeyed_at_once(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    assert cp.effective_limit_a(1) == 32
    for amperes, status in ((10.0, "Charging"), (5.9, "SuspendedEVSE"), (6.0, "Charging"), (0.0, "SuspendedEVSE")):
        payload = {"connectorId": 1, "csChargingProfiles": limit(1, amperes)}
        assert await ask(plant, "SetChargingProfile", payload) == "Accepted"
        assert cp.effective_limit_a(1) == amperes
        assert cp.status(1) == status
        assert cp.power_w(1) == pytest.approx(amperes * 690 if status == "Charging" else 0, rel=0.05)
    assert cp.effective_limit_a(2) == 32
    assert await ask(plant, "ClearChargingProfile", {"id": 1}) == "Accepted"
    assert await ask(plant, "ClearChargingProfile", {"id": 1}) == "Unknown"
    assert cp.status(1) == "Charging"


async def test_the_cap_of_the_whole_is_shared(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    whole = {"connectorId": 0, "csChargingProfiles": limit(1, 20, "ChargePointMaxProfile")}
    assert await ask(plant, "SetChargingProfile", whole) == "Accepted"
    assert cp.effective_limit_a(1) == 20
    cp.plug(2)
    await cp.present_tag("TAG2", 2)
    assert (cp.effective_limit_a(1), cp.effective_limit_a(2)) == (10, 10)
    schedule = await ask(plant, "GetCompositeSchedule", {"connectorId": 0, "duration": 600})
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 20.0}]


async def test_a_tx_profile_belongs_to_its_transaction(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    running = cp.transaction(1)
    assert running is not None
    mine = limit(7, 8, "TxProfile")
    foreign = {"connectorId": 1, "csChargingProfiles": mine | {"transactionId": 999}}
    assert await ask(plant, "SetChargingProfile", foreign) == "Rejected"
    own = {"connectorId": 1, "csChargingProfiles": mine | {"transactionId": running.transaction_id}}
    assert await ask(plant, "SetChargingProfile", own) == "Accepted"
    assert cp.effective_limit_a(1) == 8
    schedule = await ask(plant, "GetCompositeSchedule", {"connectorId": 1, "duration": 60, "chargingRateUnit": "W"})
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 5520.0}]
    cp.unplug(1)
    assert cp.effective_limit_a(1) == 32
    cp.plug(1)
    await cp.present_tag("TAG1")
    assert cp.effective_limit_a(1) == 32  # the next transaction has nothing of it
    cp.unplug(1)
    start = {"connectorId": 1, "idTag": "BMS", "chargingProfile": limit(8, 6.5, "TxProfile")}
    cp.plug(1)
    assert await ask(plant, "RemoteStartTransaction", start) == "Accepted"
    assert cp.effective_limit_a(1) == 6.5
    wrong = {"connectorId": 2, "idTag": "BMS", "chargingProfile": limit(9, 6.5)}
    assert await ask(plant, "RemoteStartTransaction", wrong) == "Rejected"


async def test_limits_without_effect(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging(traits=Traits(ignores_limits=True))
    await ask(plant, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": limit(1, 6)})
    await trio.sleep(60)
    assert cp.power_w(1) > 10_000


async def test_reservations(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()

    def reservation(connector: int, number: int, minutes: int = 10, **more: str) -> Payload:
        expiry = stamp(cp.clock.now() + 60 * minutes)
        return {"connectorId": connector, "expiryDate": expiry, "idTag": "VIP", "reservationId": number} | more

    assert await ask(plant, "ReserveNow", reservation(1, 5)) == "Accepted"
    assert cp.status(1) == "Reserved"
    assert await cp.present_tag("OTHER") == "Reserved"
    assert await ask(plant, "RemoteStartTransaction", {"connectorId": 1, "idTag": "OTHER"}) == "Rejected"
    assert await ask(plant, "ReserveNow", reservation(1, 6)) == "Occupied"
    assert await ask(plant, "ReserveNow", reservation(2, 5)) == "Accepted"  # the same id moves
    assert (cp.status(1), cp.status(2)) == ("Available", "Reserved")
    assert await ask(plant, "CancelReservation", {"reservationId": 5}) == "Accepted"
    assert await ask(plant, "CancelReservation", {"reservationId": 5}) == "Rejected"
    assert await ask(plant, "ReserveNow", reservation(0, 7, parentIdTag="FAMILY")) == "Accepted"
    assert cp.status(1) == "Reserved"
    plant.central.authorizations["CHILD"] = {"status": "Accepted", "parentIdTag": "FAMILY"}
    cp.plug(1)
    assert await cp.present_tag("CHILD") == "Accepted"
    await trio.sleep(1)
    assert plant.central.calls("StartTransaction")[0]["reservationId"] == 7
    assert await ask(plant, "ReserveNow", reservation(2, 8, minutes=2)) == "Accepted"
    await trio.sleep(121)
    assert cp.status(2) == "Available"  # expired
    assert await ask(plant, "ReserveNow", reservation(2, 9, minutes=-1)) == "Rejected"
    cp.fault(2, "OtherError")
    assert await ask(plant, "ReserveNow", reservation(2, 9)) == "Faulted"


async def test_availability(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    assert await ask(plant, "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}) == "Scheduled"
    assert cp.status(1) == "Charging"
    cp.unplug(1)
    assert cp.status(1) == "Unavailable"
    assert await cp.present_tag("TAG1") == "Unavailable"
    assert await ask(plant, "ChangeAvailability", {"connectorId": 1, "type": "Operative"}) == "Accepted"
    assert await ask(plant, "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}) == "Accepted"
    await trio.sleep(1)
    told = {s["connectorId"]: s["status"] for s in plant.central.calls("StatusNotification")}
    assert told == {0: "Unavailable", 1: "Unavailable", 2: "Unavailable"}
    assert await ask(plant, "ChangeAvailability", {"connectorId": 9, "type": "Operative"}) == "Rejected"
    await ask(plant, "Reset", {"type": "Hard"})  # it survives a restart
    await cp.until(lambda: cp.session.boots == 2 and cp.registered)
    assert cp.status(2) == "Unavailable"


async def test_unlock(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    assert await ask(plant, "UnlockConnector", {"connectorId": 3}) == "NotSupported"
    assert await ask(plant, "UnlockConnector", {"connectorId": 1}) == "Unlocked"
    assert cp.books[0].reason == "UnlockCommand"
    cp.connector(2).lock_jammed = True
    assert await ask(plant, "UnlockConnector", {"connectorId": 2}) == "UnlockFailed"


async def test_configuration(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()

    async def change(key: str, value: str) -> Any:
        return await ask(plant, "ChangeConfiguration", {"key": key, "value": value})

    everything = await ask(plant, "GetConfiguration")
    assert len(everything["configurationKey"]) > 45
    assert not [k for k in everything["configurationKey"] if k["key"] == "AuthorizationKey" and "value" in k]
    some = await ask(plant, "GetConfiguration", {"key": ["numberofconnectors", "NoSuchKey"]})
    assert some["configurationKey"] == [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}]
    assert some["unknownKey"] == ["NoSuchKey"]
    assert await change("NoSuchKey", "1") == "NotSupported"
    assert await change("NumberOfConnectors", "3") == "Rejected"
    assert await change("HeartbeatInterval", "soon") == "Rejected"
    assert await change("LocalPreAuthorize", "yes") == "Rejected"
    assert await change("SecurityProfile", "2") == "RebootRequired"
    before = len(plant.central.calls("Heartbeat"))
    assert await change("HeartbeatInterval", "10") == "Accepted"  # and it works at once
    await trio.sleep(31)
    assert len(plant.central.calls("Heartbeat")) >= before + 3
    assert cp.configuration.number("HeartbeatInterval") == 10


async def test_local_list(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered(configuration={"SendLocalListMaxLength": "2", "LocalAuthListMaxLength": "3"})
    good, past = {"status": "Accepted"}, {"status": "Accepted", "expiryDate": stamp(cp.clock.now() - 60)}

    async def send(version: int, kind: str, **entries: Payload | None) -> Any:
        listed = [{"idTag": tag} | ({"idTagInfo": info} if info else {}) for tag, info in entries.items()]
        payload = {"listVersion": version, "updateType": kind, "localAuthorizationList": listed}
        return await ask(plant, "SendLocalList", payload)

    assert await ask(plant, "GetLocalListVersion") == {"listVersion": 0}
    assert await send(1, "Full", A=good, B=past) == "Accepted"
    assert await send(2, "Differential", C=good) == "Accepted"
    assert await send(2, "Differential", D=good) == "VersionMismatch"
    assert await send(3, "Differential", D=good) == "Failed"  # four are too many
    assert await send(3, "Differential", D=good, E=good, F=good) == "Failed"  # three at once as well
    assert await send(3, "Differential", A=None) == "Accepted"
    assert sorted(cp.local_list.entries) == ["B", "C"]
    assert await ask(plant, "GetLocalListVersion") == {"listVersion": 3}
    # offline the list decides
    await plant.central.go_away()
    cp.configuration["AllowOfflineTxForUnknownId"] = "false"
    await trio.sleep(1)
    assert [await cp.present_tag(tag) for tag in ("B", "A", "C")] == ["Expired", "Invalid", "Accepted"]
    plant.central.come_back()
    await cp.until(lambda: cp.registered)
    assert await send(1, "Full") == "Accepted"
    assert cp.local_list.entries == {}
    cp.configuration["LocalAuthListEnabled"] = "false"
    assert await ask(plant, "GetLocalListVersion") == {"listVersion": -1}
    assert await send(2, "Full") == "NotSupported"


async def test_the_cache_is_filled_and_cleared(plant: Plant, autojump_clock: MockClock) -> None:
    settings = {"AuthorizationCacheEnabled": "true", "LocalPreAuthorize": "true"}
    cp = await plant.registered(configuration=settings)
    for asked in (1, 1):
        assert await cp.present_tag("TAG1") == "Accepted"
        assert len(plant.central.calls("Authorize")) == asked
    assert await ask(plant, "ClearCache") == "Accepted"
    await cp.present_tag("TAG1")
    assert len(plant.central.calls("Authorize")) == 2


async def test_triggers(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging(configuration={"MeterValuesSampledData": ",".join(ALL_MEASURANDS)})
    for operation, extra in (
        ("TriggerMessage", ["DiagnosticsStatusNotification"]),
        ("ExtendedTriggerMessage", ["LogStatusNotification"]),
    ):
        for action in ("BootNotification", "FirmwareStatusNotification", "Heartbeat", "StatusNotification", *extra):
            plant.central.received.clear()
            assert await ask(plant, operation, {"requestedMessage": action}) == "Accepted"
            await trio.sleep(1)
            assert plant.central.calls(action), action
    plant.central.received.clear()
    assert await ask(plant, "TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}) == "Accepted"
    await trio.sleep(1)
    (values,) = plant.central.calls("MeterValues")
    assert values["transactionId"] == cp.books[0].transaction_id
    samples = values["meterValue"][0]["sampledValue"]
    assert {s["measurand"] for s in samples} == set(ALL_MEASURANDS)
    assert {s["context"] for s in samples} == {"Trigger"}
    assert {s["phase"] for s in samples if s["measurand"] == "Voltage"} >= {"L1-N", "L3-N", "L1-L2"}
    bad = {"requestedMessage": "StatusNotification", "connectorId": 5}
    assert await ask(plant, "TriggerMessage", bad) == "Rejected"


async def test_data_transfer_both_ways(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    hello = {"vendorId": "Simulated", "messageId": "Echo", "data": "hello"}
    assert await ask(plant, "DataTransfer", hello) == {"status": "Accepted", "data": "hello"}
    assert await ask(plant, "DataTransfer", hello | {"messageId": "Other"}) == "UnknownMessageId"
    assert await ask(plant, "DataTransfer", {"vendorId": "Nobody"}) == "UnknownVendorId"
    assert await cp.data_transfer("Vendor", "Message", "data") == {"status": "UnknownVendorId"}


async def test_what_is_not_built_in_is_refused(plant: Plant, autojump_clock: MockClock) -> None:
    traits = Traits(features=("Core",), profiles=Capability(rate_units=("A",)), sends_boot=False)
    await plant.registered(traits=traits)
    for action, payload in (
        ("ClearChargingProfile", {}),
        ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
        ("GetLocalListVersion", {}),
        ("CancelReservation", {"reservationId": 1}),
    ):
        with pytest.raises(CallFailed) as caught:
            await ask(plant, action, payload)
        assert caught.value.code == "NotSupported"
    assert plant.central.calls("BootNotification") == []
    units = await ask(plant, "GetConfiguration", {"key": ["ChargingScheduleAllowedChargingRateUnit"]})
    assert units["configurationKey"][0]["value"] == "Current"


async def test_every_operation_of_a_central_system_is_answered(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    ours = {
        "Authorize",
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
    every = {path.stem for path in SCHEMAS.glob("*.json") if not path.stem.endswith("Response")}
    assert {action for operations in cp.answers.operations.values() for action in operations} == every - ours
