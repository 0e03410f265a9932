"""One point: how values become registers and written registers become values (modbus.md, Types)."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.points.address import BLOCK_KINDS
from gatewayd.points.point import Point, decode, encoder, single
from gatewayd.site.codes import Status

ALL = [point for points in BLOCK_KINDS.values() for point in points]
NUMERIC = [pytest.param(point, id=point.name) for point in ALL if not point.is_text]
TEXTS = [pytest.param(point, id=point.name) for point in ALL if point.is_text]

NOT_AVAILABLE = {"u16": 65535, "i16": 0x8000, "u32": 0xFFFFFFFF, "i32": 0x80000000}


def registers(point: Point, value: Any, *, ones_complement: bool = False) -> int:
    return int.from_bytes(single(point, value, ones_complement=ones_complement), "big")


# --- saturation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ones_complement", [False, True])
@pytest.mark.parametrize("point", NUMERIC)
def test_extreme_values_saturate_and_never_look_like_not_available(point: Point, ones_complement: bool) -> None:
    for value in (1e15, -1e15, 10**15, -(10**15)):
        shown = registers(point, value, ones_complement=ones_complement)
        if point.type == "f32":
            exact = struct.unpack(">f", shown.to_bytes(4, "big"))[0]
            assert exact == pytest.approx(value * point.scale, rel=1e-6)
        elif point.type == "bit":
            assert shown == 1
        elif point.type == "bits16" or point.wraps:
            assert shown == int(value) % (1 << 16 * point.registers)
        elif point.type == "i32":
            assert shown == (0x7FFFFFFF if value > 0 else 0x80000001)  # −(2³¹−1) and, in C1, −(2³¹−2)
        else:
            assert shown == (NOT_AVAILABLE[point.type] - 1 if value > 0 else 0)


@pytest.mark.parametrize("value", [1e39, -1e39, 1e308, math.inf])
def test_a_float_beyond_single_precision_saturates(value: float) -> None:
    shown = struct.unpack(">f", single(Point(0, "x", "f32", "R"), value, ones_complement=False))[0]
    assert shown == math.copysign(3.4028234663852886e38, value)


def test_a_float_that_is_not_available_is_nan() -> None:
    assert single(Point(0, "x", "f32", "R"), None, ones_complement=False) == b"\x7f\xc0\0\0"


WITH_NONE = [pytest.param(point, id=point.name) for point in ALL if point.none is not None]


@pytest.mark.parametrize("point", WITH_NONE)
def test_the_count_that_says_none_is_not_scaled(point: Point) -> None:
    assert point.none is not None
    shown = single(point, point.none, ones_complement=False)
    if point.type == "f32":
        assert struct.unpack(">f", shown)[0] == point.none
    else:
        assert int.from_bytes(shown, "big", signed=point.type == "i32") == point.none


@pytest.mark.parametrize("ones_complement", [False, True])
@pytest.mark.parametrize("point", NUMERIC)
def test_none_is_not_available(point: Point, ones_complement: bool) -> None:
    shown = registers(point, None, ones_complement=ones_complement)
    if point.type in ("bit", "bits16") or point.wraps:
        assert shown == 0
    elif point.type == "f32":
        assert shown == 0x7FC00000
    elif not point.enum:
        assert shown == NOT_AVAILABLE[point.type]


@pytest.mark.parametrize(
    ("enum", "expected"),
    [("status", 0), ("link_state", 0), ("command", 0), ("trigger", 0), ("profile_kind", 0),
     ("error_code", 65535), ("rate_unit", 65535), ("role", 65535), ("watchdog_state", 65535)],
)  # fmt: skip
def test_an_enumeration_is_not_available_as_0_only_where_0_says_so(enum: str, expected: int) -> None:
    assert registers(Point(0, "x", "u16", "R", enum=enum), None) == expected


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (65534, 65534), (65535, 65535), (65536, 0), (65537, 1)])
def test_a_counter_wraps_and_65535_is_a_count(count: int, shown: int) -> None:
    assert registers(Point(0, "x", "u16", "R", wraps=True), count) == shown


def test_a_32_bit_counter_wraps_as_well() -> None:
    assert registers(Point(0, "x", "u32", "R", wraps=True), (1 << 32) + 5) == 5


def test_members_of_enumerations_are_packed_as_numbers() -> None:
    assert registers(Point(0, "x", "u16", "R", enum="status"), Status.Faulted) == 9
    assert registers(Point(0, "x", "u16", "R", enum="status"), Status.unlisted) == 65534


# --- scale and rounding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "scale", "value", "shown"),
    [
        ("u32", 1, 1.001 * 1000, 1001),  # 1000.9999999999999
        ("u32", 1, 1234.7, 1234),  # counters are cut off, as charge points do with meterStop
        ("u32", 1, -3.0, 0),
        ("i32", 1000, 16.0005, 16000),
        ("i32", 10, 230.06, 2301),
        ("i32", 1000, -0.0001, 0),
        ("i32", 10, -12.34, (1 << 32) - 123),
    ],
)
def test_counters_are_cut_off_and_measurements_rounded(kind: str, scale: float, value: float, shown: int) -> None:
    assert registers(Point(0, "x", kind, "R", "Wh", scale=scale), value) == shown


def test_a_time_is_not_shown_before_it_is_there() -> None:
    assert registers(Point(0, "x", "u32", "R", "s"), 1_767_225_600.999) == 1_767_225_600


# --- signed values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "twos", "ones"),
    [
        ("i32", 0, 0, 0),
        ("i32", 1, 1, 1),
        ("i32", -1, 0xFFFFFFFF, 0xFFFFFFFE),
        ("i32", -2, 0xFFFFFFFE, 0xFFFFFFFD),
        ("i32", 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF),
        ("i32", -0x7FFFFFFE, 0x80000002, 0x80000001),
        ("i32", -0x7FFFFFFF, 0x80000001, 0x80000001),
        ("i32", -0x80000000, 0x80000001, 0x80000001),
        ("i32", None, 0x80000000, 0x80000000),
        ("i16", -1, 0xFFFF, 0xFFFE),
        ("i16", None, 0x8000, 0x8000),
        ("i16", -40000, 0x8001, 0x8001),
    ],
)
def test_signed_values_in_both_complements(kind: str, value: int | None, twos: int, ones: int) -> None:
    point = Point(0, "x", kind, "R")
    assert registers(point, value) == twos
    assert registers(point, value, ones_complement=True) == ones


@pytest.mark.parametrize(
    ("data", "twos", "ones"),
    [
        (0xFFFFFFFF, -1, 0),  # in C1 a negative zero
        (0xFFFFFFFE, -2, -1),
        (0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF),
        (0x80000001, -0x7FFFFFFF, -0x7FFFFFFE),
        (0x80000000, -0x80000000, -0x80000000),
    ],
)
def test_signed_values_as_they_are_written(data: int, twos: int, ones: int) -> None:
    point = Point(0, "x", "i32", "RW")
    assert decode(point, data.to_bytes(4, "big"), ones_complement=False) == twos
    assert decode(point, data.to_bytes(4, "big"), ones_complement=True) == ones


@given(value=st.integers(-0x7FFFFFFE, 0x7FFFFFFF), ones_complement=st.booleans())
def test_what_is_shown_can_be_written_back(value: int, ones_complement: bool) -> None:
    point = Point(0, "x", "i32", "RW")
    assert (
        decode(point, single(point, value, ones_complement=ones_complement), ones_complement=ones_complement) == value
    )


# --- texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", TEXTS)
def test_a_text_is_cut_and_padded_to_its_registers(point: Point) -> None:
    width = 2 * point.registers
    for text in ("", "A", "x" * width, "x" * (width + 1), "x" * 10_000):
        assert single(point, text, ones_complement=False) == text[:width].encode().ljust(width, b"\0")
    assert single(point, None, ones_complement=False) == bytes(width)


@pytest.mark.parametrize("text", ["Łódź", "充电桩", "naïve", "\ud800lone", "😀"])
def test_a_text_that_is_not_ascii_is_readable_still(text: str) -> None:
    shown = single(Point(0, "x", "str10", "R"), text, ones_complement=False).rstrip(b"\0").decode("ascii")
    assert shown == "".join(letter if letter.isascii() else "?" for letter in text)


@given(data=st.binary(min_size=20, max_size=20))
def test_written_texts_are_printable_ascii_or_nothing(data: bytes) -> None:
    text = decode(Point(0, "x", "str10", "RW"), data, ones_complement=False)
    if text is None:
        assert any(not 32 <= byte < 127 for byte in data.rstrip(b"\0 "))
    else:
        assert isinstance(text, str)
        assert data == text.encode().ljust(20, data[-1:]) or data.rstrip(b"\0 ") == text.encode()


@given(value=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**30), 10**30)))
def test_no_number_breaks_an_encoder(value: float | None) -> None:
    for kind in ("bit", "u16", "i16", "bits16", "u32", "i32", "f32"):
        for wraps in (False, True):
            point = Point(0, "x", kind, "R", scale=0.1, wraps=wraps)
            assert len(struct.pack(">" + point.struct_code, encoder(point, ones_complement=False)(value))) == (
                2 * point.registers
            )
