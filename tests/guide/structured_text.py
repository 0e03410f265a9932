"""A sequence of the guide as Structured Text (IEC 61131-3), for the function block that the guide prints.

`python -m tests.guide.structured_text` writes the blocks under the guide's tables anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.guide.reading import GUIDE, Kept, Sequence, Step, Text, guide, sequences

DATA = 16
"""Registers that a step carries; those beyond are written as 0."""
BLOCK = re.compile(r"```iecst\n(.*?)```", re.DOTALL)


def name(sequence: Sequence) -> str:
    """aStartForACard"""
    return "a" + "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", sequence.name))


def written(sequence: Sequence) -> str:
    """The list of its steps, as a variable."""
    return "\n".join(_lines(sequence)) + "\n"


def _lines(sequence: Sequence) -> Iterator[str]:
    requests = [step for step in sequence.steps if step.function is not None]
    yield "VAR_GLOBAL"
    yield f"    {name(sequence)} : ARRAY[1..{len(requests)}] OF ST_STEP := ["
    for step in sequence.steps:
        if step.function is None:
            yield f"        (* {step.meaning} *)"
        else:
            end = "" if step is requests[-1] else ","
            yield f"        ({_fields(step)}){end} (* {_said(step)} *)"
    yield "    ];"
    yield "END_VAR"


def _fields(step: Step) -> str:
    # A coil is a register at the same number (modbus.md, Addresses): FC 1 and 5 are served as 3 and 6.
    function = {1: 3, 5: 6}.get(step.function or 0, step.function)
    fields = f"Fc := {function}, Address := {step.address}, Count := {step.quantity}"
    if step.keeps:
        return fields + ", Keep := TRUE"
    last = step.items[-1]
    numbers = step.registers({last.name: 0} if isinstance(last, Kept) else {})
    if isinstance(last, Kept):
        numbers.pop()
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    assert len(numbers) <= DATA, step
    texts = any(isinstance(item, Text) and item.text for item in step.items)
    shown = ", ".join(f"16#{number:04X}" if texts else str(number) for number in numbers)
    if numbers and any(numbers):
        fields += f", Data := [{shown}]"
    if isinstance(last, Kept):
        fields += ", UseKept := TRUE" + (f", Plus := {last.plus}" if last.plus else "")
    return fields


def _said(step: Step) -> str:
    text = next((f" '{item.text}'" for item in step.items if isinstance(item, Text) and item.text), "")
    return ", ".join(step.points) + text


def renewed(text: str) -> str:
    """The guide with every list of steps as it should be."""
    for each in sequences(text):
        part = _part(text, each)
        if BLOCK.search(part):
            text = text.replace(part, BLOCK.sub(f"```iecst\n{written(each)}```", part, count=1))
    return text


def _part(text: str, sequence: Sequence) -> str:
    """From the sequence's comment to the next heading."""
    start = re.search(rf"<!-- sequence: {re.escape(sequence.name)}(?: -->|, given: )", text)
    assert start is not None
    return re.split(r"\n#+ ", text[start.start() :])[0]


if __name__ == "__main__":
    GUIDE.write_text(renewed(guide()), encoding="utf-8")
