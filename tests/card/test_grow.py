"""The data partition's growth at the first start, by the very program and definition of the appliance, on the card's
layout written to a larger card: all else stays where it was, and the table's second copy moves to the end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.card.card import HERE, needs_tools, partition, tool

pytestmark = needs_tools

LARGE, SMALL = 8 << 30, 700 << 20
GROWN = 1 << 30


@pytest.fixture(scope="module")
def flashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A card with nothing in its partitions but zeros: the layout alone."""
    folder = HERE / "build/tests/grow"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [folder / name for name in ("kernel", "initrd", "board.dtb", "root")]
    for part in parts:
        part.write_bytes(bytes(4096))
    ingredients = [part.relative_to(HERE) for part in parts]
    tool("env", "SOURCE_DATE_EPOCH=0", "image/disk.sh", "none", *ingredients, folder.relative_to(HERE))
    yield folder / "card.img"
    subprocess.run(["rm", "-rf", folder], check=True)


def on_a_card_of(size: int, flashed: Path) -> Path:
    copy = flashed.with_name("grown.img")
    subprocess.run(["cp", "--sparse=always", flashed, copy], check=True)
    with open(copy, "r+b") as file:
        file.truncate(size)
    return copy


def table(card: Path) -> dict[str, Any]:
    done = tool("sfdisk", "--json", card.relative_to(HERE))
    found: dict[str, Any] = json.loads(done.stdout)["partitiontable"]
    return found


def places(found: dict[str, Any]) -> dict[str, tuple[int, int, str]]:
    return {each["name"]: (each["start"], each["size"], each["uuid"]) for each in found["partitions"]}


def grow(card: Path) -> str:
    definitions = "rootfs/usr/lib/gateway/repart.d"
    return tool(
        "systemd-repart", "--dry-run=no", "--discard=no", f"--definitions={definitions}", card.relative_to(HERE)
    ).stderr


@pytest.mark.parametrize(("size", "wanted"), [(LARGE, GROWN), (SMALL, None)], ids=["large card", "small card"])
def test_data_grows_and_nothing_else_moves(flashed: Path, size: int, wanted: int | None) -> None:
    card = on_a_card_of(size, flashed)
    before = table(card)
    mbr = card.open("rb").read(512)
    grow(card)
    after = table(card)
    data = places(after)["data"]
    assert data[0] * 512 == partition("data")[0]
    if wanted is not None:
        assert data[1] * 512 == wanted
    else:
        assert size - (2 << 20) <= (data[0] + data[1]) * 512 < size, "all that is free"
    assert after["lastlba"] * 512 > size - (1 << 20), "the second copy is at the card's end"
    assert {**places(after), "data": None} == {**places(before), "data": None}
    assert after["id"] == before["id"]
    assert card.open("rb").read(512)[446:462] == mbr[446:462], "the firmware's partition stands in the MBR still"
    assert "No errors detected" in tool("sfdisk", "--verify", card.relative_to(HERE)).stdout


def test_a_second_time_nothing_is_written(flashed: Path) -> None:
    card = on_a_card_of(LARGE, flashed)
    grow(card)
    first = card.open("rb").read(1 << 20)
    said = grow(card)
    assert card.open("rb").read(1 << 20) == first, said


def test_the_type_stands_once_in_the_table() -> None:
    """systemd-repart takes the first partition of a definition's type: that must be the data partition."""
    rows = [row.split() for row in (HERE / "image/disk.txt").read_text().splitlines() if row[:1].isdigit()]
    assert [row[1] for row in rows if row[4] == "data"] == ["data"]
