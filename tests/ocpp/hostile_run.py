"""A long run of hostile texts against one session: `python -m tests.ocpp.hostile_run COUNT [SEED]` (promises, R13).

After each text every block of that charge point is read, a BMS presses buttons and decides, and time passes. Anything
that raises ends the run with the text that did it; the seed brings it back.
"""

from __future__ import annotations

import itertools
import logging
import sys
import time

from tests.kit import Kit, WireEnd
from tests.ocpp import hostile

BLOCKS = ((0, 105), (3000, 125), (3125, 120), (3300, 125), (3425, 107), (3600, 125), (5400, 125), (5700, 95))
BUTTONS = (3318, 3319, 3320, 3321)  # start, stop, unlock, refresh of connector 1
ASKING = "[ocpp]\nask_bms = ['DataTransfer', 'SignCertificate']\n"


def connected(kit: Kit) -> WireEnd:
    """A link whose Calls are numbered so that hostile answers hit them."""
    end = kit.connect()
    end.session.id_prefix = "1-0-"
    return end


def step(kit: Kit, end: WireEnd, number: int, text: str | bytes) -> WireEnd:
    """One text and what happens around it; the link that goes on."""
    end.session.received(text, kit.now)
    for address, quantity in BLOCKS:
        kit.bank_1.read(address, quantity)
    kit.write(BUTTONS[number % len(BUTTONS)], number % 2)
    if number % 5 == 0:
        kit.write(3102, kit.read(3060))  # response_sequence := request_sequence
    kit.run_for(30.0 if number % 20 == 0 else 0.2)
    kit.site.journal.take(kit.now)
    end.frames().clear()
    if end.closed is None:
        return end
    end.disconnect()
    return connected(kit)


def run(count: int, seed: int) -> None:
    """Raises what was raised, the text that did it in a note."""
    kit = Kit(ASKING)
    end = connected(kit)
    for number, text in enumerate(itertools.islice(hostile.texts(seed), count)):
        try:
            end = step(kit, end, number, text)
        except Exception as error:
            error.add_note(f"text {number} of seed {seed}: {text[:500]!r}")
            raise


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    run(count, seed)
    print(f"{count} hostile texts of seed {seed}: 0 unhandled, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
