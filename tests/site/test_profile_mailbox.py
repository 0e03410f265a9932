"""The profile mailbox, from the registers to the frame and back (modbus.md, Profile)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.ocpp.session import Send
from gatewayd.site.codes import CommandError, CommandState, Result
from gatewayd.site.journal import SaveFact
from tests.kit import Frame, Kit, WireEnd
from tests.ocpp.standard import is_valid
from tests.site.gateway_block import PLACES, read, registers, write

FIRST, COMMIT = PLACES["profile_charge_point"].address, PLACES["profile_commit"].address

SET = {
    "profile_charge_point": 1,
    "profile_connector": 1,
    "profile_operation": 1,
    "profile_purpose": 2,
    "profile_kind": 1,
    "profile_stack_level": 3,
    "profile_rate_unit": 0,
    "profile_id": 77,
    "profile_period_count": 2,
    "profile_period_1_limit": 160,
    "profile_period_2_start_s": 3600,
    "profile_period_2_limit": 61,
}
"""TxDefaultProfile, Absolute, 16 A and after an hour 6.1 A."""


def ready(toml: str = "") -> tuple[Kit, WireEnd]:
    """CP001 with two connectors is connected and registered."""
    kit = Kit(toml or '[[charge_point]]\nnumber = 1\nidentity = "CP001"\nconnectors = 2\n')
    end = kit.connect()
    end.boot()
    return kit, end


def commit(kit: Kit, sequence: int = 1, **fields: int) -> None:
    """Fill the whole mailbox and commit, with one FC16 of 121 registers."""
    content = bytearray(2 * 121)
    for name, value in (fields | {"profile_commit": sequence}).items():
        at = 2 * (PLACES[name].address - FIRST)
        data = registers(name, value)
        content[at : at + len(data)] = data
    kit.bank_1.write(FIRST, bytes(content), "bms", kit.now)


def shown(kit: Kit) -> tuple[int | str, ...]:
    """Ack, state, result, error."""
    return tuple(read(kit, f"profile_{name}") for name in ("ack", "state", "result", "error"))


def only_call(end: WireEnd) -> Frame:
    """The one Call that went out, valid by the standard's schema."""
    (call,) = end.calls()
    assert is_valid(call.action, call.payload), call
    return call


def start_transaction(end: WireEnd, connector: int = 1) -> int:
    """A transaction that the gateway's own remote start makes unasked."""
    end.kit.write(3000 + 300 * connector + 18, 1)
    end.answer(only_call(end), {"status": "Accepted"})
    started = {"connectorId": connector, "idTag": "GATEWAY", "meterStart": 100, "timestamp": end.kit.stamp()}
    return int(end.send("StartTransaction", started)["transactionId"])


# --- set ----------------------------------------------------------------------------------------------------------


def test_set_goes_out_and_comes_back() -> None:
    kit, end = ready()
    commit(kit, 7, **SET)
    assert shown(kit) == (7, CommandState.sent, Result.none, CommandError.none)
    call = only_call(end)
    assert call.action == "SetChargingProfile"
    assert call.payload == {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 77,
            "stackLevel": 3,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 3600, "limit": 6.1}],
            },
        },
    }
    end.answer(call, {"status": "Accepted"})
    assert shown(kit) == (7, CommandState.done, Result.Accepted, CommandError.none)


@pytest.mark.parametrize("status", ["Accepted", "Rejected", "NotSupported"])
def test_the_answer_is_the_result(status: str) -> None:
    kit, end = ready()
    commit(kit, **SET)
    end.answer(only_call(end), {"status": status})
    assert shown(kit)[1:] == (CommandState.done, Result[status], CommandError.none)


def test_every_field_reaches_the_wire() -> None:
    kit, end = ready()
    fields = SET | {
        "profile_kind": 2,
        "profile_recurrency": 2,
        "profile_rate_unit": 1,
        "profile_id": -5,
        "profile_valid_from": 1_767_225_600,
        "profile_valid_to": 1_767_312_000,
        "profile_start_schedule": 1_767_229_200,
        "profile_duration_s": 7200,
        "profile_min_rate": 15,
        "profile_phases": 1,
        "profile_period_1_limit": 73_599,
    }
    commit(kit, **fields)
    profile = only_call(end).payload["csChargingProfiles"]
    assert profile["recurrencyKind"] == "Weekly"
    assert (profile["validFrom"], profile["validTo"]) == ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert profile["chargingProfileId"] == -5
    assert profile["chargingSchedule"] == {
        "chargingRateUnit": "W",
        "duration": 7200,
        "startSchedule": "2026-01-01T01:00:00Z",
        "minChargingRate": 1.5,
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 7359.9, "numberPhases": 1},
            {"startPeriod": 3600, "limit": 6.1, "numberPhases": 1},
        ],
    }


def test_twenty_four_periods_fit_one_request() -> None:
    kit, end = ready()
    fields = SET | {"profile_period_count": 24}
    for k in range(1, 25):
        fields |= {f"profile_period_{k}_start_s": 3600 * (k - 1), f"profile_period_{k}_limit": 60 + k}
    commit(kit, **fields)
    periods = only_call(end).payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    assert [(p["startPeriod"], p["limit"]) for p in periods] == [(3600 * k, (61 + k) / 10) for k in range(24)]


def test_registers_may_come_one_by_one_and_in_any_word_order() -> None:
    kit = Kit('[modbus]\nword_order = "little"\n[[charge_point]]\nnumber = 1\nidentity = "CP001"\n')
    end = kit.connect()
    end.boot()
    for name, value in SET.items():
        data = registers(name, value)[::-1] if PLACES[name].registers == 2 else registers(name, value)
        for i in range(0, len(data), 2):
            kit.bank_1.write(PLACES[name].address + i // 2, data[i : i + 2], "bms", kit.now)
    kit.write(COMMIT, 1)
    profile = only_call(end).payload["csChargingProfiles"]
    assert profile["chargingProfileId"] == 77
    assert profile["chargingSchedule"]["chargingSchedulePeriod"][1] == {"startPeriod": 3600, "limit": 6.1}


def test_without_an_id_the_gateway_picks_one_for_each_place() -> None:
    kit, end = ready()
    places = [
        {},
        {"profile_connector": 2},
        {"profile_stack_level": 4},
        {"profile_purpose": 1, "profile_connector": 0},
        {"profile_stack_level": 65535},
    ]
    picked = []
    for sequence, place in enumerate([*places, *places], start=1):
        commit(kit, sequence, **(SET | {"profile_id": 0} | place))
        call = only_call(end)
        end.answer(call, {"status": "Accepted"})
        picked.append(call.payload["csChargingProfiles"]["chargingProfileId"])
    assert picked[:5] == picked[5:]
    assert len(set(picked)) == 5
    assert all(2_000_000 <= profile_id < 2**31 for profile_id in picked)


def test_limits_are_clamped_to_the_ceiling() -> None:
    toml = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\nmax_current_a = 16.5\n'
    kit, end = ready(toml)
    commit(kit, 1, **(SET | {"profile_period_1_limit": 320}))
    call = only_call(end)
    end.answer(call, {"status": "Accepted"})
    assert limits(call) == [16.5, 6.1]
    commit(kit, 2, **(SET | {"profile_rate_unit": 1, "profile_period_1_limit": 10**8}))
    call = only_call(end)
    end.answer(call, {"status": "Accepted"})
    assert limits(call) == [16.5 * 230 * 3, 6.1]
    commit(kit, 3, **(SET | {"profile_rate_unit": 1, "profile_period_1_limit": 10**8, "profile_phases": 1}))
    assert limits(only_call(end)) == [16.5 * 230, 6.1]
    assert read(kit, "profile_period_1_limit") == 10**8  # the register keeps what was written


def limits(call: Frame) -> list[float]:
    schedule = call.payload["csChargingProfiles"]["chargingSchedule"]
    return [period["limit"] for period in schedule["chargingSchedulePeriod"]]


# --- transactions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_a_tx_profile_names_the_current_transaction(named: bool) -> None:
    kit, end = ready()
    current = start_transaction(end)
    commit(kit, **(SET | {"profile_purpose": 3, "profile_transaction_id": current if named else 0}))
    assert only_call(end).payload["csChargingProfiles"]["transactionId"] == current


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile_transaction_id": 999},
        {"profile_connector": 0},
        {"profile_connector": 2},
    ],
    ids=["of another", "whole charge point", "none there"],
)
def test_a_tx_profile_without_its_transaction_is_refused(wrong: dict[str, int]) -> None:
    kit, end = ready()
    start_transaction(end)
    commit(kit, **(SET | {"profile_purpose": 3} | wrong))
    assert shown(kit) == (1, CommandState.failed, Result.none, CommandError.bad_parameter)
    assert end.calls() == []


# --- refused ------------------------------------------------------------------------------------------------------

WRONG: dict[str, dict[str, int]] = {
    "no operation": {"profile_operation": 0},
    "unlisted operation": {"profile_operation": 5},
    "no charge point": {"profile_charge_point": 0},
    "unknown charge point": {"profile_charge_point": 2},
    "charge point beyond the bank": {"profile_charge_point": 21},
    "unknown connector": {"profile_connector": 3},
    "no purpose": {"profile_purpose": 0},
    "unlisted purpose": {"profile_purpose": 4},
    "maximum of one connector": {"profile_purpose": 1},
    "transaction of no TxProfile": {"profile_transaction_id": 5},
    "TxProfile without transaction": {"profile_purpose": 3},
    "no kind": {"profile_kind": 0},
    "unlisted kind": {"profile_kind": 4},
    "Recurring without recurrency": {"profile_kind": 2},
    "recurrency of no Recurring": {"profile_recurrency": 1},
    "unlisted recurrency": {"profile_kind": 2, "profile_recurrency": 3},
    "start of a Relative": {"profile_kind": 3, "profile_start_schedule": 1_767_225_600},
    "unlisted unit": {"profile_rate_unit": 2},
    "four phases": {"profile_phases": 4},
    "ends before it begins": {"profile_valid_from": 1_767_225_600, "profile_valid_to": 1_767_225_600},
    "negative minimum": {"profile_min_rate": -1},
    "an id of our limits": {"profile_id": 1_000_000},
    "no period": {"profile_period_count": 0},
    "25 periods": {"profile_period_count": 25},
    "first period late": {"profile_period_1_start_s": 1},
    "second period at once": {"profile_period_2_start_s": 0},
    "third period before the second": {"profile_period_count": 3, "profile_period_3_start_s": 3599},
    "negative limit": {"profile_period_2_limit": -1},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_inconsistent_is_a_bad_parameter(wrong: dict[str, int]) -> None:
    kit, end = ready()
    commit(kit, 9, **(SET | wrong))
    assert shown(kit) == (9, CommandState.failed, Result.none, CommandError.bad_parameter)
    assert end.calls() == []
    commit(kit, 10, **SET)  # and the mailbox is free
    assert only_call(end).action == "SetChargingProfile"


@pytest.mark.parametrize(
    "fine",
    [
        {"profile_kind": 3},
        {"profile_kind": 2, "profile_recurrency": 1},
        {"profile_connector": 0},
        {"profile_connector": 0, "profile_purpose": 1},
        {"profile_valid_from": 1_767_225_600},
        {"profile_duration_s": 60},
        {"profile_period_1_limit": 0},
        {"profile_stack_level": 65535},
        {"profile_period_2_start_s": 0xFFFFFFFF},
        {"profile_valid_to": 0xFFFFFFFF},
        {"profile_period_count": 1, "profile_period_2_limit": -1},
    ],
)
def test_what_the_charge_point_may_judge_goes_out(fine: dict[str, int]) -> None:
    kit, end = ready()
    commit(kit, **(SET | fine))
    assert only_call(end).action == "SetChargingProfile"


@given(content=st.binary(min_size=242, max_size=242), likely=st.booleans())
def test_no_content_makes_a_commit_raise(content: bytes, likely: bool) -> None:
    kit, end = ready()
    data = bytearray(content)
    data[240:242] = b"\0\1"
    if likely:  # most random content stops at the charge point
        data[0:6] = bytes([0, 1, 0, data[3] % 3, 0, 1 + data[5] % 4])
        data[6:16] = bytes(byte % 4 if i % 2 else 0 for i, byte in enumerate(data[6:16]))
    kit.bank_1.write(FIRST, bytes(data), "bms", kit.now)
    calls = end.calls()
    assert all(is_valid(call.action, call.payload) for call in calls)
    assert shown(kit)[1] in ((CommandState.sent,) if calls else (CommandState.failed, CommandState.done))


# --- clear --------------------------------------------------------------------------------------------------------

CLEAR = {"profile_charge_point": 1, "profile_connector": 1, "profile_operation": 2}


@pytest.mark.parametrize(
    ("fields", "payload"),
    [
        ({"profile_id": 5, "profile_purpose": 2, "profile_stack_level": 1}, {"id": 5}),
        (
            {"profile_purpose": 2, "profile_stack_level": 1},
            {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1},
        ),
        ({"profile_stack_level": 65535}, {"connectorId": 1}),
        ({"profile_connector": 0, "profile_stack_level": 0}, {"connectorId": 0, "stackLevel": 0}),
    ],
)
def test_clear(fields: dict[str, int], payload: dict[str, Any]) -> None:
    kit, end = ready()
    commit(kit, **(CLEAR | fields))
    call = only_call(end)
    assert (call.action, call.payload) == ("ClearChargingProfile", payload)
    end.answer(call, {"status": "Unknown"})
    assert shown(kit)[1:] == (CommandState.done, Result.Unknown, CommandError.none)


@pytest.mark.parametrize("wrong", [{"profile_purpose": 4}, {"profile_connector": 3}, {"profile_charge_point": 9}])
def test_clear_refused(wrong: dict[str, int]) -> None:
    kit, end = ready()
    commit(kit, **(CLEAR | wrong))
    assert shown(kit)[1:] == (CommandState.failed, Result.none, CommandError.bad_parameter)
    assert end.calls() == []


# --- composite schedule -------------------------------------------------------------------------------------------

ASK = {"profile_charge_point": 1, "profile_connector": 2, "profile_operation": 3, "profile_rate_unit": 1}


def answer_schedule(kit: Kit, end: WireEnd, periods: list[dict[str, Any]], **more: Any) -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    answer = {"status": "Accepted", "connectorId": 2, "scheduleStart": "2026-01-01T00:00:10Z"}
    end.answer(only_call(end), answer | {"chargingSchedule": schedule} | more)


def test_the_composite_schedule_stands_in_its_points() -> None:
    kit, end = ready()
    commit(kit, **ASK)
    (call,) = end.calls()
    assert call.payload == {"connectorId": 2, "duration": 86_400, "chargingRateUnit": "W"}
    periods = [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 600, "limit": 6.1}]
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    answer = {"connectorId": 2, "scheduleStart": "2026-01-01T00:00:10Z", "chargingSchedule": schedule}
    end.answer(call, {"status": "Accepted"} | answer)
    assert shown(kit)[1:] == (CommandState.done, Result.Accepted, CommandError.none)
    assert read(kit, "schedule_rate_unit") == 0  # asked in W, came in A: shown as it came
    assert read(kit, "schedule_start") == 1_767_225_610
    assert read(kit, "schedule_period_count") == 2
    values = [read(kit, f"schedule_period_{k}_{field}") for k in (1, 2) for field in ("start_s", "limit")]
    assert values == [0, 160, 600, 61]
    assert read(kit, "schedule_period_3_limit") == -(2**31)  # not available


def test_a_new_question_empties_the_old_schedule() -> None:
    kit, end = ready()
    commit(kit, 1, **ASK)
    answer_schedule(kit, end, [{"startPeriod": 0, "limit": 16.0}])
    assert read(kit, "schedule_period_count") == 1
    commit(kit, 2, **(ASK | {"profile_duration_s": 60, "profile_connector": 0}))
    assert read(kit, "schedule_period_count") == 0
    call = only_call(end)
    assert call.payload == {"connectorId": 0, "duration": 60, "chargingRateUnit": "W"}
    end.answer(call, {"status": "Rejected"})
    assert shown(kit)[1:] == (CommandState.done, Result.Rejected, CommandError.none)
    assert read(kit, "schedule_period_count") == 0


def test_more_periods_than_registers_and_impossible_numbers() -> None:
    kit, end = ready()
    commit(kit, 1, **ASK)
    answer_schedule(kit, end, [{"startPeriod": 10 * k, "limit": 10.0**k} for k in range(30)])
    assert read(kit, "schedule_period_count") == 24
    assert read(kit, "schedule_period_24_start_s") == 230
    assert read(kit, "schedule_period_24_limit") == 2**31 - 1


def test_a_start_in_the_schedule_counts_where_the_answer_has_none() -> None:
    kit, end = ready()
    commit(kit, 1, **ASK)
    schedule = {"chargingRateUnit": "W", "chargingSchedulePeriod": [], "startSchedule": "2026-01-01T00:00:20Z"}
    end.answer(only_call(end), {"status": "Accepted", "chargingSchedule": schedule})
    assert (read(kit, "schedule_start"), read(kit, "schedule_rate_unit")) == (1_767_225_620, 1)
    commit(kit, 2, **ASK)
    end.answer(only_call(end), {"status": "Accepted"})
    assert (read(kit, "schedule_start"), read(kit, "schedule_period_count")) == (0xFFFFFFFF, 0)


# --- attached to the next remote start ----------------------------------------------------------------------------

ATTACH = SET | {"profile_operation": 4, "profile_purpose": 3}


def test_an_attached_profile_goes_with_the_next_remote_start_once() -> None:
    kit, end = ready()
    commit(kit, **ATTACH)
    assert shown(kit) == (1, CommandState.done, Result.Accepted, CommandError.none)
    assert end.calls() == []
    kit.write(3000 + 2 * 300 + 18, 1)  # another connector
    other = only_call(end)
    assert "chargingProfile" not in other.payload
    end.answer(other, {"status": "Accepted"})
    kit.write(3000 + 300 + 18, 1)
    call = only_call(end)
    assert call.action == "RemoteStartTransaction"
    assert call.payload["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"
    assert call.payload["chargingProfile"]["chargingProfileId"] == 77
    assert "transactionId" not in call.payload["chargingProfile"]
    end.answer(call, {"status": "Rejected"})
    kit.run_for(11)
    kit.write(3000 + 300 + 18, 1)
    assert "chargingProfile" not in only_call(end).payload


def test_it_goes_with_the_command_mailbox_too_and_two_queued_starts_do_not_share_it() -> None:
    kit, end = ready()
    commit(kit, **ATTACH)
    kit.write(3000 + 2 * 300 + 20, 1)  # an unlock holds the line
    kit.write(3000 + 8 * 300, 1, 1)
    kit.write(3000 + 8 * 300 + 105, 1)
    kit.write(3000 + 300 + 18, 1)
    (unlock,) = end.calls()
    end.answer(unlock, {"status": "Unlocked"})
    first = only_call(end)
    end.answer(first, {"status": "Accepted"})
    second = only_call(end)
    assert "chargingProfile" in first.payload
    assert second.action == "RemoteStartTransaction"
    assert "chargingProfile" not in second.payload


def test_it_waits_while_the_charge_point_is_away() -> None:
    kit, end = ready()
    end.disconnect()
    commit(kit, **ATTACH)
    assert shown(kit)[1:] == (CommandState.done, Result.Accepted, CommandError.none)
    kit.write(3000 + 300 + 18, 1)  # fails: offline
    end = kit.connect()
    end.boot()
    kit.run_for(11)
    kit.write(3000 + 300 + 18, 1)
    assert "chargingProfile" in only_call(end).payload


@pytest.mark.parametrize(
    "wrong", [{"profile_purpose": 2}, {"profile_connector": 0}, {"profile_transaction_id": 1}, {"profile_kind": 0}]
)
def test_what_cannot_be_attached(wrong: dict[str, int]) -> None:
    kit, end = ready()
    commit(kit, **(ATTACH | wrong))
    assert shown(kit)[1:] == (CommandState.failed, Result.none, CommandError.bad_parameter)
    kit.write(3000 + 300 + 18, 1)
    assert "chargingProfile" not in only_call(end).payload


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ({"profile_id": 77}, True),
        ({"profile_id": 78}, False),
        ({"profile_stack_level": 65535}, True),
        ({"profile_stack_level": 65535, "profile_purpose": 2}, False),
        ({"profile_stack_level": 2}, False),
        ({"profile_stack_level": 65535, "profile_connector": 2}, False),
    ],
)
def test_clearing_takes_back_what_is_attached(fields: dict[str, int], gone: bool) -> None:
    kit, end = ready()
    commit(kit, 1, **ATTACH)
    commit(kit, 2, **(CLEAR | fields))
    end.answer(only_call(end), {"status": "Unknown"})
    kit.write(3000 + 300 + 18, 1)
    assert ("chargingProfile" not in only_call(end).payload) == gone


# --- beside our own limits ----------------------------------------------------------------------------------------


def limited() -> tuple[Kit, WireEnd, Frame]:
    """Connector 1 is limited to 10 A, and the profile that says so was accepted."""
    kit, end = ready()
    kit.write_32(3000 + 300 + 100, 100)
    ours = only_call(end)
    end.answer(ours, {"status": "Accepted"})
    assert end.calls() == []
    return kit, end, ours


@pytest.mark.parametrize(
    ("fields", "status", "again"),
    [
        (CLEAR | {"profile_stack_level": 65535}, "Accepted", True),
        (CLEAR | {"profile_stack_level": 65535}, "Unknown", False),
        (CLEAR | {"profile_id": 77}, "Accepted", False),
        (SET, "Accepted", True),
        (SET, "Rejected", False),
    ],
    ids=["cleared", "nothing to clear", "another id cleared", "set", "set refused"],
)
def test_our_limit_is_said_again_when_it_may_be_gone(fields: dict[str, int], status: str, again: bool) -> None:
    kit, end, ours = limited()
    commit(kit, **fields)
    end.answer(only_call(end), {"status": status})
    said = end.calls()
    assert [call.action for call in said] == (["SetChargingProfile"] if again else [])
    if again:
        assert (
            said[0].payload["csChargingProfiles"]["chargingProfileId"]
            == (ours.payload["csChargingProfiles"]["chargingProfileId"])
        )


@pytest.mark.parametrize(("p1", "again"), [(0, True), (1_000_021, True), (77, False)])
def test_the_command_that_clears_does_the_same(p1: int, again: bool) -> None:
    kit, end, _ = limited()
    commit(kit, **ATTACH)
    kit.write(3000 + 8 * 300, 13, 1, p1 >> 16, p1, 0, 0, 0xFFFF, 0xFFFF)
    kit.write(3000 + 8 * 300 + 105, 1)
    end.answer(only_call(end), {"status": "Accepted"})
    calls = end.calls()
    assert [call.action for call in calls] == (["SetChargingProfile"] if again else [])
    for call in calls:
        end.answer(call, {"status": "Accepted"})
    kit.write(3000 + 300 + 18, 1)
    assert ("chargingProfile" in only_call(end).payload) == (p1 == 1_000_021)  # 0: of that connector, 77: by its id


# --- one outcome --------------------------------------------------------------------------------------------------


def test_busy_keeps_the_ack_so_that_the_number_may_be_tried_again() -> None:
    kit, end = ready()
    commit(kit, 1, **SET)
    commit(kit, 2, **SET)
    assert shown(kit) == (1, CommandState.sent, Result.none, CommandError.busy)
    call = only_call(end)
    end.answer(call, {"status": "Accepted"})
    assert shown(kit) == (1, CommandState.done, Result.Accepted, CommandError.none)
    assert end.calls() == []
    commit(kit, 2, **SET)
    assert shown(kit)[:2] == (2, CommandState.sent)


def test_zero_and_the_number_taken_last_do_nothing() -> None:
    kit, end = ready()
    commit(kit, 0, **SET)
    assert shown(kit) == (0, CommandState.idle, Result.none, CommandError.none)
    commit(kit, 1, **SET)
    end.answer(only_call(end), {"status": "Accepted"})
    commit(kit, 1, **SET)
    assert end.calls() == []
    assert shown(kit) == (1, CommandState.done, Result.Accepted, CommandError.none)


def test_no_link_and_no_registration() -> None:
    kit = Kit()
    commit(kit, 1, **SET)
    assert shown(kit) == (1, CommandState.failed, Result.none, CommandError.offline)
    end = kit.connect()
    commit(kit, 2, **SET)
    assert shown(kit) == (2, CommandState.failed, Result.none, CommandError.not_registered)
    assert end.calls() == []


def test_errors_of_the_wire() -> None:
    kit, end = ready()
    commit(kit, 1, **SET)
    end.refuse(only_call(end), "NotSupported")
    assert shown(kit) == (1, CommandState.failed, Result.none, CommandError.not_supported)
    commit(kit, 2, **SET)
    end.refuse(only_call(end), "PropertyConstraintViolation")
    assert shown(kit) == (2, CommandState.failed, Result.none, CommandError.call_error)
    commit(kit, 3, **SET)
    call = only_call(end)
    kit.run_for(61)
    assert shown(kit) == (3, CommandState.failed, Result.none, CommandError.no_answer)
    end.answer(call, {"status": "Accepted"})  # too late
    assert shown(kit) == (3, CommandState.failed, Result.none, CommandError.no_answer)
    commit(kit, 4, **SET)
    end.disconnect()
    assert shown(kit) == (4, CommandState.failed, Result.none, CommandError.link_lost)


def test_the_ack_is_journalled_before_the_call() -> None:
    kit, end = ready()
    commit(kit, 5, **SET)
    assert {"profile_ack/1": 5}.items() <= facts(kit).items()
    (word,) = [word for word in end.session.words if isinstance(word, Send) and word.durable]
    assert word.durable == kit.site.journal.written


def facts(kit: Kit) -> dict[str, int | str]:
    """Everything journalled by name."""
    return {entry.name: entry.value for entry in kit.site.journal.waiting if isinstance(entry, SaveFact)}


def test_each_bank_has_its_own() -> None:
    toml = "".join(f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\n' for number in (1, 21))
    kit = Kit(toml)
    end = kit.connect("CP021")
    end.boot()
    write(kit, SET | {"profile_commit": 3}, unit=2)
    assert only_call(end).action == "SetChargingProfile"
    assert (read(kit, "profile_ack", unit=2), read(kit, "profile_ack")) == (3, 0)
    assert {"profile_ack/2": 3}.items() <= facts(kit).items()
