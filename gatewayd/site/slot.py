"""A URL or certificate prepared in the configuration, for commands whose arguments do not fit registers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """`[[slot]]` of the configuration; `certificate` is PEM text, already read from its file."""

    number: int
    url: str = ""
    certificate: str = ""
    certificate_type: str = ""
    signature: str = ""
