"""Days on which something is missing: the BMS, the gateway, a charge point's power, everybody's power."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.journeys.ledger_reader import transactions
from tests.journeys.plant import Plant, charge_points
from tests.simulator.bms import Bms, ModbusError
from tests.simulator.charge_point import ChargePoint, Vehicle

CP = 1
FAST = {"MeterValueSampleInterval": "10"}


def assert_booked(plant: Plant, number: int, cp: ChargePoint) -> None:
    """The ledger holds this charge point's transactions to the Wh, every one once, and no others."""
    booked = [row for row in transactions(plant.paths.ledger) if row.charge_point == number]
    assert [(row.id, row.connector, row.id_tag, row.meter_start_wh, row.meter_stop_wh) for row in booked] == [
        (mine.transaction_id, mine.connector, mine.id_tag, mine.meter_start_wh, mine.meter_stop_wh) for mine in cp.books
    ]
    assert not any(row.incomplete for row in booked)


async def charging(plant: Plant, bms: Bms, cp: ChargePoint, number: int = CP) -> None:
    """A car at connector 1, started by the BMS."""
    await cp.until(lambda: cp.registered)
    cp.plug(1, Vehicle(max_current_a=32.0))
    await bms.until("plugged", True, number, 1)
    await bms.trigger("start", number, 1)
    await bms.until("charging", True, number, 1)


# --- the BMS is away ----------------------------------------------------------------------------------------------


async def test_while_the_bms_is_away_the_list_decides(plant: Plant, autojump_clock: MockClock) -> None:
    bms = await plant.bms()
    assert (await bms.list("put", id_tag="KNOWN", status="Accepted")).accepted
    await bms.client.close()
    cp = await plant.charge_point()
    await cp.until(lambda: cp.registered)
    cp.plug(1)
    asked_at = trio.current_time()
    assert await cp.present_tag("STRANGER") == "Invalid"
    assert 8.0 <= trio.current_time() - asked_at < 8.2
    assert await cp.present_tag("KNOWN") == "Accepted"
    await cp.until(lambda: cp.books[0].start_acknowledged)
    assert cp.books[0].authorization == "Accepted"
    cp.unplug(1)
    await cp.until(lambda: cp.books[0].stop_acknowledged)

    bms = await plant.bms()  # back again: what it missed waits for it
    told = await bms.next_request(CP)
    assert (told.type, told.id_tag, told.session_energy_wh) == ("StopTransaction", "KNOWN", cp.books[0].energy_wh)
    assert await bms.respond(told, sequence=told.sequence - 1) == "too_late"  # the StartTransaction before it
    await bms.respond(told)
    assert await bms.request(CP) is None
    assert_booked(plant, CP, cp)


async def test_a_silent_bms_leaves_safe_limits(plant: Plant, autojump_clock: MockClock) -> None:
    bms = await plant.bms()
    cp = await plant.charge_point()
    await charging(plant, bms, cp)
    await bms.write("watchdog_action", 1)
    await bms.write("watchdog_limit", 60)
    await bms.write("watchdog_timeout_s", 30)
    await bms.set_limit(CP, 1, 20.0)
    for _ in range(10):
        await bms.heartbeat()
        await trio.sleep(5)
    assert cp.effective_limit_a(1) == 20.0
    await trio.sleep(30)
    assert cp.effective_limit_a(1) == 6.0
    await bms.heartbeat()
    await cp.until(lambda: cp.effective_limit_a(1) == 20.0, 5)


# --- the gateway is away ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_restart_in_the_middle_of_a_session_changes_nothing(
    plant: Plant, autojump_clock: MockClock, how: str
) -> None:
    bms = await plant.bms()
    cp = await plant.charge_point(configuration=FAST)
    await charging(plant, bms, cp)
    await bms.set_limit(CP, 1, 13.0)
    await bms.until("limit_ok", True, CP, 1)
    await trio.sleep(100)
    energy_wh, transaction_id = await bms.read("session_energy_wh", CP, 1), cp.books[0].transaction_id
    await (plant.stop() if how == "stopped" else plant.crash())
    await trio.sleep(45)
    assert not cp.connected
    assert cp.effective_limit_a(1) == 13.0
    await plant.start()

    bms = await plant.bms()
    assert await bms.read("transaction_id", CP, 1) == transaction_id  # before the charge point has dialled
    assert await bms.read("session_energy_wh", CP, 1) == energy_wh
    assert await bms.read("limit", CP, 1) == 130
    assert await bms.read("comm_error", CP)
    await bms.until("connected", True, CP, timeout_s=75)
    await bms.until("limit_ok", True, CP, 1)
    await cp.until(lambda: cp.outbox.waiting_durable == 0)
    assert await bms.number("session_energy_wh", CP, 1) > int(energy_wh or 0)
    cp.unplug(1)
    await cp.until(lambda: cp.books[0].stop_acknowledged)
    assert cp.books[0].transaction_id == transaction_id
    assert await bms.read("session_energy_wh", CP, 1) == cp.books[0].energy_wh
    assert_booked(plant, CP, cp)

    cp.plug(1)
    await charging(plant, bms, cp)
    await cp.until(lambda: cp.books[1].start_acknowledged)
    assert (cp.books[1].transaction_id or 0) > (transaction_id or 0)


async def test_acks_survive_so_that_nothing_is_done_twice(plant: Plant, autojump_clock: MockClock) -> None:
    bms = await plant.bms()
    cp = await plant.charge_point()
    await cp.until(lambda: cp.registered)
    assert (await bms.command(CP, "ClearCache", sequence=77)).accepted
    await plant.crash()
    await plant.start()
    bms = await plant.bms()
    await cp.until(lambda: cp.registered, 75)
    assert await bms.read("command_ack", CP) == 77
    with pytest.raises(trio.TooSlowError):
        await bms.command(CP, "ClearCache", sequence=77, timeout_s=10)
    assert await bms.read("command_state", CP) == 0


# --- a charge point is away ---------------------------------------------------------------------------------------


async def test_what_happened_offline_comes_in_afterwards(plant: Plant, autojump_clock: MockClock) -> None:
    bms = await plant.bms()
    await bms.write("decision_default", 3)  # accept those who are not in the list
    cp = await plant.charge_point(configuration=FAST)
    await charging(plant, bms, cp)
    await trio.sleep(60)
    cp.stay_away()
    await trio.sleep(100)
    cp.power_cut(40)  # in the middle of the first session, and while nobody can be told
    await trio.sleep(60)
    for tag in ("ONE", "TWO"):
        cp.unplug(1)
        cp.plug(1)
        await cp.present_tag(tag)
        await trio.sleep(130)
    cp.unplug(1)
    assert [mine.id_tag for mine in cp.books] == ["GATEWAY", "ONE", "TWO"]
    assert await bms.read("comm_error", CP)
    assert await bms.read("power_active_import_w", CP, 1) is None
    energy = await bms.number("energy_active_import_wh", CP, 1)  # energies hold
    cp.come_back()
    await cp.until(lambda: cp.registered and cp.outbox.waiting_durable == 0, 120)
    assert [mine.reason for mine in cp.books] == ["PowerLoss", "EVDisconnected", "EVDisconnected"]
    assert all(mine.energy_wh > 100 for mine in cp.books)
    assert_booked(plant, CP, cp)
    assert await bms.number("energy_active_import_wh", CP, 1) > energy
    assert await bms.read("session_energy_wh", CP, 1) == cp.books[-1].energy_wh
    told = [await bms.next_request(CP) for _ in range(1)]
    while (request := await bms.request(CP)) is not None:
        told.append(request)
        await bms.respond(request)
    assert [request.session_energy_wh for request in told[1:]] == [mine.energy_wh for mine in cp.books]


# --- two that want the same ---------------------------------------------------------------------------------------


async def test_two_bms_at_one_mailbox(plant: Plant, autojump_clock: MockClock) -> None:
    one, other = await plant.bms("one"), await plant.bms("other")
    cp = await plant.charge_point()
    await cp.until(lambda: cp.registered)
    _, code = one.points.find("command_code", CP)
    await one.client.write_register(code, 7)
    with pytest.raises(ModbusError, match="busy"):
        await other.client.write_register(code, 9)
    assert (await one.client.read_registers(code)) == [7]
    await trio.sleep(2.1)  # who begins and goes away holds it no longer than this
    await other.client.write_register(code, 9)
    with pytest.raises(ModbusError, match="busy"):
        await one.client.write_register(code, 7)
    await other.client.close()
    await trio.sleep(0.1)
    await one.client.write_register(code, 7)
    await trio.sleep(3)

    other = await plant.bms("other")
    cp.script.delay("GetConfiguration", 3.0)
    outcomes = {}

    async def command(bms: Bms, name: str, sequence: int) -> None:
        outcomes[name] = await bms.command(CP, "GetConfiguration", key="HeartbeatInterval", sequence=sequence)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(command, one, "one", 11)
        await trio.sleep(1)
        nursery.start_soon(command, other, "other", 12)
    assert (outcomes["one"].accepted, outcomes["one"].text) == (True, "60")
    assert not outcomes["other"].taken
    assert outcomes["other"].error == "busy"
    assert (await other.command(CP, "GetConfiguration", key="HeartbeatInterval", sequence=12)).accepted


# --- everybody's power --------------------------------------------------------------------------------------------


async def test_power_returns_to_all_at_once(tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """20 charge points dial in at the same instant; the gateway still believes in their old links."""
    plant = Plant(nursery, tmp_path, charge_points(20))
    await plant.start()
    bms = await plant.bms()
    numbers = range(1, 21)
    cps = [await plant.charge_point(f"CP{number:03}", configuration=FAST) for number in numbers]
    for number, cp in zip(numbers, cps, strict=True):
        await charging(plant, bms, cp, number)
        await bms.set_limit(number, 1, 6.0 + number)
    await trio.sleep(20)
    for cp in cps:
        cp.power_cut(10, half_open=True)
    await trio.sleep(10)
    back_at = trio.current_time()
    await trio.sleep(30)
    assert await bms.number("connected_mask") == 0xFFFFF
    for number, cp in zip(numbers, cps, strict=True):
        assert cp.registered
        assert cp.outbox.waiting_durable == 0
        assert_booked(plant, number, cp)
        assert await bms.status(number, 1) == cp.status(1)
        assert await bms.read("session_energy_wh", number, 1) == cp.books[0].energy_wh
        assert await bms.limit_result(number, 1) == "accepted"
        assert cp.effective_limit_a(1) == 6.0 + number
        assert cp.session.violations == []
    assert trio.current_time() - back_at < 31
