"""Where a point stands: absolute addresses from blocks and offsets (modbus.md, Addresses), 0-based on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gatewayd.points.charge_point import CHARGE_POINT, COMMAND, IDENTITY
from gatewayd.points.connector import CONNECTOR
from gatewayd.points.gateway import GATEWAY, LIST, MATRIX, MATRIX_COLUMNS, PROFILE
from gatewayd.points.point import Point
from gatewayd.site.charge_point import CHARGE_POINTS_PER_BANK

BLOCK = 300
"""Registers of one block."""
BLOCKS = 10
"""Blocks of one charge point."""
SPAN = BLOCK * BLOCKS
"""Registers from one charge point to the next; the gateway block takes the first span."""
BANK_REGISTERS = SPAN * (CHARGE_POINTS_PER_BANK + 1)
COILS = 32
"""Coil functions are legal at offsets 0..31 of blocks 0..7."""
COMMAND_BLOCK, IDENTITY_BLOCK = 8, 9

BLOCK_KINDS: dict[str, list[Point]] = {
    "gateway": sorted([*GATEWAY, *PROFILE, *LIST], key=lambda point: point.offset),
    "matrix": MATRIX,
    "charge_point": CHARGE_POINT,
    "connector": CONNECTOR,
    "command": COMMAND,
    "identity": IDENTITY,
}
"""The whole table in the order of the contract."""


def block_address(place: int, block: int) -> int:
    """First register of a block; `place` 1..20 in the bank, 0 the gateway."""
    return SPAN * place + BLOCK * block


def matrix_address(point: Point, place: int, k: int) -> int:
    """Register of a matrix entry, place 1..20 and k 0..7."""
    return point.offset + ((place - 1) * MATRIX_COLUMNS + k) * point.registers


@dataclass(frozen=True, slots=True)
class Placed:
    """A point at its absolute address, with the block that it belongs to."""

    address: int
    block: str
    place: int
    """Charge point 1..20 in the bank, 0 = the gateway."""
    k: int
    """Connector 0..7; meaningless in the gateway block."""
    point: Point


def placed(charge_points: dict[int, int]) -> Iterator[Placed]:
    """All live points of one bank, by address. `charge_points`: place → connectors configured there."""
    for point in BLOCK_KINDS["gateway"]:
        yield Placed(point.offset, "gateway", 0, 0, point)
    for point in MATRIX:
        for place, connectors in sorted(charge_points.items()):
            for k in range(connectors + 1):
                yield Placed(matrix_address(point, place, k), "matrix", place, k, point)
    for place, connectors in sorted(charge_points.items()):
        blocks = [(0, "charge_point"), *((k, "connector") for k in range(1, connectors + 1))]
        for block, kind in [*blocks, (COMMAND_BLOCK, "command"), (IDENTITY_BLOCK, "identity")]:
            k = block if kind == "connector" else 0
            for point in BLOCK_KINDS[kind]:
                yield Placed(block_address(place, block) + point.offset, kind, place, k, point)
