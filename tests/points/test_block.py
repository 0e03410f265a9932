"""A block of points as registers: word and string orders, lost links, hidden tags, changes (modbus.md, Types)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.points.block import BlockCodec, Format, RawArea, matrix_source_of
from gatewayd.points.point import Point
from gatewayd.site.codes import WordOrder

ORDERS = {
    WordOrder.big: "ABCD",
    WordOrder.little: "DCBA",
    WordOrder.word_inverted_big: "CDAB",
    WordOrder.word_inverted_little: "BADC",
}


@dataclass
class Plant:
    """A record as simple as can be."""

    flag: int = 1
    count: int = 0x0102
    power: float | None = 1000.0
    energy: float | None = 0x11223344
    ratio: float = 12.5
    name: str = "ABCDEF"
    tag: str = "SECRET"
    age: int = 0
    updates: int = 0
    box: bytearray = field(default_factory=lambda: bytearray(b"\1\2\3\4\5\6\7\x08"))
    comm_error: bool = False

    @property
    def charge_point(self) -> Any:
        return SimpleNamespace(comm_error=self.comm_error)

    def count_update(self) -> int:
        self.updates += 1
        return self.updates


POINTS = [
    Point(10, "flag", "bit", "R", source="flag"),
    Point(11, "count", "u16", "R", source="count"),
    Point(12, "power", "i32", "R", source="power", measurement=True),
    Point(14, "energy", "u32", "R", source="energy"),
    Point(16, "ratio", "f32", "R", source="ratio"),
    Point(19, "name", "str4", "R", source="name"),
    Point(23, "tag", "str4", "R", source="tag", id_tag=True),
    Point(27, "age", "u16", "R", live=lambda plant: plant.age),
    Point(28, "update_counter", "u16", "R", live=lambda plant: plant.updates, wraps=True),
    Point(30, "boxed_number", "u32", "RW"),
    Point(32, "boxed_tag", "str2", "RW", id_tag=True),
]
AREA = RawArea(30, 4, lambda plant: plant.box, [POINTS[-1]])


def registers(fmt: Format, plant: Plant | None = None) -> bytes:
    codec = BlockCodec(POINTS, fmt, [AREA])
    assert (codec.first, codec.registers) == (10, 24)
    return codec.packed(codec.encoded(codec.values(plant or Plant())))


def at(data: bytes, name: str) -> bytes:
    point = next(point for point in POINTS if point.name == name)
    return data[2 * (point.offset - 10) : 2 * (point.end - 10)]


@pytest.mark.parametrize(("order", "letters"), ORDERS.items())
def test_32_bit_values_follow_the_word_order(order: WordOrder, letters: str) -> None:
    data = registers(Format(order))
    assert at(data, "energy") == bytes(b"\x11\x22\x33\x44"["ABCD".index(letter)] for letter in letters)
    assert at(data, "ratio") == bytes(struct.pack(">f", 12.5)["ABCD".index(letter)] for letter in letters)
    assert at(data, "power") == bytes(struct.pack(">i", 1000)["ABCD".index(letter)] for letter in letters)


@pytest.mark.parametrize("order", ORDERS)
def test_16_bit_values_texts_and_mailboxes_do_not(order: WordOrder) -> None:
    plain, data = registers(Format()), registers(Format(order))
    for name in ("flag", "count", "name", "tag", "age", "boxed_number", "boxed_tag"):
        assert at(data, name) == at(plain, name)


@pytest.mark.parametrize("order", ORDERS)
def test_string_order_swaps_the_characters_of_a_register(order: WordOrder) -> None:
    data = registers(Format(order, string_little=True))
    assert at(data, "name") == b"BADCFE\0\0"
    assert at(data, "count") == b"\1\2"


def test_holes_are_0() -> None:
    data = registers(Format())
    assert data[2 * 8 : 2 * 9] == b"\0\0"
    assert data[2 * 19 : 2 * 20] == b"\0\0"


@given(data=st.binary(min_size=4, max_size=4), order=st.sampled_from(list(ORDERS)))
def test_reordering_twice_is_nothing(data: bytes, order: WordOrder) -> None:
    point = POINTS[3]
    assert Format(order).reorder(point, Format(order).reorder(point, data)) == data


def test_signed_values_follow_the_configuration() -> None:
    assert at(registers(Format(ones_complement=True), Plant(power=-1)), "power") == b"\xff\xff\xff\xfe"


@pytest.mark.parametrize(
    ("policy", "lost"), [("sentinel", b"\x80\0\0\0"), ("zero", b"\0\0\0\0"), ("hold", b"\0\0\x03\xe8")]
)
def test_measurements_of_a_lost_link(policy: str, lost: bytes) -> None:
    fmt = Format(on_comm_error=policy)
    assert at(registers(fmt), "power") == b"\0\0\x03\xe8"
    data = registers(fmt, Plant(comm_error=True))
    assert at(data, "power") == lost
    assert at(data, "energy") == b"\x11\x22\x33\x44"
    assert at(data, "count") == b"\1\2"
    power = matrix_source_of(POINTS[2], fmt)
    assert power(Plant(comm_error=True)) == {"sentinel": None, "zero": 0, "hold": 1000.0}[policy]
    assert power(Plant()) == 1000.0


def test_hidden_tags_read_not_available_in_mailboxes_too() -> None:
    plant = Plant()
    data = registers(Format(hide_id_tags=True), plant)
    assert at(data, "tag") == bytes(8)
    assert at(data, "boxed_tag") == bytes(4)
    assert at(data, "boxed_number") == b"\1\2\3\4"
    assert at(data, "name") == b"ABCDEF\0\0"
    assert plant.box == b"\1\2\3\4\5\6\7\x08"  # what will be committed is untouched
    assert at(registers(Format(), plant), "boxed_tag") == b"\5\6\7\x08"


def test_what_changes_by_itself_and_mailboxes_are_no_change() -> None:
    codec, plant = BlockCodec(POINTS, Format(), [AREA]), Plant()
    before = codec.steady(codec.values(plant))
    plant.age, plant.updates, plant.box[0] = 99, 5, 0xEE
    assert codec.steady(codec.values(plant)) == before
    plant.power = 1001.0
    assert codec.steady(codec.values(plant)) != before


def test_a_change_is_counted_in_the_same_encoding() -> None:
    codec, plant = BlockCodec(POINTS, Format(), [AREA]), Plant()
    data = codec.packed(codec.encoded(codec.counted(plant, codec.values(plant))))
    assert at(data, "update_counter") == b"\0\1"
    assert plant.updates == 1


def test_a_block_without_a_counter_counts_nothing() -> None:
    codec, plant = BlockCodec(POINTS[:6], Format()), Plant()
    values = codec.values(plant)
    assert codec.counted(plant, values) == values
    assert plant.updates == 0


def test_what_is_known_is_not_encoded_again_and_what_changed_is() -> None:
    codec, plant = BlockCodec(POINTS, Format(), [AREA]), Plant()
    former = codec.values(plant)
    known = codec.encoded(former)
    assert codec.values(plant) == former
    assert codec.encoded(former, former, known) == known
    plant.power, plant.box[0] = 1001.0, 0xEE
    values = codec.values(plant)
    assert values != former
    assert codec.encoded(values, former, known) == codec.encoded(values) != known
