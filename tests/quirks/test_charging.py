"""Configuration and availability of charge points: rows S8 to S10; S1 to S7 are tests/site/test_limit*.py."""

from __future__ import annotations

import pytest

from gatewayd.ocpp.questions import Questions
from gatewayd.site.codes import LinkState, Result
from tests.kit import Kit, WireEnd

ONE = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
COMMAND, SEQUENCE = 5400, 5505


def booted(toml: str = "") -> tuple[Kit, WireEnd]:
    kit = Kit(toml)
    kit.site.on_registered.append(Questions().registered)
    end = kit.connect()
    end.boot()
    for number in (1, 2):
        end.status(number, "Available")  # nothing is left to ask for
    return kit, end


@pytest.mark.parametrize("code", ["NotSupported", "NotImplemented", "InternalError", "FormationViolation"])
def test_s8_a_refused_question_is_never_fatal(code: str) -> None:
    kit, end = booted()
    kit.run_for(31)
    asked = 0
    while calls := end.calls():
        asked += len(calls)
        end.refuse(calls[0], code)
    assert asked >= 1
    assert end.closed is None
    assert kit.read(3032) == LinkState.accepted


def test_s8_names_of_keys_are_compared_without_case_and_quotes_are_stripped() -> None:
    kit, end = booted()
    kit.run_for(31)
    while calls := [call for call in end.calls() if call.action == "GetConfiguration"]:
        key = calls[0].payload["key"][0]
        end.answer(calls[0], {"configurationKey": [{"key": key.upper(), "readonly": False, "value": '"8"'}]})
    assert kit.site.charge_points["CP001"].max_stack_level == 8


def test_s9_a_reboot_is_shown_and_not_made() -> None:
    kit, end = booted()
    cp = kit.site.charge_points["CP001"]
    kit.write(COMMAND, 8)
    kit.write_text(COMMAND + 30, "HeartbeatInterval", 25)
    kit.write_text(COMMAND + 55, "90", 50)
    kit.write(SEQUENCE, 1)
    (call,) = [call for call in end.calls() if call.action == "ChangeConfiguration"]
    end.answer(call, {"status": "RebootRequired"})
    assert cp.mailbox.result == Result.RebootRequired
    kit.run_for(60)
    assert [call.action for call in end.calls() if call.action == "Reset"] == []


@pytest.mark.parametrize(("switch", "sent"), [("false", 0), ("true", 1)])
def test_s10_availability_is_said_on_connect_only_where_it_is_wanted(switch: str, sent: int) -> None:
    kit, end = booted(ONE + f"[charge_point.quirks]\navailability_on_connect = {switch}\n")
    kit.run_for(10)
    assert len([call for call in end.calls() if call.action == "ChangeAvailability"]) == sent
