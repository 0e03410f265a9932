"""The decision mailbox, rule by rule, from the wire to the registers and back (modbus.md, Decision mailbox)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from gatewayd.assembly import restore_site
from gatewayd.ocpp.session import Send
from gatewayd.services.ledger.writer import Ledger
from gatewayd.site.codes import (
    Authorization,
    DecisionDefault,
    RequestType,
    ResponseState,
    ResponseStatus,
    StopReason,
)
from gatewayd.site.decision import INFORMATIVE_MAX, WAITING_MAX
from gatewayd.site.journal import SaveFact
from gatewayd.site.tag_list import Tag
from tests.kit import EPOCH, Kit, WireEnd

DECISION_TIMEOUT, DECISION_DEFAULT, DECISION_MASK = 17, 18, 34
BLOCK_0 = 3000
PENDING, TYPE, TIME_LEFT, RESPONSE, STATE, LOST = 3005, 3061, 3063, 3088, 3103, 3104
SEQUENCE, RESPONSE_SEQUENCE = 3060, 3102
CONNECTOR_1 = 3300
ASKING = "[ocpp]\nask_bms = ['DataTransfer', 'SignCertificate']\n"
EVERYONE_ELSE = set(ResponseStatus) - set(range(1, 6))


def booted(toml: str = "") -> tuple[Kit, WireEnd]:
    kit = Kit(toml)
    end = kit.connect()
    end.boot()
    return kit, end


def respond(
    kit: Kit, status: int, sequence: int, *, flags: int = 0, expiry: int = 0, parent: str = "", at: int = RESPONSE
) -> None:
    """The whole answer in one FC16 of 15 registers."""
    text = parent.encode().ljust(20, b"\0")
    letters = [int.from_bytes(text[i : i + 2], "big") for i in range(0, 20, 2)]
    kit.write(at, status, flags, expiry >> 16, expiry & 0xFFFF, *letters, sequence)


def start_payload(kit: Kit, connector: int = 1, meter: int = 1000, tag: str = "TAG", **more: Any) -> dict[str, Any]:
    return {"connectorId": connector, "idTag": tag, "meterStart": meter, "timestamp": kit.stamp()} | more


def stop_payload(kit: Kit, transaction: int, meter: int, **more: Any) -> dict[str, Any]:
    return {"transactionId": transaction, "meterStop": meter, "timestamp": kit.stamp()} | more


def accept_all(kit: Kit) -> None:
    kit.write(DECISION_DEFAULT, DecisionDefault.accept)
    kit.write(DECISION_TIMEOUT, 10)


def session(kit: Kit, end: WireEnd, meter: int = 1000, connector: int = 1) -> int:
    """A transaction that the default accepted; its id."""
    end.send("StartTransaction", start_payload(kit, connector, meter), f"start-{kit.now}-{connector}")
    kit.run_for(1)
    answer = end.answer_to(f"start-{kit.now - 1}-{connector}")
    assert answer["idTagInfo"]["status"] == "Accepted"
    transaction: int = answer["transactionId"]
    return transaction


async def restarted(kit: Kit, directory: Path, toml: str = "") -> Kit:
    """The gateway after a clean stop and a new start."""
    path = directory / "ledger.sqlite"
    async with trio.open_nursery() as nursery:
        await nursery.start(Ledger(path).run, kit.site.journal)
        nursery.cancel_scope.cancel()
    new = Kit(toml)
    restore_site(new.site, Ledger(path).load())
    return new


class TestARequestThatWaits:
    def test_stands_in_registers_until_the_bms_decides(self) -> None:
        kit, end = booted()
        assert kit.read(SEQUENCE, 2) == [0, 0]
        assert end.send("Authorize", {"idTag": "TAG"}, "a") is None
        sequence = kit.read(SEQUENCE)
        assert sequence != 0
        assert kit.read(TYPE) == RequestType.Authorize
        assert (kit.read(PENDING), kit.read_32(DECISION_MASK), kit.read(TIME_LEFT)) == (1, 1, 80)
        assert kit.read_text(BLOCK_0 + 74, 10) == "TAG"
        assert kit.read_32(BLOCK_0 + 64) == EPOCH
        kit.run_for(3)
        assert kit.read(TIME_LEFT) == 50
        respond(kit, ResponseStatus.Accepted, sequence)
        assert end.answer_to("a") == {"idTagInfo": {"status": "Accepted"}}
        assert kit.read(STATE) == ResponseState.sent
        assert (kit.read(PENDING), kit.read_32(DECISION_MASK), kit.read(SEQUENCE), kit.read(TYPE)) == (0, 0, 0, 0)
        kit.run_for(60)
        assert kit.read(STATE) == ResponseState.sent
        assert len([frame for frame in end.frames() if frame[1] == "a"]) == 1

    def test_may_be_answered_register_by_register(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        kit.write(RESPONSE, ResponseStatus.Blocked)
        assert end.answer_to("a") is None
        kit.write(RESPONSE_SEQUENCE, kit.read(SEQUENCE))
        assert end.answer_to("a") == {"idTagInfo": {"status": "Blocked"}}

    @pytest.mark.parametrize("status", [ResponseStatus(code) for code in range(1, 6)])
    def test_is_answered_with_status_expiry_and_parent(self, status: ResponseStatus) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        respond(kit, status, kit.read(SEQUENCE), expiry=int(EPOCH) + 3600, parent="PARENT")
        assert end.answer_to("a")["idTagInfo"] == {
            "status": status.name,
            "expiryDate": "2026-01-01T01:00:00Z",
            "parentIdTag": "PARENT",
        }

    @pytest.mark.parametrize("status", sorted(EVERYONE_ELSE | {999}))
    def test_is_refused_by_a_status_of_another_kind(self, status: int) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        respond(kit, status, kit.read(SEQUENCE))
        assert end.answer_to("a") == {"idTagInfo": {"status": "Invalid"}}

    def test_of_a_start_shows_connector_meter_and_reservation(self) -> None:
        kit, end = booted()
        payload = start_payload(kit, 2, 123_456, reservationId=77)
        assert end.send("StartTransaction", payload, "s") is None
        assert kit.read(TYPE, 2) == [RequestType.StartTransaction, 2]
        assert kit.read_32(BLOCK_0 + 66) == 123_456
        assert kit.read_32(BLOCK_0 + 70) == 77
        respond(kit, ResponseStatus.Accepted, kit.read(SEQUENCE))
        assert end.answer_to("s")["transactionId"] > 0
        assert kit.read(CONNECTOR_1 + 300 + 5) == 1

    def test_a_start_that_is_refused_gets_an_id_and_the_refusal(self) -> None:
        kit, end = booted()
        end.send("StartTransaction", start_payload(kit), "s")
        respond(kit, ResponseStatus.ConcurrentTx, kit.read(SEQUENCE))
        answer = end.answer_to("s")
        assert answer["idTagInfo"] == {"status": "ConcurrentTx"}
        assert answer["transactionId"] > 0

    def test_waits_behind_the_one_before_and_is_shown_after_it(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "ONE"}, "1")
        first = kit.read(SEQUENCE)
        kit.run_for(2)
        end.send("Authorize", {"idTag": "TWO"}, "2")
        assert kit.read_text(BLOCK_0 + 74, 10) == "ONE"
        respond(kit, ResponseStatus.Accepted, first)
        assert kit.read_text(BLOCK_0 + 74, 10) == "TWO"
        assert kit.read(SEQUENCE) not in (0, first)
        assert kit.read(STATE) == ResponseState.idle
        assert (kit.read(PENDING), kit.read(TIME_LEFT)) == (1, 80)
        respond(kit, ResponseStatus.Invalid, kit.read(SEQUENCE))
        assert [end.answer_to(i)["idTagInfo"]["status"] for i in "12"] == ["Accepted", "Invalid"]
        assert kit.read(STATE) == ResponseState.sent

    def test_a_new_request_sets_the_state_back_to_idle(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "ONE"}, "1")
        respond(kit, ResponseStatus.Accepted, kit.read(SEQUENCE))
        assert kit.read(STATE) == ResponseState.sent
        end.send("Authorize", {"idTag": "TWO"}, "2")
        assert kit.read(STATE) == ResponseState.idle

    def test_goes_with_its_link_and_the_next_is_shown_to_the_next_link(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "GONE"}, "1")
        gone = kit.read(SEQUENCE)
        end.disconnect()
        assert (kit.read(PENDING), kit.read(SEQUENCE)) == (0, 0)
        again = kit.connect()
        again.boot()
        respond(kit, ResponseStatus.Accepted, gone)
        assert kit.read(STATE) == ResponseState.too_late
        again.send("Authorize", {"idTag": "HERE"}, "2")
        assert kit.read(STATE) == ResponseState.idle
        respond(kit, ResponseStatus.Accepted, kit.read(SEQUENCE))
        assert again.answer_to("2")["idTagInfo"]["status"] == "Accepted"
        kit.run_for(60)
        assert end.answer_to("1") is None

    def test_an_older_link_takes_only_its_own_along(self) -> None:
        kit, old = booted()
        old.send("Authorize", {"idTag": "OLD"}, "1")
        new = kit.connect()
        new.send("Authorize", {"idTag": "NEW"}, "2")
        kit.write(RESPONSE_SEQUENCE, 9)
        assert kit.read(STATE) == ResponseState.bad_sequence
        old.disconnect()
        assert kit.read_text(BLOCK_0 + 74, 10) == "NEW"
        assert kit.read(STATE) == ResponseState.idle
        respond(kit, ResponseStatus.Accepted, kit.read(SEQUENCE))
        assert new.answer_to("2")["idTagInfo"]["status"] == "Accepted"

    def test_a_flood_is_answered_with_the_default_at_once(self) -> None:
        kit, end = booted()
        for number in range(WAITING_MAX):
            assert end.send("Authorize", {"idTag": "TAG"}, f"{number}") is None
        before = kit.site.journal.written
        for number in range(1000):
            assert end.send("Authorize", {"idTag": "TAG"}, f"more-{number}") == {"idTagInfo": {"status": "Invalid"}}
        assert kit.site.journal.written == before
        assert kit.read(56) == 1000  # ocpp_errors
        kit.run_for(8)
        assert all(end.answer_to(f"{number}") is not None for number in range(WAITING_MAX))
        assert end.session.asked == []

    def test_what_was_answered_is_forgotten(self) -> None:
        kit, end = booted()
        for number in range(100):
            end.send("Authorize", {"idTag": "TAG"}, f"{number}")
            respond(kit, ResponseStatus.Accepted, kit.read(SEQUENCE))
        assert end.session.asked == []
        assert len(kit.site.agenda) < 70


class TestAResponse:
    def test_that_comes_after_the_deadline_is_too_late(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        sequence = kit.read(SEQUENCE)
        kit.run_for(7.9)
        assert end.answer_to("a") is None
        kit.run_for(0.2)
        assert end.answer_to("a") == {"idTagInfo": {"status": "Invalid"}}
        assert kit.read(STATE) == ResponseState.default_used
        respond(kit, ResponseStatus.Accepted, sequence)
        assert kit.read(STATE) == ResponseState.too_late
        assert len([frame for frame in end.frames() if frame[1] == "a"]) == 1

    def test_with_a_wrong_sequence_is_ignored(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        sequence = kit.read(SEQUENCE)
        respond(kit, ResponseStatus.Accepted, sequence + 1)
        assert kit.read(STATE) == ResponseState.bad_sequence
        assert (end.answer_to("a"), kit.read(PENDING)) == (None, 1)
        respond(kit, ResponseStatus.Accepted, sequence)
        assert end.answer_to("a") == {"idTagInfo": {"status": "Accepted"}}
        assert kit.read(STATE) == ResponseState.sent

    def test_a_sequence_that_was_wrong_once_may_be_right_later(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        wrong = kit.read(SEQUENCE) + 1
        respond(kit, ResponseStatus.Accepted, wrong)
        kit.run_for(9)
        end.send("Authorize", {"idTag": "TAG"}, "b")
        assert kit.read(SEQUENCE) == wrong
        respond(kit, ResponseStatus.Accepted, wrong)
        assert end.answer_to("b") == {"idTagInfo": {"status": "Accepted"}}

    def test_written_again_and_again_does_nothing_more(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        sequence = kit.read(SEQUENCE)
        for _ in range(3):
            respond(kit, ResponseStatus.Accepted, sequence)
            assert kit.read(STATE) == ResponseState.sent
        assert len([frame for frame in end.frames() if frame[1] == "a"]) == 1
        end.send("Authorize", {"idTag": "TAG"}, "b")
        respond(kit, ResponseStatus.Accepted, sequence)
        assert end.answer_to("b") is None
        assert kit.read(STATE) == ResponseState.idle

    def test_of_zero_is_no_response(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        respond(kit, ResponseStatus.Accepted, 0)
        assert (end.answer_to("a"), kit.read(STATE)) == (None, ResponseState.idle)

    def test_to_nothing_is_a_bad_sequence(self) -> None:
        kit, _ = booted()
        respond(kit, ResponseStatus.Accepted, 17)
        assert kit.read(STATE) == ResponseState.bad_sequence

    def test_may_have_the_gateway_remember_the_tag(self) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        respond(kit, ResponseStatus.Accepted, kit.read(SEQUENCE), flags=1, expiry=int(EPOCH) + 100, parent="UP")
        assert kit.site.tags.find("tag") == Tag("TAG", Authorization.Accepted, int(EPOCH) + 100, "UP")
        end.send("Authorize", {"idTag": "TAG"}, "b")
        kit.run_for(8)
        assert end.answer_to("b")["idTagInfo"]["status"] == "Accepted"

    @pytest.mark.parametrize("status", sorted(EVERYONE_ELSE))
    def test_of_another_kind_is_not_remembered(self, status: int) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        respond(kit, status, kit.read(SEQUENCE), flags=1)
        assert kit.site.tags.find("TAG") is None
        end.send("Authorize", {"idTag": "TAG"}, "b")
        kit.run_for(8)
        assert end.answer_to("b")["idTagInfo"]["status"] == "Invalid"

    def test_to_an_informative_request_remembers_nothing(self) -> None:
        kit, end = booted()
        accept_all(kit)
        end.send("StopTransaction", stop_payload(kit, session(kit, end), 1100))
        respond(kit, ResponseStatus.Accepted, kit.read(SEQUENCE), flags=1)
        assert kit.site.tags.find("TAG") is None


LISTED = {"GOOD": (Authorization.Accepted, 0), "BAD": (Authorization.Blocked, 0), "OLD": (Authorization.Accepted, 1)}
DEFAULTS = [
    (DecisionDefault.reject, {"GOOD": "Invalid", "BAD": "Invalid", "OLD": "Invalid", "NEW": "Invalid"}),
    (DecisionDefault.accept, {"GOOD": "Accepted", "BAD": "Accepted", "OLD": "Accepted", "NEW": "Accepted"}),
    (DecisionDefault.list_then_reject, {"GOOD": "Accepted", "BAD": "Blocked", "OLD": "Expired", "NEW": "Invalid"}),
    (DecisionDefault.list_then_accept, {"GOOD": "Accepted", "BAD": "Blocked", "OLD": "Expired", "NEW": "Accepted"}),
]


@pytest.mark.parametrize("operation", ["Authorize", "StartTransaction"])
@pytest.mark.parametrize(("policy", "expected"), DEFAULTS)
def test_a_silent_bms_lets_the_default_decide(
    policy: DecisionDefault, expected: dict[str, str], operation: str
) -> None:
    kit, end = booted()
    for tag, (status, expired) in LISTED.items():
        kit.site.tags.put(Tag(tag, status, int(EPOCH) - 1 if expired else 0), kit.site.journal)
    kit.write(DECISION_DEFAULT, policy)
    kit.write(DECISION_TIMEOUT, 10)
    for connector, (tag, answer) in enumerate(expected.items()):
        payload = start_payload(kit, 1 + connector % 2, tag=tag.lower()) if operation != "Authorize" else {"idTag": tag}
        assert end.send(operation, payload, tag) is None
        kit.run_for(1)
        assert end.answer_to(tag)["idTagInfo"]["status"] == answer
        assert kit.read(STATE) == ResponseState.default_used


class TestOurOwnRemoteStart:
    def sent(self) -> tuple[Kit, WireEnd]:
        kit, end = booted()
        kit.write_text(CONNECTOR_1 + 108, "MINE", 10)
        kit.write(CONNECTOR_1 + 18, 1)
        (call,) = end.calls()
        assert call.payload == {"idTag": "MINE", "connectorId": 1}
        end.answer(call, {"status": "Accepted"})
        return kit, end

    def test_needs_nobodys_decision_for_five_minutes(self) -> None:
        kit, end = self.sent()
        assert end.send("Authorize", {"idTag": "mine"}) == {"idTagInfo": {"status": "Accepted"}}
        kit.run_for(299)
        answer = end.send("StartTransaction", start_payload(kit, tag="Mine"))
        assert answer["idTagInfo"] == {"status": "Accepted"}
        assert kit.read(SEQUENCE) == 0
        kit.run_for(2)
        assert end.send("Authorize", {"idTag": "MINE"}) is None

    def test_is_of_that_connector_and_tag_only(self) -> None:
        kit, end = self.sent()
        assert end.send("StartTransaction", start_payload(kit, 2, tag="MINE")) is None
        assert end.send("StartTransaction", start_payload(kit, 1, tag="OTHER")) is None

    def test_counts_from_when_it_went_out(self) -> None:
        kit, end = booted()
        kit.write(CONNECTOR_1 + 20, 1)  # an UnlockConnector is open, so the start waits
        kit.write(CONNECTOR_1 + 18, 1)
        assert end.send("Authorize", {"idTag": "GATEWAY"}) is None
        end.answer(end.calls()[0], {"status": "Unlocked"})
        assert end.send("Authorize", {"idTag": "GATEWAY"}) == {"idTagInfo": {"status": "Accepted"}}


class TestAStartThatIsRepeated:
    def test_is_answered_as_before_and_not_asked_again(self) -> None:
        kit, end = booted()
        payload = start_payload(kit)
        end.send("StartTransaction", payload, "1")
        respond(kit, ResponseStatus.Blocked, kit.read(SEQUENCE))
        first = end.answer_to("1")
        assert end.send("StartTransaction", payload, "2") == first
        assert kit.read(SEQUENCE) == 0

    def test_also_on_another_connection_and_after_its_end(self) -> None:
        kit, end = booted()
        accept_all(kit)
        payload = start_payload(kit)
        end.send("StartTransaction", payload, "1")
        kit.run_for(1)
        first = end.answer_to("1")
        end.send("StopTransaction", stop_payload(kit, first["transactionId"], 1500))
        end.disconnect()
        again = kit.connect()
        assert again.send("StartTransaction", payload, "2") == first
        assert kit.read(CONNECTOR_1 + 5) == 0
        assert kit.read_32(CONNECTOR_1 + 228) == 1

    async def test_also_after_a_restart_of_the_gateway(self, tmp_path: Path) -> None:
        kit, end = booted()
        accept_all(kit)
        payload = start_payload(kit)
        end.send("StartTransaction", payload, "1")
        kit.run_for(1)
        first = end.answer_to("1")
        kit = await restarted(kit, tmp_path)
        end = kit.connect()
        assert end.send("StartTransaction", payload, "2") == first
        assert kit.read_32(CONNECTOR_1 + 40) == first["transactionId"]

    def test_while_it_waits_is_one_question_with_two_answers(self) -> None:
        kit, end = booted()
        payload = start_payload(kit)
        for number in range(3):
            assert end.send("StartTransaction", payload, f"{number}") is None
        sequence = kit.read(SEQUENCE)
        respond(kit, ResponseStatus.Accepted, sequence)
        answers = [end.answer_to(f"{number}") for number in range(3)]
        assert answers[0]["transactionId"] > 0
        assert answers == [answers[0]] * 3
        assert (kit.read(SEQUENCE), kit.read_32(CONNECTOR_1 + 228)) == (0, 0)
        assert end.session.starting == {}

    def test_is_a_quirk(self) -> None:
        kit, end = booted()
        accept_all(kit)
        payload = start_payload(kit)
        end.send("StartTransaction", payload)
        assert kit.read(BLOCK_0 + 44) & 1 << 11 == 0
        end.send("StartTransaction", payload)
        assert kit.read(BLOCK_0 + 44) & 1 << 11


class TestAnInformativeRequest:
    def test_is_answered_at_once_and_stays_until_it_is_confirmed(self) -> None:
        kit, end = booted()
        accept_all(kit)
        started = kit.epoch
        transaction = session(kit, end, 5000)
        kit.run_for(600)
        payload = stop_payload(kit, transaction, 7345, idTag="OTHER", reason="EVDisconnected")
        assert end.send("StopTransaction", payload) == {"idTagInfo": {"status": "Accepted"}}
        sequence = kit.read(SEQUENCE)
        assert kit.read(TYPE, 2) == [RequestType.StopTransaction, 1]
        assert kit.read_32(BLOCK_0 + 64) == int(kit.epoch)
        assert kit.read_32(BLOCK_0 + 66) == 7345
        assert kit.read_32(BLOCK_0 + 68, signed=True) == transaction
        assert kit.read(BLOCK_0 + 72) == StopReason.EVDisconnected
        assert kit.read_text(BLOCK_0 + 74, 10) == "OTHER"
        assert kit.read_32(BLOCK_0 + 84) == 2345
        assert kit.read_32(BLOCK_0 + 86) == int(started)
        assert (kit.read(PENDING), kit.read_32(DECISION_MASK), kit.read(TIME_LEFT)) == (0, 0, 0)
        kit.run_for(3600)
        assert kit.read(SEQUENCE) == sequence
        respond(kit, ResponseStatus.unset, sequence)
        assert kit.read(SEQUENCE, 2) == [0, 0]

    def test_touches_neither_pending_nor_the_state(self) -> None:
        kit, end = booted()
        accept_all(kit)
        transaction = session(kit, end)
        assert kit.read(STATE) == ResponseState.default_used
        end.send("StopTransaction", stop_payload(kit, transaction, 1100))
        assert (kit.read(STATE), kit.read(PENDING)) == (ResponseState.default_used, 0)
        respond(kit, ResponseStatus.unset, kit.read(SEQUENCE))
        assert kit.read(STATE) == ResponseState.default_used

    def test_comes_after_those_that_wait(self) -> None:
        kit, end = booted()
        accept_all(kit)
        end.send("StopTransaction", stop_payload(kit, session(kit, end), 1100))
        informative = kit.read(SEQUENCE)
        end.send("Authorize", {"idTag": "TAG"}, "a")
        asked = kit.read(SEQUENCE)
        assert kit.read(TYPE) == RequestType.Authorize
        respond(kit, ResponseStatus.Accepted, informative)  # too early: it is not shown
        assert kit.read(STATE) == ResponseState.bad_sequence
        respond(kit, ResponseStatus.Accepted, asked)
        assert end.answer_to("a")["idTagInfo"]["status"] == "Accepted"
        assert kit.read(SEQUENCE) == informative
        assert kit.read(STATE) == ResponseState.sent
        respond(kit, ResponseStatus.unset, informative)
        assert kit.read(SEQUENCE) == 0

    def test_the_queue_holds_sixteen_and_counts_what_falls_out(self) -> None:
        kit, end = booted()
        accept_all(kit)
        for number in range(INFORMATIVE_MAX + 3):
            end.send("StopTransaction", stop_payload(kit, session(kit, end, number), number + 1))
        assert kit.read(LOST) == 3
        metres = []
        while kit.read(SEQUENCE):
            metres.append(kit.read_32(BLOCK_0 + 66))
            respond(kit, ResponseStatus.unset, kit.read(SEQUENCE))
        assert metres == [number + 1 for number in range(3, INFORMATIVE_MAX + 3)]

    async def test_survives_a_restart_and_so_does_its_confirmation(self, tmp_path: Path) -> None:
        kit, end = booted()
        accept_all(kit)
        for meter in (1100, 1200, 1300):
            end.send("StopTransaction", stop_payload(kit, session(kit, end, meter - 100), meter))
        first = kit.read(SEQUENCE)
        respond(kit, ResponseStatus.unset, first)
        shown = kit.read(SEQUENCE, 28)
        kit = await restarted(kit, tmp_path)
        assert kit.read(SEQUENCE, 28) == shown
        respond(kit, ResponseStatus.unset, kit.read(SEQUENCE))
        assert kit.read_32(BLOCK_0 + 66) == 1300


class TestSequences:
    def test_are_durable_before_the_answer_goes_out(self) -> None:
        kit, end = booted()
        end.session.received('[2,"a","Authorize",{"idTag":"TAG"}]', kit.now)
        sequence = kit.read(SEQUENCE)
        entries = kit.site.journal.waiting
        number = entries.index(SaveFact("request_sequence/1", sequence)) + 1
        end.session.words.clear()
        respond(kit, ResponseStatus.Accepted, sequence)
        (word,) = end.session.words
        assert isinstance(word, Send)
        assert word.durable >= number
        assert not word.withheld  # while the disk fails, all but transactions is answered still

    async def test_go_on_after_a_restart_and_an_old_response_answers_nothing(self, tmp_path: Path) -> None:
        kit, end = booted()
        end.send("Authorize", {"idTag": "TAG"}, "a")
        old = kit.read(SEQUENCE)
        kit = await restarted(kit, tmp_path)
        assert kit.read(SEQUENCE) == 0
        respond(kit, ResponseStatus.Accepted, old)
        end = kit.connect()
        end.send("Authorize", {"idTag": "TAG"}, "b")
        assert kit.read(SEQUENCE) == old + 1
        respond(kit, ResponseStatus.Accepted, old)
        assert end.answer_to("b") is None

    def test_wrap_without_a_zero_and_without_not_available(self) -> None:
        kit, end = booted()
        kit.site.charge_points["CP001"].decisions.sequence = 65533
        seen = []
        for number in range(3):
            end.send("Authorize", {"idTag": "TAG"}, f"{number}")
            seen.append(kit.read(SEQUENCE))
            respond(kit, ResponseStatus.Accepted, seen[-1])
            assert end.answer_to(f"{number}")["idTagInfo"]["status"] == "Accepted"
        assert seen == [65534, 1, 2]


class TestWhatElseTheBmsMayDecide:
    def test_a_data_transfer_is_unknown_unless_it_is_asked(self) -> None:
        kit, end = booted()
        assert end.send("DataTransfer", {"vendorId": "V", "data": "x"}) == {"status": "UnknownVendorId"}
        assert kit.read(SEQUENCE) == 0

    @pytest.mark.parametrize("status", ["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"])
    def test_a_data_transfer_shows_key_and_text_and_answers_with_text(self, status: str) -> None:
        kit, end = booted(ASKING)
        assert end.send("DataTransfer", {"vendorId": "V", "messageId": "M", "data": "question"}, "d") is None
        assert kit.read(TYPE) == RequestType.DataTransfer
        assert kit.read_text(BLOCK_0 + 120, 25) == "V/M"
        assert kit.read_text(BLOCK_0 + 145, 50) == "question"
        kit.write_text(BLOCK_0 + 195, "answer", 50)
        respond(kit, ResponseStatus[status], kit.read(SEQUENCE))
        assert end.answer_to("d") == {"status": status, "data": "answer"}

    @pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid", "ConcurrentTx", "unset"])
    def test_a_data_transfer_is_refused_by_a_status_of_another_kind(self, status: str) -> None:
        kit, end = booted(ASKING)
        end.send("DataTransfer", {"vendorId": "V"}, "d")
        assert kit.read_text(BLOCK_0 + 120, 25) == "V"
        respond(kit, ResponseStatus[status], kit.read(SEQUENCE))
        assert end.answer_to("d") == {"status": "UnknownVendorId"}

    @pytest.mark.parametrize("policy", list(DecisionDefault))
    def test_what_nobody_understood_is_never_accepted_by_default(self, policy: DecisionDefault) -> None:
        kit, end = booted(ASKING)
        kit.write(DECISION_DEFAULT, policy)
        end.send("DataTransfer", {"vendorId": "V"}, "d")
        end.send("SignCertificate", {"csr": "-----BEGIN"}, "c")
        kit.run_for(9)
        assert end.answer_to("d") == {"status": "UnknownVendorId"}
        assert end.answer_to("c") == {"status": "Rejected"}

    def test_a_text_longer_than_its_registers_is_cut(self) -> None:
        kit, end = booted(ASKING)
        end.send("DataTransfer", {"vendorId": "V" * 255, "messageId": "M" * 50, "data": "é" + "x" * 5000}, "d")
        assert kit.read_text(BLOCK_0 + 120, 25) == "V" * 50
        assert kit.read_text(BLOCK_0 + 145, 50) == "?" + "x" * 99

    def test_a_boot_is_never_asked(self) -> None:
        kit, end = booted(ASKING)
        assert end.boot()["status"] == "Accepted"
        assert kit.read(SEQUENCE) == 0
