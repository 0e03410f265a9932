"""Bridge with local control: two who ask one charge point, and whose answer is whose (ocpp.md, Bridge)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatewayd.ocpp.session import SILENT_BOOT_S
from gatewayd.site.codes import CommandCode, CommandError, CommandState, LimitResult
from tests.kit import Kit
from tests.ocpp.bridged import Bridged, bridged
from tests.ocpp.test_bridge import BLOCK, CONNECTOR, CP, PROFILE

MAILBOX = CP + 8 * BLOCK
START, OPERATIVE, LIMIT, ACTIVE, RESULT, UPSTREAM = 18, 17, 100, 104, 106, 226
ALLOWED = {
    CommandCode.RemoteStartTransaction, CommandCode.RemoteStopTransaction, CommandCode.ChangeAvailability,
    CommandCode.TriggerMessage, CommandCode.ReserveNow, CommandCode.CancelReservation,
    CommandCode.ClearChargingProfile, CommandCode.ExtendedTriggerMessage,
}  # fmt: skip
"""modbus.md, Bridge role: limits and profiles, remote start and stop, reservation, availability, trigger."""


@pytest.fixture
def both() -> tuple[Kit, Bridged]:
    kit, end = bridged(control=True)
    end.boot_upstream()
    return kit, end


def frames(texts: list[str | bytes]) -> list[Any]:
    return [json.loads(text) for text in texts]


def result(call: Any, payload: Any) -> str:
    return json.dumps([3, call[1], payload])


def set_profile(unique_id: str, limit: float, purpose: str = "TxDefaultProfile", level: int = 0, **more: Any) -> str:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    profile = PROFILE | {"chargingProfilePurpose": purpose, "stackLevel": level, "chargingSchedule": schedule} | more
    return json.dumps([2, unique_id, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}])


# --- whose answer it is -------------------------------------------------------------------------------------------


def test_our_own_answers_stay_here(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    kit.write(CONNECTOR + START, 1)
    (call,) = frames(end.down())
    assert call[1:3] == ["ours-1", "RemoteStartTransaction"]
    end.say(result(call, {"status": "Accepted"}))
    assert end.up() == []
    assert end.cp.connectors[1].outcome.state == CommandState.done


@pytest.mark.parametrize(
    "answer",
    ['[4,"ours-1","InternalError","",{}]', '[3,"ours-1",{"status":', '[3,"ours-1",{"status":"Rejected"},4]'],
)
def test_nor_do_refusals_or_broken_answers_leave(both: tuple[Kit, Bridged], answer: str) -> None:
    kit, end = both
    kit.write(CONNECTOR + START, 1)
    end.down()
    end.say(answer)
    assert end.up() == []
    assert end.cp.connectors[1].outcome.state == CommandState.failed


def test_nor_do_late_ones(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    kit.write(CONNECTOR + START, 1)
    end.down()
    kit.run_for(61)
    assert end.cp.connectors[1].outcome.error == CommandError.no_answer
    end.say('[3,"ours-1",{"status":"Accepted"}]')
    assert end.up() == []


def test_the_central_systems_call_waits_for_ours(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    kit.write(CONNECTOR + START, 1)
    (ours,) = frames(end.down())
    theirs = ['[2,"ours-1","Reset",{"type":"Soft"}]', '[2, "b", "ClearCache", {} ]']
    end.centre_says(*theirs)
    assert end.down() == [], "one Call is open at a time"
    end.centre_says('[3,"x9",{}]')
    assert end.down() == ['[3,"x9",{}]'], "answers do not wait for it"
    end.say(result(ours, {"status": "Accepted"}))
    assert end.down() == theirs, "in order, as they came"
    assert end.up() == []
    end.say('[3,"ours-1",{"status":"Rejected"}]')
    assert end.up() == ['[3,"ours-1",{"status":"Rejected"}]'], "an equal id is the central system's own"


def test_ours_waits_for_the_central_systems(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    end.centre_says('[2,"a","Reset",{"type":"Soft"}]', '[2,"b","ClearCache",{}]')
    assert len(end.down()) == 2, "what the central system itself has open at once is its own business"
    kit.write(CONNECTOR + START, 1)
    end.say('[3,"b",{"status":"Accepted"}]')
    assert end.down() == []
    end.say('[3,"a",{"status":"Accepted"}]')
    assert [frame[2] for frame in frames(end.down())] == ["RemoteStartTransaction"]


def test_a_call_that_the_charge_point_never_answers_holds_ours_up_only_so_long(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    end.centre_says('[2,"a","Reset",{"type":"Soft"}]')
    kit.write(CONNECTOR + START, 1)
    end.down()
    kit.run_for(59)
    assert end.down() == []
    kit.run_for(2)
    assert [frame[2] for frame in frames(end.down())] == ["RemoteStartTransaction"]
    end.say('[3,"a",{"status":"Accepted"}]')
    assert end.up() == ['[3,"a",{"status":"Accepted"}]'], "late, but the central system's"


def test_nobody_starves(both: tuple[Kit, Bridged]) -> None:
    """A central system that asks again as soon as it is answered, and a BMS that writes all the time."""
    kit, end = both
    for turn in range(20):
        kit.write(CONNECTOR + START, 0)
        kit.write(CONNECTOR + START, 1)
        end.centre_says(f'[2,"c{turn}","ClearCache",{{}}]')
        seen = set()
        while calls := frames(end.down()):
            assert len(calls) == 1
            seen.add(calls[0][2])
            end.say(result(calls[0], {"status": "Accepted"}))
        assert seen == {"RemoteStartTransaction", "ClearCache"}


def test_a_lost_link_ends_both(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    kit.write(CONNECTOR + START, 1)
    end.centre_says('[2,"a","Reset",{"type":"Soft"}]')
    end.disconnect()
    assert end.cp.connectors[1].outcome.error == CommandError.link_lost
    assert len(end.bridge.held) == len(end.bridge.asked_upstream) == 0
    kit.run_for(200)


# --- what the BMS may do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in CommandCode if code])
def test_what_local_control_covers(both: tuple[Kit, Bridged], code: CommandCode) -> None:
    kit, end = both
    kit.write(MAILBOX, code)
    kit.write(MAILBOX + 105, 1)
    blocked = end.cp.mailbox.error == CommandError.blocked_by_role
    assert blocked == (code not in ALLOWED)
    if blocked:
        assert end.down() == []


def test_nothing_is_asked_of_our_own_accord(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    kit.run_for(SILENT_BOOT_S + 300)
    assert end.down() == []


def test_by_charge_point() -> None:
    more = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
    more += '[[charge_point]]\nnumber = 2\nidentity = "CP002"\nlocal_control = true\n'
    kit, first = bridged(more=more)
    second = Bridged(kit, "CP002")
    for end in (first, second):
        end.boot_upstream()
    kit.write(CONNECTOR + START, 1)
    kit.write(CONNECTOR + 3000 + START, 1)
    assert (len(first.down()), len(second.down())) == (0, 1)


# --- limits -------------------------------------------------------------------------------------------------------


def answered(end: Bridged) -> list[Any]:
    """Have the charge point accept all that the gateway asks; returns what that was."""
    found = []
    while calls := frames(end.down()):
        for call in calls:
            if call[0] == 2:
                found.append(call)
                end.say(result(call, {"status": "Accepted"}))
    return found


def limits(calls: list[Any]) -> list[tuple[str, int, float]]:
    profiles = [call[3]["csChargingProfiles"] for call in calls if call[2] == "SetChargingProfile"]
    return [
        (
            each["chargingProfilePurpose"],
            each["stackLevel"],
            each["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"],
        )
        for each in profiles
    ]


def agree(end: Bridged, call: str) -> None:
    """The central system asks, the charge point agrees."""
    end.centre_says(call)
    assert call in end.down()
    end.say(result(json.loads(call), {"status": "Accepted"}))
    end.up()


def test_the_lower_limit_wins_and_ours_lies_above_theirs(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    kit.write_32(CONNECTOR + LIMIT, 160)
    assert limits(answered(end)) == [("TxDefaultProfile", 0, 16.0)]
    agree(end, set_profile("a", 10, level=3))
    kit.run_for(3)
    assert limits(answered(end))[-1] == ("TxDefaultProfile", 4, 10.0), "said again, above, and the lower of the two"
    assert kit.read_32(CONNECTOR + UPSTREAM, signed=True) == 100
    assert kit.read_32(CONNECTOR + LIMIT, signed=True) == 160
    agree(end, set_profile("b", 32, level=3))
    kit.run_for(3)
    assert limits(answered(end))[-1] == ("TxDefaultProfile", 4, 16.0)
    assert kit.read(CONNECTOR + RESULT) == LimitResult.accepted
    assert end.up() == []


def test_a_tx_profile_of_theirs_is_topped_by_one_of_ours(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    end.start(77)
    kit.write_32(CONNECTOR + LIMIT, 80)
    assert limits(answered(end)) == [("TxDefaultProfile", 0, 8.0)]
    agree(end, set_profile("a", 20, "TxProfile", 2, transactionId=77))
    kit.run_for(3)
    calls = answered(end)
    assert limits(calls)[-1] == ("TxProfile", 3, 8.0)
    assert calls[0][3]["csChargingProfiles"]["transactionId"] == 77
    kit.run_for(60)
    end.exchange("StopTransaction", {"transactionId": 77, "meterStop": 2000, "timestamp": kit.stamp()}, {})
    kit.run_for(3)
    assert limits(answered(end))[-1] == ("TxDefaultProfile", 0, 8.0)
    assert kit.read_32(CONNECTOR + UPSTREAM, signed=True) == -1


def test_ours_is_set_again_after_theirs_were_cleared(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    kit.write_32(CONNECTOR + LIMIT, 160)
    answered(end)
    agree(end, '[2,"c","ClearChargingProfile",{}]')
    kit.run_for(3)
    assert limits(answered(end)) == [("TxDefaultProfile", 0, 16.0)]


def test_what_they_set_alone_is_not_said_again(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    agree(end, set_profile("a", 10))
    kit.run_for(10)
    assert answered(end) == []


def test_a_schedule_of_theirs_is_followed(both: tuple[Kit, Bridged]) -> None:
    kit, end = both
    periods = [{"startPeriod": 0, "limit": 20}, {"startPeriod": 600, "limit": 6.5}]
    schedule = {
        "chargingRateUnit": "A",
        "duration": 1200,
        "startSchedule": kit.stamp(),
        "chargingSchedulePeriod": periods,
    }
    agree(end, set_profile("a", 0, chargingSchedule=schedule))
    kit.write_32(CONNECTOR + LIMIT, 160)
    answered(end)
    seen = {}
    for minute in (5, 11, 21):
        while kit.now < 1000 + 60 * minute:
            kit.run_for(5)
            answered(end)
        seen[minute] = kit.read_32(CONNECTOR + UPSTREAM, signed=True), kit.read_32(CONNECTOR + ACTIVE, signed=True)
    assert seen == {5: (200, 160), 11: (65, 65), 21: (-1, 160)}
