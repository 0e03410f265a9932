"""Requests, TCP streams and serial lines that no decent client produces, without end, from one seed.

Most begin as a good request for a place where something is to be seen - a point, its neighbours, the edge of a block -
and are bent in form, length, quantity or value; so they get past the first guard more often than noise would.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from gatewayd.modbus.adu import rtu_frame
from tests.modbus.mirror import Plant
from tests.points.contract import ENUMS, Row

FUNCTIONS = (1, 2, 3, 4, 5, 6, 15, 16)
QUANTITIES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 106, 121, 122, 123, 124, 125, 126, 127, 128, 255, 256, 1968,
              1969, 1976, 2000, 2001, 0x7FFF, 0x8000, 0xFFFF)  # fmt: skip
WORDS = (0, 1, 2, 4, 5, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFF00, 0xFFFE, 0xFFFF)
MAX_PDU = 253


def edges(plants: Iterable[Plant]) -> list[int]:
    """Addresses at which something begins, ends or is next to it."""
    places = {0, 0xFFFF, 0x8000}
    for plant in plants:
        for at, row in plant.rows.items():
            places |= {at - 1, at, at + 1, at + row.registers}
        for first, size in plant.spans:
            places |= {first - 1, first, first + 31, first + 32, first + size - 1, first + size}
        places |= set(plant.mail)
    return sorted(place for place in places if 0 <= place <= 0xFFFF)


class Requests:
    """Request PDUs of 1 to 253 bytes for these plants."""

    def __init__(self, random: Random, plants: Sequence[Plant]) -> None:
        self._random, self._edges = random, edges(plants)
        self._rows = {at: row for plant in plants for at, row in plant.rows.items()}
        self._points = list(self._rows.items())
        self._mail = sorted({at for plant in plants for at in plant.mail})

    def pdu(self) -> bytes:
        random = self._random
        what = random.random()
        if what < 0.25:
            return self._point_write()
        if what < 0.35:
            return self._mailbox_write()
        if what < 0.8:
            pdu = self._request(random.choice(FUNCTIONS))
            return self._bent(pdu) if random.random() < 0.35 else pdu
        if what < 0.9:
            return self._bent(self._request(random.randrange(256)))
        return random.randbytes(random.choice((1, 2, 3, 4, 5, 6, 7, 20, MAX_PDU)))

    def read(self) -> bytes:
        """A read that is well-formed."""
        return struct.pack(">BHH", self._random.choice((3, 4)), self._address(), self._random.randint(1, 125))

    def _address(self) -> int:
        return self._random.choice(self._edges) if self._random.random() < 0.9 else self._random.randrange(0x10000)

    def _quantity(self) -> int:
        few = self._random.random() < 0.6
        return self._random.randint(1, 40) if few else self._random.choice(QUANTITIES)

    def _word(self) -> int:
        return self._random.choice(WORDS) if self._random.random() < 0.7 else self._random.randrange(0x10000)

    def _request(self, function: int) -> bytes:
        address = self._address()
        if function in (5, 6):
            value = self._random.choice((0xFF00, 0, 1, 0xFFFF)) if function == 5 else self._word()
            return struct.pack(">BHH", function, address, value)
        if function not in (15, 16):
            return struct.pack(">BHH", function, address, self._quantity())
        quantity = self._quantity()
        size = min((quantity + 7) // 8 if function == 15 else 2 * quantity, MAX_PDU - 6)
        values = b"".join(self._word().to_bytes(2, "big") for _ in range((size + 1) // 2))[:size]
        return struct.pack(">BHHB", function, address, quantity, size & 0xFF) + values

    def _point_write(self) -> bytes:
        """A value at or beyond the limits of a point, whole or not."""
        at, row = self._random.choice(self._points)
        data = self.value(row)
        if row.registers == 1 and self._random.random() < 0.5:
            return struct.pack(">BH", 6, at) + data
        behind = self._rows.get(at + row.registers)
        registers = data + (self.value(behind) if behind else b"")
        return struct.pack(">BHHB", 16, at, len(registers) // 2, len(registers)) + registers

    def _mailbox_write(self) -> bytes:
        at = self._random.choice(self._mail)
        if self._random.random() < 0.6:
            return struct.pack(">BHH", 6, at, self._word())
        quantity = self._random.randint(1, 123)
        data = b"".join(self._word().to_bytes(2, "big") for _ in range(quantity))
        return struct.pack(">BHHB", 16, at, quantity, 2 * quantity) + data

    def value(self, row: Row) -> bytes:
        """Some value for a point, good or one beyond."""
        size = 2 * row.registers
        if row.is_text:
            return self._random.choice((b"", b"TAG", b"\0TAG", b"T\xe9", b"x" * size, b"\x7f", b"  ")).ljust(
                size, b"\0"
            )
        low, high = row.minimum or 0, row.maximum if row.maximum is not None else 0xFFFF
        numbers = [low - 1, low, low + 1, high - 1, high, high + 1, row.default or 0, 1, 4]
        if row.enum:
            numbers += [*ENUMS[row.enum].values(), max(ENUMS[row.enum].values()) + 1]
        return (self._random.choice(numbers) & (1 << 8 * size) - 1).to_bytes(size, "big")

    def _bent(self, pdu: bytes) -> bytes:
        random, what = self._random, self._random.random()
        if what < 0.25:
            return pdu[: random.randint(1, len(pdu))]
        if what < 0.45:
            return (pdu + random.randbytes(random.choice((1, 2, 3, 248))))[:MAX_PDU]
        at = random.randrange(1, len(pdu)) if len(pdu) > 1 else 0
        if what < 0.8:
            return pdu[:at] + bytes((pdu[at] ^ 1 << random.randrange(8),)) + pdu[at + 1 :]
        return (pdu[:at] + random.randbytes(random.randint(0, 3)) + pdu[at + random.randint(0, 3) :])[:MAX_PDU]


def mbap(random: Random, unit: int, pdu: bytes) -> bytes:
    """A TCP frame, now and then with a fault in its header."""
    protocol, length = 0, len(pdu) + 1
    if random.random() < 0.01:
        if random.random() < 0.5:
            protocol = random.choice((1, 0x0100, 0xFFFF))
        else:
            length = random.choice((0, 1, length - 1, length + 1, 254, 255, 256, 0x0100 | length, 0xFFFF))
    return struct.pack(">HHHB", random.randrange(0x10000), protocol, length & 0xFFFF, unit) + pdu


def pieces(random: Random, data: bytes) -> list[bytes]:
    """The same bytes, cut somewhere."""
    cut = random.choice((1, 2, 5, 7, 8, 12, 100, 512, 10_000))
    return [data[at : at + cut] for at in range(0, len(data), cut)]


class Sound(NamedTuple):
    """What is heard on a serial line between two silences, in pieces with the characters of pause before each."""

    pieces: list[tuple[bytes, float]]
    request: tuple[int, bytes] | None
    """The unit id and PDU of the request to us that this is; None: whatever it is, it is no such request."""


def sound(random: Random, requests: Requests, ours: Sequence[int], others: Sequence[int]) -> Sound:
    what, unit = random.random(), random.choice(ours)
    pdu = _predictable(requests.pdu())
    request = None
    if what < 0.6:
        unit = unit if random.random() < 0.9 else 0
        request, data = (unit, pdu), rtu_frame(unit, pdu)
    elif what < 0.75:
        other = random.choice(others)
        trap = rtu_frame(unit, pdu)[:248]
        answered = b"\x03" + bytes((len(trap) & 0xFE,)) + trap[: len(trap) & 0xFE]
        data = rtu_frame(other, requests.read()) + rtu_frame(other, answered)
    elif what < 0.8:
        data = rtu_frame(unit, random.choice((b"\x03\x02\x12\x34", b"\x83\x02", b"\x10\0\x09\0\x01")))
    elif what < 0.9:
        data = rtu_frame(unit, pdu)
        at = random.randrange(len(data))
        cut = data[:at] if random.random() < 0.5 else data[at + 1 :]
        data = cut or b"\0"
    else:
        data = random.randbytes(random.choice((1, 3, 4, 8, 9, 40, 300)))
    if request is not None and pdu[0] not in FUNCTIONS:
        return Sound([(data, 0)], request)  # byte by byte, its CRC could be right by chance before its end
    gapped = random.random() < 0.5
    cut_up = [(piece, random.choice((0, 0, 1.4, 3.3)) if gapped else 0) for piece in pieces(random, data)]
    return Sound(cut_up, request)


def _predictable(pdu: bytes) -> bytes:
    """A request whose end can be told: one whose length disagrees with its byte count is cut or filled up."""
    function = pdu[0]
    if function in (15, 16):
        pdu = pdu.ljust(6, b"\0")
        size = min(pdu[5], MAX_PDU - 6)
        return pdu[:5] + bytes((size,)) + pdu[6 : 6 + size].ljust(size, b"\0")
    if 1 <= function <= 6:
        return pdu[:5].ljust(5, b"\0")
    return bytes((0x2B,)) + pdu[1:]
