"""The gateway's own authorization list, and what charge points lack of it (modbus.md, Local list)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice

from msgspec import Struct

from gatewayd.site.codes import Authorization
from gatewayd.site.journal import ClearTags, Journal, SaveFact, SaveTag

ENTRIES_MAX = 10_000
"""Tags kept: more than a building has drivers, and below 2 MB of memory."""
CHANGES_MAX = 2 * ENTRIES_MAX
"""Tags of which it is remembered that they changed or went, the list itself and as many deleted ones; whoever lacks
more is sent the whole list."""
VERSION_MAX = 0x7FFFFFFF
"""Charge points keep the version in 31 bits; 0 and −1 mean none (erratum 3.52)."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry; `expiry` is an epoch or 0 for none."""

    id_tag: str
    status: int
    expiry: int = 0
    parent_id_tag: str = ""
    position: int = field(default=0, compare=False)
    """Entries stand in the order in which they were first put, over restarts too; the list gives it."""

    def status_at(self, epoch: float) -> int:
        """The status to answer: an accepted tag past its expiry is Expired."""
        if self.status == Authorization.Accepted and self.expiry and epoch >= self.expiry:
            return Authorization.Expired
        return self.status


class Changes(Struct, frozen=True):
    """What makes an older list this one."""

    puts: tuple[Tag, ...] = ()
    deletes: tuple[str, ...] = ()
    """Id tags."""


class Held(Struct, frozen=True):
    """What a charge point accepted last: the version it was told, and the edit of our list that it then had."""

    version: int
    edit: int


@dataclass(slots=True)
class TagList:
    """Tags by their id, which OCPP compares without regard to case (CiString)."""

    entries: dict[str, Tag] = field(default_factory=dict)
    """In the order of their positions."""
    version: int = 0
    """Every edit changes it."""
    edit: int = 0
    """How many edits there were since the start."""
    _changed: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Key → (number of its last edit, id tag), of deleted tags too."""
    _known_from: int = 0
    """Changes before this edit are forgotten."""

    def restore(self, tags: list[Tag], version: int) -> None:
        """Put back what was durable, in the order of positions."""
        self.entries = {tag.id_tag.casefold(): tag for tag in tags}
        self.version = version

    def find(self, id_tag: str) -> Tag | None:
        return self.entries.get(id_tag.casefold())

    def at(self, index: int) -> Tag | None:
        """The entry at a place of the list, from 0; None beyond its end."""
        return next(islice(self.entries.values(), index, None), None)

    def put(self, tag: Tag, journal: Journal) -> bool:
        """Add or replace; False when the list is full."""
        key = tag.id_tag.casefold()
        old = self.entries.get(key)
        if old is None and len(self.entries) >= ENTRIES_MAX:
            return False
        position = old.position if old is not None else self._next_position()
        self.entries[key] = replace(tag, position=position)
        journal.write(SaveTag(tag.id_tag, tag.status, tag.expiry, tag.parent_id_tag, position))
        self._edited(journal, key, tag.id_tag)
        return True

    def delete(self, id_tag: str, journal: Journal) -> bool:
        """Remove; False when it was not there."""
        key = id_tag.casefold()
        gone = self.entries.pop(key, None)
        if gone is None:
            return False
        journal.write(SaveTag(gone.id_tag, Authorization.unset, 0, ""))
        self._edited(journal, key, gone.id_tag)
        return True

    def clear(self, journal: Journal) -> None:
        """Nobody is listed. Charge points will be told with a full list, which is the shorter word for it."""
        self.entries.clear()
        journal.write(ClearTags())
        self._edited(journal)
        self._forget()

    def changes_since(self, edit: int) -> Changes | None:
        """What changed after that edit; None when that is not known any more."""
        if edit < self._known_from:
            return None
        changed = {key: id_tag for key, (number, id_tag) in self._changed.items() if number > edit}
        return Changes(
            tuple(self.entries[key] for key in changed if key in self.entries),
            tuple(id_tag for key, id_tag in changed.items() if key not in self.entries),
        )

    def reach(self, version: int, journal: Journal) -> None:
        """A charge point is told this version: the next edit's is higher."""
        if version > self.version:
            self.version = version
            journal.write(SaveFact("list_version", version))

    def _next_position(self) -> int:
        last = next(reversed(self.entries.values()), None)
        return 0 if last is None else last.position + 1

    def _edited(self, journal: Journal, key: str = "", id_tag: str = "") -> None:
        self.edit += 1
        self.version = self.version % VERSION_MAX + 1
        journal.write(SaveFact("list_version", self.version))
        if key:
            self._changed[key] = (self.edit, id_tag)
            if len(self._changed) > CHANGES_MAX:
                self._forget()

    def _forget(self) -> None:
        self._changed.clear()
        self._known_from = self.edit
