"""The list mailbox, from the registers to the frames and back (modbus.md, Local list)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.assembly import build_site, build_units, restore_site
from gatewayd.services.ledger.database import Restored
from gatewayd.site.codes import Authorization, CommandError, CommandState, Result
from gatewayd.site.journal import ClearTags, SaveFact, SaveTag
from gatewayd.site.quirk_profile import QuirkProfile
from gatewayd.site.tag_list import Tag
from tests.kit import EPOCH, START, Frame, Kit, WireEnd
from tests.ocpp.standard import is_valid
from tests.site.gateway_block import PLACES, read, registers, write

PUT, DELETE, CLEAR, SEND_FULL, SEND_DIFFERENTIAL, READ = 1, 2, 3, 4, 5, 6
FIRST = PLACES["list_operation"].address
DONE = (CommandState.done, Result.Accepted, CommandError.none)
SENT = (CommandState.sent, Result.none, CommandError.none)
BAD = (CommandState.failed, Result.none, CommandError.bad_parameter)


class Bms:
    """Uses the list mailbox; numbers its commits."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.sequence = 0

    def commit(self, operation: int, **fields: int | str) -> None:
        """Fill the whole mailbox and commit, with one FC16 of 29 registers."""
        self.sequence += 1
        content = bytearray(2 * 29)
        named = {f"list_{name}": value for name, value in fields.items()}
        for name, value in (named | {"list_operation": operation, "list_commit": self.sequence}).items():
            at = 2 * (PLACES[name].address - FIRST)
            data = registers(name, value)
            content[at : at + len(data)] = data
        self.kit.bank_1.write(FIRST, bytes(content), "bms", self.kit.now)

    def put(self, *id_tags: str, status: int = Authorization.Accepted) -> None:
        for id_tag in id_tags:
            self.commit(PUT, id_tag=id_tag, status=status)
            assert self.outcome() == DONE

    def outcome(self) -> tuple[int | str, ...]:
        """State, result, error."""
        return tuple(read(self.kit, f"list_{name}") for name in ("state", "result", "error"))

    def count(self) -> int | str:
        return read(self.kit, "list_count")

    def entry(self, index: int) -> tuple[int | str, ...] | None:
        """Tag, parent, status and expiry that stand at that place of the list."""
        self.commit(READ, index=index)
        if self.outcome() != DONE:
            assert self.outcome() == (CommandState.failed, Result.NotFound, CommandError.none)
            return None
        return tuple(read(self.kit, f"list_{name}") for name in ("id_tag", "parent_id_tag", "status", "expiry"))

    def id_tags(self) -> list[int | str]:
        return [entry[0] for index in range(int(self.count())) if (entry := self.entry(index)) is not None]


def ready(toml: str = "", size: int | None = 20) -> tuple[Kit, Bms, WireEnd]:
    """CP001 is connected and registered, and takes `size` entries a message; None: that is not known yet."""
    kit = Kit(toml)
    end = kit.connect()
    end.boot()
    kit.site.charge_points["CP001"].send_list_max_length = size
    return kit, Bms(kit), end


def only_call(end: WireEnd) -> Frame:
    """The one Call that went out, valid by the standard's schema."""
    (call,) = end.calls()
    assert is_valid(call.action, call.payload), call
    return call


def sent(call: Frame) -> tuple[str, int, list[str]]:
    """Update type, version, and the tags, those to delete with a minus."""
    assert call.action == "SendLocalList"
    entries = call.payload["localAuthorizationList"]
    tags = [entry["idTag"] if "idTagInfo" in entry else f"-{entry['idTag']}" for entry in entries]
    return call.payload["updateType"], call.payload["listVersion"], tags


def deliver(end: WireEnd, *statuses: str) -> list[tuple[str, int, list[str]]]:
    """Answer the SendLocalLists that come, one with each status; what they were."""
    found = []
    for status in statuses:
        call = only_call(end)
        found.append(sent(call))
        end.answer(call, {"status": status})
    return found


def version_of(kit: Kit) -> int:
    """`list_version` of charge point 1."""
    return kit.read_32(3000 + 48, signed=True)


# --- edits --------------------------------------------------------------------------------------------------------


def test_put_and_read_back() -> None:
    kit, bms, _ = ready()
    bms.commit(PUT, id_tag="DEADBEEF", parent_id_tag="FAMILY", status=2, expiry=1_800_000_000)
    assert (bms.outcome(), bms.count()) == (DONE, 1)
    bms.put("12345678901234567890")
    assert bms.entry(0) == ("DEADBEEF", "FAMILY", Authorization.Blocked, 1_800_000_000)
    assert bms.entry(1) == ("12345678901234567890", "", Authorization.Accepted, 0)
    assert bms.entry(2) is None
    assert read(kit, "list_index") == 2  # the rest of the mailbox stays as it was written
    assert read(kit, "list_ack") == bms.sequence


def test_a_tag_is_the_same_in_any_case_and_keeps_its_place() -> None:
    _, bms, _ = ready()
    bms.put("abc", "other")
    bms.commit(PUT, id_tag="ABC", status=3)
    assert bms.count() == 2
    assert bms.entry(0) == ("ABC", "", Authorization.Expired, 0)
    bms.commit(DELETE, id_tag="aBC")
    assert (bms.outcome(), bms.id_tags()) == (DONE, ["other"])


def test_delete_of_nobody_and_clear() -> None:
    _, bms, _ = ready()
    bms.put("a", "b")
    bms.commit(DELETE, id_tag="c")
    assert bms.outcome() == (CommandState.failed, Result.NotFound, CommandError.none)
    bms.commit(CLEAR)
    assert (bms.outcome(), bms.count()) == (DONE, 0)


WRONG: dict[str, dict[str, Any]] = {
    "no operation": {"operation": 0, "id_tag": "a", "status": 1},
    "unlisted operation": {"operation": 7, "id_tag": "a", "status": 1},
    "put of a blank tag": {"operation": PUT, "id_tag": "  ", "status": 1},
    "put of an empty tag": {"operation": PUT, "status": 1},
    "put of no ASCII": {"operation": PUT, "id_tag": "caf\xe9", "status": 1},
    "put of a control character": {"operation": PUT, "id_tag": "a\x07", "status": 1},
    "put of an unprintable parent": {"operation": PUT, "id_tag": "a", "parent_id_tag": "\xff", "status": 1},
    "put without status": {"operation": PUT, "id_tag": "a"},
    "put with an unlisted status": {"operation": PUT, "id_tag": "a", "status": 6},
    "delete of an empty tag": {"operation": DELETE},
    "delete of no ASCII": {"operation": DELETE, "id_tag": "\x80"},
    "sent to nobody": {"operation": SEND_FULL, "charge_point": 2},
    "version -1": {"operation": SEND_FULL, "version": -1},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_no_operation_is_a_bad_parameter(wrong: dict[str, Any]) -> None:
    _, bms, end = ready()
    bms.commit(**wrong)
    assert (bms.outcome(), bms.count(), end.calls()) == (BAD, 0, [])


def test_zero_and_the_number_taken_last_do_nothing() -> None:
    kit, bms, _ = ready()
    bms.put("a")
    bms.sequence -= 1
    bms.commit(CLEAR)
    assert bms.count() == 1
    bms.sequence = -1
    bms.commit(CLEAR)
    assert (bms.count(), read(kit, "list_ack")) == (1, 1)


def test_what_the_bms_remembers_is_in_the_list() -> None:
    kit, bms, end = ready()
    assert end.send("Authorize", {"idTag": "VISITOR"}) is None
    request = kit.read(3000 + 60)
    kit.write(3000 + 88, Authorization.Accepted, 1)
    kit.write(3000 + 102, request)
    assert bms.entry(0) == ("VISITOR", "", Authorization.Accepted, 0)


def test_list_then_decisions_use_it() -> None:
    kit, bms, end = ready()
    bms.put("friend")
    bms.put("foe", status=Authorization.Blocked)
    for id_tag, status in (("FRIEND", "Accepted"), ("foe", "Blocked"), ("stranger", "Invalid")):
        end.send("Authorize", {"idTag": id_tag}, f"a-{id_tag}")
        kit.run_for(9)
        assert end.answer_to(f"a-{id_tag}")["idTagInfo"]["status"] == status


@pytest.mark.parametrize("word_order", ["big", "little", "word_inverted_big", "word_inverted_little"])
def test_reading_answers_in_the_configured_order(word_order: str) -> None:
    kit = Kit(f'[modbus]\nword_order = "{word_order}"\nstring_order = "little"\n')
    kit.site.tags.put(Tag("ABCDE", 1, 0x12345678, "xy"), kit.site.journal)
    kit.write(PLACES["list_operation"].address, READ)
    kit.write(PLACES["list_commit"].address, 1)
    text = kit.bank_1.read(PLACES["list_id_tag"].address, 3)
    assert text == b"BADC\0E"
    order = {"big": "12345678", "little": "78563412", "word_inverted_big": "56781234"}
    expiry = kit.bank_1.read(PLACES["list_expiry"].address, 2)
    assert expiry.hex() == order.get(word_order, "34127856")


def test_hidden_id_tags_stay_hidden() -> None:
    kit = Kit("[modbus]\nhide_id_tags = true\n")
    kit.site.tags.put(Tag("SECRET", 2, 0, "ALSO"), kit.site.journal)
    bms = Bms(kit)
    assert bms.entry(0) == ("", "", Authorization.Blocked, 0)


@given(content=st.binary(min_size=58, max_size=58), operation=st.integers(0, 7), to=st.integers(0, 2))
def test_no_content_makes_a_commit_raise(content: bytes, operation: int, to: int) -> None:
    kit, bms, end = ready()
    kit.site.tags.put(Tag("a", 1), kit.site.journal)
    data = bytes([0, operation, 0, to]) + content[4:56] + b"\0\1"
    kit.bank_1.write(FIRST, data, "bms", kit.now)
    calls = end.calls()
    assert all(is_valid(call.action, call.payload) for call in calls)
    assert bms.outcome()[0] in ((CommandState.sent,) if calls else (CommandState.failed, CommandState.done))


@given(id_tag=st.text(st.characters(max_codepoint=255), max_size=20))
def test_a_tag_is_put_whole_or_refused(id_tag: str) -> None:
    _, bms, _ = ready()
    bms.commit(PUT, id_tag=id_tag, status=1)
    shown = id_tag.rstrip("\0 ")
    if shown and shown.isascii() and shown.isprintable():
        assert bms.outcome() == DONE
        entry = bms.entry(0)
        assert entry is not None
        assert entry[0] == shown
    else:
        assert (bms.outcome(), bms.count()) == (BAD, 0)


# --- sending ------------------------------------------------------------------------------------------------------


def test_full_goes_out_with_everything_and_comes_back() -> None:
    kit, bms, end = ready()
    bms.commit(PUT, id_tag="a", parent_id_tag="p", status=1, expiry=1_767_225_600)
    bms.put("b", status=Authorization.Invalid)
    bms.commit(SEND_FULL, charge_point=1)
    assert bms.outcome() == SENT
    call = only_call(end)
    info = {"status": "Accepted", "expiryDate": "2026-01-01T00:00:00Z", "parentIdTag": "p"}
    entries = [{"idTag": "a", "idTagInfo": info}, {"idTag": "b", "idTagInfo": {"status": "Invalid"}}]
    assert call.payload == {"listVersion": 2, "updateType": "Full", "localAuthorizationList": entries}
    assert version_of(kit) == -(2**31)  # not known yet
    end.answer(call, {"status": "Accepted"})
    assert (bms.outcome(), version_of(kit)) == (DONE, 2)


def test_an_empty_list_empties_the_charge_points() -> None:
    kit, bms, end = ready()
    bms.commit(SEND_FULL, charge_point=1)
    assert deliver(end, "Accepted") == [("Full", 1, [])]
    assert (bms.outcome(), version_of(kit)) == (DONE, 1)
    bms.put("a")
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)
    assert deliver(end, "Accepted") == [("Differential", 2, ["a"])]


def test_pieces_the_first_full_the_others_newer() -> None:
    kit, bms, end = ready(size=2)
    bms.put("a", "b", "c", "d", "e")
    bms.commit(SEND_FULL, charge_point=1)
    assert deliver(end, "Accepted", "Accepted") == [("Full", 3, ["a", "b"]), ("Differential", 4, ["c", "d"])]
    assert bms.outcome() == SENT
    assert deliver(end, "Accepted") == [("Differential", 5, ["e"])]
    assert (bms.outcome(), version_of(kit)) == (DONE, 5)


def test_pieces_let_commands_of_the_bms_pass_and_the_outcome_stays_sent() -> None:
    kit, bms, end = ready(size=1)
    bms.put("a", "b")
    bms.commit(SEND_FULL, charge_point=1)
    kit.write(3000 + 300 + 20, 1)  # unlock
    first = only_call(end)
    end.answer(first, {"status": "Accepted"})
    unlock = only_call(end)
    assert (unlock.action, bms.outcome()) == ("UnlockConnector", SENT)
    end.answer(unlock, {"status": "Unlocked"})
    assert deliver(end, "Accepted") == [("Differential", 2, ["b"])]
    assert bms.outcome() == DONE


def test_differential_is_what_changed_since_the_charge_point_accepted() -> None:
    _, bms, end = ready(size=2)
    bms.put("a", "b", "c")
    bms.commit(SEND_FULL, charge_point=1)
    deliver(end, "Accepted", "Accepted")
    bms.put("d", "e", "e")
    bms.commit(DELETE, id_tag="a")
    bms.commit(DELETE, id_tag="d")
    bms.commit(PUT, id_tag="b", status=2)
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)
    pieces = deliver(end, "Accepted", "Accepted")
    assert [(kind, version) for kind, version, _ in pieces] == [("Differential", 8), ("Differential", 9)]
    assert sorted(tag for *_, tags in pieces for tag in tags) == ["-a", "-d", "b", "e"]
    assert bms.outcome() == DONE
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)  # nothing is missing there
    assert (bms.outcome(), end.calls()) == (DONE, [])


def test_differential_to_somebody_unknown_is_full() -> None:
    _, bms, end = ready()
    bms.put("a", "b")
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)
    assert deliver(end, "Accepted") == [("Full", 2, ["a", "b"])]


@pytest.mark.parametrize("way", ["a clear", "another's list", "a refusal", "no answer"])
def test_what_a_charge_point_holds_is_unknown_after(way: str) -> None:
    kit, bms, end = ready()
    bms.put("a")
    bms.commit(SEND_FULL, charge_point=1)
    deliver(end, "Accepted")
    expected = ["a", "b"]
    if way == "a clear":
        bms.commit(CLEAR)
        expected = ["b"]
    elif way == "another's list":
        kit.write(3000 + 8 * 300, 14)  # GetLocalListVersion
        kit.write(3000 + 8 * 300 + 105, 1)
        end.answer(only_call(end), {"listVersion": 40})
    elif way == "a refusal":
        bms.commit(SEND_FULL, charge_point=1)
        deliver(end, "Failed")
    else:
        bms.commit(SEND_FULL, charge_point=1)
        only_call(end)
        kit.run_for(61)
        assert bms.outcome() == (CommandState.failed, Result.none, CommandError.no_answer)
    bms.put("b")
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)
    (kind, _, tags) = deliver(end, "Accepted")[0]
    assert (kind, tags) == ("Full", expected)
    assert bms.outcome() == DONE


@pytest.mark.parametrize("refusal", ["VersionMismatch", "Failed"])
def test_a_refused_differential_is_followed_by_the_full_list(refusal: str) -> None:
    kit, bms, end = ready()
    bms.put("a")
    bms.commit(SEND_FULL, charge_point=1)
    deliver(end, "Accepted")
    bms.put("b")
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)
    assert deliver(end, refusal) == [("Differential", 2, ["b"])]
    assert bms.outcome() == SENT
    assert deliver(end, "Accepted") == [("Full", 2, ["a", "b"])]
    assert (bms.outcome(), version_of(kit)) == (DONE, 2)


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch", "NotSupported"])
def test_a_refused_full_list_is_the_result(status: str) -> None:
    kit, bms, end = ready(size=1)
    bms.put("a", "b")
    bms.commit(SEND_FULL, charge_point=1)
    deliver(end, "Accepted", status)
    assert bms.outcome() == (CommandState.done, Result[status], CommandError.none)
    assert (version_of(kit), end.calls()) == (1, [])


def test_a_differential_that_is_not_supported_is_not_tried_in_full() -> None:
    _, bms, end = ready()
    bms.commit(SEND_FULL, charge_point=1)
    deliver(end, "Accepted")
    bms.put("a")
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)
    deliver(end, "NotSupported")
    assert (bms.outcome(), end.calls()) == ((CommandState.done, Result.NotSupported, CommandError.none), [])


def test_a_named_version_goes_out_and_the_next_edit_is_newer() -> None:
    kit, bms, end = ready()
    bms.put("a")
    bms.commit(SEND_FULL, charge_point=1, version=100)
    assert deliver(end, "Accepted") == [("Full", 100, ["a"])]
    assert version_of(kit) == 100
    bms.put("b")
    bms.commit(SEND_DIFFERENTIAL, charge_point=1)
    assert deliver(end, "Accepted") == [("Differential", 101, ["b"])]
    bms.commit(SEND_DIFFERENTIAL, charge_point=1, version=200)  # nothing but the version changes
    assert deliver(end, "Accepted") == [("Differential", 200, [])]
    bms.commit(SEND_DIFFERENTIAL, charge_point=1, version=200)
    assert (bms.outcome(), end.calls()) == (DONE, [])


def test_a_named_version_that_no_differential_can_have() -> None:
    _, bms, end = ready(size=1)
    bms.put("a", "b")
    bms.commit(SEND_FULL, charge_point=1, version=50)
    deliver(end, "Accepted", "Accepted")
    bms.put("c")
    bms.commit(SEND_DIFFERENTIAL, charge_point=1, version=50)
    kinds = [(kind, version) for kind, version, _ in deliver(end, "Accepted", "Accepted", "Accepted")]
    assert kinds == [("Full", 48), ("Differential", 49), ("Differential", 50)]
    bms.commit(SEND_FULL, charge_point=1, version=2)  # three pieces need three versions
    assert (bms.outcome(), end.calls()) == (BAD, [])


def test_busy_keeps_the_ack_so_that_the_number_may_be_tried_again() -> None:
    kit, bms, end = ready()
    bms.put("a")
    bms.commit(SEND_FULL, charge_point=1)
    bms.commit(CLEAR)
    assert bms.outcome() == (CommandState.sent, Result.none, CommandError.busy)
    assert (read(kit, "list_ack"), bms.count()) == (bms.sequence - 1, 1)
    deliver(end, "Accepted")
    assert bms.outcome() == DONE
    bms.sequence -= 1
    bms.commit(CLEAR)
    assert (bms.outcome(), bms.count()) == (DONE, 0)


def test_no_link_and_no_registration_and_errors_of_the_wire() -> None:
    kit = Kit()
    bms = Bms(kit)
    bms.commit(SEND_FULL, charge_point=1)
    assert bms.outcome() == (CommandState.failed, Result.none, CommandError.offline)
    end = kit.connect()
    bms.commit(SEND_FULL, charge_point=1)
    assert bms.outcome() == (CommandState.failed, Result.none, CommandError.not_registered)
    end.boot()
    bms.commit(SEND_FULL, charge_point=1)
    end.refuse(only_call(end), "NotImplemented")
    assert bms.outcome() == (CommandState.failed, Result.none, CommandError.not_supported)
    bms.commit(SEND_FULL, charge_point=1)
    end.disconnect()
    assert bms.outcome() == (CommandState.failed, Result.none, CommandError.link_lost)


# --- the size of a piece ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sizes"), [("7", [7, 7, 7, 4]), ('" 20 "', [20, 5]), ("many", [10, 10, 5]), ("0", [10, 10, 5])]
)
def test_the_size_of_a_piece_is_asked_for_once(value: str, sizes: list[int]) -> None:
    _, bms, end = ready(size=None)
    bms.put(*(f"tag-{i}" for i in range(25)))
    for again in (False, True):
        bms.commit(SEND_FULL, charge_point=1)
        if not again:
            assert bms.outcome()[0] == CommandState.queued
            question = only_call(end)
            assert (question.action, question.payload) == ("GetConfiguration", {"key": ["SendLocalListMaxLength"]})
            key = {"key": "sendlocallistmaxlength", "readonly": True, "value": value}
            end.answer(question, {"configurationKey": [key]})
        found = deliver(end, *(["Accepted"] * len(sizes)))
        assert [len(tags) for *_, tags in found] == sizes
        assert bms.outcome() == DONE


@pytest.mark.parametrize("way", ["unknown key", "refused", "silent", "forbidden"])
def test_without_an_answer_small_pieces_go_out(way: str) -> None:
    kit, bms, end = ready(size=None)
    kit.site.charge_points["CP001"].take_quirks(QuirkProfile(own_questions=way != "forbidden"))
    bms.put(*(f"tag-{i}" for i in range(11)))
    bms.commit(SEND_FULL, charge_point=1)
    if way == "unknown key":
        end.answer(only_call(end), {"unknownKey": ["SendLocalListMaxLength"]})
    elif way == "refused":
        end.refuse(only_call(end), "NotSupported")
    elif way == "silent":
        assert only_call(end).action == "GetConfiguration"
        kit.run_for(61)
    assert [len(tags) for *_, tags in deliver(end, "Accepted", "Accepted")] == [10, 1]


def test_one_entry_needs_no_question_and_a_boast_has_an_end() -> None:
    kit, bms, end = ready(size=None)
    bms.put("a")
    bms.commit(SEND_FULL, charge_point=1)
    deliver(end, "Accepted")
    kit.site.charge_points["CP001"].send_list_max_length = 1_000_000
    for i in range(1001):
        kit.site.tags.put(Tag(f"tag-{i}", 1), kit.site.journal)
    bms.commit(SEND_FULL, charge_point=1)
    call = only_call(end)
    assert len(call.payload["localAuthorizationList"]) == 1000
    assert len(str(call.payload)) < 262_144


def test_a_link_lost_while_asking_ends_it() -> None:
    _, bms, end = ready(size=None)
    bms.put("a", "b")
    bms.commit(SEND_FULL, charge_point=1)
    end.disconnect()
    assert bms.outcome() == (CommandState.failed, Result.none, CommandError.offline)


# --- to all -------------------------------------------------------------------------------------------------------

TWO_BANKS = "".join(f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\n' for number in (1, 2, 3, 21))


def test_to_all_connected_ones_and_one_outcome() -> None:
    kit = Kit(TWO_BANKS)
    ends = [kit.connect(name) for name in ("CP001", "CP003", "CP021")]
    for end in ends:
        end.boot()
    bms = Bms(kit)
    bms.put("a")
    bms.commit(SEND_FULL, charge_point=0)
    assert bms.outcome() == SENT
    for end in ends:
        assert bms.outcome() == SENT
        assert deliver(end, "Accepted") == [("Full", 1, ["a"])]
    assert bms.outcome() == DONE
    assert [cp.list_version for cp in kit.site.by_number()] == [1, None, 1, 1]


def test_to_all_fails_with_the_first_that_did_not_accept() -> None:
    kit = Kit(TWO_BANKS)
    ends = [kit.connect(name) for name in ("CP001", "CP002", "CP003")]
    for end in ends[:2]:
        end.boot()
    bms = Bms(kit)
    bms.put("a")
    bms.commit(SEND_FULL, charge_point=0)  # CP003 is not registered: it fails at once
    deliver(ends[1], "Failed")
    deliver(ends[0], "Accepted")
    assert bms.outcome() == (CommandState.failed, Result.none, CommandError.not_registered)
    ends[2].boot()
    bms.commit(SEND_FULL, charge_point=0)
    deliver(ends[1], "NotSupported")
    ends[0].disconnect()
    assert bms.outcome()[0] == CommandState.sent
    deliver(ends[2], "Accepted")
    assert bms.outcome() == (CommandState.failed, Result.NotSupported, CommandError.none)


def test_to_all_of_nobody_is_offline() -> None:
    kit = Kit(TWO_BANKS)
    bms = Bms(kit)
    bms.commit(SEND_DIFFERENTIAL, charge_point=0)
    assert bms.outcome() == (CommandState.failed, Result.none, CommandError.offline)
    bms.put("a")  # and the mailbox is free


def test_a_charge_point_of_the_second_bank_by_its_number() -> None:
    kit = Kit(TWO_BANKS)
    end = kit.connect("CP021")
    end.boot()
    write(kit, {"list_operation": SEND_FULL, "list_charge_point": 21, "list_commit": 1}, unit=2)
    deliver(end, "Accepted")
    assert [read(kit, "list_state", unit=unit) for unit in (1, 2)] == [CommandState.done] * 2


# --- durable ------------------------------------------------------------------------------------------------------


def test_edits_versions_and_acks_are_journalled_and_come_back_in_order() -> None:
    kit, bms, end = ready()
    bms.put("z", "a", "m", "b")
    bms.commit(DELETE, id_tag="m")
    bms.commit(SEND_FULL, charge_point=1, version=77)
    words = list(end.session.words)
    assert getattr(words[-1], "durable", 0) == kit.site.journal.written
    deliver(end, "Accepted")
    facts: dict[str, int | str] = {}
    tags: dict[str, Tag] = {}
    for entry in kit.site.journal.waiting:
        if isinstance(entry, SaveFact):
            facts[entry.name] = entry.value
        elif isinstance(entry, SaveTag) and entry.status:
            tags[entry.id_tag] = Tag(entry.id_tag, entry.status, entry.expiry, entry.parent_id_tag, entry.position)
        elif isinstance(entry, SaveTag):
            del tags[entry.id_tag]
    assert (facts["list_ack"], facts["list_version"]) == (bms.sequence, 77)
    again = Kit()
    again.site = build_site(again.config, START, EPOCH, "KIT")
    restore_site(again.site, Restored(facts, tags=sorted(tags.values(), key=lambda tag: tag.position)))
    again.units = build_units(again.site, again.config)
    other = Bms(again)
    assert (read(again, "list_ack"), other.count()) == (bms.sequence, 3)
    other.sequence = bms.sequence
    assert other.id_tags() == ["z", "a", "b"]
    other.put("c")
    assert other.id_tags() == ["z", "a", "b", "c"]
    assert again.site.tags.version == 78


def test_a_clear_is_journalled_as_one_word() -> None:
    kit, bms, _ = ready()
    bms.put("a", "b")
    kit.site.journal.waiting.clear()
    bms.commit(CLEAR)
    assert any(isinstance(entry, ClearTags) for entry in kit.site.journal.waiting)
