"""The contract's rows as plain data, read from the golden file and not from our table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent

# First register of a block of charge point 1 (connector 1 where it is one).
BASES = {"gateway": 0, "matrix": 0, "charge_point": 3000, "connector": 3300, "command": 5400, "identity": 5700}

MAILBOXES = (("gateway", 2000, 2120), ("gateway", 2300, 2328), ("charge_point", 88, 102), ("charge_point", 195, 244),
             ("command", 0, 105))  # fmt: skip
"""Block, first and last offset of what may be written register by register."""


@dataclass(frozen=True)
class Row:
    """One row of register_map.csv. Numbers are None where the file has none."""

    block: str
    offset: int
    registers: int
    name: str
    type: str
    access: str
    enum: str
    minimum: int | None
    maximum: int | None
    default: int | None

    @property
    def address(self) -> int:
        """Of charge point 1, connector 1; of a matrix, entry [1,1]."""
        return BASES[self.block] + self.offset + (self.registers if self.block == "matrix" else 0)

    @property
    def is_text(self) -> bool:
        return self.type.startswith("str")

    @property
    def in_mailbox(self) -> bool:
        return any(block == self.block and first <= self.offset <= last for block, first, last in MAILBOXES)

    @property
    def written_whole(self) -> bool:
        """A writable point outside the mailboxes."""
        return self.access != "R" and not self.in_mailbox

    def __str__(self) -> str:
        return f"{self.block}.{self.name}"


def _number(text: str) -> int | None:
    return int(text) if text else None


def _rows() -> list[Row]:
    with (FOLDER / "register_map.csv").open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row["block"], int(row["offset"]), int(row["registers"]), row["name"], row["type"], row["access"],
                row["enum"], _number(row["minimum"]), _number(row["maximum"]), _number(row["default"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def _enums() -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    with (FOLDER / "enums.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["enum"], {})[row["name"]] = int(row["code"])
    return found


ROWS = _rows()
ENUMS = _enums()
BY_NAME = {(row.block, row.name): row for row in ROWS}


def not_available(row: Row) -> bytes:
    """The registers of a value that is not known (modbus.md, Types)."""
    if row.is_text:
        return bytes(2 * row.registers)
    if row.type in ("bit", "bits16"):
        return b"\0\0"
    if row.enum:
        zero = [name for name, code in ENUMS[row.enum].items() if code == 0]
        return b"\0\0" if zero and zero[0] in ("none", "unknown", "unset", "never") else b"\xff\xff"
    return {"u16": b"\xff\xff", "u32": b"\xff" * 4, "i32": b"\x80\0\0\0", "f32": b"\x7f\xc0\0\0"}[row.type]
