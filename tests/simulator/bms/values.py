"""How a BMS reads and writes values that span registers: word orders, signs, text, and "not available"."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

Value = int | float | str | bool | None

# The bytes ABCD of a 32-bit value, as they stand in its two registers.
WORD_ORDERS = {
    "big": (0, 1, 2, 3),
    "little": (3, 2, 1, 0),
    "word_inverted_big": (2, 3, 0, 1),
    "word_inverted_little": (1, 0, 3, 2),
}
NOT_AVAILABLE = {"u16": 0xFFFF, "u32": 0xFFFFFFFF, "i16": -0x8000, "i32": -0x80000000}


@dataclass(frozen=True, slots=True)
class Coding:
    """The settings that BMS and gateway have to agree on."""

    word_order: str = "big"
    signed: str = "twos_complement"
    string_order: str = "big"

    def decode(self, kind: str, registers: Sequence[int]) -> Value:
        """The value, None when it is not available; text is "" then, bits are 0."""
        if kind.startswith("str"):
            return self._text(registers)
        if kind == "bit":
            return bool(registers[0])
        if kind == "f32":
            number: float = struct.unpack(">f", self._straight(registers))[0]
            return None if math.isnan(number) else number
        value = registers[0] if len(registers) == 1 else int.from_bytes(self._straight(registers))
        if kind.startswith("i"):
            value = self._signed(value, 16 * len(registers))
        return None if value == NOT_AVAILABLE.get(kind) else value

    def encode(self, kind: str, value: Value) -> list[int]:
        """Registers of a value; None is written as not available. ValueError or OverflowError when it does not fit."""
        if kind.startswith("str"):
            return self._letters(str(value or ""), int(kind[3:]))
        if kind == "f32":
            return self._ordered(struct.pack(">f", math.nan if value is None else float(value)))
        number = NOT_AVAILABLE.get(kind, 0) if value is None else int(value)
        bits = 32 if kind.endswith("32") else 16
        if kind.startswith("i") and number < 0:
            if number < -(1 << bits - 1):
                raise OverflowError(f"{number} does not fit {kind}")
            ones = self.signed == "ones_complement" and number != NOT_AVAILABLE[kind]
            number += (1 << bits) - ones
        data = number.to_bytes(bits // 8)
        return [number] if bits == 16 else self._ordered(data)

    def _signed(self, value: int, bits: int) -> int:
        if not value >> bits - 1:
            return value
        lowest = value == 1 << bits - 1
        return value - (1 << bits) + (self.signed == "ones_complement" and not lowest)

    def _straight(self, registers: Sequence[int]) -> bytes:
        """ABCD of two registers."""
        wire = struct.pack(">2H", *registers)
        return bytes(wire[WORD_ORDERS[self.word_order].index(place)] for place in range(4))

    def _ordered(self, data: bytes) -> list[int]:
        return list(struct.unpack(">2H", bytes(data[place] for place in WORD_ORDERS[self.word_order])))

    def _text(self, registers: Sequence[int]) -> str:
        order = ">" if self.string_order == "big" else "<"
        return struct.pack(f"{order}{len(registers)}H", *registers).rstrip(b"\0").decode("ascii", errors="replace")

    def _letters(self, text: str, registers: int) -> list[int]:
        data = text.encode("ascii")
        if len(data) > 2 * registers:
            raise ValueError(f"{text!r} is longer than {2 * registers} characters")
        order = ">" if self.string_order == "big" else "<"
        return list(struct.unpack(f"{order}{registers}H", data.ljust(2 * registers, b"\0")))
