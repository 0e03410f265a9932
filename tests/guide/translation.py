"""The guide's function block, made runnable: as much Structured Text as it uses, line by line into Python.

So the program that the guide prints is played by the tests, and not only its data. Statements stand one to a line, as
the guide prints them; what this does not know is an error, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

REGISTERS = 123


@dataclass
class StepData:
    """ST_STEP, with the initial values of its types."""

    Fc: int = 0
    Address: int = 0
    Count: int = 0
    Data: list[int] = field(default_factory=list)
    Keep: bool = False
    UseKept: bool = False
    Plus: int = 0

    def __post_init__(self) -> None:
        self.Data = [*self.Data, *[0] * (16 - len(self.Data))]


class Timer:
    """TON."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._since, self.Q = clock, clock(), False
        self._on = False

    def __call__(self, IN: bool, PT: float) -> None:
        if IN and not self._on:
            self._since = self._clock()
        self._on = IN
        self.Q = IN and self._clock() - self._since >= PT


def steps(block: str) -> list[StepData]:
    """The list of steps of one block."""
    declared = re.search(r"ARRAY\[1\.\.(\d+)\] OF ST_STEP := \[(.*)\];", block, re.DOTALL)
    assert declared is not None
    text = re.sub(r"\(\*.*?\*\)", "", declared[2])
    found = [_step(each) for each in re.findall(r"\(([^()]*)\)", text)]
    assert len(found) == int(declared[1])
    return found


def _step(text: str) -> StepData:
    fields: dict[str, Any] = {}
    for name, value in re.findall(r"(\w+) := (\[[^\]]*\]|[\w#]+)", text):
        if value.startswith("["):
            fields[name] = [_number(each) for each in value.strip("[]").split(",")]
        else:
            fields[name] = value == "TRUE" if value in ("TRUE", "FALSE") else _number(value)
    return StepData(**fields)


def _number(text: str) -> int:
    text = text.strip()
    return int(text.removeprefix("16#"), 16) if text.startswith("16#") else int(text)


VARIABLES = ("Execute", "Last", "Steps", "Done", "Error", "Current", "State", "I", "Same", "Kept", "Wanted",
             "Registers", "Request", "Pause", "Patience")  # fmt: skip
OPERATORS = {" <> ": " != ", " = ": " == ", "AND": "and", "OR": "or", "NOT": "not", "TRUE": "True", "FALSE": "False",
             "UINT_TO_INT": "int", "T#90S": "90.0", "T#200MS": "0.2"}  # fmt: skip


def expression(text: str) -> str:
    for name in VARIABLES:
        text = re.sub(rf"(?<![.\w]){name}\b", f"v.{name}", text)
    for ours, theirs in OPERATORS.items():
        text = text.replace(ours, theirs) if " " in ours else re.sub(rf"(?<![\w]){ours}(?!\w)", theirs, text)
    return text


def program(block: str) -> Callable[[Any], None]:
    """One cycle of FB_HANDSHAKE, as a function of its variables."""
    inside = block.split("FUNCTION_BLOCK FB_HANDSHAKE")[1].split("END_FUNCTION_BLOCK")[0]
    statements = re.sub(r"\(\*.*?\*\)", "", inside.split("END_VAR")[-1], flags=re.DOTALL)
    statements = re.sub(r",\s*\n\s*", ", ", statements)  # a call over two lines
    names: dict[str, Any] = {}
    exec("\n".join(["def cycle(v):", *_python(statements)]), names)
    cycle: Callable[[Any], None] = names["cycle"]
    return cycle


def _python(statements: str) -> Iterator[str]:
    inner: list[str] = []
    """What the next line stands in, outermost first."""
    for line in filter(None, map(str.strip, statements.splitlines())):
        branch = re.fullmatch(r"(\d+):", line)
        if branch or line == "END_CASE":
            if inner[-1] == "branch":
                inner.pop()
            if not branch:
                inner.pop()
                continue
        elif line.startswith(("END_IF", "END_FOR", "ELSE", "ELSIF")):
            inner.pop()
            if line.startswith("END_"):
                continue
        python, opens = _statement(line, branch[1] if branch else None)
        yield "    " * (len(inner) + 1) + python
        if opens:
            inner.append(opens)
    assert not inner, "a statement is not ended"


def _statement(line: str, branch: str | None) -> tuple[str, str]:
    """Python, and what it opens."""
    if branch is not None:
        return f"case {branch}:", "branch"
    if line == "ELSE":
        return "else:", "if"
    if found := re.fullmatch(r"(IF|ELSIF) (.*) THEN", line):
        return f"{'if' if found[1] == 'IF' else 'elif'} {expression(found[2])}:", "if"
    if found := re.fullmatch(r"FOR (\w+) := (.*) TO (.*) DO", line):
        return f"for v.{found[1]} in range({expression(found[2])}, {expression(found[3])} + 1):", "for"
    if found := re.fullmatch(r"CASE (\w+) OF", line):
        return f"match v.{found[1]}:", "case"
    if found := re.fullmatch(r"(\w+)\((.*)\);", line):
        arguments = [each.split(" := ") for each in found[2].split(", ")]
        return f"v.{found[1]}({', '.join(f'{name}={expression(value)}' for name, value in arguments)})", ""
    if found := re.fullmatch(r"(Wanted|Registers) := (Wanted|Registers);", line):
        return f"v.{found[1]}[:] = v.{found[2]}", ""  # arrays are copied
    found = re.fullmatch(r"([^:]+) := (.*);", line)
    assert found is not None, f"what is {line!r}?"
    # A UINT wraps.
    value = f"({expression(found[2])}) & 0xFFFF" if found[1].startswith("Wanted[") else expression(found[2])
    return f"{expression(found[1])} = {value}", ""
