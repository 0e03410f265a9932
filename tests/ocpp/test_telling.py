"""How a central system is told what it missed, pure: answers that do not come, errors, what gives way (ocpp.md)."""

from __future__ import annotations

import json

from gatewayd.ocpp.telling import ASIDE_MAX_S, ASIDE_S, ATTEMPTS_MAX, NOT_ACCEPTED_PAUSE_S, TOLD_TIMEOUT_S
from gatewayd.site.timestamp import format_utc
from tests.ocpp.bridged import BOOT
from tests.ocpp.buffered import DECIDED_S, begun, buffered

OCPP_ERRORS = 56


def test_a_start_that_is_refused_is_set_aside_with_its_transaction_and_told_again_later() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    end.meter(1500, own)
    end.finish(4711)
    end.finish(own)
    end.centre_comes()
    end.centre_boots()
    end.centre_refuses_for_good("StartTransaction")
    stop = end.told()
    assert stop is not None
    assert (stop.action, stop.payload["transactionId"]) == ("StopTransaction", 4711)
    end.centre_answers(stop, {})
    assert end.told() is None
    assert (len(kit.site.backlog), kit.site.backlog.lost) == (3, 0)
    assert end.send("Heartbeat", {}, "passes") is None
    assert [json.loads(text)[2] for text in end.up()] == ["Heartbeat"]
    kit.run_for(ASIDE_S)
    end.centre_refuses("StartTransaction")
    assert end.told() is None, "one attempt each time"
    kit.run_for(2 * ASIDE_S)
    assert [call.action for call in end.drain()] == ["StartTransaction", "MeterValues", "StopTransaction"]
    assert len(kit.site.backlog) == 0
    assert kit.read(OCPP_ERRORS) == 0


def test_what_belongs_to_a_start_set_aside_waits_with_it_while_others_pass() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    stamp = kit.stamp()
    own = begun(kit, end)
    end.centre_comes()
    end.centre_boots()
    end.centre_refuses_for_good("StartTransaction")
    assert end.meter(1500, own) == {}
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": 1000, "timestamp": stamp}
    assert end.send("StartTransaction", start)["transactionId"] == own, "its repetition too"
    assert end.finish(own) == {}
    assert end.up() == []
    assert end.meter(1600, 4711) is None
    assert len(end.up()) == 1
    end.centre_goes()
    end.centre_comes()
    actions = ["BootNotification", "StartTransaction", "MeterValues", "StopTransaction", "MeterValues"]
    assert [call.action for call in end.drain()] == actions, "told again when the link comes back"


def test_another_message_that_is_refused_is_lost_and_the_loss_stands_in_a_register() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    end.meter(1500, 4711)
    end.finish(4711)
    end.centre_comes()
    end.centre_boots()
    end.centre_refuses_for_good("MeterValues")
    assert [call.action for call in end.drain()] == ["StopTransaction"]
    assert (kit.site.backlog.lost, kit.read(OCPP_ERRORS)) == (1, 1)


def test_a_start_whose_answer_cannot_be_read_is_none_that_was_taken() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    begun(kit, end)
    end.centre_comes()
    end.centre_boots()
    for _ in range(ATTEMPTS_MAX):
        start = end.told()
        assert start is not None
        end.centre_answers(start, {"transactionId": "none"})
        kit.run_for(15)
    assert end.told() is None
    assert len(kit.site.backlog) == 1


def test_a_central_system_that_hangs_costs_no_start_and_is_dialled_anew() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    end.finish(own)
    for _ in range(ATTEMPTS_MAX):
        end.centre_comes()
        end.centre_boots()
        start = end.told()
        assert start is not None
        assert start.action == "StartTransaction"
        kit.run_for(TOLD_TIMEOUT_S + 1)
        assert end.told() is None
        assert end.hung_up() == (1002, "no answer")
        assert end.send("Heartbeat", {}) is not None
        assert end.up() == [], "nothing more is said on that link"
        end.centre_goes()
    end.centre_comes()
    end.centre_boots()
    assert end.told() is None, "its Stop does not go up without it"
    assert (len(kit.site.backlog), kit.site.backlog.lost) == (2, 0)
    kit.run_for(ASIDE_S)
    assert [call.action for call in end.drain()] == ["StartTransaction", "StopTransaction"]


def test_a_central_system_that_hangs_for_long_hears_all_in_order_when_it_is_well_again() -> None:
    """However much was set aside meanwhile: one answer shows that it is well."""
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    mine = []
    for meter in range(1000, 1400, 100):
        mine.append(begun(kit, end, meter))
        end.finish(mine[-1], meter + 50)
    for _ in range(20):
        end.centre_comes()
        end.centre_boots()
        assert end.told() is not None
        kit.run_for(TOLD_TIMEOUT_S + 1)
        end.up()
        end.centre_goes()
    end.centre_comes()
    started = [call.payload["meterStart"] for call in end.drain() if call.action == "StartTransaction"]
    assert sorted(started) == [1000, 1100, 1200, 1300]
    assert started[1:] == sorted(started[1:]), "but for the one that was its turn"
    assert (len(kit.site.backlog), kit.site.backlog.lost) == (0, 0)


def test_a_single_message_that_is_never_answered_is_told_again_seldom() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    begun(kit, end)
    links = 0
    ends = kit.now + 24 * 3600
    while kit.now < ends:
        end.centre_comes()
        links += 1
        while end.hung_up() is None and kit.now < ends:
            call = end.told()
            if call is not None and call.action != "StartTransaction":
                end.centre_answers(call, end.centre_answer(call.action, 0, ""))
            kit.run_for(1)
        end.centre_goes()
    assert 24 * 3600 / ASIDE_MAX_S <= links <= 24 * 3600 / ASIDE_MAX_S + 10
    assert len(kit.site.backlog) == 1


def test_a_state_that_is_never_answered_does_not_keep_all_others_waiting() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    end.status(1, "Available")
    end.finish(4711)
    for _ in range(ATTEMPTS_MAX):
        end.centre_comes()
        end.centre_boots()
        status = end.told()
        assert status is not None
        assert status.action == "StatusNotification"
        kit.run_for(TOLD_TIMEOUT_S + 1)
        assert end.told() is None
        assert end.hung_up() == (1002, "no answer")
        end.centre_goes()
    end.centre_comes()
    end.centre_boots()
    assert [call.action for call in end.drain()] == ["StopTransaction"]


def test_a_second_answer_of_the_central_system_to_what_it_missed_is_nobodys() -> None:
    _, end = buffered()
    end.send("BootNotification", BOOT)
    end.finish(4711)
    end.frames()
    end.down()
    end.centre_comes()
    boot = end.told()
    assert boot is not None
    end.centre_answers(boot, end.centre_answer("BootNotification", 0, ""))
    end.centre_answers(boot, end.centre_answer("BootNotification", 0, ""))
    stop = end.told()
    assert stop is not None
    end.centre_answers(stop, {})
    end.centre_answers(stop, {})
    end.centre_says(f'[4,"{stop.id}","InternalError","",{{}}]')
    assert end.down() == []
    end.say(f'[2,"{stop.id}","Heartbeat",{{}}]')
    end.up()
    end.centre_says(f'[3,"{stop.id}",{{"currentTime":"2026-01-01T00:00:00Z"}}]')
    assert len(end.down()) == 1, "unless it asks under the same id"


def test_a_second_answer_never_reaches_the_charge_point() -> None:
    """One transaction must not have two ids there, whoever answered first, and on whatever link."""
    _, end = buffered()
    end.centre_comes()
    end.boot_upstream()
    end.start(71)
    again = '[3,"x",{"transactionId":72,"idTagInfo":{"status":"Blocked"}}]'
    end.centre_says(again)
    assert end.down() == []
    assert end.cp.connectors[1].open_transaction.id == 71
    end.centre_goes()
    end.centre_comes()
    end.centre_says(again)
    assert end.down() == []


def test_an_answer_that_comes_after_the_gateways_own_never_reaches_the_charge_point() -> None:
    kit, end = buffered()
    end.centre_comes()
    end.boot_upstream()
    assert end.begin() is None
    end.up()
    end.centre_goes()
    kit.run_for(DECIDED_S)
    mine = end.answer_to(f"cp-{end._numbers}")["transactionId"]
    end.centre_comes()
    end.centre_says(f'[3,"cp-{end._numbers}",{{"transactionId":72,"idTagInfo":{{"status":"Accepted"}}}}]')
    assert end.down() == []
    end.drain(73)
    assert end.cp.upstream_ids.upstream(mine) == 73


def test_what_nobody_else_answers_is_waited_for_long_and_answered_once() -> None:
    kit, end = buffered()
    end.centre_comes()
    end.boot_upstream()
    end.say('[2,"d","DataTransfer",{"vendorId":"v"}]')
    assert len(end.up()) == 1
    kit.run_for(2 * TOLD_TIMEOUT_S)
    late = '[3,"d",{"status":"Accepted"}]'
    end.centre_says(late)
    assert end.down() == [late]
    end.centre_says(late)
    assert end.down() == []


def test_a_central_system_that_does_not_answer_is_dialled_anew_and_told_again() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    end.finish(4711)
    end.centre_comes()
    boot = end.told()
    assert boot is not None
    end.centre_answers(boot, end.centre_answer("BootNotification", 0, ""))
    assert end.told() is not None
    kit.run_for(TOLD_TIMEOUT_S + 1)
    assert end.up() == []
    assert end.hung_up() == (1002, "no answer")
    end.centre_goes()
    end.centre_comes()
    assert [call.action for call in end.drain()] == ["BootNotification", "StopTransaction"]


def test_a_boot_that_is_not_accepted_is_told_again_while_the_charge_point_is_served() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    end.centre_comes()
    boot = end.told()
    assert boot is not None
    end.centre_answers(boot, {"status": "Pending", "currentTime": format_utc(kit.epoch), "interval": 5})
    assert end.told() is None
    assert end.status(1, "Available") == {}
    kit.run_for(NOT_ACCEPTED_PAUSE_S)
    assert [call.action for call in end.drain()] == ["BootNotification", "StatusNotification"]
