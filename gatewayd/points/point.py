"""One row of the table: a point, where its value comes from, and what writing it does (modbus.md, Types).

A point knows its place inside its block, never an absolute address; `address.py` adds those. Registers are
encoded big-endian here; the configured word and string order is applied to a whole block at once (`block.py`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from operator import attrgetter
from typing import Any

from gatewayd.site.codes import ENUMS
from gatewayd.site.transaction import whole

Value = int | float | str | None
"""What a source gives; None is "not available"."""

EMPTY_NAMES = frozenset({"none", "unknown", "unset", "never"})
"""An enumeration whose 0 has one of these names reads 0 when not available, others 65535 (modbus.md, Types)."""

U16_MAX, U32_MAX, I32_MAX = 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF
F32_MAX = 3.4028234663852886e38
"""The largest IEEE 754 single; beyond it `struct` refuses."""
U16_LAST, U32_LAST = U16_MAX - 1, U32_MAX - 1
"""The largest values shown: one above is "not available"."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A row of the table. The first eleven fields are the contract, exported and compared row by row."""

    offset: int
    """Registers from the start of the block."""
    name: str
    type: str
    """bit, u16, i16, bits16, u32, i32, f32 or strN (N registers of two characters)."""
    access: str
    """R, RW (a setpoint) or W (a trigger: acts on a written 1, reads back 0)."""
    unit: str = ""
    enum: str = ""
    minimum: int | None = None
    maximum: int | None = None
    default: int | None = None
    description: str = ""
    source: str | Callable[[Any], Value] | None = None
    """Attribute path in, or function of, the block's record; None: not available yet, or a mailbox's own registers."""
    live: Callable[[Any], Value] | None = None
    """As `source`, for what changes by mere passing of time: it does not count as a change of the block."""
    scale: float = 1
    write: Callable[[Any, Any], None] | None = None
    """(record, value): what a written value does. Values were checked before."""
    accepts: Callable[[int], bool] | None = None
    """A further condition on written values, beyond minimum, maximum and enumeration."""
    late: bool = False
    """Acts after the other points of the same request (`limit` after its unit and phases)."""
    measurement: bool = False
    """Follows `on_comm_error` while the link is down."""
    id_tag: bool = False
    """Not available with `hide_id_tags`."""
    wraps: bool = False
    """A counter: 65535 is a count, not "not available"."""
    none: int | None = None
    """A count that is no quantity but says that there is none, as "no limit": nobody may scale it."""

    @property
    def registers(self) -> int:
        if self.type.startswith("str"):
            return int(self.type[3:])
        return 2 if self.type in ("u32", "i32", "f32") else 1

    @property
    def end(self) -> int:
        """The offset after its last register."""
        return self.offset + self.registers

    @property
    def is_text(self) -> bool:
        return self.type.startswith("str")

    @property
    def characters(self) -> int:
        """Longest text of a string point."""
        return 2 * self.registers

    @property
    def writable(self) -> bool:
        return self.access != "R"

    def getter(self) -> Callable[[Any], Value]:
        """The source as one function of the record."""
        if self.source is None:
            return lambda _record: None
        if isinstance(self.source, str):
            return attrgetter(self.source)
        return self.source

    @property
    def struct_code(self) -> str:
        """How `struct` packs what `encoder` gives."""
        if self.is_text:
            return f"{self.characters}s"
        return {"u32": "I", "i32": "I", "f32": "f"}.get(self.type, "H")

    def allows(self, value: int) -> bool:
        """Whether a written number lies in the range or enumeration; otherwise exception 03."""
        if self.minimum is not None and value < self.minimum:
            return False
        if self.maximum is not None and value > self.maximum:
            return False
        if self.enum and value not in codes_of(self.enum):
            return False
        return self.accepts is None or self.accepts(value)


RANGES = {"u16": (0, U16_MAX), "u32": (0, U32_MAX), "i32": (-I32_MAX - 1, I32_MAX)}


def any_number(offset: int, name: str, kind: str, unit: str = "", description: str = "") -> Point:
    """A mailbox register that takes whatever its type can hold, and is judged later."""
    low, high = RANGES[kind]
    return Point(offset, name, kind, "RW", unit, minimum=low, maximum=high, default=0, description=description)


def codes_of(enum: str) -> frozenset[int]:
    """The codes of an enumeration of the table."""
    found = _CODES.get(enum)
    if found is None:
        members: list[IntEnum | IntFlag] = list(ENUMS[enum])
        found = _CODES[enum] = frozenset(int(member) for member in members)
    return found


_CODES: dict[str, frozenset[int]] = {}


def not_available(point: Point, *, wraps: bool = False) -> int:
    """The number that stands for "not available" in an integer point (modbus.md, Types)."""
    if point.type in ("bit", "bits16") or wraps:
        return 0
    if point.enum:
        members = ENUMS[point.enum].__members__
        return 0 if any(name in EMPTY_NAMES and member == 0 for name, member in members.items()) else U16_MAX
    return {"u16": U16_MAX, "i16": 0x8000, "u32": U32_MAX, "i32": 0x80000000}[point.type]


def encoder(point: Point, *, ones_complement: bool) -> Callable[[Any], Any]:
    """A function from a source's value to what `struct_code` packs: scaled, saturated, never raising on numbers."""
    if point.is_text:
        width = point.characters
        return lambda text: b"" if not text else text.encode("ascii", "replace")[:width]
    scale, none = point.scale, point.none
    if point.type == "f32":

        def single_precision(value: float | None) -> float:
            if value is None:
                return math.nan
            return float(value) if value == none else min(max(value * scale, -F32_MAX), F32_MAX)

        return single_precision
    nothing = not_available(point, wraps=point.wraps)
    if point.type == "bit":
        return lambda value: 1 if value else 0
    if point.type == "bits16" or point.wraps:
        return lambda value: int(value or 0) & (U16_MAX if point.registers == 1 else U32_MAX)
    if point.type in ("u16", "u32"):
        last = U16_LAST if point.type == "u16" else U32_LAST

        def unsigned(value: float | None) -> int:
            if value is None:
                return nothing
            number = whole(value if scale == 1 else value * scale)
            return 0 if number < 0 else last if number > last else number

        return unsigned
    bits = 16 if point.type == "i16" else 32
    return _signed(nothing, bits, scale, ones_complement)


def _signed(nothing: int, bits: int, scale: float, ones_complement: bool) -> Callable[[Any], int]:
    top, mask = (1 << (bits - 1)) - 1, (1 << bits) - 1
    # One's complement of -top would be the pattern of "not available"; the last value shown is one less.
    bottom = -top + 1 if ones_complement else -top
    borrow = 1 if ones_complement else 0

    def signed(value: float | None) -> int:
        if value is None:
            return nothing
        number = round(value * scale) if scale != 1 else round(value)
        if number < 0:
            return (max(number, bottom) - borrow) & mask
        return min(number, top)

    return signed


def decode(point: Point, data: bytes, *, ones_complement: bool) -> int | str | None:
    """The value of big-endian registers that a BMS wrote; None for a text that is not printable ASCII."""
    if point.is_text:
        text = data.rstrip(b"\0 ")
        return text.decode("ascii") if all(32 <= byte < 127 for byte in text) else None
    number = int.from_bytes(data, "big")
    if point.type not in ("i16", "i32"):
        return number
    bits = 8 * len(data)
    if number < 1 << (bits - 1):
        return number
    number -= 1 << bits
    return number + 1 if ones_complement and number != -(1 << (bits - 1)) else number


def single(point: Point, value: Any, *, ones_complement: bool) -> bytes:
    """The registers of one point alone, big-endian; used where a mailbox is filled by the gateway."""
    return struct.pack(">" + point.struct_code, encoder(point, ones_complement=ones_complement)(value))
