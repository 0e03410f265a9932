"""One connection's rules in virtual time: Calls, errors, registration, silence (ocpp.md, Calls and Errors)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.ocpp import frames, own_triggers
from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp.session import LOGGED_FAULTS, Close, Send, Session
from gatewayd.site.codes import (
    CommandCode,
    CommandError,
    CommandState,
    LinkState,
    QuirkBits,
    Result,
    Status,
    TriggerCode,
)
from gatewayd.site.command import Command, Report
from gatewayd.site.quirk_profile import QuirkProfile
from tests.kit import Frame, Kit, WireEnd
from tests.ocpp import hostile, hostile_run

BLOCK_0, C1, MAILBOX = 3000, 3300, 5400
REGISTERED, COMM_ERROR, LINK_STATE, QUIRKS, TIMEOUTS, ROUND_TRIP = 3001, 3004, 3032, 3044, 3045, 3052
OCPP_ERRORS = 56
START, STOP, UNLOCK, REFRESH = C1 + 18, C1 + 19, C1 + 20, C1 + 21
TRIGGER_OUTCOME = C1 + 222
CLEAR_CACHE = 7


@dataclass
class Watcher:
    """An origin that remembers what it was told."""

    reports: list[Report] = field(default_factory=list)

    def report(self, command: Command, report: Report, now: float) -> None:
        self.reports.append(report)

    @property
    def states(self) -> list[CommandState]:
        return [report.state for report in self.reports]

    @property
    def last(self) -> Report:
        return self.reports[-1]


def booted(toml: str = "") -> tuple[Kit, WireEnd]:
    kit = Kit(toml)
    end = kit.connect()
    end.boot()
    end.calls()
    return kit, end


def ask(end: WireEnd, key: str = "K", **more: Any) -> Watcher:
    """A GetConfiguration of ours."""
    watcher = Watcher()
    command = Command(CommandCode.GetConfiguration, watcher, key=key, **more)
    end.session.charge_point.offer(command, end.kit.now)
    return watcher


def only(calls: Iterable[Frame]) -> Frame:
    (call,) = calls
    return call


class TestRegistration:
    def test_nothing_goes_out_before_the_boot_is_answered(self) -> None:
        kit = Kit()
        end = kit.connect()
        assert [kit.read(at) for at in (BLOCK_0, REGISTERED, LINK_STATE)] == [1, 0, LinkState.open]
        watcher = ask(end)
        assert watcher.last.error == CommandError.not_registered
        kit.write(UNLOCK, 1)
        assert kit.read(TRIGGER_OUTCOME + 3) == CommandError.not_registered
        assert end.frames() == []
        assert end.boot() == {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 60}
        assert [kit.read(at) for at in (REGISTERED, LINK_STATE)] == [1, LinkState.accepted]

    def test_the_boot_is_answered_before_whatever_it_lets_go_out(self) -> None:
        kit = Kit()
        kit.site.on_registered.append(lambda cp, now: cp.offer(Command(CommandCode.ClearCache, Watcher()), now))
        end = kit.connect()
        end.boot()
        assert [frame[0] for frame in end.frames()] == [3, 2]

    def test_one_that_does_not_boot_counts_as_registered_five_seconds_after_its_first_message(self) -> None:
        kit = Kit()
        end = kit.connect()
        kit.run_for(60)
        assert kit.read(REGISTERED) == 0
        end.send("Heartbeat", {})
        kit.run_for(4.9)
        end.send("Heartbeat", {})
        assert (kit.read(REGISTERED), end.calls()) == (0, [])
        kit.run_for(0.1)
        assert (kit.read(REGISTERED), kit.read(LINK_STATE)) == (1, LinkState.accepted)
        assert kit.read(QUIRKS) & QuirkBits.no_boot_notification
        assert only(end.calls()).payload == {"requestedMessage": "BootNotification"}

    @pytest.mark.parametrize("text", ["garbage", "[]", '[3,"x",{}]', '[2,"x","Unknown",{}]'])
    def test_any_first_message_counts(self, text: str) -> None:
        kit = Kit()
        end = kit.connect()
        end.send_text(text)
        kit.run_for(5)
        assert kit.read(REGISTERED) == 1

    def test_it_is_asked_to_boot_only_once(self) -> None:
        kit = Kit()
        for number in range(3):
            end = kit.connect()
            end.send("Heartbeat", {})
            kit.run_for(36)  # none of its own triggers comes again within 30 s
            asked = [call.payload["requestedMessage"] for call in end.calls()]
            assert asked == (["StatusNotification"] if number else ["BootNotification"])
            end.disconnect()

    def test_who_comes_back_without_a_boot_is_asked_for_a_status_that_nobody_knows(self) -> None:
        kit = Kit()  # the gateway was started anew, the charge point was not
        end = kit.connect()
        end.send("Heartbeat", {})
        kit.run_for(6)
        (boot,) = end.calls()
        end.answer(boot, {"status": "NotImplemented"})
        (status,) = end.calls()
        assert (status.action, status.payload) == ("TriggerMessage", {"requestedMessage": "StatusNotification"})
        end.answer(status, {"status": "Accepted"})
        for connector in (1, 2):
            end.status(connector, "Available")
        end.disconnect()
        end = kit.connect()
        end.send("Heartbeat", {})
        kit.run_for(6)
        assert end.calls() == []

    def test_it_is_not_asked_where_it_must_not_be_asked_anything(self) -> None:
        kit = Kit()
        kit.site.charge_points["CP001"].take_quirks(QuirkProfile(own_questions=False))
        end = kit.connect()
        end.send("Heartbeat", {})
        kit.run_for(6)
        (boot,) = end.calls()
        end.answer(boot, {"status": "NotImplemented"})
        assert end.calls() == []

    def test_a_reconnect_needs_no_boot(self) -> None:
        kit, end = booted()
        end.disconnect()
        assert [kit.read(at) for at in (BLOCK_0, REGISTERED, LINK_STATE)] == [0, 0, LinkState.lost]
        end = kit.connect()
        for connector in (1, 2):
            end.status(connector, "Available")
        kit.run_for(5)
        assert kit.read(REGISTERED) == 1
        assert end.calls() == []
        assert (kit.read(BLOCK_0 + 39), kit.read_32(BLOCK_0 + 40)) == (1, int(kit.epoch) - 5)

    def test_a_boot_in_time_is_no_quirk(self) -> None:
        kit = Kit()
        end = kit.connect()
        end.send("Heartbeat", {})
        kit.run_for(4)
        end.boot()
        kit.run_for(60)
        assert not kit.read(QUIRKS) & QuirkBits.no_boot_notification

    def test_three_boots_in_five_minutes_are_a_loop(self) -> None:
        kit, end = booted()
        kit.run_for(290)
        end.boot()
        kit.run_for(20)
        end.boot()
        assert not kit.read(QUIRKS) & QuirkBits.boot_loop
        kit.run_for(10)
        assert end.boot()["status"] == "Accepted"
        assert kit.read(QUIRKS) & QuirkBits.boot_loop


class TestOneCallAtATime:
    def test_the_next_goes_out_when_the_one_before_is_answered(self) -> None:
        _, end = booted()
        one, two, three = ask(end, "1"), ask(end, "2"), ask(end, "3")
        call = only(end.calls())
        assert (call.action, call.payload) == ("GetConfiguration", {"key": ["1"]})
        assert one.states == [CommandState.queued, CommandState.sent]
        assert two.states == [CommandState.queued]
        end.answer(call, {"configurationKey": [{"key": "1", "readonly": True, "value": "v"}]})
        assert (one.last.state, one.last.r1, one.last.text) == (CommandState.done, 1, "v")
        call = only(end.calls())
        assert call.payload == {"key": ["2"]}
        end.refuse(call, "GenericError")
        call = only(end.calls())
        assert call.payload == {"key": ["3"]}
        end.answer(call, {"unknownKey": ["3"]})
        assert three.last.result == Result.NotFound
        assert end.calls() == []

    def test_ids_are_short_and_never_the_same_also_on_another_connection(self) -> None:
        kit, end = booted()
        ids = []
        for _ in range(2):
            for _ in range(50):
                ask(end)
                call = only(end.calls())
                ids.append(call.id)
                end.answer(call, {})
            end.disconnect()
            end = kit.connect()
            end.boot()
            end.calls()
        assert len(set(ids)) == 100
        assert all(1 <= len(each) <= 36 for each in ids)

    def test_of_a_slot_the_newest_waits_in_the_place_of_the_older(self) -> None:
        kit, end = booted()
        ask(end, "open")
        first = ask(end, "old", slot="a")
        other = ask(end, "other", slot="b")
        newer = ask(end, "new", slot="a")
        assert first.states == [CommandState.queued]
        keys = []
        for call in iter(lambda: end.calls(), []):
            keys.append(call[0].payload["key"])
            end.answer(call[0], {})
        assert keys == [["open"], ["new"], ["other"]]
        assert (newer.last.state, other.last.state) == (CommandState.done, CommandState.done)
        assert first.states == [CommandState.queued]
        kit.run_for(600)
        assert kit.read(TIMEOUTS) == 0

    def test_a_point_that_is_written_all_the_time_does_not_starve(self) -> None:
        _, end = booted()
        ask(end, "open")
        mine = ask(end, "mine", slot="mine")
        for number in range(10):
            ask(end, f"other {number}", slot=f"{number % 3}")
            mine = ask(end, "mine", slot="mine")
        end.answer(only(end.calls()), {})
        assert only(end.calls()).payload == {"key": ["mine"]}
        assert mine.last.state is CommandState.sent

    def test_refresh_asks_two_messages_one_after_the_other(self) -> None:
        kit, end = booted()
        kit.write(REFRESH, 1)
        for expected in ("StatusNotification", "MeterValues"):
            assert kit.read(TRIGGER_OUTCOME + 1) in (CommandState.queued, CommandState.sent)
            call = only(end.calls())
            assert call.payload == {"requestedMessage": expected, "connectorId": 1}
            end.answer(call, {"status": "Accepted"})
        assert kit.read(TRIGGER_OUTCOME, 4) == [CommandCode.TriggerMessage, CommandState.done, Result.Accepted, 0]

    def test_a_second_refresh_while_the_first_waits_still_has_one_outcome(self) -> None:
        kit, end = booted()
        ask(end, "open")
        for value in (1, 0, 1, 0, 1):
            kit.write(REFRESH, value)
        for call in iter(lambda: end.calls(), []):
            assert len(call) == 1
            end.answer(call[0], {"status": "Accepted"})
        assert kit.read(TRIGGER_OUTCOME + 1) == CommandState.done
        assert kit.site.charge_points["CP001"].link is end.session
        assert end.session.waiting == {}

    def test_a_command_goes_out_when_its_acknowledgement_is_on_the_disk(self) -> None:
        kit, end = booted()
        end.frames()
        kit.write(MAILBOX, CLEAR_CACHE)
        kit.write(MAILBOX + 105, 1)
        (word,) = end.session.words
        assert isinstance(word, Send)
        assert (word.durable, word.withheld) == (kit.site.journal.written, False)


class TestRequests:
    @pytest.mark.parametrize(
        ("action", "payload"),
        [
            ("ChangeConfiguration", core.ChangeConfiguration("k" * 51, "v")),
            ("ChangeConfiguration", core.ChangeConfiguration("k", "v" * 501)),
            ("RemoteStartTransaction", core.RemoteStartTransaction("TAG", None)),
            ("RemoteStartTransaction", core.RemoteStartTransaction("T" * 21, 1)),
            ("Reset", core.Reset("Gently")),  # type: ignore[arg-type]
            ("ReserveNow", core.ReserveNow(1, "tomorrow", "TAG", 1)),
        ],
    )
    def test_what_the_standard_forbids_is_a_bad_parameter_and_never_sent(self, action: str, payload: Any) -> None:
        _, end = booted()
        watcher = Watcher()
        end.session.offer(Command(CommandCode.none, watcher, action=action, payload=payload), end.kit.now)
        assert (watcher.last.state, watcher.last.error) == (CommandState.failed, CommandError.bad_parameter)
        assert end.calls() == []

    def test_an_argument_that_is_missing_is_one_too(self) -> None:
        _, end = booted()
        assert ask(end, "").last.error == CommandError.bad_parameter
        assert ask(end, "next").last.state is CommandState.sent


class TestAnswers:
    def test_only_the_id_matches(self) -> None:
        kit, end = booted()
        watcher = ask(end)
        call = only(end.calls())
        for foreign in ("x", call.id + "0", call.id[:-1], call.id.upper() + " "):
            end.send_text(json.dumps([3, foreign, {}]))
        assert watcher.states == [CommandState.queued, CommandState.sent]
        assert kit.read(QUIRKS) & QuirkBits.late_answer
        end.answer(call, {})
        assert watcher.last.state is CommandState.done

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("NotImplemented", CommandError.not_supported),
            ("NotSupported", CommandError.not_supported),
            ("InternalError", CommandError.call_error),
            ("GenericError", CommandError.call_error),
            ("Unheard", CommandError.call_error),
        ],
    )
    def test_a_refusal_fails_the_command(self, code: str, error: CommandError) -> None:
        _, end = booted()
        watcher = ask(end)
        end.refuse(only(end.calls()), code, "because")
        assert (watcher.last.state, watcher.last.error) == (CommandState.failed, error)
        assert watcher.last.text == f"{code} because"

    @pytest.mark.parametrize("rest", ["", ",", ',{"status":', ',{"a":NaN}]', ",{},{}]", ',"\\ud800"]'])
    def test_one_that_came_broken_fails_it_at_once(self, rest: str) -> None:
        kit, end = booted()
        watcher = ask(end)
        end.send_text(f'[3,"{only(end.calls()).id}"{rest}')
        if rest != "":
            assert (watcher.last.state, watcher.last.error) == (CommandState.failed, CommandError.call_error)
        kit.run_for(60)
        assert watcher.last.state is CommandState.failed

    def test_one_of_the_wrong_shape_fails_it(self) -> None:
        kit, end = booted()
        watcher = ask(end)
        end.answer(only(end.calls()), {"configurationKey": [{"readonly": "perhaps"}]})
        assert (watcher.last.state, watcher.last.error) == (CommandState.failed, CommandError.call_error)
        assert kit.read(QUIRKS) & QuirkBits.schema_violation

    def test_one_without_a_status_means_accepted(self) -> None:
        kit, end = booted()
        kit.write(BLOCK_0 + 20, 1)
        end.answer(only(end.calls()), {})
        assert kit.read(BLOCK_0 + 111, 2) == [CommandState.done, Result.Accepted]


class TestSilenceAboutOurCalls:
    def test_a_minute_without_an_answer_is_no_answer(self) -> None:
        kit, end = booted()
        watcher = ask(end)
        kit.run_for(59.9)
        assert watcher.last.state is CommandState.sent
        kit.run_for(0.1)
        assert watcher.last.error == CommandError.no_answer
        assert kit.read(TIMEOUTS) == 1
        assert end.closed is None

    def test_the_timeout_is_configured(self) -> None:
        kit, end = booted("[ocpp]\ncall_timeout_s = 5")
        watcher = ask(end)
        kit.run_for(5)
        assert watcher.last.error == CommandError.no_answer

    def test_a_late_answer_is_matched_to_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        kit, end = booted()
        late = ask(end, "late")
        call = only(end.calls())
        kit.run_for(60)
        then = ask(end, "then")
        with caplog.at_level(logging.INFO):
            end.answer(call, {"configurationKey": [{"key": "late", "readonly": False, "value": "v"}]})
        assert (late.last.error, then.last.state) == (CommandError.no_answer, CommandState.sent)
        assert call.id in caplog.text
        assert kit.read(QUIRKS) & QuirkBits.late_answer

    def test_three_in_a_row_close_the_link_and_nothing_follows(self) -> None:
        kit, end = booted()
        watchers = [ask(end, f"{number}") for number in range(5)]
        for number in range(3):
            assert len(end.calls()) == 1
            assert end.closed is None
            kit.run_for(60)
            assert kit.read(TIMEOUTS) == number + 1
        assert end.calls() == []
        assert end.closed is not None
        assert end.send("Heartbeat", {}) is None  # said after the Close, so it will not be sent
        assert [w.last.error for w in watchers[:3]] == [CommandError.no_answer] * 3
        end.disconnect()
        assert [w.last.error for w in watchers[3:]] == [CommandError.link_lost] * 2
        assert all(watcher.states.count(CommandState.failed) == 1 for watcher in watchers)

    @pytest.mark.parametrize("late", [False, True])
    def test_any_answer_even_a_late_one_starts_the_count_anew(self, late: bool) -> None:
        kit, end = booted()
        for number in range(8):
            ask(end)
            call = only(end.calls())
            if number % 2 == 0 or late:
                kit.run_for(60)
            if number % 2 == 1:
                end.answer(call, {})
        assert end.closed is None
        assert kit.read(TIMEOUTS) == (8 if late else 4)

    def test_it_counts_for_a_refusal_and_for_a_broken_answer_too(self) -> None:
        kit, end = booted()
        for number in range(8):
            ask(end)
            call = only(end.calls())
            if number % 3 == 2:
                end.send_text(f'[4,"{call.id}","x"' if number % 2 else f'[3,"{call.id}",')
            kit.run_for(60)
        assert end.closed is None


class TestTheLinkGoes:
    def test_what_was_open_or_waiting_is_lost_once(self) -> None:
        kit, end = booted()
        sent, waiting = ask(end), ask(end)
        call = only(end.calls())
        end.disconnect()
        end.disconnect()
        for watcher in (sent, waiting):
            assert watcher.last.error == CommandError.link_lost
            assert sum(report.final for report in watcher.reports) == 1
        end.answer(call, {})
        kit.run_for(600)
        assert sum(report.final for report in sent.reports) == 1
        assert kit.read(TIMEOUTS) == 0
        assert ask(end).last.error == CommandError.offline

    def test_closing_the_old_never_clears_the_new(self) -> None:
        kit, old = booted()
        new = kit.connect()
        new.boot()
        watcher = ask(new)
        old.disconnect()
        assert [kit.read(at) for at in (BLOCK_0, REGISTERED, COMM_ERROR)] == [1, 1, 0]
        assert watcher.last.state is CommandState.sent
        old.session.received('[2,"x","BootNotification",{"chargePointVendor":"OLD","chargePointModel":"M"}]', kit.now)
        assert kit.read_text(5700 + 24, 10) == "Kit"
        old.session.went_silent(kit.now)
        assert kit.read(COMM_ERROR) == 0

    def test_what_it_said_last_of_itself_stays(self) -> None:
        kit, end = booted()
        end.status(1, "Charging")
        end.send("MeterValues", {"connectorId": 1, "meterValue": hostile.VALUES})
        end.disconnect()
        assert (kit.read(COMM_ERROR), kit.read(C1 + 9)) == (1, 1)
        assert kit.read(C1 + 32) == Status.Charging
        assert (kit.read_32(C1 + 64), kit.read_32(C1 + 78)) == (1000, 0x80000000)

    def test_silence_shows_and_any_sign_of_life_ends_it(self) -> None:
        kit, end = booted()
        signs: list[Callable[[], None]] = [
            lambda: end.session.heard(kit.now),
            lambda: end.session.round_trip(0.0123, kit.now),
            lambda: end.send_text("garbage"),
        ]
        for sign in signs:
            end.session.went_silent(kit.now)
            assert (kit.read(COMM_ERROR), kit.read(C1 + 9), kit.read(BLOCK_0)) == (1, 1, 1)
            sign()
            assert (kit.read(COMM_ERROR), kit.read(C1 + 9)) == (0, 0)
        assert kit.read(ROUND_TRIP) == 12


class TestBadMessages:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ('[2,"i","Unknown",{}]', "NotImplemented"),
            ('[2,"i","RemoteStartTransaction",{"idTag":"T"}]', "NotImplemented"),
            ('[2,"i","__class__",{}]', "NotImplemented"),
            ('[2,"i","Heartbeat",[]]', "FormationViolation"),
            ('[2,"i","Heartbeat",5]', "FormationViolation"),
            ('[2,"i","Heartbeat"]', "FormationViolation"),
            ('[2,"i","Heartbeat",{},{}]', "FormationViolation"),
            ('[2,"i",null,{}]', "FormationViolation"),
            ('[2,"i","Authorize",' + '{"a":' * 3000 + "1" + "}" * 3000 + "]", "FormationViolation"),
            ('[2,"i","Authorize",{}]', "OccurenceConstraintViolation"),
            ('[2,"i","MeterValues",{"connectorId":1,"meterValue":[]}]', "OccurenceConstraintViolation"),
            ('[2,"i","Authorize",{"idTag":5}]', "TypeConstraintViolation"),
            ('[2,"i","Authorize",{"idTag":["x"]}]', "TypeConstraintViolation"),
            ('[2,"i","Authorize",{"idTag":"' + "x" * 21 + '"}]', "PropertyConstraintViolation"),
            (
                '[2,"i","StartTransaction",{"connectorId":0,"idTag":"T","meterStart":1,"timestamp":"t"}]',
                "PropertyConstraintViolation",
            ),
            ('[2,"i","StatusNotification",{"connectorId":-1,"errorCode":"NoError","status":"Available"}]',
             "PropertyConstraintViolation"),
        ],
    )  # fmt: skip
    def test_a_call_with_a_usable_id_is_answered_with_the_right_code(self, text: str, code: str) -> None:
        kit, end = booted()
        end.send_text(text)
        answer = end.frames()[-1]
        assert answer[:3] == [4, "i", code]
        assert len(answer) == 5
        assert kit.read(OCPP_ERRORS) == 1
        assert kit.read(QUIRKS) == (0 if code == "NotImplemented" else QuirkBits.schema_violation)
        assert end.send("Heartbeat", {}) is not None

    @pytest.mark.parametrize(
        "text",
        ["", "hello", "{}", "null", "[]", "[2]", '[2,"","Heartbeat",{}]', '[2,7,"Heartbeat",{}]', "[2,null,null,{}]",
         '[2,"' + "i" * 37 + '","Heartbeat",{}]', '[9,"i","Heartbeat",{}]', '[2,"i","Heartbeat",{"a":NaN}]',
         '[2,"i","Heartbeat",', b"\xff\xfe\x00", b"", "\x00"],
    )  # fmt: skip
    def test_what_has_no_usable_id_or_is_no_json_is_counted_and_the_link_stays(self, text: str | bytes) -> None:
        kit, end = booted()
        before = len(end.frames())
        end.session.received(text, kit.now)
        assert len(end.frames()) == before
        assert kit.read(OCPP_ERRORS) == 1
        assert kit.read(QUIRKS) & QuirkBits.invalid_json
        assert end.closed is None
        assert end.send("Heartbeat", {}) is not None

    def test_binary_frames_are_read_as_text(self) -> None:
        kit, end = booted()
        end.session.received(b'[2,"i","Heartbeat",{}]', kit.now)
        assert end.answer_to("i") == {"currentTime": "2026-01-01T00:00:00Z"}

    def test_they_are_all_counted_but_not_all_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        kit, end = booted()
        with caplog.at_level(logging.DEBUG):
            for number in range(500):
                end.send_text(f"garbage {number}")
                end.send_text(f'[3,"foreign {number}",{{}}]')
        assert kit.read(OCPP_ERRORS) == 500
        assert len(caplog.records) == LOGGED_FAULTS

    @pytest.mark.parametrize(
        "text",
        [
            '[2,"i","a\\nCRITICAL gatewayd: forged",{}]',
            '[3,"\\nCRITICAL gatewayd: forged",{}]',
            '[2,"i","Authorize",{"idTag":"x","\\nCRITICAL gatewayd: forged":[1,2],"idTag":7}]',
        ],
    )
    def test_no_text_of_a_peer_begins_a_line_of_the_log(self, text: str, caplog: pytest.LogCaptureFixture) -> None:
        _, end = booted()
        with caplog.at_level(logging.DEBUG):
            end.send_text(text)
        assert caplog.records
        assert all("\n" not in record.getMessage() for record in caplog.records)


class TestUnderPressure:
    def test_nothing_grows_with_the_number_of_messages(self) -> None:
        """100 messages a second for ten minutes, all kinds, ours answered and theirs decided by the default."""
        kit, end = booted()
        sizes = []
        for second in range(600):
            for _ in range(25):
                end.send("Heartbeat", {})
                end.send("Authorize", {"idTag": "T"}, "a")
                end.send_text("garbage")
                ask(end, slot="mine")
            end.frames().clear()
            kit.run_for(1)
            kit.site.journal.take(kit.now)
            if second % 100 == 99:
                session = end.session
                sizes.append((len(kit.site.agenda), len(session.asked), len(session.waiting), len(session.starting)))
            if end.closed is not None:
                end.disconnect()
                end = kit.connect()
                end.boot()
        assert max(agenda for agenda, *_ in sizes) < 200
        assert max(size for _, *rest in sizes for size in rest) <= 16

    def test_calls_that_are_answered_at_once_leave_nothing_behind(self) -> None:
        kit, end = booted()
        for _ in range(5000):
            ask(end)
            end.answer(only(end.calls()), {})
        assert len(kit.site.agenda) < 70
        assert end.session.waiting == {}

    def test_nothing_is_said_after_a_close(self) -> None:
        _, end = booted()
        end.frames()
        end.session.close(1008, "not allowed")
        end.session.close(1000, "again")
        end.session.received('[2,"i","Heartbeat",{}]', end.kit.now)
        ask(end)
        assert list(end.session.words) == [Close(1008, "not allowed")]


class TestNothingThatIsSentRaises:
    def readable(self, kit: Kit) -> None:
        for at, quantity in ((0, 105), (3000, 125), (3125, 120), (3300, 125), (3425, 107), (5400, 125), (5700, 95)):
            assert len(kit.bank_1.read(at, quantity)) == 2 * quantity

    @pytest.mark.parametrize("seed", range(4))
    def test_bent_calls_answers_and_noise(self, seed: int) -> None:
        """The registers stay readable, and what the gateway says is JSON."""
        hostile_run.run(1500, seed)

    def test_a_session_that_trusts_its_peer_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def trusting(text: str | bytes) -> frames.Call:
            _, unique_id, action, payload = json.loads(text)
            return frames.Call(unique_id, action, msgspec.Raw(json.dumps(payload).encode()))

        monkeypatch.setattr(frames, "parse", trusting)
        with pytest.raises(ValueError, match=r".") as caught:
            hostile_run.run(1500, 0)
        assert "of seed 0" in caught.value.__notes__[0]

    @given(data=st.one_of(st.binary(max_size=300), st.text(max_size=300)))
    def test_any_bytes_and_any_text(self, data: bytes | str) -> None:
        kit, end = booted()
        end.session.received(data, kit.now)
        self.readable(kit)

    @given(
        action=st.sampled_from([*hostile.GOOD, "Unknown"]),
        payload=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
            max_leaves=12,
        ),
    )
    def test_any_payload_gets_one_answer(self, action: str, payload: Any) -> None:
        kit, end = booted()
        before = len(end.frames())
        end.session.received(json.dumps([2, "i", action, payload]), kit.now)
        kit.run_for(9)
        later = end.frames()[before:]
        nan = any(word in json.dumps(payload) for word in ("NaN", "Infinity"))
        assert [frame[1] for frame in later if frame[0] != 2] == ([] if nan and not later else ["i"])


def test_a_link_with_a_boot_message_of_every_kind_of_trigger() -> None:
    """Own Boot trigger: only where no Boot was ever heard; its refusal changes nothing."""
    kit = Kit()
    end = kit.connect()
    end.send("Heartbeat", {})
    kit.run_for(5)
    call = only(end.calls())
    assert call.payload["requestedMessage"] == TriggerCode.BootNotification.name
    end.refuse(call, "NotImplemented")
    assert kit.read(REGISTERED) == 1
    assert isinstance(kit.site.charge_points["CP001"].link, Session)


# --- what was lost on the way -------------------------------------------------------------------------------------


def unreadable(cp: WireEnd) -> None:
    cp.send_text('[2,"8c8c3fcf-7ad0-4d61')


def test_who_said_something_unreadable_is_asked_for_its_statuses_once_it_is_calm() -> None:
    kit, cp = booted()
    for _ in range(5):
        unreadable(cp)
        kit.run_for(1)
    assert cp.calls() == []
    kit.run_for(own_triggers.CALM_S)
    (call,) = cp.calls()
    assert (call.action, call.payload) == ("TriggerMessage", {"requestedMessage": "StatusNotification"})
    cp.answer(call, {"status": "Accepted"})
    unreadable(cp)
    kit.run_for(own_triggers.PAUSE_S + 1)
    assert [call.action for call in cp.calls()] == ["TriggerMessage"]


def test_who_answers_nothing_is_not_asked_on_and_on_and_keeps_its_link() -> None:
    kit, cp = booted("[ocpp]\ncall_timeout_s = 10\n")
    asked = 0
    for _ in range(20):
        unreadable(cp)
        kit.run_for(30)
        asked += len(cp.calls())
    assert asked == 1
    assert cp.closed is None


def test_a_status_that_comes_again_does_not_come_before_the_one_of_the_same_instant() -> None:
    """Two statuses of one instant, and the first once more, id and all: the second is the newer one."""
    kit, cp = booted()
    stamp = kit.stamp()
    for unique_id, status in (("1", "Finishing"), ("2", "Available"), ("1", "Finishing")):
        payload = {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": stamp}
        assert cp.send("StatusNotification", payload, unique_id) == {}
        kit.run_for(10)
    assert kit.read(C1 + 32) == Status.Available
    for status in ("Finishing", "Available", "Finishing"):  # one that numbers nothing and dates nothing is believed
        payload = {"connectorId": 1, "errorCode": "NoError", "status": status}
        assert cp.send("StatusNotification", payload, "1") == {}
    assert kit.read(C1 + 32) == Status.Finishing
