"""Quirk profiles from their files, and what one charge point gets: its model's, and what is configured over it.

A file tells of one model or family: its habits, each with the threads in which it was seen, the rows of the list of
habits that it is an example of, and the switches that it needs. A habit without switches is told because whoever
connects one should know it; the gateway copes with it anyway.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any

from gatewayd import quirks
from gatewayd.config import parse_table
from gatewayd.config_quirks import HIGHEST_STACK_LEVEL, Quirks
from gatewayd.config_values import Check, declared, setting, tables
from gatewayd.site.codes import ProfileKind, ProfilePurpose, RateUnit
from gatewayd.site.limit_strategy import HIGHEST, Clearing, ZeroRefused
from gatewayd.site.quirk_profile import EnergyRegister, QuirkProfile

ROWS = Check("rows of the list of habits, as in H1", lambda row: None if row[:1].isalpha() else "must be as H1")
THREAD = Check("an https:// address", lambda url: None if url.startswith("https://") else "must begin with https://")


@dataclass(frozen=True, slots=True)
class Habit:
    """One thing that a model does, or needs."""

    seen: str = setting("what it does", shortest=1)
    rows: tuple[str, ...] = setting("rows of the list of habits", (), most=6, check=ROWS)
    threads: tuple[str, ...] = setting("where it was seen", (), most=6, check=THREAD)
    switches: Quirks = dataclasses.field(default_factory=Quirks)


@dataclass(frozen=True, slots=True)
class Model:
    """One file: a model, or a family of them."""

    models: tuple[str, ...] = setting("what it is sold as", (), most=8)
    firmware: str = setting("of which firmware this is known; empty: of any", "")
    note: str = setting("what its installer should do", "")
    habits: tuple[Habit, ...] = tables("habit")

    @property
    def switches(self) -> dict[str, Any]:
        """Switch → its value, of all habits together."""
        return {name: value for habit in self.habits for name, value in written(habit.switches).items()}


def written(switches: Quirks) -> dict[str, Any]:
    """Switch → value, those that are set."""
    values = {row.field: getattr(switches, row.field) for row in declared(Quirks)}
    return {name: value for name, value in values.items() if value not in (None, ())}


@cache
def model(name: str) -> Model:
    """The file of the profile of this name, which must exist. Raises ConfigError for one that is broken."""
    return parse_table(Model, quirks.text(name), name + quirks.ENDING)


_READ: dict[str, Any] = {
    "energy_register": EnergyRegister,
    "limit_purposes": lambda names: tuple(ProfilePurpose[name] for name in names),
    "limit_kind": ProfileKind.__getitem__,
    "limit_stack_level": lambda level: HIGHEST if level == HIGHEST_STACK_LEVEL else level,
    "limit_unit": RateUnit.__getitem__,
    "limit_clearing": Clearing,
    "when_zero_refused": ZeroRefused,
}
"""Switches whose value in a file is a word for something."""


def profile(name: str, own: Quirks = Quirks()) -> QuirkProfile:  # noqa: B008 - it cannot change
    """What a charge point with this `profile` gets, and `own` switches of its own over it."""
    switches = model(name).switches | written(own)
    return QuirkProfile(name, **{key: _READ[key](value) if key in _READ else value for key, value in switches.items()})
