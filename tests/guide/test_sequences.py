"""Every sequence of the guide does what it says: played row by row, as it stands there."""

from __future__ import annotations

import re

import pytest

from tests.guide.charge_point import EVENTS, GIVEN
from tests.guide.player import Impatient, Player, Refused, as_told
from tests.guide.reading import Sequence, Text, at, guide, sequences
from tests.points.contract import BY_NAME, ENUMS

SEQUENCES = sequences(guide())
every_sequence = pytest.mark.parametrize("sequence", SEQUENCES, ids=[each.name for each in SEQUENCES])


@every_sequence
def test_played(sequence: Sequence) -> None:
    player = Player()
    calls = player.play(sequence)
    assert as_told(player, calls, sequence), (calls, player.charge_point.answers)


@every_sequence
def test_rows_name_their_registers(sequence: Sequence) -> None:
    """The names in backquotes are the contract's points from the row's address on, and no register has no name."""
    for step in sequence.steps:
        if step.function is None:
            continue
        covered = []
        for address in range(step.address, step.address + step.quantity):
            row = at(address)
            assert row is not None, f"step {step.number}: nothing at {address}"
            if row.name not in covered:
                covered.append(row.name)
        assert step.points, step
        assert step.points[0] == covered[0], step
        if "…" in step.meaning:
            assert step.points[-1] == covered[-1], step
            assert set(step.points) <= set(covered), step
        else:
            assert step.points == covered, step
        part = re.search(r"register (\d+) of \d+|(high|low) word", step.meaning)
        row = at(step.address)
        assert row is not None
        whole = step.quantity == row.registers or row.registers == 1 or len(covered) > 1 or row.block == "matrix"
        if part:
            within = int(part[1]) - 1 if part[1] else ("high", "low").index(part[2])
            assert step.address - row.address == within, step
        elif not (step.reads and step.quantity < row.registers):
            assert whole, step


@every_sequence
def test_codes_are_the_contracts(sequence: Sequence) -> None:
    """Where a row says `point` = name, the register holds the code of that name."""
    for step in sequence.steps:
        for name, said in re.findall(r"`(\w+)`(?: of the whole| of connector 1)? = (\w+)", step.meaning):
            row = next(row for (_, point), row in BY_NAME.items() if point == name and at(step.address) == row)
            if row.enum:
                assert step.items[0] == ENUMS[row.enum][said], step


@every_sequence
def test_steps_are_numbered(sequence: Sequence) -> None:
    assert [step.number for step in sequence.steps] == list(range(1, len(sequence.steps) + 1))


def test_what_the_sequences_need_is_known_and_used() -> None:
    assert {each.given for each in SEQUENCES} == set(GIVEN)
    assert {step.meaning for each in SEQUENCES for step in each.steps if step.function is None} == set(EVENTS)
    assert len({each.name for each in SEQUENCES}) == len(SEQUENCES)


def test_every_handshake_has_a_way_for_masters_that_know_fc_6_only() -> None:
    for sequence in SEQUENCES:
        if sequence.name.endswith(", FC 6"):
            assert {step.function for step in sequence.steps} <= {None, 3, 6}, sequence.name
    by_six = {each.name.removesuffix(", FC 6") for each in SEQUENCES if each.name.endswith(", FC 6")}
    with_more = {each.name for each in SEQUENCES if any(step.function == 16 for step in each.steps)}
    assert with_more - by_six == {
        # one of a kind: the mailbox is filled as in another FC 6 sequence, with another code
        "setting", "trigger", "stop by command", "cancel", "command in one",
        "profile clear", "profile clear all", "profile composite", "profile attach",
        "list delete", "list read", "list send", "list send differences",
        # has no one-register twin
        "limit in W", "limit matrix",
    } - by_six  # fmt: skip


# --- broken guides ------------------------------------------------------------------------------------------------

SAMPLE = """<!-- sequence: sample, given: plugged -->
| step | FC | address | registers | meaning |
|---|---|---|---|---|
| 1 | 6 | {start} | 1 | `start` |
| 2 | 3 | 3305 | = {active} | `transaction_active` |

The charge point gets `RemoteStartTransaction`.
"""


def sample(start: int = 3318, active: int = 1) -> Sequence:
    (sequence,) = sequences(SAMPLE.format(start=start, active=active))
    return sequence


def test_a_good_sample_plays() -> None:
    player = Player()
    assert as_told(player, player.play(sample()), sample())


@pytest.mark.parametrize("told", ["`RemoteStopTransaction`", "nothing", '`RemoteStartTransaction {"connectorId": 2}`'])
def test_a_wrong_tale_of_the_charge_point_is_found(told: str) -> None:
    (sequence,) = sequences(SAMPLE.format(start=3318, active=1).replace("`RemoteStartTransaction`", told))
    player = Player()
    assert not as_told(player, player.play(sequence), sequence)


def test_a_wrong_address_is_found() -> None:
    with pytest.raises(Impatient):
        Player().play(sample(start=3319))  # stop
    with pytest.raises(Refused):
        Player().play(sample(start=3330))  # a hole


def test_a_wrong_value_is_found() -> None:
    with pytest.raises(Impatient):
        Player().play(sample(active=2))


def test_a_text_fills_its_registers() -> None:
    (sequence,) = sequences(SAMPLE.format(start=3318, active='"AB" (2) 7'))
    assert sequence.steps[1].items == (Text("AB", 2), 7)
    assert sequence.steps[1].registers({}) == [0x4142, 0, 7]
