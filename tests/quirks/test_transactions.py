"""How charge points begin and end sessions: rows T1 to T12 of the list of habits."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.site.codes import QuirkBits, StopReason
from gatewayd.site.journal import SaveTransaction
from tests.kit import Kit, WireEnd
from tests.quirks.accepting import booted

QUIRKS = 3044
ONE = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'


def begin(kit: Kit, end: WireEnd, connector: int = 1, meter: int = 1000, unique_id: str = "start") -> int:
    payload = {"connectorId": connector, "idTag": "TAG", "meterStart": meter, "timestamp": kit.stamp()}
    end.send("StartTransaction", payload, unique_id)
    kit.run_for(9)
    return int(end.answer_to(unique_id)["transactionId"])


def stop(kit: Kit, end: WireEnd, transaction_id: int, meter: int, **more: Any) -> Any:
    payload = {"transactionId": transaction_id, "meterStop": meter, "timestamp": kit.stamp(), "idTag": "TAG"}
    return end.send("StopTransaction", payload | more)


def connector(kit: Kit, number: int = 1) -> Any:
    return kit.site.charge_points["CP001"].connectors[number]


@pytest.mark.parametrize("unknown", [0, -1, -7])
def test_t1_a_stop_for_an_id_that_nobody_gave_ends_the_only_session_there_is(unknown: int) -> None:
    kit, end = booted()
    begin(kit, end)
    assert stop(kit, end, unknown, 3000)["idTagInfo"]["status"] == "Accepted"
    assert connector(kit).open_transaction is None
    assert kit.read(QUIRKS) & QuirkBits.unknown_transaction


def test_t2_an_id_that_could_be_somebody_elses_ends_nothing() -> None:
    kit, end = booted()
    begin(kit, end)
    assert stop(kit, end, 424_242, 3000) is not None
    assert connector(kit).open_transaction is not None
    assert kit.read(QUIRKS) & QuirkBits.unknown_transaction


def test_t2_of_two_sessions_an_unknown_id_ends_none() -> None:
    kit, end = booted()
    begin(kit, end, 1, unique_id="a")
    begin(kit, end, 2, unique_id="b")
    assert stop(kit, end, 999_999, 3000) is not None
    assert connector(kit, 1).open_transaction is not None
    assert connector(kit, 2).open_transaction is not None


def test_t3_a_stop_needs_neither_tag_nor_reason() -> None:
    kit, end = booted()
    given = begin(kit, end)
    assert end.send("StopTransaction", {"transactionId": given, "meterStop": 2000, "timestamp": kit.stamp()}) == {}
    assert connector(kit).open_transaction is None


def test_t4_a_start_that_comes_again_is_the_same_transaction() -> None:
    kit, end = booted()
    payload = {"connectorId": 1, "idTag": "TAG", "meterStart": 1, "timestamp": kit.stamp()}
    end.send("StartTransaction", payload, "1")
    kit.run_for(9)
    first = end.answer_to("1")
    assert end.send("StartTransaction", payload, "2") == first
    assert kit.read(QUIRKS) & QuirkBits.duplicate_start


def test_t5_of_a_session_of_which_only_the_stop_arrives_a_record_is_made() -> None:
    kit, end = booted()
    assert stop(kit, end, 5, 3000, reason="PowerLoss") is not None
    assert kit.read(QUIRKS) & QuirkBits.unknown_transaction
    (record,) = [each for each in kit.site.journal.waiting if isinstance(each, SaveTransaction)]
    assert record.transaction.incomplete


def test_t6_meter_values_name_the_session_that_goes_on() -> None:
    kit, end = booted()
    given = begin(kit, end)
    end.disconnect()
    again = kit.connect()
    sample = {"timestamp": kit.stamp(), "sampledValue": [{"value": "1750"}]}
    again.send("MeterValues", {"connectorId": 1, "transactionId": given, "meterValue": [sample]})
    assert connector(kit).open_transaction.id == given
    assert connector(kit).open_transaction.energy_wh == 750


def test_t7_meter_values_behind_the_stop_belong_to_the_session_that_is_over() -> None:
    kit, end = booted()
    given = begin(kit, end)
    stop(kit, end, given, 2000)
    sample = {"timestamp": kit.stamp(), "sampledValue": [{"value": "2000"}]}
    assert end.send("MeterValues", {"connectorId": 1, "transactionId": given, "meterValue": [sample]}) == {}
    assert connector(kit).open_transaction is None


def test_t8_available_with_a_session_open_ends_it_after_a_minute() -> None:
    kit, end = booted()
    begin(kit, end)
    end.status(1, "Charging")
    record = connector(kit).open_transaction
    end.status(1, "Available")
    kit.run_for(50)
    assert record.open
    kit.run_for(15)
    assert not record.open
    assert record.stop_reason == StopReason.Other


def test_t9_a_start_at_the_end_of_a_session_begins_none_where_the_model_does_that() -> None:
    kit, end = booted(ONE + 'profile = "schneider-evlink"\n')
    begin(kit, end)
    end.status(1, "Finishing")
    begin(kit, end, meter=3000, unique_id="again")
    assert connector(kit).open_transaction is None
    assert kit.read(QUIRKS) & QuirkBits.other


def test_t10_a_start_waits_after_a_stop_where_the_model_needs_that() -> None:
    kit, end = booted(ONE + 'profile = "foxess-a-series"\n')
    given = begin(kit, end)
    stop(kit, end, given, 2000)
    end.calls()
    kit.write(3000 + 300 + 18, 1)  # the trigger `start`
    kit.run_for(60)
    assert [call.action for call in end.calls() if call.action == "RemoteStartTransaction"] == []
    kit.run_for(70)
    assert [call.action for call in end.calls() if call.action == "RemoteStartTransaction"] == [
        "RemoteStartTransaction"
    ]


def test_t11_a_remote_start_always_names_a_connector() -> None:
    kit, end = booted()
    kit.write(3000 + 300 + 18, 1)
    (call,) = [each for each in end.calls() if each.action == "RemoteStartTransaction"]
    assert call.payload["connectorId"] == 1


def test_t12_a_tag_that_is_no_hexadecimal_number_is_refused_before_it_is_sent() -> None:
    kit, end = booted(ONE + 'profile = "alfen-eve"\ndefault_id_tag = "GATEWAY"\n')
    kit.write(3000 + 300 + 18, 1)
    assert [each.action for each in end.calls() if each.action == "RemoteStartTransaction"] == []
    kit, end = booted(ONE + 'profile = "alfen-eve"\ndefault_id_tag = "00A1B2C3"\n')
    kit.write(3000 + 300 + 18, 1)
    assert [each.payload["idTag"] for each in end.calls() if each.action == "RemoteStartTransaction"] == ["00A1B2C3"]
