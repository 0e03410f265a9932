"""docs/manual/board.md says what the pin table says: an electrician wires by the one, the programs go by the other."""

import re
from pathlib import Path

from hal.board import CARRIER, HAT, PINS

DOCUMENT = (Path(__file__).parents[2] / "docs/manual/board.md").read_text(encoding="utf-8")


def test_the_wiring_table_is_the_pin_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\w+) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(row.line, str(row.gpio), str(row.header), row.sense.value, row.wired_to) for row in PINS]


def test_the_pair_is_named() -> None:
    assert HAT in DOCUMENT
    assert all(word in DOCUMENT for word in CARRIER.replace("Raspberry Pi ", "").split())
