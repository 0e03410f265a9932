"""What the guest did and when, by its marks in the log; and what may therefore be found after a cut. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tests.powercut.log import Entry

MIB: Final = 1 << 20
DATA_AT, DATA_BYTES = MIB, 32 * MIB
"""The data partition of the guest's disk. Half of the card's before it has grown (image/disk.txt): every state is
copied and searched whole, and its file system has the same journal."""
MARKS_AT, MARKS_BYTES = DATA_AT + DATA_BYTES, MIB
"""Behind it, the guest's marks."""

OURS, NOBODY = "ours", ""
"""The build that is promised to be right; and what is made between two builds, which is nobody's."""


@dataclass(frozen=True, slots=True)
class Content:
    """What the partition holds, by the digests of guest/seen.py. None: there is no configuration."""

    configuration: str | None = None
    others: str | None = None


NOTHING: Final = Content()


@dataclass(frozen=True, slots=True)
class Moment:
    """Between two requests in the log: which deed is under way, what was before it, and what it will have made."""

    build: str = NOBODY
    deed: str = ""
    """Empty: between two deeds; the last one was said to be done."""
    before: Content = NOTHING
    after: Content = NOTHING
    erased: bool = False
    """A factory reset has begun or is done, and nothing was saved since."""

    @property
    def allowed(self) -> tuple[Content, ...]:
        """Any of these and nothing else."""
        return (self.before, self.after) if self.deed else (self.after,)


def is_mark(entry: Entry) -> bool:
    return entry.offset >= MARKS_AT


def moments(log: Iterable[Entry]) -> list[Moment]:
    """The moment after each entry."""
    said = [json.loads(entry.data) if is_mark(entry) and entry.data else None for entry in log]
    found: list[Moment] = []
    after = NOTHING
    for mark in reversed(said):  # what a deed will have made is told at its end
        if mark and mark["done"]:
            after = Content(mark["configuration"], mark["others"])
        found.append(Moment(after=after))
    found.reverse()
    now = Moment()
    for place, mark in enumerate(said):
        if mark and not mark["done"]:
            now = Moment(mark["build"], mark["deed"], now.after, found[place].after, mark["deed"] == "reset")
        elif mark:
            now = replace(now, deed="", before=now.after)
        found[place] = now
    return found
