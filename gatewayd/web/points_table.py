"""Every live point with its value, as a person reads it: the table of `gatewayd.points` over one reading. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gatewayd.config_tables import Config
from gatewayd.points.block import Format
from gatewayd.points.exports.listing import Listed, listing
from gatewayd.points.point import Point, decode, not_available
from gatewayd.site.codes import ENUMS, WordOrder

GAP_MOST: Final = 40
"""Registers between two points that are read along: another request costs more."""

NONE: Final = "none"
"""The name of a point's `none`."""

LARGEST: Final = float(1 << 64)
"""What is larger fits no register; and a float beyond it divides into infinity."""


class BadValue(ValueError):
    """What is to be written does not fit the point; the text says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One point and what it reads."""

    listed: Listed
    value: int | float | str | None
    """In the unit of the table, scaled; None is not available."""
    code: str
    """The name of an enumeration's value, `none` where the value says that there is none, or empty."""


@dataclass(frozen=True, slots=True)
class Run:
    """Registers that are read at once."""

    unit: int
    address: int
    registers: int


def format_of(config: Config) -> Format:
    """How the registers of this site are laid out on the wire."""
    modbus = config.modbus
    return Format(
        WordOrder[modbus.word_order], modbus.string_order == "little", modbus.signed == "ones_complement",
        modbus.on_comm_error, modbus.hide_id_tags,
    )  # fmt: skip


class PointsTable:
    """The points of one configuration."""

    def __init__(self, config: Config) -> None:
        self._format = format_of(config)
        self.title = config.gateway.name
        self.listed = listing(config).listed
        self.by_place = {(each.unit, each.address): each for each in self.listed}
        self.runs = runs_of(self.listed)

    def shown(self, readings: dict[Run, bytes]) -> Iterator[Shown]:
        """All points, from what `runs` read."""
        places = {(run.unit, run.address): data for run, data in readings.items()}
        starts = sorted(places)
        at = 0
        for each in sorted(self.listed, key=lambda listed: (listed.unit, listed.address)):
            while at + 1 < len(starts) and starts[at + 1] <= (each.unit, each.address):
                at += 1
            unit, first = starts[at]
            begin = 2 * (each.address - first)
            data = places[unit, first][begin : begin + 2 * each.point.registers]
            yield Shown(each, *self.read(each.point, data))

    def shown_in(self, listed: Iterable[Listed], readings: dict[Run, bytes]) -> list[Shown]:
        """These points in their order, from what `runs_of` them read."""
        found = []
        for each in listed:
            run = next(r for r in readings if r.unit == each.unit and 0 <= each.address - r.address < r.registers)
            begin = 2 * (each.address - run.address)
            data = readings[run][begin : begin + 2 * each.point.registers]
            found.append(Shown(each, *self.read(each.point, data)))
        return found

    def read(self, point: Point, data: bytes) -> tuple[int | float | str | None, str]:
        """The value of a point's registers as they come from the wire, and its code's name."""
        data = self._format.reorder(point, data)
        if point.is_text:
            text = decode(point, data, ones_complement=False)
            return text or None, ""
        if point.type == "f32":
            number = struct.unpack(">f", data)[0]
            if number == point.none:
                return point.none, NONE
            return (None if math.isnan(number) else float(f"{number:.6g}")), ""
        raw = int.from_bytes(data, "big")
        enum_shows = bool(point.enum) and raw in [int(member) for member in ENUMS[point.enum]]
        if not point.wraps and point.type not in ("bit", "bits16") and raw == not_available(point) and not enum_shows:
            return None, ""
        value = decode(point, data, ones_complement=self._format.ones_complement)
        assert isinstance(value, int)
        if value == point.none:
            return value, NONE
        code = next((member.name for member in ENUMS[point.enum] if int(member) == value), "") if point.enum else ""
        return _scaled(point, value), code or ""

    def written(self, point: Point, value: int | float | str) -> bytes:
        """The registers that say `value`, in the unit of the table, on the wire. Raises BadValue."""
        if not point.writable:
            raise BadValue("this point cannot be written")
        if point.is_text:
            return self._text(point, value)
        if isinstance(value, str):
            value = _number(point, value)
        if isinstance(value, bool) or not abs(value) < LARGEST:  # so is NaN
            raise BadValue("a number that a register can hold belongs here")
        if point.type == "f32":
            return self._format.reorder(point, struct.pack(">f", value))
        factor = factor_of(point)
        number = round(value) if value == point.none else round(value / factor)
        if value != point.none and not math.isclose(number * factor, value, rel_tol=1e-9, abs_tol=1e-9):
            raise BadValue(f"the register counts steps of {factor:g}")
        if not point.allows(number) or (number == point.none and value != point.none):
            low, high = bounds(point)
            raise BadValue(f"{value:g} is not allowed" + (f": {low:g} to {high:g}" if None not in (low, high) else ""))
        if number < 0 and point.type not in ("i16", "i32"):
            raise BadValue("it cannot be negative")
        if number < 0 and self._format.ones_complement:
            number -= 1
        bits = 16 * point.registers
        if not -(1 << (bits - 1)) <= number < 1 << bits:
            raise BadValue(f"{value:g} does not fit the register")
        packed = (number & ((1 << bits) - 1)).to_bytes(bits // 8, "big")
        return self._format.reorder(point, packed)

    def _text(self, point: Point, value: int | float | str) -> bytes:
        if not isinstance(value, str) or not all(32 <= ord(character) < 127 for character in value):
            raise BadValue("printable ASCII belongs here")
        if len(value) > point.characters:
            raise BadValue(f"at most {point.characters} characters fit")
        return self._format.reorder(point, value.encode("ascii").ljust(point.characters, b"\0"))


def bounds(point: Point) -> tuple[float | None, float | None]:
    """The least and the greatest value that may be written, in the unit of the table. What says "none" is neither."""
    low, high = point.minimum, point.maximum
    if point.none is not None and low == point.none:
        low += 1
    if point.none is not None and high == point.none:
        high -= 1
    factor = factor_of(point)
    return None if low is None else low * factor, None if high is None else high * factor


def factor_of(point: Point) -> float:
    """What one count is worth in the unit of the table: "0.1 A" counts tenths."""
    head = point.unit.split(" ")[0]
    try:
        return float(head)
    except ValueError:
        return 1.0


def unit_of(point: Point) -> str:
    """The unit without its factor."""
    head, _, rest = point.unit.partition(" ")
    try:
        float(head)
    except ValueError:
        return point.unit
    return rest


def _scaled(point: Point, value: int) -> int | float:
    factor = factor_of(point)
    return value if factor == 1 else float(f"{value * factor:.10g}")


def _number(point: Point, text: str) -> float:
    if point.none is not None and text == NONE:
        return point.none
    if point.enum and text in ENUMS[point.enum].__members__:
        return int(ENUMS[point.enum].__members__[text])
    try:
        return float(text)
    except ValueError:
        raise BadValue("a number belongs here" + (", or the name of a code" if point.enum else "")) from None


def runs_of(listed: Iterable[Listed]) -> tuple[Run, ...]:
    """What has to be read to see these points, in as few requests as go."""
    return tuple(_runs(listed))


def _runs(listed: Iterable[Listed]) -> Iterator[Run]:
    first = last = unit = -1
    for each in sorted(listed, key=lambda one: (one.unit, one.address)):
        if each.unit != unit or each.address > last + GAP_MOST:
            if unit >= 0:
                yield Run(unit, first, last - first)
            unit, first, last = each.unit, each.address, each.address
        last = max(last, each.address + each.point.registers)
    if unit >= 0:
        yield Run(unit, first, last - first)
