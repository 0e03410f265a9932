"""The charge point's life with a central system: boot, charge, offline, restart, and the bad habits on demand."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from .central_system import CentralSystem
from .charge_point import ChargePoint, Manner, Traits, Vehicle
from .clock import parse_stamp
from .conftest import Plant
from .ocpp_link import CallFailed


async def test_remote_start_and_stop_agree_to_the_watt_hour(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    cp.plug(1)
    assert cp.status(1) == "Preparing"
    answer = await plant.central.call("CP001", "RemoteStartTransaction", {"connectorId": 1, "idTag": "BMS"})
    assert answer == {"status": "Accepted"}
    await cp.until(lambda: cp.status(1) == "Charging")
    await trio.sleep(3600)
    running = cp.transaction(1)
    assert running is not None
    assert 10_000 < cp.power_w(1) < 12_000  # 16 A on three phases
    stop = {"transactionId": running.transaction_id}
    assert await plant.central.call("CP001", "RemoteStopTransaction", stop) == {"status": "Accepted"}
    await cp.until(lambda: running.stop_acknowledged)
    assert cp.status(1) == "Finishing"
    cp.unplug(1)
    assert cp.status(1) == "Available"
    await trio.sleep(1)
    booked = plant.central.books[running.transaction_id or 0]
    assert (booked.meter_start_wh, booked.meter_stop_wh) == (running.meter_start_wh, running.meter_stop_wh)
    assert 10_000 < running.energy_wh < 12_000
    # what was sent is what the meter shows, in the message and in its transactionData
    assert cp.meter_wh(1) == running.meter_stop_wh
    data = plant.central.calls("StopTransaction")[0]["transactionData"]
    assert [int(value["sampledValue"][0]["value"]) for value in data] == [running.meter_start_wh, running.meter_stop_wh]
    assert (booked.id_tag, booked.reason) == ("BMS", "Remote")
    assert cp.connector(1).history == ["Available", "Preparing", "Charging", "Finishing", "Available"]
    # 59 or 60 samples in the hour, each with the energy of its moment, none running backwards.
    energies = [_energy(values) for values in plant.central.calls("MeterValues")]
    assert 59 <= len(energies) <= 60
    assert energies == sorted(energies)
    assert energies[-1] <= running.meter_stop_wh


def _energy(payload: dict[str, Any]) -> int:
    samples = payload["meterValue"][0]["sampledValue"]
    return next(int(s["value"]) for s in samples if s["measurand"] == "Energy.Active.Import.Register")


async def test_remote_start_waits_for_the_cable_only_so_long(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered(configuration={"ConnectionTimeOut": "30"})
    for wait_s, expected in ((10, "Charging"), (31, "Available")):
        answer = await plant.central.call("CP001", "RemoteStartTransaction", {"connectorId": 1, "idTag": "BMS"})
        assert answer == {"status": "Accepted"}
        await trio.sleep(wait_s)
        if expected == "Charging":
            assert cp.status(1) == "Preparing"
            cp.plug(1)
            await cp.until(lambda: cp.status(1) == "Charging")
            cp.unplug(1)
        assert cp.status(1) == "Available"
    assert [t.reason for t in cp.books] == ["EVDisconnected"]


async def test_a_tag_at_the_reader(plant: Plant, autojump_clock: MockClock) -> None:
    plant.central.authorizations["BAD"] = {"status": "Blocked"}
    plant.central.authorizations["TWIN1"] = plant.central.authorizations["TWIN2"] = {
        "status": "Accepted",
        "parentIdTag": "FAMILY",
    }
    cp = await plant.registered()
    cp.plug(2)
    assert await cp.present_tag("BAD", 2) == "Blocked"
    assert cp.status(2) == "Preparing"
    assert await cp.present_tag("TWIN1", 2) == "Accepted"
    assert cp.status(2) == "Charging"
    assert await cp.present_tag("STRANGER", 2) == "ConcurrentTx"
    assert cp.status(2) == "Charging"
    assert await cp.present_tag("TWIN2", 2) == "Accepted"  # of the same family
    await trio.sleep(1)
    assert plant.central.calls("StopTransaction")[0]["idTag"] == "TWIN2"
    assert cp.books[0].reason == "Local"


async def test_a_start_that_is_refused_ends_or_gives_no_energy(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    refusal = {"transactionId": 77, "idTagInfo": {"status": "Invalid"}}
    plant.central.script.answer("StartTransaction", refusal, times=1)
    cp.plug(1)
    await cp.present_tag("TAG1")
    await cp.until(lambda: not cp.books[0].running)
    assert cp.books[0].reason == "DeAuthorized"
    assert plant.central.calls("StartTransaction") == []  # it was answered by the script
    cp.configuration.change("StopTransactionOnInvalidId", "false")
    plant.central.script.answer("StartTransaction", refusal, times=1)
    await cp.present_tag("TAG1")
    await trio.sleep(60)
    assert cp.status(1) == "SuspendedEVSE"
    assert cp.meter_wh(1) == cp.books[1].meter_start_wh


async def test_a_battery_tapers_and_is_full(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    cp.plug(1, Vehicle(capacity_wh=20_000, soc_percent=70))
    await cp.present_tag("TAG1")
    powers = []
    for _ in range(30):
        await trio.sleep(600)
        powers.append(cp.power_w(1))
    assert cp.status(1) == "SuspendedEV"
    assert powers[0] > 10_000
    assert 0 < powers[3] < 8_000  # the taper
    assert powers[-1] == 0
    assert cp.connector(1).vehicle.soc_percent == 100.0  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
async def test_reset_disconnects_and_boots_again(plant: Plant, autojump_clock: MockClock, kind: str) -> None:
    cp = await plant.charging()
    await trio.sleep(100)
    plant.central.received.clear()
    assert await plant.central.call("CP001", "Reset", {"type": kind}) == {"status": "Accepted"}
    await cp.until(lambda: not cp.connected)
    assert cp.books[0].reason == f"{kind}Reset"
    await cp.until(lambda: cp.registered and cp.books[0].stop_acknowledged)
    await trio.sleep(1)
    boot = next(i for i, r in enumerate(plant.central.received) if r.action == "BootNotification")
    stop = next(i for i, r in enumerate(plant.central.received) if r.action == "StopTransaction")
    assert (stop < boot) == (kind == "Soft")
    assert cp.session.close_codes == [1000]
    assert cp.status(1) == "Preparing"  # the cable is still in


async def test_a_power_cut_kills_the_link_and_books_the_loss(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    cp.power_cut(120)
    await trio.sleep(60)
    assert not cp.connected
    await cp.until(lambda: cp.books[0].stop_acknowledged, 120)
    assert cp.books[0].reason == "PowerLoss"
    assert cp.session.boots == 2
    assert cp.session.close_codes == [1006]


async def test_misbehaviour_on_demand(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    call = plant.central.call
    cp.script.delay("GetConfiguration", 30, times=1)
    began = trio.current_time()
    await call("CP001", "GetConfiguration", {"key": ["HeartbeatInterval"]})
    assert 30 <= trio.current_time() - began < 31
    cp.script.error("Reset", "InternalError", "not today", times=1)
    with pytest.raises(CallFailed, match="not today"):
        await call("CP001", "Reset", {"type": "Soft"})
    cp.script.answer("ClearCache", {"status": "Rejected"}, times=1)
    assert await call("CP001", "ClearCache", {}) == {"status": "Rejected"}
    assert await call("CP001", "ClearCache", {}) == {"status": "Accepted"}
    with pytest.raises(CallFailed) as caught:
        await call("CP001", "MakeCoffee", {})
    assert caught.value.code == "NotImplemented"
    assert plant.judge.faults == ["received: MakeCoffee is no operation of OCPP 1.6"]
    plant.judge.faults.clear()
    cp.script.rewrite("StatusNotification", lambda payload: payload | {"info": "rewritten"}, times=1)
    cp.plug(1)
    await trio.sleep(1)
    assert plant.central.calls("StatusNotification")[-1]["info"] == "rewritten"
    await cp.send_raw("this is not JSON")
    await trio.sleep(1)
    assert plant.judge.faults == ["sent: no JSON: this is not JSON"]
    plant.judge.faults.clear()
    assert plant.central.links["CP001"].strays == ["this is not JSON"]


async def test_faults_are_told_with_their_codes(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    cp.fault(1, "GroundFailure", "E-47", "RCD tripped")
    assert cp.status(1) == "Faulted"
    before = cp.meter_wh(1)
    await trio.sleep(600)
    assert cp.meter_wh(1) == before
    told = plant.central.calls("StatusNotification")[-1]
    assert (told["errorCode"], told["vendorErrorCode"], told["info"]) == ("GroundFailure", "E-47", "RCD tripped")
    cp.repair(1)
    assert cp.status(1) == "Charging"


async def test_other_manners_of_metering(plant: Plant, autojump_clock: MockClock) -> None:
    manner = Manner(kilo_units=True, omits_totals=True, celsius="Celcius")
    traits = Traits(manner=manner, phases=3, session_register=True)
    cp = await plant.charging(traits=traits, configuration={"MeterValueSampleInterval": "10"})
    await trio.sleep(11)
    samples = plant.central.calls("MeterValues")[0]["meterValue"][0]["sampledValue"]
    powers = [s for s in samples if s["measurand"] == "Power.Active.Import"]
    assert [(s["phase"], s["unit"]) for s in powers] == [("L1", "kW"), ("L2", "kW"), ("L3", "kW")]
    assert {s["unit"] for s in samples if s["measurand"] == "Temperature"} == {"Celcius"}
    assert cp.books[0].meter_start_wh == 0


async def test_clock_aligned_values_come_on_the_minute(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered(configuration={"ClockAlignedDataInterval": "900"})
    await trio.sleep(1000)
    cp.note_configured()  # looking again says nothing again
    await trio.sleep(2600)
    values = plant.central.calls("MeterValues")
    assert len(values) == 4 * len(cp.connectors)
    for value in values:
        stamp = parse_stamp(value["meterValue"][0]["timestamp"])
        assert stamp % 900 < 0.1
        assert value["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_repeats_every_frame(seed: int) -> None:
    first, second = _day(seed), _day(seed)
    assert first == second
    assert len(first) > 100
    assert _day(seed + 10) != first


def _day(seed: int) -> list[str]:
    """Every frame of a charging day, as the charge point of that seed has it."""
    frames: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            central = CentralSystem(seed=seed)
            await nursery.start(central.run)
            cp = ChargePoint(
                "CP001",
                central.open_stream,
                seed=seed,
                traits=Traits(step_s=60.0),
                trace=lambda way, text: frames.append(text),
            )
            await nursery.start(cp.run)
            await cp.until(lambda: cp.registered)
            cp.plug(1)
            await cp.present_tag("TAG1")
            await trio.sleep(3 * 3600)
            await cp.cut()
            await trio.sleep(3 * 3600)
            cp.unplug(1)
            await trio.sleep(60)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return frames
