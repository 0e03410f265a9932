"""What a charge point said of itself last, message by message: who it is, how each connector stands. A central system
that comes back is told these first, and of each only the newest (ocpp.md, Bridge). No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewayd.site.journal import Journal, SaveFact

FIRST = "BootNotification"
"""Told before all others."""


@dataclass(slots=True)
class Standing:
    """Of one charge point, by what each message is about: its action, and the connector where it has one."""

    charge_point: int
    texts: dict[str, str] = field(default_factory=dict)
    unheard: set[str] = field(default_factory=set)
    """What the central system does not know yet."""
    _kept: set[str] = field(default_factory=set)
    """What the ledger holds."""

    def restore(self, facts: Mapping[str, int | str]) -> None:
        """What was said and not heard before a restart."""
        for name, text in facts.items():
            if name.startswith(self._name("")) and isinstance(text, str) and text:
                about = name.removeprefix(self._name(""))
                self.texts[about] = text
                self.unheard.add(about)
                self._kept.add(about)

    def said(self, about: str, text: str, journal: Journal, *, heard: bool) -> None:
        """The charge point says so now, and its central system hears it, or not yet."""
        self.texts[about] = text
        if heard:
            self.heard(about, text, journal)
            return
        self.unheard.add(about)
        self._kept.add(about)
        journal.write(SaveFact(self._name(about), text))

    def heard(self, about: str, text: str, journal: Journal) -> None:
        """The central system heard this; something newer that was said meanwhile it has still to hear."""
        if self.texts.get(about) != text:
            return
        self.unheard.discard(about)
        if about in self._kept:
            self._kept.discard(about)
            journal.write(SaveFact(self._name(about), ""))

    def to_be_heard_again(self) -> None:
        """The central system was away: whatever it knew, it is told all."""
        self.unheard.update(self.texts)

    def next(self) -> str | None:
        """What it is to be told next."""
        return min(self.unheard, key=lambda about: (about != FIRST, about), default=None)

    def _name(self, about: str) -> str:
        return f"standing/{self.charge_point}/{about}"
