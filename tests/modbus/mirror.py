"""What a gateway has to answer, by the contract's table and pymodbus, without a line of the gateway's own code.

pymodbus decodes the request, judges its form and encodes the answer; the datastore it asks is this plant, laid out by
the golden table alone. Where pymodbus is more lenient than modbus.md, `_refused_by_contract` says so, case by case.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Coroutine, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.pdu import DecodePDU, ExceptionResponse

from tests.points.contract import ENUMS, MAILBOXES, ROWS, Row

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # it would tell of every request it cannot decode

SERVED = (1, 2, 3, 4, 5, 6, 15, 16)
"""Function codes (modbus.md, Addresses)."""
READS = SERVED[:4]
NOBODY = 0x0B
QUIET_S = 2.0
"""A mailbox whose client was quiet for so long is free (modbus.md, Types)."""
BLOCK, SPAN, COIL_OFFSETS = 300, 3000, 32
_decoder = DecodePDU(is_server=True)


Box = tuple[int, str]
"""A mailbox: where its block begins, and its name; its areas are one."""
LOCAL_LIST: Box = (-1, "list")
"""The one that all banks share (modbus.md, Banks)."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mailbox's register: the area it belongs to, and whether writing it commits."""

    box: Box
    commits: bool


@dataclass
class Plant:
    """One bank as configured: what is served there, what may be written, and the registers as last read."""

    connectors: dict[int, int]
    """Place 1..20 → connectors."""
    shared: dict[Box, tuple[Hashable, float]]
    """As `owners`, of all banks together."""
    registers: bytearray = field(default_factory=lambda: bytearray(2 * 0x10000))
    rows: dict[int, Row] = field(default_factory=dict)
    """First register of every point of one address that may be written whole → its row."""
    inside: dict[int, int] = field(default_factory=dict)
    """Register of such a point → its first."""
    mail: dict[int, Mail] = field(default_factory=dict)
    owners: dict[Box, tuple[Hashable, float]] = field(default_factory=dict)
    """Mailbox → who fills it, and when they last did."""

    def __post_init__(self) -> None:
        self.spans = [(0, SPAN)]
        for place, count in self.connectors.items():
            self.spans += [(SPAN * place, BLOCK * (count + 1)), (SPAN * place + 8 * BLOCK, 2 * BLOCK)]
        self.served = bytearray(0x10000)
        for first, size in self.spans:
            self.served[first : first + size] = b"\1" * size
        for row in ROWS:
            for at in self._places(row):
                if row.written_whole:
                    self.rows[at] = row
                    self.inside |= dict.fromkeys(range(at, at + row.registers), at)
        for block, first, last in MAILBOXES:
            for base in self._bases(block):
                box = (base, "response" if block == "charge_point" else f"{block} {first}")
                box = LOCAL_LIST if first == 2300 else box
                commits = {(2000, 2120): 2120, (2300, 2328): 2328, (88, 102): 102, (0, 105): 105}.get((first, last))
                for offset in range(first, last + 1):
                    self.mail[base + offset] = Mail(box, offset == commits)

    def _bases(self, block: str) -> Iterator[int]:
        if block == "gateway":
            yield 0
        for place, count in self.connectors.items():
            base = SPAN * place
            if block == "connector":
                yield from (base + BLOCK * number for number in range(1, count + 1))
            elif block in ("charge_point", "command"):
                yield base + (8 * BLOCK if block == "command" else 0)

    def _places(self, row: Row) -> Iterator[int]:
        if row.block == "matrix":
            for place, count in self.connectors.items():
                for k in range(count + 1):
                    yield row.offset + ((place - 1) * 8 + k) * row.registers
        else:
            yield from (base + row.offset for base in self._bases(row.block))

    def serves(self, address: int, quantity: int) -> bool:
        return all(self.served[address : address + quantity]) and address + quantity <= 0x10000

    def serves_coils(self, address: int, quantity: int) -> bool:
        last = address + quantity - 1
        inside = address // BLOCK == last // BLOCK and last % BLOCK < COIL_OFFSETS
        return inside and address >= SPAN and address % SPAN // BLOCK < 8 and self.serves(address, quantity)

    def refusal(self, address: int, data: bytes, client: Hashable, now: float) -> ExcCodes | None:
        """Why these registers cannot be written; None: they can, and their mailboxes belong to `client` now."""
        end, at, out_of_range = address + len(data) // 2, address, False
        touched: dict[Box, bool] = {}
        while at < end:
            mail = self.mail.get(at)
            if mail is not None:
                touched[mail.box] = touched.get(mail.box, False) or mail.commits
                at += 1
                continue
            row = self.rows.get(at)
            if row is None or at + row.registers > end:
                return ExcCodes.ILLEGAL_ADDRESS
            out_of_range |= not allows(row, data[2 * (at - address) :][: 2 * row.registers])
            at += row.registers
        if out_of_range:
            return ExcCodes.ILLEGAL_VALUE
        for box in touched:
            owner, since = self._owners_of(box).get(box, (client, now))
            if owner != client and now - since < QUIET_S:
                return ExcCodes.DEVICE_BUSY
        for box, commits in touched.items():
            if commits:
                self._owners_of(box).pop(box, None)
            else:
                self._owners_of(box)[box] = (client, now)
        return None

    def _owners_of(self, box: Box) -> dict[Box, tuple[Hashable, float]]:
        return self.shared if box == LOCAL_LIST else self.owners

    def release(self, client: Hashable) -> None:
        for owners in (self.owners, self.shared):
            for box in [box for box, (owner, _) in owners.items() if owner == client]:
                del owners[box]


def allows(row: Row, data: bytes) -> bool:
    """Whether the point takes this value, in word order big and two's complement."""
    if row.is_text:
        return all(32 <= byte < 127 for byte in data.rstrip(b"\0 "))
    value = int.from_bytes(data, "big", signed=row.type in ("i16", "i32"))
    if row.name == "watchdog_timeout_s" and 1 <= value <= 4:
        return False
    if row.enum and value not in ENUMS[row.enum].values():
        return False
    low, high = row.minimum, row.maximum
    return (low is None or value >= low) and (high is None or value <= high)


@dataclass
class Unit:
    """What stands behind a unit id: a bank from some address on, for pymodbus to ask as its datastore."""

    plant: Plant
    base: int = 0
    size: int = 0x10000
    client: Hashable = None
    now: float = 0.0

    async def async_getValues(self, _unit: int, function: int, address: int, count: int = 1) -> Any:
        if function in (5, 6):
            return [0]  # pymodbus reads back what it wrote; ours is the echo, and is compared as such
        at = self.base + address
        if address + count > self.size:
            return ExcCodes.ILLEGAL_ADDRESS
        if function in (1, 2):
            if not self.plant.serves_coils(at, count):
                return ExcCodes.ILLEGAL_ADDRESS
            return [bool(self.plant.registers[2 * (at + i) + 1] & 1) for i in range(count)]
        if not self.plant.serves(at, count):
            return ExcCodes.ILLEGAL_ADDRESS
        return struct.unpack_from(f">{count}H", self.plant.registers, 2 * at)

    async def async_setValues(self, _unit: int, function: int, address: int, values: Sequence[int]) -> Any:
        at = self.base + address
        if address + len(values) > self.size:
            return ExcCodes.ILLEGAL_ADDRESS
        if function in (5, 15) and not self.plant.serves_coils(at, len(values)):
            return ExcCodes.ILLEGAL_ADDRESS
        return self.plant.refusal(at, struct.pack(f">{len(values)}H", *values), self.client, self.now)

    def answer(self, pdu: bytes, client: Hashable, now: float) -> bytes:
        """The answer PDU that modbus.md asks for; of a read, what the registers held when they were last read."""
        if pdu[0] not in SERVED:
            return bytes((pdu[0] | 0x80, 1))
        self.client, self.now = client, now
        request = _decoder.decode(pdu)
        if request is None or _refused_by_contract(pdu):
            return bytes((pdu[0] | 0x80, 3))
        response = _result_of(request.datastore_update(self, 0))  # type: ignore[arg-type]
        if isinstance(response, ExceptionResponse):
            return bytes((pdu[0] | 0x80, response.exception_code))
        return pdu if pdu[0] in (5, 6) else bytes((response.function_code,)) + response.encode()


def _refused_by_contract(pdu: bytes) -> bool:
    """What pymodbus lets pass and modbus.md does not."""
    if pdu[0] <= 6:
        longer = len(pdu) != 5  # pymodbus ignores what follows
        return longer or (pdu[0] == 5 and pdu[3:] not in (b"\xff\0", b"\0\0"))  # and takes any number for ON
    return pdu[0] == 15 and int.from_bytes(pdu[3:5], "big") > 1968  # it takes 2000, which fits by chance


def _result_of(awaited: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        awaited.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("pymodbus waits for something")
