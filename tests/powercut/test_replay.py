"""The log, the states and the verdicts of the power cuts, on a disk of a few blocks; `make powercut` has the guest."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from hal.data_partition import BLOCK
from tests.powercut import judge, log
from tests.powercut.boot import Found
from tests.powercut.deeds import DATA_AT, MARKS_AT, NOTHING, OURS, Content, Moment, moments
from tests.powercut.log import DISCARD, FLUSH, FUA, Entry
from tests.powercut.replay import Tally, tries
from tests.powercut.report import failed, replayed
from tests.powercut.states import State, pieces, states

OLD, NEW = Content("old", "files"), Content("new", "files")
SAVING = Moment(OURS, "save", OLD, NEW)
SAVED = Moment(OURS, "", NEW, NEW)
RESETTING = Moment(OURS, "reset", OLD, NOTHING, erased=True)
RESET = Moment(OURS, "", NOTHING, NOTHING, erased=True)


def write(block: int, letter: str, flags: int = 0) -> Entry:
    return Entry(DATA_AT + block * BLOCK, BLOCK, flags, letter.encode() * BLOCK)


def mark(deed: str, *, done: bool, content: Content = NOTHING, build: str = OURS) -> Entry:
    what = {"build": build, "deed": deed, "done": done}
    told = what | ({"configuration": content.configuration, "others": content.others} if done else {})
    return Entry(MARKS_AT, BLOCK, 0, json.dumps(told).encode().ljust(BLOCK))


FLUSHED = Entry(0, 0, FLUSH, b"")


def letters(state: State) -> str:
    """What the first blocks hold after this cut."""
    disk = bytearray(state.safe[: 4 * BLOCK])
    for offset, data in state.survived:
        disk[offset : offset + len(data)] = data
    return "".join(chr(disk[at * BLOCK] or ord(".")) for at in range(4))


def found_letters(*entries: Entry) -> list[str]:
    return [letters(each) for each in states(entries, [SAVING] * len(entries), lambda moment: 40, "a seed")]


def test_a_log_is_read_as_qemu_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    requests = [(2048, 1, 0, b"a" * 512), (0, 0, FLUSH, b""), (4096, 8, DISCARD, b""), (2049, 2, FUA, b"b" * 1024)]
    said = struct.pack("<QQQI", log.MAGIC, 1, len(requests), 512).ljust(512, b"\0")
    for sector, sectors, flags, data in requests:
        said += struct.pack("<QQQQ", sector, sectors, flags, len(data)).ljust(512, b"\0") + data
    path.write_bytes(said)
    assert list(log.entries(path)) == [
        Entry(2048 * 512, 512, 0, b"a" * 512),
        Entry(0, 0, FLUSH, b""),
        Entry(4096 * 512, 4096, DISCARD, b""),
        Entry(2049 * 512, 1024, FUA, b"b" * 1024),
    ]
    path.write_bytes(said[:-1200])
    with pytest.raises(log.BadLog, match="in the middle"):
        list(log.entries(path))
    path.write_bytes(bytes(512))
    with pytest.raises(log.BadLog, match="not a log"):
        list(log.entries(path))


def test_what_was_not_flushed_is_kept_or_lost_block_by_block() -> None:
    found = found_letters(write(0, "a"), write(1, "b"))
    assert found[:2] == ["a...", "...."]
    assert set(found) == {"a...", "....", "ab..", ".b.."}
    assert len(found) == len(set(found)), "each once"


def test_what_was_flushed_is_never_lost() -> None:
    found = found_letters(write(0, "a"), FLUSHED, write(0, "b"), write(1, "c"))
    assert set(found[2:]) == {"a...", "b...", "bc..", "ac.."}
    assert set(found_letters(write(0, "a", FUA), write(1, "b"))) == {"a...", "ab.."}


def test_a_moment_that_is_not_tried_has_no_states_but_leaves_its_writes() -> None:
    entries = [write(0, "a"), FLUSHED, write(1, "b")]
    found = states(entries, [Moment(), Moment(), SAVING], lambda moment: int(moment.build == OURS), "a seed")
    assert [letters(each) for each in found] == ["ab.."]


def test_ours_is_tried_always_and_a_broken_build_once_it_saves() -> None:
    broken = replace(SAVING, build="in place")
    told = [SAVING, SAVED, replace(SAVING, deed="settle"), broken, replace(broken, deed="settle"), Moment()]
    assert [tries(each) > 1 for each in told] == [True, True, True, True, False, False]
    assert tries(RESETTING) == tries(RESET) > tries(SAVING)


def test_a_write_is_cut_at_blocks() -> None:
    entry = Entry(DATA_AT + 512, 2 * BLOCK, 0, bytes(range(256)) * 32)
    assert [(at, len(data)) for at, data in pieces(entry)] == [(512, BLOCK - 512), (BLOCK, BLOCK), (2 * BLOCK, 512)]
    assert b"".join(data for _, data in pieces(entry)) == entry.data
    assert list(pieces(Entry(DATA_AT, BLOCK, DISCARD, b""))) == [(0, bytes(BLOCK))]


def test_marks_tell_what_may_be_found() -> None:
    told = [
        mark("settle", done=False), write(0, "a"), mark("settle", done=True, content=OLD), write(1, "b"),
        mark("save", done=False), write(2, "c"), mark("save", done=True, content=NEW),
        mark("reset", done=False), mark("reset", done=True), write(3, "d"), mark("settle", done=False),
    ]  # fmt: skip
    found = moments(told)
    assert [each.allowed for each in found] == [
        (NOTHING, OLD), (NOTHING, OLD), (OLD,), (OLD,), (OLD, NEW), (OLD, NEW), (NEW,),
        (NEW, NOTHING), (NOTHING,), (NOTHING,), (NOTHING, NOTHING),
    ]  # fmt: skip
    assert [each.erased for each in found] == [False] * 7 + [True] * 3 + [False]


@pytest.mark.parametrize(
    ("moment", "found", "fault"),
    [
        (SAVING, Found(OLD), ""),
        (SAVING, Found(NEW), ""),
        (SAVED, Found(NEW), ""),
        (SAVED, Found(OLD), "the configuration is neither the old nor the new one"),
        (SAVING, Found(), "the configuration is missing"),
        (SAVING, Found(Content("half", "files")), "the configuration is neither the old nor the new one"),
        (SAVING, Found(Content("new", "others")), "old and new files are mixed"),
        (SAVING, Found(NEW, fault="does not mount"), "does not mount"),
        (RESETTING, Found(OLD, canaries=9), ""),
        (RESETTING, Found(), ""),
        (RESETTING, Found(canaries=1), "the old owner's secrets are left"),
        (RESET, Found(), ""),
        (RESET, Found(canaries=1), "the old owner's secrets are left"),
        (RESET, Found(OLD, canaries=9), "what was said to be gone is there"),
    ],
)
def test_verdicts(moment: Moment, found: Found, fault: str) -> None:
    assert judge.fault(moment, found) == fault


def test_a_run_fails_for_a_bad_state_and_for_a_broken_build_that_nobody_noticed() -> None:
    tally = Tally()
    state = State(7, SAVING, bytearray(), (), 2)
    tally.note(3, state, "", erased=False)
    assert failed(tally)
    for build in ("no fsync", "in place", "deletes only"):
        tally.note(4, replace(state, moment=replace(SAVING, build=build)), "is damaged", erased=False)
    assert not failed(tally)
    again = Tally.of_json(json.loads(json.dumps(tally.as_json())))
    assert again == tally
    again.add(tally)
    assert again.states[OURS] == 2
    again.note(5, state, "the configuration is missing", erased=False)
    assert failed(again)
    assert "    BAD state 5 (after request 7, 2 blocks lost, save): the configuration is missing" in replayed(
        tally, again
    )
