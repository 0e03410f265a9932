"""The table is the contract, row by row: what integrators programmed against never moves."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from gatewayd.points import export
from gatewayd.points.address import BLOCK, BLOCK_KINDS
from gatewayd.site.codes import ENUMS

GOLDEN = Path(__file__).parent


def contract(name: str) -> list[dict[str, str]]:
    with (GOLDEN / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_the_contracts() -> None:
    exported = list(csv.DictReader(export.as_csv().splitlines()))
    for number, (ours, promised) in enumerate(zip_longest(exported, contract("register_map.csv")), start=2):
        assert ours == promised, f"row {number}"


def test_every_code_is_the_contracts() -> None:
    def codes() -> Iterator[tuple[str, str, str]]:
        for name, enum in ENUMS.items():
            for word, member in enum.__members__.items():
                code = int(member).bit_length() - 1 if name.endswith("_bits") else int(member)
                yield name, str(code), word

    assert list(codes()) == [(row["enum"], row["code"], row["name"]) for row in contract("enums.csv")]


@pytest.mark.parametrize("kind", [kind for kind in BLOCK_KINDS if kind != "matrix"])
def test_points_do_not_overlap_and_stay_in_their_block(kind: str) -> None:
    taken: dict[int, str] = {}
    for point in BLOCK_KINDS[kind]:
        for register in range(point.offset, point.end):
            assert register not in taken, f"{point.name} overlaps {taken.get(register)}"
            taken[register] = point.name
    assert max(taken) < (3000 if kind == "gateway" else BLOCK)


def test_bits_lie_where_coils_are_legal() -> None:
    for kind in ("charge_point", "connector"):
        for point in BLOCK_KINDS[kind]:
            assert (point.offset < 32) == (point.type == "bit"), point.name


def test_matrices_lie_in_holes_of_the_gateway_block() -> None:
    taken = {register for point in BLOCK_KINDS["gateway"] for register in range(point.offset, point.end)}
    for point in BLOCK_KINDS["matrix"]:
        places = set(range(point.offset, point.offset + 20 * 8 * point.registers))
        assert not places & taken, point.name
        taken |= places
