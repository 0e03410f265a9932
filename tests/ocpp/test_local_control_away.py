"""Local control while the central system is away, and when it is back (ocpp.md, Bridge)."""

from __future__ import annotations

import json

from gatewayd.site import upstream_ids
from gatewayd.site.codes import CommandError, CommandState, DecisionDefault, LimitResult
from tests.ocpp.bridged import BOOT
from tests.ocpp.buffered import DECIDED_S, begun, buffered
from tests.ocpp.test_bridge import CONNECTOR
from tests.ocpp.test_local_control import LIMIT, RESULT, START, UPSTREAM, agree, answered, frames, limits, set_profile

STOP = 19


def test_limits_hold_while_it_is_away_and_its_own_go_on_to_count() -> None:
    kit, end = buffered()
    end.centre_comes()
    end.exchange("BootNotification", BOOT, end.centre_answer("BootNotification", 0, ""), "b")
    agree(end, set_profile("a", 10, level=3))
    end.centre_goes()
    kit.write_32(CONNECTOR + LIMIT, 160)
    kit.run_for(3)
    assert limits(answered(end))[-1] == ("TxDefaultProfile", 4, 10.0)
    kit.write_32(CONNECTOR + LIMIT, 80)
    kit.run_for(3)
    assert limits(answered(end))[-1] == ("TxDefaultProfile", 4, 8.0)
    assert kit.read(CONNECTOR + RESULT) == LimitResult.accepted
    assert kit.read_32(CONNECTOR + UPSTREAM, signed=True) == 100
    end.centre_comes()
    assert [call.action for call in end.drain()] == ["BootNotification"], "what was between us stays here"
    agree(end, '[2,"c","ClearChargingProfile",{}]')
    kit.run_for(3)
    assert limits(answered(end))[-1] == ("TxDefaultProfile", 0, 8.0)
    assert end.up() == []


def test_a_transaction_that_the_bms_starts_and_stops_stands_in_its_books_later() -> None:
    kit, end = buffered()
    kit.site.decision_default = DecisionDefault.reject
    end.send("BootNotification", BOOT)
    end.down()
    kit.write(CONNECTOR + START, 1)
    (call,) = frames(end.down())
    assert call[2] == "RemoteStartTransaction"
    end.say(json.dumps([3, call[1], {"status": "Accepted"}]))
    tag = call[3]["idTag"]
    payload = {"connectorId": 1, "idTag": tag, "meterStart": 10, "timestamp": kit.stamp()}
    started = end.send("StartTransaction", payload)
    assert (started["idTagInfo"]["status"], started["transactionId"]) == ("Accepted", upstream_ids.FIRST)
    end.down()
    kit.write(CONNECTOR + STOP, 1)
    (call,) = frames(end.down())
    assert call[2:] == ["RemoteStopTransaction", {"transactionId": upstream_ids.FIRST}]
    end.say(json.dumps([3, call[1], {"status": "Accepted"}]))
    assert end.cp.connectors[1].outcome.state == CommandState.done
    end.finish(upstream_ids.FIRST)
    end.centre_comes()
    assert [call.action for call in end.drain()] == ["BootNotification", "StartTransaction", "StopTransaction"]


def test_our_call_is_open_when_it_comes_back_and_its_own_waits() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    end.down()
    kit.write(CONNECTOR + START, 1)
    (ours,) = frames(end.down())
    end.centre_comes()
    end.centre_says('[2,"a","ClearCache",{}]')
    assert end.down() == []
    end.say(json.dumps([3, ours[1], {"status": "Accepted"}]))
    assert end.down() == ['[2,"a","ClearCache",{}]']
    assert [call.action for call in end.drain()] == ["BootNotification"]
    end.centre_goes()
    kit.write(CONNECTOR + START, 0)
    kit.write(CONNECTOR + START, 1)
    assert [frame[2] for frame in frames(end.down())] == ["RemoteStartTransaction"], "what it asked is nobody's now"
    assert end.cp.connectors[1].outcome.error == CommandError.none


def test_a_start_that_the_central_system_asks_for_before_it_has_heard_everything_is_accepted() -> None:
    kit, end = buffered()
    kit.site.decision_default = DecisionDefault.reject
    end.send("BootNotification", BOOT)
    end.finish(4711)
    end.down()
    end.centre_comes()
    end.centre_boots()
    call = '[2,"r","RemoteStartTransaction",{"connectorId":1,"idTag":"THEIRS"}]'
    end.centre_says(call)
    assert end.down() == [call]
    end.say('[3,"r",{"status":"Accepted"}]')
    payload = {"connectorId": 1, "idTag": "Theirs", "meterStart": 10, "timestamp": kit.stamp()}
    assert end.send("StartTransaction", payload)["idTagInfo"]["status"] == "Accepted"
    other = payload | {"idTag": "OTHER", "meterStart": 20}
    assert end.send("StartTransaction", other, "o") is None
    kit.run_for(DECIDED_S)
    assert end.answer_to("o")["idTagInfo"]["status"] != "Accepted"


def test_what_was_set_for_a_transaction_names_it_as_the_charge_point_knows_it() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    end.centre_comes()
    end.drain(71)
    end.down()
    profile = set_profile("p", 10, "TxProfile", 2, transactionId=71)
    end.centre_says(profile)
    (down,) = frames(end.down())
    assert down[3]["csChargingProfiles"]["transactionId"] == own
    end.say('[3,"p",{"status":"Accepted"}]')
    end.up()
    assert kit.read_32(CONNECTOR + UPSTREAM, signed=True) == 100
    kit.write_32(CONNECTOR + LIMIT, 80)
    kit.run_for(3)
    ours = answered(end)[-1]
    assert ours[3]["csChargingProfiles"]["transactionId"] == own
    assert limits([ours]) == [("TxProfile", 3, 8.0)]
