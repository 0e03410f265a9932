"""The BMS programmer's guide as data: its sequences, its Structured Text and its poll plans.

A sequence is a table whose header is `| step | FC | address | registers | meaning |` under a comment
`<!-- sequence: name -->` or `<!-- sequence: name, given: state of the charge point -->`. In `registers` stand

    160  or  0 160            what is written, or with "=" before it, what is read in the end
    "CARD-1" (10)             a text in ten registers, padded with zeros
    → a                       what is read is called a
    a, a+1                    what was read, or one more

A row without a function code is something that happens, told in its meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.house.sources import PROJECT
from tests.points.contract import ROWS, Row

GUIDE = PROJECT / "docs" / "manual" / "programmers-guide.md"
HEADER = "| step | FC | address | registers | meaning |"
CHARGE_POINT = 3000
"""Where charge point 1 begins; the guide speaks of it and of its connector 1."""


@dataclass(frozen=True)
class Kept:
    """A register that was read before, and what is added to it."""

    name: str
    plus: int


@dataclass(frozen=True)
class Text:
    text: str
    registers: int


Item = int | Kept | Text


@dataclass(frozen=True)
class Step:
    """One row: a request, or without a function code something that happens."""

    number: int
    function: int | None
    address: int
    items: tuple[Item, ...]
    keeps: str | None
    """The name under which the register read is kept."""
    meaning: str

    @property
    def reads(self) -> bool:
        return self.function in (1, 3)

    @property
    def quantity(self) -> int:
        return 1 if self.keeps else sum(each.registers if isinstance(each, Text) else 1 for each in self.items)

    def registers(self, kept: dict[str, int]) -> list[int]:
        """What goes over the wire, or is expected there."""
        found: list[int] = []
        for item in self.items:
            if isinstance(item, Text):
                data = item.text.encode("ascii").ljust(2 * item.registers, b"\0")
                assert len(data) == 2 * item.registers, item
                found += [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
            else:
                found.append(item if isinstance(item, int) else (kept[item.name] + item.plus) & 0xFFFF)
        return found

    @property
    def points(self) -> list[str]:
        """The names in backquotes of its meaning."""
        return re.findall(r"`(\w+)`", self.meaning)


@dataclass(frozen=True)
class Sequence:
    name: str
    given: str
    steps: tuple[Step, ...]
    calls: tuple[tuple[str, Any], ...]
    """What the charge point gets, as the line under the table says: action, and what its payload holds at least."""
    answers: tuple[Any, ...]
    """What its own questions are answered, at least."""
    structured_text: str
    """The block of Structured Text that says the same; empty where the guide has none."""

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.calls]


def guide() -> str:
    return GUIDE.read_text(encoding="utf-8")


def sequences(text: str) -> list[Sequence]:
    parts = re.split(r"<!-- sequence: ", text)[1:]
    return [_sequence(part) for part in parts]


def _sequence(part: str) -> Sequence:
    head, _, rest = part.partition("-->")
    name, _, given = head.strip().partition(", given: ")
    body = re.split(r"\n#+ ", rest)[0]
    lines = body.strip().splitlines()
    assert lines[0] == HEADER, f"{name}: {lines[0]}"
    rows = [line for line in lines[2:] if line.startswith("|")]
    told = re.search(r"^The charge point gets (.*)$", body, re.MULTILINE)
    assert told is not None, f"{name}: what does the charge point get?"
    answers = re.findall(r"^It is answered `(.*)`\.$", body, re.MULTILINE)
    code = re.search(r"```iecst\n(.*?)```", body, re.DOTALL)
    return Sequence(
        name,
        given or "registered",
        tuple(_step(row) for row in rows),
        tuple(
            (action, json.loads(holds or "{}")) for action, holds in re.findall(r"`(\w+)(?: (\{[^`]*\}))?`", told[1])
        ),
        tuple(map(json.loads, answers)),
        code[1] if code else "",
    )


def _step(row: str) -> Step:
    number, function, address, registers, meaning = (cell.strip() for cell in row.strip("|").split("|"))
    if not function:
        return Step(int(number), None, 0, (), None, meaning)
    keeps = re.fullmatch(r"→ (\w+)", registers)
    items = () if keeps else tuple(_items(registers.removeprefix("=").strip()))
    step = Step(int(number), int(function), int(address), items, keeps[1] if keeps else None, meaning)
    assert step.reads == (registers.startswith(("=", "→"))), row
    return step


def _items(text: str) -> Iterator[Item]:
    token = re.compile(r'"([^"]*)" \((\d+)\)|(\d+)|([a-z])(?:\+(\d+))?')
    at = 0
    while at < len(text):
        found = token.match(text, at)
        assert found is not None, f"{text!r} from {text[at:]!r}"
        if found[2]:
            yield Text(found[1], int(found[2]))
        elif found[3]:
            yield int(found[3])
        else:
            yield Kept(found[4], int(found[5] or 0))
        at = found.end()
        while at < len(text) and text[at] == " ":
            at += 1


def structured_text(text: str) -> list[str]:
    """Every block of Structured Text, in the order of the guide."""
    return re.findall(r"```iecst\n(.*?)```", text, re.DOTALL)


def tables(text: str, mark: str) -> list[list[dict[str, str]]]:
    """The tables under comments `<!-- mark … -->`, row by row."""
    found = []
    for part in re.split(rf"<!-- {mark}[^>]*-->\n", text)[1:]:
        lines = []
        for line in part.splitlines():
            if not line.startswith("|"):
                break
            lines.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


def at(address: int) -> Row | None:
    """The contract's point at an address of the gateway, of charge point 1 or its connector 1; None: a hole."""
    for row in ROWS:
        first = row.address if row.block != "matrix" else row.offset
        size = row.registers * (160 if row.block == "matrix" else 1)
        if first <= address < first + size:
            return row
    return None
