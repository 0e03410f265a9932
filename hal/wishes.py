"""What may be wished of stewardd, by whom and how often: the whole of what privilege is used for. Pure.

A wish is one JSON object on one line: `{"wish": "set_clock", "epoch_s": 1764000000}`. Whoever sends it has validated it
already, and is not believed.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hal.contract import EARLIEST_EPOCH_S, LATEST_EPOCH_S
from hal.network_settings import NetworkSettings, parse

MAX_WISH_BYTES: Final = 4096
"""The longest wish, a static network with three servers each, takes a tenth of it."""

DHCP: Final = NetworkSettings()

ROOT: Final = "root"
"""Somebody at the console: whatever stewardd could refuse him, he could do himself."""

GATEWAYD: Final = "gatewayd"
WEBD: Final = "webd"


class Refused(Exception):
    """The wish is not granted; the text says why, for the log and for the page."""


class Answer(enum.StrEnum):
    """How a wish ended."""

    DONE = "done"
    STARTED = "started"  # goes on behind; the job's facts tell how it ends
    REFUSED = "refused"  # not granted: nothing has changed
    FAILED = "failed"  # granted, tried, and did not work


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish that may be granted. `epoch_s` and `network` are set where the wish has them."""

    name: str
    epoch_s: float = 0.0
    network: NetworkSettings = DHCP


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    callers: frozenset[str]
    min_interval_s: float
    fields: Mapping[str, Callable[[object], object]]
    with_file: bool = False
    """The caller passes an open file along: a bundle or a backup to read, or the place for a backup."""
    why: str = ""


def _epoch(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("epoch_s: not a number")
    if not EARLIEST_EPOCH_S <= value < LATEST_EPOCH_S:
        raise Refused("epoch_s: out of range")
    return float(value)


def _network(value: object) -> NetworkSettings:
    try:
        return parse(value)
    except ValueError as wrong:
        raise Refused(str(wrong)) from wrong


_BOTH = frozenset({GATEWAYD, WEBD})
_PAGE = frozenset({WEBD})

TABLE: Final[Mapping[str, Row]] = {
    "set_clock": Row(_BOTH, 10.0, {"epoch_s": _epoch}, why="a BMS in a loop must not keep the clock jumping"),
    "reboot": Row(_PAGE, 60.0, {}, why="one boot takes about that long"),
    "apply_network": Row(_PAGE, 5.0, {"network": _network}, why="a person, not a program, tries settings"),
    "confirm_network": Row(_PAGE, 1.0, {}),
    "revert_network": Row(_PAGE, 1.0, {}),
    "install_update": Row(_PAGE, 60.0, {}, with_file=True, why="every bundle is written to flash"),
    "back_up": Row(_PAGE, 10.0, {}, with_file=True, why="reads the whole state"),
    "restore": Row(_PAGE, 60.0, {}, with_file=True, why="restarts the gateway"),
    "factory_reset": Row(_PAGE, 60.0, {}),
}


def parse_wish(line: bytes, caller: str, *, has_file: bool) -> Wish:
    """The wish of a line from this caller. Raises Refused."""
    try:
        said = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as wrong:
        raise Refused("not a line of JSON") from wrong
    name = said.get("wish") if isinstance(said, dict) else None
    row = TABLE.get(name) if isinstance(name, str) else None
    if row is None or not isinstance(name, str):
        raise Refused("no such wish")
    if caller not in row.callers and caller != ROOT:
        raise Refused(f"{caller} may not wish that")
    if has_file is not row.with_file:
        raise Refused("a file belongs to it" if row.with_file else "no file belongs to it")
    if set(said) != {"wish", *row.fields}:
        raise Refused(f"its fields are {', '.join(['wish', *row.fields])}")
    return Wish(name, **{key: check(said[key]) for key, check in row.fields.items()})  # type: ignore[arg-type]


class Rates:
    """When each wish was last granted."""

    def __init__(self) -> None:
        self._granted_at: dict[str, float] = {}

    def take(self, name: str, now: float) -> None:
        """Counts a wish as granted at `now` (monotonic seconds). Raises Refused when the last was too short ago."""
        wait_s = self._granted_at.get(name, -1e9) + TABLE[name].min_interval_s - now
        if wait_s > 0:
            raise Refused(f"too often: again in {wait_s:.0f} s")
        self._granted_at[name] = now

    def forgettable(self, now: float) -> bool:
        """Whether nothing would be refused for these any more."""
        return all(at + TABLE[name].min_interval_s <= now for name, at in self._granted_at.items())
