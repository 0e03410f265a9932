"""The gateway block by the names of its points, as the promise made to integrators has them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.kit import Kit

GOLDEN = Path(__file__).parent.parent / "points" / "register_map.csv"


class Place(NamedTuple):
    address: int
    registers: int
    type: str


def _places() -> dict[str, Place]:
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        return {
            row["name"]: Place(int(row["offset"]), int(row["registers"]), row["type"])
            for row in csv.DictReader(file)
            if row["block"] == "gateway"
        }


PLACES = _places()


def registers(name: str, value: int | str) -> bytes:
    """A value as a BMS writes it, in word order big."""
    place = PLACES[name]
    if isinstance(value, str):
        return value.encode("latin-1").ljust(2 * place.registers, b"\0")
    return (value & (1 << 16 * place.registers) - 1).to_bytes(2 * place.registers, "big")


def write(kit: Kit, fields: Mapping[str, int | str], unit: int = 1, client: str = "bms") -> None:
    """One request for each point, in the order given."""
    for name, value in fields.items():
        kit.bank(unit).write(PLACES[name].address, registers(name, value), client, kit.now)


def read(kit: Kit, name: str, unit: int = 1) -> int | str:
    """What stands in a point."""
    place = PLACES[name]
    data: bytes = kit.bank(unit).read(place.address, place.registers)
    if place.type.startswith("str"):
        return data.rstrip(b"\0").decode("ascii")
    return int.from_bytes(data, "big", signed=place.type == "i32")
