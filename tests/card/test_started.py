"""The card, started whole: U-Boot, its kernel, initrd and root, systemd, the gateway, RAUC over the D-Bus.

First as it was flashed, with an empty boot state and a small data partition; then in the slot that RAUC chose.
promises R7.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from hal import boot_state
from tests.card.card import HERE, needs_card, needs_tools, tool
from tests.card.flashed import SIZE, state
from tests.powercut.whole import Whole

pytestmark = [needs_tools, needs_card, pytest.mark.limit(3600)]

FOLDER = HERE / "build/tests/started"
SERVICES = sorted((Path(__file__).parent / "started").iterdir())


@pytest.fixture
def card() -> Iterator[Whole]:
    made = Whole(FOLDER, "73:6c:6f", services=SERVICES)
    try:
        yield made
    finally:
        made.cut()
        subprocess.run(["rm", "-rf", FOLDER], check=True)


async def started(card: Whole, *words: str) -> list[str]:
    """What it says, once Modbus answers; then its power is taken away."""
    card.start()
    await card.serial()
    said = [await card.said(word) for word in words]
    await card.said("slots")
    card.cut()
    return said


def slots(said: str) -> tuple[str, str, dict[str, str]]:
    """Which runs, which comes first, and what is thought of each."""
    found: dict[str, Any] = json.loads(said)
    thought = {
        facts["bootname"]: facts["boot_status"]
        for each in found["slots"]
        for facts in each.values()
        if facts["bootname"]
    }
    return found["booted"], found["boot_primary"], thought


def grown(disk: Path) -> None:
    """The data partition has its 1 GiB, and the table its second header at the end of the card."""
    assert "No errors detected" in tool("sfdisk", "--verify", disk.relative_to(HERE)).stdout
    table = json.loads(tool("sfdisk", "--json", disk.relative_to(HERE)).stdout)["partitiontable"]
    assert {each["name"]: each["size"] * 512 for each in table["partitions"]}["data"] == 1 << 30
    assert table["lastlba"] == SIZE // 512 - 34


def test_rauc_sees_the_slots_whether_the_boot_state_is_empty_or_filled(card: Whole) -> None:
    both = {"A": "good", "B": "good"}
    assert state(card.disk) == [None, None], "a new card has no boot state"
    filled, empty = trio.run(started, card, "rauc", "rauc-empty")
    assert slots(filled) == ("A", "root.0", both), "U-Boot has filled it"
    assert slots(empty) == ("A", "root.0", both)
    assert state(card.disk) == [{**boot_state.NEW, "BOOT_ORDER": "B A"}, None], "RAUC writes the first copy only"
    grown(card.disk)
    (chosen,) = trio.run(started, card, "rauc")
    assert slots(chosen) == ("B", "root.1", both)
    assert state(card.disk) == [{**boot_state.NEW, "BOOT_ORDER": "B A"}] * 2, "U-Boot and boot-good write both"
