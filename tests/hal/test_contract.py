"""The datagrams and the facts that gatewayd and paneld exchange."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.board import PINS
from hal.contract import INPUTS, LEDS, MAX_DATAGRAM_BYTES, OUTPUTS, BoardFacts, Line, Words, button_held, button_text


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)))
def test_words_round_trip(flags: tuple[bool, bool, bool, bool]) -> None:
    words = Words(*flags)
    assert Words.decode(words.encode()) == words
    assert len(words.encode()) <= MAX_DATAGRAM_BYTES


def test_words_on_the_wire() -> None:
    assert Words().encode() == b"alive"
    assert Words(True, True, True, True).encode() == b"alive ocpp_link ocpp_traffic modbus_traffic identify"


def test_words_to_come_are_left_out() -> None:
    assert Words.decode(b"alive ocpp_link dance") == Words(ocpp_link=True)


@given(st.binary(max_size=300))
def test_any_datagram_is_words_or_nothing(datagram: bytes) -> None:
    words = Words.decode(datagram)
    assert (words is None) is (datagram.split()[:1] != [b"alive"])


def test_every_line_is_an_input_or_an_output() -> None:
    assert sorted([*INPUTS, *OUTPUTS]) == sorted(Line)
    assert set(LEDS) < set(OUTPUTS)


@pytest.mark.parametrize("dip", list(itertools.product([False, True], repeat=3)))
def test_dip_switches_as_the_manual_reads_them(dip: tuple[bool, bool, bool]) -> None:
    facts = BoardFacts(*dip)
    assert facts.bias is (dip[:2] == (True, True))
    assert facts.dip_conflict is (dip[0] != dip[1])
    assert facts.termination is dip[2]
    assert BoardFacts.from_json(facts.to_json()) == facts


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"dip1": 1, "dip2": 0, "dip3": 0}', '{"dip1": true}'])
def test_facts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        BoardFacts.from_json(text)


def test_every_line_has_one_pin_and_every_pin_one_line() -> None:
    assert sorted(row.line for row in PINS) == sorted(Line)
    assert len({row.gpio for row in PINS}) == len({row.header for row in PINS}) == len(PINS)


def test_what_we_drive_is_pulled_down_at_reset() -> None:
    assert all(row.gpio >= 9 for row in PINS if not row.is_input)
    assert next(row for row in PINS if row.line is Line.BUTTON).gpio <= 8


def test_pins_of_the_hat_and_the_carrier_are_left_alone() -> None:
    taken = {0, 1, 2, 3, 4, 8, 9, 10, 11, 14, 15, 17, 25}
    assert not taken & {row.gpio for row in PINS}


def test_header_pins_are_those_of_the_raspberry_pi() -> None:
    header = {5: 29, 6: 31, 12: 32, 13: 33, 16: 36, 19: 35, 20: 38, 22: 15, 23: 16, 26: 37, 27: 13}
    assert {row.gpio: row.header for row in PINS} == header


def test_the_button_is_published_and_read() -> None:
    assert button_held(button_text(held=True))
    assert not button_held(button_text(held=False))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"held": 1}', "null"])
def test_what_is_no_button_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        button_held(text)
