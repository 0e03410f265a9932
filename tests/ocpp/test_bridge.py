"""The bridge, pure: what passes, what is learned by listening, what the BMS may do (ocpp.md, modbus.md: Bridge)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.ocpp.bridge import REMEMBERED_MAX
from gatewayd.site.codes import CommandCode, CommandError, CommandState, LimitResult, LinkState, QuirkBits, Status
from tests.ocpp.bridged import Bridged, bridged
from tests.ocpp.hostile import GOOD

CP, BLOCK = 3000, 300
UPSTREAM_BIT, ROLE, UPSTREAM_MASK, LINK_STATE, REGISTERED = CP + 7, 2, 42, CP + 32, CP + 1
CONNECTOR = CP + BLOCK
PROFILE: dict[str, Any] = {
    "chargingProfileId": 7,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]},
}

STRANGE: list[str | bytes] = [
    '[2,"a","Heartbeat",{}]',
    ' [2, "b" ,"Vendor.Thing", {"z":1.0,  "a":[1e3,null]} ]\n',
    '[2,"c","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","vendor":{"x":"\\u00e9"}}]',
    '[2,"d","MeterValues",{"connectorId":"wrong"}]',
    '[3,"nobody asked",{"status":"Accepted"}]',
    '[4,"nobody asked this","GenericError","",{}]',
    '[2,"e","StartTransaction",{"connectorId":1,]',
    "no JSON at all",
    '[9,"x"]',
    "",
    '[2,"a","Heartbeat",{}]',
    b"\xff\x00 binary",
    b'[2,"f","Heartbeat",{}]',
]


def test_every_message_goes_up_as_it_came_and_in_order() -> None:
    _, end = bridged()
    end.say(*STRANGE)
    assert end.up() == STRANGE
    assert end.down() == [], "the gateway answers nothing by itself"


def test_every_message_goes_down_as_it_came_and_in_order() -> None:
    _, end = bridged()
    end.centre_says(*STRANGE)
    assert end.down() == STRANGE
    assert end.up() == []


AGAIN = ('[3,"1",{}]', '[4,"1","GenericError","",{}]', '[3,"1"]')
"""Answers to Call `1`, the last of them broken."""


@pytest.mark.parametrize("second", AGAIN)
@pytest.mark.parametrize("first", AGAIN)
def test_a_second_answer_goes_no_further(first: str, second: str) -> None:
    kit, end = bridged()
    end.say('[2,"1","DataTransfer",{"vendorId":"x"}]')
    end.centre_says(first, second)
    assert end.down() == [first]
    end = Bridged(kit)
    end.centre_says(second)
    assert end.down() == [], "on the next link neither"
    end.say('[2,"1","DataTransfer",{"vendorId":"x"}]')
    end.centre_says(second)
    assert end.down() == [second], "a Call that comes again is answered again"


def test_a_second_answer_to_what_could_not_be_read_goes_no_further() -> None:
    _, end = bridged()
    for _ in range(2):
        end.say('[2,"1","Heartbeat"]')
        end.centre_says(*AGAIN)
        assert end.down() == [AGAIN[0]]


def test_answers_are_not_remembered_for_ever() -> None:
    _, end = bridged()
    for number in range(3 * REMEMBERED_MAX):
        end.centre_says(f'[3,"{number}",{{}}]')
    assert len(end.cp.answered) == REMEMBERED_MAX


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.one_of(st.text(max_size=80), st.binary(max_size=40))), max_size=12))
def test_whatever_is_said_passes(messages: list[tuple[bool, str | bytes]]) -> None:
    _, end = bridged()
    for up, text in messages:
        (end.say if up else end.centre_says)(text)
    assert end.up() == [text for up, text in messages if up]
    assert end.down() == [text for up, text in messages if not up]


@pytest.mark.parametrize("action", sorted(GOOD))
def test_every_action_of_a_charge_point_passes_and_is_understood(action: str) -> None:
    _, end = bridged()
    call = json.dumps([2, "id", action, GOOD[action]])
    end.say(call)
    assert end.up() == [call]
    assert end.down() == []
    assert not end.cp.quirks & QuirkBits.schema_violation


def test_a_flood_of_unanswered_calls_is_forgotten_not_kept() -> None:
    _, end = bridged()
    for number in range(3 * REMEMBERED_MAX):
        end.say(f'[2,"{number}","Heartbeat",{{}}]')
        end.centre_says(f'[2,"{number}","Reset",{{"type":"Soft"}}]')
    assert len(end.bridge.said) == len(end.bridge.asked_upstream) == REMEMBERED_MAX
    assert len(end.up()) == len(end.down()) == 3 * REMEMBERED_MAX


# --- what is learned ----------------------------------------------------------------------------------------------


def test_both_links_show() -> None:
    kit, end = bridged()
    assert kit.read(ROLE) == 1
    assert kit.read(UPSTREAM_BIT) == 1
    assert kit.read_32(UPSTREAM_MASK) == 1
    end.disconnect()
    assert kit.read(UPSTREAM_BIT) == 0
    assert kit.read_32(UPSTREAM_MASK) == 0
    end.up()
    assert end.closed_upstream == (1001, "charge point gone")


def test_the_central_system_decides_on_registration() -> None:
    kit, end = bridged()
    end.boot_upstream("Pending")
    assert (kit.read(LINK_STATE), kit.read(REGISTERED)) == (LinkState.pending, 0)
    end.boot_upstream("Rejected")
    assert (kit.read(LINK_STATE), kit.read(REGISTERED)) == (LinkState.rejected, 0)
    kit.run_for(60)
    assert kit.read(LINK_STATE) == LinkState.rejected, "silence is no acceptance"
    end.boot_upstream("Accepted", interval=240)
    assert (kit.read(LINK_STATE), kit.read(REGISTERED)) == (LinkState.accepted, 1)
    assert end.cp.identity.serial == "S1"
    assert end.session.heartbeat_interval_s == 240


def test_a_boot_whose_answer_takes_long_is_not_taken_for_a_return_without_one() -> None:
    kit, end = bridged()
    end.say('[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]')
    kit.run_for(30)
    assert kit.read(LINK_STATE) == LinkState.open
    assert len(end.up()) == 1


def test_a_return_without_boot_counts_as_accepted_and_nothing_is_asked() -> None:
    kit, end = bridged()
    end.say('[2,"h","Heartbeat",{}]')
    kit.run_for(120)
    assert kit.read(LINK_STATE) == LinkState.accepted
    assert end.down() == []


def test_transactions_have_the_central_systems_ids() -> None:
    kit, end = bridged()
    end.boot_upstream()
    end.start(4711)
    transaction = end.cp.connectors[1].open_transaction
    assert (transaction.id, transaction.meter_start_wh) == (4711, 1000)
    before = kit.site.next_transaction_id
    kit.run_for(60)
    end.exchange("StopTransaction", {"transactionId": 4711, "meterStop": 3500, "timestamp": kit.stamp()}, {})
    assert end.cp.connectors[1].open_transaction is None
    assert (transaction.energy_wh, transaction.stop_epoch) == (2500, kit.epoch)
    assert kit.site.next_transaction_id == before


@pytest.mark.parametrize("transaction_id", [0, -1, -2147483648, 2147483647])
def test_strange_transaction_ids(transaction_id: int) -> None:
    kit, end = bridged()
    end.boot_upstream()
    end.start(transaction_id)
    sampled = {"timestamp": kit.stamp(), "sampledValue": [{"value": "1200"}]}
    end.exchange("MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": [sampled]}, {})
    transaction = end.cp.connectors[1].open_transaction
    assert (transaction.id, transaction.energy_wh) == (transaction_id, 200)
    end.exchange("StopTransaction", {"transactionId": transaction_id, "meterStop": 1300, "timestamp": kit.stamp()}, {})
    assert transaction.energy_wh == 300
    assert not transaction.open


def test_a_central_system_that_gives_everybody_the_id_0() -> None:
    kit, end = bridged()
    end.boot_upstream()
    end.start(0, connector=1, meter=1000)
    kit.run_for(10)
    end.start(0, connector=2, meter=90_000)
    kit.run_for(10)
    first, second = (end.cp.connectors[k].open_transaction for k in (1, 2))
    assert first is not None
    end.exchange("StopTransaction", {"transactionId": 0, "meterStop": 1500, "timestamp": kit.stamp()}, {})
    assert (first.open, first.energy_wh, second.open) == (False, 500, True)
    end.exchange("StopTransaction", {"transactionId": 0, "meterStop": 91_000, "timestamp": kit.stamp()}, {})
    assert (second.open, second.energy_wh) == (False, 1000)


def test_a_start_that_is_repeated_begins_one_transaction() -> None:
    kit, end = bridged()
    end.boot_upstream()
    payload = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": kit.stamp()}
    for _ in range(3):
        end.exchange("StartTransaction", payload, {"transactionId": 5, "idTagInfo": {"status": "Accepted"}})
    assert [t.id for t in end.cp.transactions.open()] == [5]
    assert end.cp.connectors[1].session_count == 0


def test_a_refused_start_begins_nothing() -> None:
    kit, end = bridged()
    end.boot_upstream()
    payload = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": kit.stamp()}
    end.say(json.dumps([2, "s", "StartTransaction", payload]))
    end.centre_says('[4,"s","InternalError","",{}]')
    assert end.cp.transactions.open() == []
    assert end.bridge.said == {}


def test_status_and_meter_values_are_live_before_they_are_answered() -> None:
    kit, end = bridged()
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": kit.stamp()}
    end.say(json.dumps([2, "s", "StatusNotification", status]))
    assert end.cp.connectors[1].status == Status.Charging
    end.say(
        json.dumps(
            [2, "m", "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": kit.stamp(), "sampledValue": [
                {"value": "16.5", "measurand": "Current.Import", "phase": "L1", "unit": "A"}]}]}]
        )
    )  # fmt: skip
    assert end.cp.connectors[1].meter.current_l1_a == 16.5


def test_reservations_of_the_central_system() -> None:
    kit, end = bridged()
    reserve = {"connectorId": 2, "expiryDate": kit.stamp(-600), "idTag": "T", "reservationId": 77}
    end.asked("ReserveNow", reserve, {"status": "Occupied"})
    assert end.cp.connectors[2].reservation_id == 0
    end.asked("ReserveNow", reserve, {"status": "Accepted"})
    assert end.cp.connectors[2].reservation_id == 77
    end.asked("CancelReservation", {"reservationId": 77}, {"status": "Accepted"})
    assert end.cp.connectors[2].reservation_id == 0


def test_availability_of_the_central_system() -> None:
    _, end = bridged()
    end.asked("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"}, {"status": "Scheduled"})
    assert [connector.operative for connector in end.cp.connectors] == [1, 1, 0]
    end.asked("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, {"status": "Accepted"})
    assert [connector.operative for connector in end.cp.connectors] == [0, 0, 0]
    end.asked("ChangeAvailability", {"connectorId": 0, "type": "Operative"}, {"status": "Rejected"})
    assert [connector.operative for connector in end.cp.connectors] == [0, 0, 0]


def test_what_the_central_system_asks_teaches_the_gateway_too() -> None:
    kit, end = bridged()
    values = [{"key": "chargeprofilemaxstacklevel", "readonly": True, "value": "9"}]
    end.asked("GetConfiguration", {}, {"configurationKey": values})
    assert (end.cp.max_stack_level, end.cp.features) == (9, 0)
    end.asked("GetLocalListVersion", {}, {"listVersion": 3})
    assert end.cp.list_version == 3
    end.asked("SendLocalList", {"listVersion": 4, "updateType": "Full"}, {"status": "Accepted"})
    assert end.cp.list_version == 4
    kit.run_for(120)
    assert end.down() == [], "no questions of its own"


def test_the_upstream_limit_shows_and_ends() -> None:
    kit, end = bridged()
    end.boot_upstream()
    assert kit.read_32(CONNECTOR + 226, signed=True) == -1
    end.asked("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE}, {"status": "Rejected"})
    assert kit.read_32(CONNECTOR + 226, signed=True) == -1
    end.asked("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE}, {"status": "Accepted"})
    assert kit.read_32(CONNECTOR + 226, signed=True) == 100
    assert kit.read_32(CONNECTOR + BLOCK + 226, signed=True) == -1
    end.asked("ClearChargingProfile", {"id": 7}, {"status": "Accepted"})
    assert kit.read_32(CONNECTOR + 226, signed=True) == -1


# --- the other side is gone ---------------------------------------------------------------------------------------


def test_without_its_central_system_the_charge_point_is_dropped() -> None:
    kit, end = bridged()
    end.boot_upstream()
    end.bridge.upstream_closed(kit.now)
    assert kit.read(UPSTREAM_BIT) == 0
    end.down()
    assert end.closed == (1001, "central system gone")
    end.say('[2,"h","Heartbeat",{}]')
    assert end.down() == [], "nothing is invented"


def test_an_older_link_that_ends_does_not_clear_the_newer_one() -> None:
    kit, end = bridged()
    newer = Bridged(kit)
    end.disconnect()
    end.bridge.upstream_closed(kit.now)
    assert kit.read(UPSTREAM_BIT) == 1
    newer.disconnect()
    assert kit.read(UPSTREAM_BIT) == 0


# --- without local control ----------------------------------------------------------------------------------------


def test_everything_of_the_bms_is_blocked_by_role() -> None:
    kit, end = bridged()
    end.boot_upstream()
    kit.write(CONNECTOR + 18, 1)  # start
    assert end.cp.connectors[1].outcome.error == CommandError.blocked_by_role
    kit.write_32(CONNECTOR + 100, 160)
    assert kit.read_32(CONNECTOR + 100, signed=True) == 160, "taken as Modbus"
    assert kit.read(CONNECTOR + 106) == LimitResult.blocked_by_role
    kit.write_32(CONNECTOR + 100, -1)
    assert kit.read(CONNECTOR + 106) == LimitResult.none
    kit.write(CONNECTOR + 17, 0)  # operative
    assert end.cp.connectors[1].outcome.error == CommandError.blocked_by_role
    for code in CommandCode:
        if code == CommandCode.none:
            continue
        mailbox = CP + 8 * BLOCK
        kit.write(mailbox, code)
        kit.write(mailbox + 105, code)
        assert (end.cp.mailbox.state, end.cp.mailbox.error) == (CommandState.failed, CommandError.blocked_by_role), code
    kit.write(2000, 1)  # profile_charge_point, and nothing else
    kit.write(2120, 1)
    assert kit.read(2131) == CommandError.blocked_by_role
    kit.run_for(300)
    assert end.down() == []


def test_it_is_blocked_while_nobody_is_connected_too() -> None:
    kit, end = bridged()
    end.disconnect()
    kit.write(CONNECTOR + 18, 1)
    assert end.cp.connectors[1].outcome.error == CommandError.blocked_by_role
    kit.write_32(CONNECTOR + 100, 160)
    assert kit.read(CONNECTOR + 106) == LimitResult.blocked_by_role
