"""The gateway's own authorization list (modbus.md, Local list)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewayd.site.codes import Authorization
from gatewayd.site.journal import ClearTags, Journal, SaveFact, SaveTag

ENTRIES_MAX = 10_000
"""Tags kept: more than a building has drivers, and below 2 MB of memory."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry; `expiry` is an epoch or 0 for none."""

    id_tag: str
    status: int
    expiry: int = 0
    parent_id_tag: str = ""

    def status_at(self, epoch: float) -> int:
        """The status to answer: an accepted tag past its expiry is Expired."""
        if self.status == Authorization.Accepted and self.expiry and epoch >= self.expiry:
            return Authorization.Expired
        return self.status


@dataclass(slots=True)
class TagList:
    """Tags by their id, which OCPP compares without regard to case (CiString)."""

    entries: dict[str, Tag] = field(default_factory=dict)
    version: int = 0
    """Every edit changes it."""

    def find(self, id_tag: str) -> Tag | None:
        return self.entries.get(id_tag.casefold())

    def put(self, tag: Tag, journal: Journal) -> bool:
        """Add or replace; False when the list is full."""
        key = tag.id_tag.casefold()
        if key not in self.entries and len(self.entries) >= ENTRIES_MAX:
            return False
        self.entries[key] = tag
        journal.write(SaveTag(tag.id_tag, tag.status, tag.expiry, tag.parent_id_tag))
        self._edited(journal)
        return True

    def delete(self, id_tag: str, journal: Journal) -> bool:
        """Remove; False when it was not there."""
        gone = self.entries.pop(id_tag.casefold(), None)
        if gone is None:
            return False
        journal.write(SaveTag(gone.id_tag, Authorization.unset, 0, ""))
        self._edited(journal)
        return True

    def clear(self, journal: Journal) -> None:
        self.entries.clear()
        journal.write(ClearTags())
        self._edited(journal)

    def _edited(self, journal: Journal) -> None:
        self.version = self.version % 0x7FFFFFFF + 1
        journal.write(SaveFact("list_version", self.version))
