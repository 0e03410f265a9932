"""The gateway's own questions after a charge point registered (ocpp.md, Calls)."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.ocpp.questions import Questions
from gatewayd.site.codes import FeatureBits, Status
from gatewayd.site.quirk_profile import QuirkProfile
from tests.kit import Frame, Kit, WireEnd
from tests.ocpp.standard import is_valid

FEATURES, LIST_VERSION, RATE_UNITS, MAX_STACK_LEVEL = 3000 + 43, 3000 + 48, 3000 + 50, 3000 + 51
ANSWERS = {
    "SupportedFeatureProfiles": "Core,FirmwareManagement,LocalAuthListManagement,SmartCharging",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargeProfileMaxStackLevel": "8",
    "SendLocalListMaxLength": "20",
}


def ready() -> tuple[Kit, WireEnd]:
    """CP001 has just booted."""
    kit = Kit()
    kit.site.on_registered.append(Questions().registered)
    end = kit.connect()
    end.boot()
    for connector in (1, 2):
        end.status(connector, "Available")
    return kit, end


def only_call(end: WireEnd) -> Frame:
    """The one Call that went out, valid by the standard's schema."""
    (call,) = end.calls()
    assert is_valid(call.action, call.payload), call
    return call


def answer_all(end: WireEnd, answers: dict[str, str], list_version: Any = 3) -> list[str]:
    """Answer one question after the other until none comes; the keys or actions asked for."""
    asked = []
    while calls := end.calls():
        (call,) = calls  # one at a time
        assert is_valid(call.action, call.payload), call
        if call.action == "GetLocalListVersion":
            asked.append(call.action)
            end.answer(call, {"listVersion": list_version})
            continue
        (key,) = call.payload["key"]
        asked.append(key)
        if key in answers:
            end.answer(call, {"configurationKey": [{"key": key, "readonly": True, "value": answers[key]}]})
        else:
            end.answer(call, {"unknownKey": [key]})
    return asked


def known(kit: Kit) -> tuple[int, int, int, int]:
    """features, rate_units, max_stack_level, list_version."""
    return kit.read(FEATURES), kit.read(RATE_UNITS), kit.read(MAX_STACK_LEVEL), kit.read_32(LIST_VERSION, signed=True)


UNKNOWN = (0, 0, 65535, -(2**31))


def test_after_thirty_seconds_one_at_a_time() -> None:
    kit, end = ready()
    assert known(kit) == UNKNOWN
    kit.run_for(29)
    assert end.calls() == []
    kit.run_for(1)
    assert answer_all(end, ANSWERS) == [*ANSWERS, "GetLocalListVersion"]
    features = FeatureBits.Core | FeatureBits.FirmwareManagement
    features |= FeatureBits.LocalAuthListManagement | FeatureBits.SmartCharging
    assert known(kit) == (features, 3, 8, 3)
    assert kit.site.charge_points["CP001"].send_list_max_length == 20
    kit.run_for(600)
    assert end.calls() == []


def test_who_has_no_list_is_not_asked_for_its_version() -> None:
    kit, end = ready()
    kit.run_for(30)
    assert "GetLocalListVersion" not in answer_all(end, {"SupportedFeatureProfiles": "Core, SmartCharging"})
    assert known(kit) == (FeatureBits.Core | FeatureBits.SmartCharging, 0, 65535, -1)


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("SupportedFeatureProfiles", ' "core" , remotetrigger ,Bogus', FeatureBits.Core | FeatureBits.RemoteTrigger),
        ("SupportedFeatureProfiles", "true", 0),
        ("ChargingScheduleAllowedChargingRateUnit", "Power", 2),
        ("ChargingScheduleAllowedChargingRateUnit", "A", 1),
        ("ChargingScheduleAllowedChargingRateUnit", "'W',current", 3),
        ("ChargingScheduleAllowedChargingRateUnit", "Volts", 0),
        ("ChargeProfileMaxStackLevel", " 0 ", 0),
        ("ChargeProfileMaxStackLevel", "-1", 65535),
        ("ChargeProfileMaxStackLevel", "99999", 65535),
        ("ChargeProfileMaxStackLevel", "eight", 65535),
        ("ChargeProfileMaxStackLevel", "²", 65535),
        ("ChargeProfileMaxStackLevel", "9" * 400, 65535),
        ("ChargeProfileMaxStackLevel", "", 65535),
    ],
)
def test_what_makes_no_sense_is_unknown(key: str, value: str, shown: int) -> None:
    kit, end = ready()
    kit.run_for(30)
    answer_all(end, {key: value})
    place = {"SupportedFeatureProfiles": FEATURES, "ChargeProfileMaxStackLevel": MAX_STACK_LEVEL}.get(key, RATE_UNITS)
    assert kit.read(place) == shown


@pytest.mark.parametrize(("version", "shown"), [(0, 0), (-1, -1), (-2, -(2**31)), ("x", -(2**31)), (2**40, 2**31 - 1)])
def test_list_versions(version: Any, shown: int) -> None:
    kit, end = ready()
    kit.run_for(30)
    answer_all(end, ANSWERS, version)
    assert kit.read_32(LIST_VERSION, signed=True) == shown


def test_a_version_that_is_not_supported_is_no_list() -> None:
    kit, end = ready()
    kit.run_for(30)
    for _ in ANSWERS:
        call = only_call(end)
        (key,) = call.payload["key"]
        end.answer(call, {"configurationKey": [{"key": key, "readonly": True, "value": ANSWERS[key]}]})
    end.refuse(only_call(end), "NotSupported")
    assert kit.read_32(LIST_VERSION, signed=True) == -1


def test_refusals_do_not_end_it_but_silence_does() -> None:
    kit, end = ready()
    kit.run_for(30)
    end.refuse(only_call(end), "InternalError")
    assert only_call(end).payload == {"key": ["ChargingScheduleAllowedChargingRateUnit"]}
    kit.run_for(600)
    assert (end.calls(), end.closed) == ([], None)


def test_never_for_a_model_that_takes_them_amiss() -> None:
    kit, end = ready()
    kit.site.charge_points["CP001"].take_quirks(QuirkProfile(own_questions=False))
    kit.run_for(60)
    assert end.calls() == []


def test_another_boot_begins_the_wait_anew_and_a_loop_ends_it() -> None:
    kit, end = ready()
    kit.run_for(20)
    end.boot()
    kit.run_for(20)
    assert end.calls() == []
    kit.run_for(10)
    assert answer_all(end, ANSWERS)
    end.boot()  # the third within five minutes
    kit.run_for(60)
    assert end.calls() == []


def test_a_lost_link_is_not_asked_and_the_new_one_after_its_own_wait() -> None:
    kit, end = ready()
    kit.run_for(20)
    end.disconnect()
    end = kit.connect()
    kit.run_for(15)
    assert end.calls() == []
    for connector in (1, 2):
        end.status(connector, "Available")
    kit.run_for(5)  # it came back without a Boot: registered
    assert kit.read(3000 + 1) == 1
    kit.run_for(29)
    assert end.calls() == []
    kit.run_for(1)
    assert answer_all(end, ANSWERS) == [*ANSWERS, "GetLocalListVersion"]


def test_a_command_of_the_bms_waits_for_one_question_at_most() -> None:
    kit, end = ready()
    kit.run_for(30)
    question = only_call(end)
    kit.write(3000 + 300 + 20, 1)  # unlock
    end.answer(question, {})
    unlock = only_call(end)
    assert unlock.action == "UnlockConnector"
    end.answer(unlock, {"status": "Unlocked"})
    assert len(answer_all(end, ANSWERS)) == 3  # the feature profiles were unknown, so nobody asks for a list


def test_a_status_that_nobody_heard_is_asked_for_before_everything_else() -> None:
    kit, end = ready()
    end.disconnect()
    kit.site.charge_points["CP001"].connectors[2].status = Status.unknown
    end = kit.connect()
    end.boot()
    kit.run_for(29.9)
    assert end.calls() == []
    kit.run_for(0.2)
    call = only_call(end)
    assert (call.action, call.payload) == ("TriggerMessage", {"requestedMessage": "StatusNotification"})
    end.refuse(call, "GenericError")
    assert answer_all(end, ANSWERS)[0] == "SupportedFeatureProfiles"
