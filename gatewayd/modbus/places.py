"""Who gets one of the few places for TCP clients, and who has to leave for it (modbus.md, Six TCP clients)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A client that has acknowledged nothing for so long is dead to its own address: a BMS that was restarted or replugged
# gets its place back at once, and nobody can take a place by claiming that another is dead.
DEAD_AFTER_S = 10.0

# A client that asked nothing for so long is not polling; it can connect again when it wants something.
IDLE_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A place that is taken: by which address, when it last asked (monotonic seconds), and how alive its peer is."""

    address: str
    last_request_s: float
    half_closed: bool  # the peer has said that it will send nothing more
    unacknowledged_s: float  # seconds without an acknowledgement while one is due; 0 = nothing is due


def place_to_take(newcomer: str, places: Sequence[Place], now: float) -> int | None:
    """Which of the places, all taken, the client from the address `newcomer` gets; None: it is refused.

    First a dead connection of its own address, else the one that is idle longest, if long enough.
    """
    by_idleness = sorted(range(len(places)), key=lambda index: places[index].last_request_s)
    for index in by_idleness:
        place = places[index]
        if place.address == newcomer and (place.half_closed or place.unacknowledged_s >= DEAD_AFTER_S):
            return index
    if by_idleness and now - places[by_idleness[0]].last_request_s >= IDLE_AFTER_S:
        return by_idleness[0]
    return None
