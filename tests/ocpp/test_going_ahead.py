"""What the central system answers itself before it has heard everything, and what it never answers (ocpp.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatewayd.ocpp.bridge import REMEMBERED_MAX
from gatewayd.ocpp.buffered_bridge import AHEAD_TIMEOUT_S
from gatewayd.ocpp.telling import TOLD_TIMEOUT_S
from gatewayd.site import upstream_ids
from gatewayd.site.codes import DecisionDefault, LinkState
from gatewayd.site.timestamp import format_utc
from tests.kit import Kit
from tests.ocpp.bridged import BOOT
from tests.ocpp.buffered import DECIDED_S, Buffered, begun, buffered

LINK_STATE = 3032
ACCEPTED, BLOCKED = {"idTagInfo": {"status": "Accepted"}}, {"idTagInfo": {"status": "Blocked"}}


def owing(*messages: int) -> tuple[Kit, Buffered]:
    """A charge point whose central system missed its boot, and StopTransactions with these ids."""
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    for transaction_id in messages or (4711,):
        end.finish(transaction_id)
    end.down()
    return kit, end


def boot_answer(kit: Kit, status: str, interval: int = 300) -> Any:
    return {"status": status, "currentTime": format_utc(kit.epoch), "interval": interval}


# --- a central system that is there from the beginning ----------------------------------------------------------------


@pytest.mark.parametrize(("status", "state"), [("Pending", LinkState.pending), ("Rejected", LinkState.rejected)])
def test_its_answer_to_the_boot_is_the_charge_points(status: str, state: LinkState) -> None:
    kit, end = buffered()
    end.centre_comes()
    end.exchange("BootNotification", BOOT, boot_answer(kit, status, 7), "b")
    assert kit.read(LINK_STATE) == state
    end.exchange("BootNotification", BOOT, boot_answer(kit, "Accepted", 7), "c")
    assert kit.read(LINK_STATE) == LinkState.accepted
    assert end.session.heartbeat_interval_s == 7


def test_the_boot_of_a_charge_point_that_dials_goes_before_what_was_missed() -> None:
    kit, end = owing()
    end.disconnect()
    again = Buffered(kit)
    again.centre_comes()
    assert again.told() is None
    again.exchange("BootNotification", BOOT, boot_answer(kit, "Accepted"), "b")
    assert [call.action for call in again.drain()] == ["StopTransaction"], "and the old one is not told any more"


def test_what_was_missed_waits_until_the_boot_is_accepted() -> None:
    kit, end = owing()
    end.disconnect()
    again = Buffered(kit)
    again.centre_comes()
    again.exchange("BootNotification", BOOT, boot_answer(kit, "Pending", 60), "b")
    kit.run_for(120)
    assert again.told() is None
    again.exchange("BootNotification", BOOT, boot_answer(kit, "Accepted", 60), "c")
    assert [call.action for call in again.drain()] == ["StopTransaction"]


def test_one_that_comes_back_without_a_boot_is_spoken_for_from_its_first_message_on() -> None:
    kit, end = owing()
    end.disconnect()
    again = Buffered(kit)
    again.centre_comes()
    assert again.status(1, "Available") == {}
    actions = [call.action for call in again.drain()]
    assert actions == ["BootNotification", "StatusNotification", "StopTransaction"]


# --- Authorize --------------------------------------------------------------------------------------------------------


def test_an_authorize_goes_up_between_two_messages_that_were_missed() -> None:
    _, end = owing(4711, 4712)
    end.centre_comes()
    assert end.send("Authorize", {"idTag": "TAG"}, "a") is None
    end.centre_boots()
    (text,) = end.up()
    assert json.loads(text) == [2, "a", "Authorize", {"idTag": "TAG"}], "one Call at a time"
    end.centre_says(json.dumps([3, "a", BLOCKED]))
    assert end.answer_to("a") == BLOCKED
    assert [call.payload["transactionId"] for call in end.drain()] == [4711, 4712]


def test_a_tag_that_the_central_system_accepted_may_start_although_the_rest_is_not_told_yet() -> None:
    kit, end = owing(4711, 4712)
    kit.site.decision_default = DecisionDefault.reject
    end.centre_comes()
    end.centre_boots()
    stop = end.told()
    assert stop is not None
    end.send("Authorize", {"idTag": "TAG"}, "a")
    end.centre_answers(stop, {})
    assert len(end.up()) == 1
    end.centre_says(json.dumps([3, "a", ACCEPTED]))
    assert end.answer_to("a") == ACCEPTED
    started = end.begin()
    assert started["idTagInfo"]["status"] == "Accepted", "unasked"
    assert started["transactionId"] >= upstream_ids.FIRST


def test_an_authorize_that_waits_too_long_is_decided_here_and_so_is_one_of_a_gateway_that_is_not_accepted() -> None:
    kit, end = owing()
    end.centre_comes()
    end.send("Authorize", {"idTag": "TAG"}, "a")
    kit.run_for(AHEAD_TIMEOUT_S + DECIDED_S)
    assert end.answer_to("a") == ACCEPTED
    (text,) = end.up()
    end.centre_says(json.dumps([3, json.loads(text)[1], boot_answer(kit, "Pending")]))
    end.send("Authorize", {"idTag": "TAG"}, "b")
    kit.run_for(DECIDED_S)
    assert end.answer_to("b") == ACCEPTED
    assert end.up() == []


def test_authorizes_that_wait_are_decided_here_when_the_central_system_goes() -> None:
    kit, end = owing()
    end.centre_comes()
    for unique_id in "ab":
        end.send("Authorize", {"idTag": "TAG"}, unique_id)
    end.centre_goes()
    kit.run_for(2 * DECIDED_S)
    assert [end.answer_to(unique_id) for unique_id in "ab"] == [ACCEPTED, ACCEPTED]


# --- silence ----------------------------------------------------------------------------------------------------------


def test_a_start_that_passed_and_is_not_answered_is_answered_here_and_its_central_system_dialled_anew() -> None:
    kit, end = buffered()
    end.centre_comes()
    end.exchange("BootNotification", BOOT, boot_answer(kit, "Accepted"), "b")
    assert end.begin() is None
    assert len(end.up()) == 1
    kit.run_for(TOLD_TIMEOUT_S)
    assert end.up() == []
    assert end.hung_up() == (1002, "no answer")
    end.centre_goes()
    kit.run_for(DECIDED_S)
    assert end.answer_to(f"cp-{end._numbers}")["transactionId"] >= upstream_ids.FIRST
    end.centre_comes()
    assert [call.action for call in end.drain()] == ["BootNotification", "StartTransaction"]


def test_what_need_not_be_answered_costs_no_link_and_holds_nothing_up() -> None:
    kit, end = buffered()
    end.centre_comes()
    end.exchange("BootNotification", BOOT, boot_answer(kit, "Accepted"), "b")
    end.say('[2,"v","Vendor.Thing",{}]')
    end.up()
    kit.run_for(TOLD_TIMEOUT_S)
    assert end.up() == []
    assert end.hung_up() is None
    end.centre_says('[3,"v",{}]')
    assert end.down() == ['[3,"v",{}]'], "late, but an answer"


def test_a_start_that_passes_and_is_answered_shows_that_those_set_aside_may_be_told() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    begun(kit, end)
    end.centre_comes()
    end.centre_boots()
    end.centre_refuses_for_good("StartTransaction")
    assert end.told() is None
    end.start(72, meter=2000)
    assert [call.payload["meterStart"] for call in end.drain()] == [1000]


def test_a_charge_point_that_asks_without_end_fills_no_memory() -> None:
    _, end = owing()
    end.centre_comes()
    for number in range(3 * REMEMBERED_MAX):
        end.say(f'[2,"a{number}","Authorize",{{"idTag":"TAG"}}]')
    assert len(end.bridge.ahead) == REMEMBERED_MAX
    end.centre_goes()
    kit, end = buffered()
    end.centre_comes()
    for number in range(3 * REMEMBERED_MAX):
        end.say(f'[2,"v{number}","Vendor.Thing",{{}}]')
    assert len(end.up()) == 3 * REMEMBERED_MAX
    assert len(end.bridge.passed) == REMEMBERED_MAX
    kit.run_for(TOLD_TIMEOUT_S)
    assert end.bridge.passed == {}


# --- what it may have heard ---------------------------------------------------------------------------------------


def unanswered(action: str) -> tuple[Kit, Buffered, Any]:
    """A charge point of whose Call its central system heard, or not: there was no answer. What it was told then."""
    kit, end = buffered()
    end.centre_comes()
    end.exchange("BootNotification", BOOT, boot_answer(kit, "Accepted"), "b")
    payload = {
        "Heartbeat": {},
        "MeterValues": {"connectorId": 1, "meterValue": [{"timestamp": kit.stamp(), "sampledValue": [{"value": "7"}]}]},
        "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"},
    }[action]
    assert end.send(action, payload, "u") is None
    end.up()
    kit.run_for(TOLD_TIMEOUT_S)
    return kit, end, end.answer_to("u")


@pytest.mark.parametrize("action", ["Heartbeat", "MeterValues", "StatusNotification"])
def test_what_promises_nothing_is_answered_here_when_its_central_system_is_silent(action: str) -> None:
    _, end, answer = unanswered(action)
    assert answer is not None
    assert end.hung_up() is None
    end.down()
    end.centre_says('[3,"u",{}]')
    assert end.down() == [], "it has one answer"


def test_meter_values_that_passed_and_were_not_answered_are_told_again_when_the_link_was_dead() -> None:
    kit, end, _ = unanswered("MeterValues")
    assert end.up() == [], "on this link its answer may still come"
    end.centre_goes()
    assert [each.action for each in kit.site.backlog.of(1)] == ["MeterValues"]
    end.centre_comes()
    assert [call.action for call in end.drain()] == ["BootNotification", "MeterValues"]


def test_so_they_are_when_the_charge_point_goes_with_it() -> None:
    kit, end, _ = unanswered("MeterValues")
    end.disconnect()
    assert [each.action for each in kit.site.backlog.of(1)] == ["MeterValues"]


@pytest.mark.parametrize("said", ['[3,"u",{}]', '[3,"later",{}]'], ids=["late", "to another"])
def test_a_central_system_that_answers_has_heard_what_came_before(said: str) -> None:
    kit, end, _ = unanswered("MeterValues")
    end.say('[2,"later","Heartbeat",{}]')
    end.centre_says(said)
    end.centre_goes()
    assert len(kit.site.backlog) == 0


def test_what_it_answers_late_says_nothing_of_what_came_after() -> None:
    kit, end, _ = unanswered("MeterValues")
    end.say('[2,"v","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging"}]')
    kit.run_for(TOLD_TIMEOUT_S)
    end.meter(8, 0, "after")
    kit.run_for(TOLD_TIMEOUT_S)
    end.centre_says('[3,"v",{}]')
    end.centre_goes()
    assert [json.loads(each.text)[1] for each in kit.site.backlog.of(1)] == ["after"]
