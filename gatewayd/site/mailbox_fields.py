"""What a BMS put into a mailbox, by the names of its points, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping

Fields = Mapping[str, int | str | None]
"""Points of a mailbox by name; None where a text was not printable ASCII."""


class BadFields(Exception):
    """What the registers hold fits no operation: the mailbox fails with bad_parameter. The message names the field."""


def number(fields: Fields, name: str) -> int:
    value = fields[name]
    return value if isinstance(value, int) else 0


def text(fields: Fields, name: str) -> str:
    """The text, "" where it was none."""
    value = fields[name]
    return value if isinstance(value, str) else ""


def expect(condition: bool, name: str) -> None:
    """Raises BadFields in the name of the field at fault."""
    if not condition:
        raise BadFields(name)
