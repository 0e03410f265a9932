"""Looks at the registers between two instants, as a Modbus client does, but without a connection."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import trio

from gatewayd.modbus.server import Server
from tests.points.contract import ROWS, Row
from tests.simulator.bms import POINTS, Coding, Value

MOST = 125
BLOCK, SPAN = 300, 3000
COMMAND, IDENTITY = 8, 9


class Refused(Exception):
    """A read was answered with an exception, or with too little."""


class Inspector:
    """`read` by name, `sweep` everything."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._coding = Coding()

    def registers(self, address: int, quantity: int, unit: int = 1) -> tuple[int, ...]:
        """FC3. Refused where that is not answered as it should be."""
        pdu = struct.pack(">BHH", 3, address, quantity)
        answer = self._server.answer_tcp(unit, pdu, "inspector", trio.current_time())
        if answer[:2] != bytes((3, 2 * quantity)) or len(answer) != 2 + 2 * quantity:
            raise Refused(f"{quantity} registers at {address} are answered with {answer[:8].hex(' ')}")
        return struct.unpack(f">{quantity}H", answer[2:])

    def read(self, name: str, charge_point: int = 0, connector: int | None = None) -> Value:
        point, address = POINTS.find(name, charge_point, connector)
        return self.decode(point.kind, self.registers(address, point.registers))

    def block(self, charge_point: int, block: int) -> tuple[int, ...]:
        """All 300 registers."""
        at = SPAN * charge_point + BLOCK * block
        return tuple(
            register for offset in range(0, BLOCK, MOST) for register in
            self.registers(at + offset, min(MOST, BLOCK - offset))
        )  # fmt: skip

    def decode(self, kind: str, registers: tuple[int, ...]) -> Value:
        return self._coding.decode(kind, registers)

    def sweep(self, charge_points: int, connectors: int) -> int:
        """Every register of every block that is served, in the largest reads; how many there were. Refused."""
        count = 0
        for start, end in areas(charge_points, connectors):
            for address in range(start, end, MOST):
                count += len(self.registers(address, min(MOST, end - address)))
        return count

    def every_row(self, charge_points: int, connectors: int) -> int:
        """Every row of the golden map at every place, each by itself; how many there were. Refused."""
        count = 0
        for row in ROWS:
            for address in places(row, charge_points, connectors):
                self.registers(address, row.registers)
                count += 1
        return count


def areas(charge_points: int, connectors: int) -> Iterator[tuple[int, int]]:
    yield 0, SPAN
    for number in range(1, charge_points + 1):
        for block in (*range(connectors + 1), COMMAND, IDENTITY):
            yield SPAN * number + BLOCK * block, SPAN * number + BLOCK * (block + 1)


def places(row: Row, charge_points: int, connectors: int) -> Iterator[int]:
    """All addresses at which this row of the map stands."""
    match row.block:
        case "gateway":
            yield row.offset
        case "matrix":
            yield from (row.offset + place * row.registers for place in range(20 * 8))
        case "connector":
            for number in range(1, charge_points + 1):
                yield from (SPAN * number + BLOCK * k + row.offset for k in range(1, connectors + 1))
        case block:
            at = {"charge_point": 0, "command": COMMAND, "identity": IDENTITY}[block]
            yield from (SPAN * number + BLOCK * at + row.offset for number in range(1, charge_points + 1))
