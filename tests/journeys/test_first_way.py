"""The one journey that everything else exists for: a car is charged as the building wants it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.journeys.ledger_reader import transactions
from tests.journeys.plant import Plant
from tests.simulator.charge_point import Vehicle

CP = 1


async def test_a_car_is_charged_as_the_bms_decides(
    plant: Plant, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bms = await plant.bms()
    assert not await bms.read("connected", CP)
    cp = await plant.charge_point("CP001", configuration={"MeterValueSampleInterval": "30"})
    await cp.until(lambda: cp.registered)
    await bms.until("connected", True, CP)
    await bms.until("status", 1, CP, 1)  # Available
    assert (await bms.read("vendor", CP), await bms.read("model", CP)) == ("Plant Room Works", "Simulated 22")

    cp.plug(1, Vehicle(max_current_a=16.0))
    await bms.until("needs_authorization", True, CP, 1)
    cp.present_tag_soon("DRIVER1")
    asked = await bms.next_request(CP)
    assert (asked.type, asked.id_tag) == ("Authorize", "DRIVER1")
    assert await bms.read("decision_pending", CP)
    assert await bms.waiting() == [CP]
    assert await bms.respond(asked) == "sent"
    start = await bms.next_request(CP, not_sequence=asked.sequence)
    assert (start.type, start.connector, start.meter_wh) == ("StartTransaction", 1, cp.books[0].meter_start_wh)
    assert await bms.respond(start) == "sent"
    await cp.until(lambda: cp.books[0].start_acknowledged)
    assert not await bms.read("decision_pending", CP)

    await bms.until("charging", True, CP, 1)
    assert await bms.read("transaction_id", CP, 1) == cp.books[0].transaction_id
    assert await bms.read("transaction_id_tag", CP, 1) == "DRIVER1"
    await trio.sleep(100)  # three meter readings
    power = await bms.number("power_active_import_w", CP, 1)
    assert abs(power - cp.power_w(1)) < 200
    assert power > 10_000  # 16 A on three phases
    assert 0 < await bms.number("session_energy_wh", CP, 1) <= cp.meter_wh(1) - cp.books[0].meter_start_wh
    assert await bms.number("energy_active_import_wh", CP, 1) > cp.books[0].meter_start_wh
    assert await bms.number("total_power_w") == power

    await bms.set_limit(CP, 1, 10.0)
    await bms.until("limit_ok", True, CP, 1)
    assert await bms.limit_result(CP, 1) == "accepted"
    assert await bms.read("limit_active", CP, 1) == 100
    assert cp.effective_limit_a(1) == 10.0
    await trio.sleep(60)
    assert 6_000 < await bms.number("power_active_import_w", CP, 1) < 7_200

    await bms.trigger("stop", CP, 1)
    assert (await bms.trigger_outcome(CP, 1)).accepted
    await cp.until(lambda: cp.books[0].stop_acknowledged)
    told = await bms.next_request(CP)
    assert (told.type, told.reason, told.session_energy_wh) == ("StopTransaction", "Remote", cp.books[0].energy_wh)
    await bms.respond(told)
    assert await bms.request(CP) is None
    cp.unplug(1)
    await bms.until("available", True, CP, 1)

    mine = cp.books[0]
    assert mine.energy_wh > 0
    assert await bms.read("meter_start_wh", CP, 1) == mine.meter_start_wh
    assert await bms.read("meter_stop_wh", CP, 1) == mine.meter_stop_wh
    assert await bms.read("session_energy_wh", CP, 1) == mine.energy_wh
    assert not await bms.read("transaction_active", CP, 1)
    (booked,) = transactions(plant.paths.ledger)
    assert (booked.id, booked.id_tag, booked.meter_start_wh, booked.meter_stop_wh, booked.incomplete) == (
        mine.transaction_id, "DRIVER1", mine.meter_start_wh, mine.meter_stop_wh, False,
    )  # fmt: skip
    assert cp.session.violations == []
    assert cp.session.early_calls == []
