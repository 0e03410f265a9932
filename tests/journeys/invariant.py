"""What must hold whatever the weather: the names by which it is complained of."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Invariant(Enum):
    """ARCHITECTURE.md, Tests; promises R9 and R22."""

    one_call = "never two Calls open to one charge point"
    quiet_before_boot = "no Call before BootNotification was answered"
    answered = "every Call of a charge point is answered, once"
    outcome = "every command reaches one outcome"
    transaction_ids = "transaction ids never repeat, over restarts too"
    served = "every address of the map always answers"
    neighbours = "no peer's misbehaviour changes another's registers"
    buffers = "buffers stay under their limits"
    energy = "acknowledged energy equals the charge points' books to the Wh"
    consistent = "registers, limits and charge points agree 30 s after the weather"


Complain = Callable[[Invariant, str], None]
