"""The request PDU: what is let through to a bank, and what is answered.

Eight function codes are served (modbus.md, Addresses). For each there is one plain function here that takes a bank and
a request PDU, refuses whatever the Modbus Application Protocol V1.1b3 calls malformed *before* the bank is asked, asks
the bank once, and builds the answer PDU. All or nothing: a request that raises has changed nothing.

umodbus decodes and answers the writes of one coil, one register and many registers. It does not see a PDU before the
checks here have passed, because it ignores FC16's quantity and byte count, takes 0001 for ON, and raises struct.error
on short PDUs. Two jobs it does not get. The reads: a bank hands out encoded bytes, umodbus wants a list of numbers,
and reads are what a BMS does all day. FC15: umodbus takes 0.8 ms for 1968 coils and counts the unused bits of the last
byte as coils.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from struct import Struct
from typing import Protocol

from umodbus.functions import (
    READ_COILS,
    READ_DISCRETE_INPUTS,
    READ_HOLDING_REGISTERS,
    READ_INPUT_REGISTERS,
    WRITE_MULTIPLE_COILS,
    WRITE_MULTIPLE_REGISTERS,
    WRITE_SINGLE_COIL,
    WRITE_SINGLE_REGISTER,
    WriteMultipleRegisters,
    WriteSingleCoil,
    WriteSingleRegister,
)

from gatewayd.points.bank import IllegalAddress

# Quantities, Modbus Application Protocol V1.1b3, 6.1 to 6.12: what still fits a PDU of 253 bytes.
MAX_READ_REGISTERS = 125
MAX_WRITE_REGISTERS = 123
MAX_READ_COILS = 2000
MAX_WRITE_COILS = 1968

ADDRESSES = 0x10000  # an address is 16 bits; a request may not run past the last one

COIL_ON = 0xFF00
COIL_OFF = 0x0000

# Every one of the eight requests begins alike: function code, address, then a quantity or a value.
_HEAD = 5
_head = Struct(">xHH").unpack_from
# The two multiple writes go on with a byte count and then the values.
_VALUES = 6

# The eight coils of a byte, first coil in the lowest bit.
_COILS = tuple(tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256))


class Malformed(Exception):
    """Length, quantity, byte count or FC5 value is none that the function allows: exception 03."""


class Registers(Protocol):
    """What a request acts on: a bank, or the window on one charge point of it.

    Raises IllegalAddress, IllegalValue or MailboxBusy, and then has changed nothing.
    """

    def read(self, address: int, quantity: int) -> bytes | bytearray: ...

    def read_bits(self, address: int, quantity: int) -> bytes: ...

    def write(self, address: int, data: bytes, client: Hashable, now: float) -> None: ...

    def write_bits(self, address: int, bits: Sequence[bool], client: Hashable, now: float) -> None: ...


Answer = Callable[[Registers, bytes, Hashable, float], bytes]
"""(bank, request PDU, client, now in monotonic seconds) -> answer PDU. Raises Malformed and what the bank raises."""


def _read_registers(bank: Registers, pdu: bytes, client: Hashable, now: float) -> bytes:
    if len(pdu) != _HEAD:
        raise Malformed
    address, quantity = _head(pdu)
    if not 1 <= quantity <= MAX_READ_REGISTERS:
        raise Malformed
    if address + quantity > ADDRESSES:
        raise IllegalAddress
    return bytes((pdu[0], 2 * quantity)) + bank.read(address, quantity)


def _read_coils(bank: Registers, pdu: bytes, client: Hashable, now: float) -> bytes:
    if len(pdu) != _HEAD:
        raise Malformed
    address, quantity = _head(pdu)
    if not 1 <= quantity <= MAX_READ_COILS:
        raise Malformed
    if address + quantity > ADDRESSES:
        raise IllegalAddress
    return bytes((pdu[0], (quantity + 7) // 8)) + bank.read_bits(address, quantity)


def _write_coil(bank: Registers, pdu: bytes, client: Hashable, now: float) -> bytes:
    if len(pdu) != _HEAD or _head(pdu)[1] not in (COIL_ON, COIL_OFF):
        raise Malformed
    request = WriteSingleCoil.create_from_request_pdu(pdu)
    bank.write_bits(request.address, (request.value == 1,), client, now)
    answer: bytes = request.create_response_pdu()
    return answer


def _write_register(bank: Registers, pdu: bytes, client: Hashable, now: float) -> bytes:
    if len(pdu) != _HEAD:
        raise Malformed
    request = WriteSingleRegister.create_from_request_pdu(pdu)
    bank.write(request.address, pdu[3:], client, now)
    answer: bytes = request.create_response_pdu()
    return answer


def _write_coils(bank: Registers, pdu: bytes, client: Hashable, now: float) -> bytes:
    if len(pdu) <= _VALUES:
        raise Malformed
    address, quantity = _head(pdu)
    size = (quantity + 7) // 8
    if not 1 <= quantity <= MAX_WRITE_COILS or pdu[5] != size or len(pdu) != _VALUES + size:
        raise Malformed
    if address + quantity > ADDRESSES:
        raise IllegalAddress
    # The last byte's bits beyond the quantity carry nothing, whatever a client leaves in them.
    coils = [coil for byte in pdu[_VALUES:] for coil in _COILS[byte]][:quantity]
    bank.write_bits(address, coils, client, now)
    return pdu[:_HEAD]


def _write_registers(bank: Registers, pdu: bytes, client: Hashable, now: float) -> bytes:
    if len(pdu) <= _VALUES:
        raise Malformed
    address, quantity = _head(pdu)
    size = 2 * quantity
    if not 1 <= quantity <= MAX_WRITE_REGISTERS or pdu[5] != size or len(pdu) != _VALUES + size:
        raise Malformed
    if address + quantity > ADDRESSES:
        raise IllegalAddress
    request = WriteMultipleRegisters.create_from_request_pdu(pdu)
    bank.write(request.starting_address, pdu[_VALUES:], client, now)
    answer: bytes = request.create_response_pdu()
    return answer


READS: Mapping[int, Answer] = {
    READ_COILS: _read_coils,
    READ_DISCRETE_INPUTS: _read_coils,
    READ_HOLDING_REGISTERS: _read_registers,
    READ_INPUT_REGISTERS: _read_registers,
}
"""By function code. One address space: FC1 = FC2 and FC3 = FC4 (modbus.md, Addresses)."""

WRITES: Mapping[int, Answer] = {
    WRITE_SINGLE_COIL: _write_coil,
    WRITE_SINGLE_REGISTER: _write_register,
    WRITE_MULTIPLE_COILS: _write_coils,
    WRITE_MULTIPLE_REGISTERS: _write_registers,
}
"""By function code; left out altogether where `writes = false`, so that these become unknown functions."""


def exception(function_code: int, code: int) -> bytes:
    """The exception PDU: the function code, 0..255, with its highest bit set, and why."""
    return bytes((function_code | 0x80, code))
