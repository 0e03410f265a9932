"""A Modbus TCP client over any trio stream: the eight functions, and anything else as raw bytes.

Written from the Modbus specifications (Application Protocol V1.1b3; Messaging on TCP/IP V1.0b) for the simulated BMS
alone; the gateway has its own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import count

import trio

READ_COILS, READ_DISCRETE_INPUTS, READ_HOLDING, READ_INPUT = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
EXCEPTION_BIT = 0x80
EXCEPTION_NAMES = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


class ModbusError(Exception):
    """The server answered with an exception."""

    def __init__(self, function: int, code: int) -> None:
        super().__init__(f"function {function}: exception {code:02X}, {EXCEPTION_NAMES.get(code, 'unknown')}")
        self.function = function
        self.code = code


class BadAnswer(Exception):
    """What came back is no answer to what was asked."""


class ConnectionLost(Exception):
    """The server closed the connection, or it broke."""


class ModbusClient:
    """One connection, one request at a time (several tasks may share it). `unit` is the default unit id.

    Every method raises ModbusError, BadAnswer, ConnectionLost, or trio.TooSlowError after `timeout_s`; after the last
    three the connection is of no more use.
    """

    def __init__(self, stream: trio.abc.Stream, unit: int = 1, timeout_s: float = 5.0) -> None:
        self.stream = stream
        self.unit = unit
        self.timeout_s = timeout_s
        self.requests = 0
        self._numbers = count(1)
        self._turn = trio.Lock()
        self._received = b""

    @classmethod
    async def connect(cls, host: str, port: int, unit: int = 1, timeout_s: float = 5.0) -> ModbusClient:
        """OSError when nobody listens."""
        return cls(await trio.open_tcp_stream(host, port), unit, timeout_s)

    async def close(self) -> None:
        await self.stream.aclose()

    async def read_registers(
        self, address: int, quantity: int = 1, *, function: int = READ_HOLDING, unit: int | None = None
    ) -> list[int]:
        """FC3, or FC4 with `function=4`."""
        answer = await self.request(struct.pack(">BHH", function, address, quantity), unit)
        if len(answer) != 2 + 2 * quantity or answer[1] != 2 * quantity:
            raise BadAnswer(f"{quantity} registers wanted: {answer.hex(' ')}")
        return list(struct.unpack(f">{quantity}H", answer[2:]))

    async def read_bits(
        self, address: int, quantity: int = 1, *, function: int = READ_COILS, unit: int | None = None
    ) -> list[bool]:
        """FC1, or FC2 with `function=2`."""
        answer = await self.request(struct.pack(">BHH", function, address, quantity), unit)
        size = (quantity + 7) // 8
        if len(answer) != 2 + size or answer[1] != size:
            raise BadAnswer(f"{quantity} bits wanted: {answer.hex(' ')}")
        bits = [bool(answer[2 + place // 8] >> place % 8 & 1) for place in range(8 * size)]
        if any(bits[quantity:]):
            raise BadAnswer(f"the unused bits have to be zero: {answer.hex(' ')}")
        return bits[:quantity]

    async def write_register(self, address: int, value: int, *, unit: int | None = None) -> None:
        """FC6."""
        await self._echoed(struct.pack(">BHH", WRITE_REGISTER, address, value), 5, unit)

    async def write_coil(self, address: int, value: bool, *, unit: int | None = None) -> None:
        """FC5."""
        await self._echoed(struct.pack(">BHH", WRITE_COIL, address, 0xFF00 if value else 0), 5, unit)

    async def write_registers(self, address: int, values: Sequence[int], *, unit: int | None = None) -> None:
        """FC16."""
        head = struct.pack(">BHHB", WRITE_REGISTERS, address, len(values), 2 * len(values))
        await self._echoed(head + struct.pack(f">{len(values)}H", *values), 5, unit)

    async def write_coils(self, address: int, values: Sequence[bool], *, unit: int | None = None) -> None:
        """FC15."""
        packed = bytearray((len(values) + 7) // 8)
        for place, value in enumerate(values):
            packed[place // 8] |= value << place % 8
        head = struct.pack(">BHHB", WRITE_COILS, address, len(values), len(packed))
        await self._echoed(head + bytes(packed), 5, unit)

    async def request(self, pdu: bytes, unit: int | None = None) -> bytes:
        """Any PDU; the PDU of the answer, an exception raised as ModbusError."""
        async with self._turn:
            with trio.fail_after(self.timeout_s):
                number = next(self._numbers) & 0xFFFF
                asked_unit = self.unit if unit is None else unit
                await self.send_raw(struct.pack(">HHHB", number, 0, len(pdu) + 1, asked_unit) + pdu)
                answered_number, answered_unit, answer = await self._receive()
        self.requests += 1
        if (answered_number, answered_unit) != (number, asked_unit):
            raise BadAnswer(f"answer {answered_number} of unit {answered_unit} to request {number} of {asked_unit}")
        if answer[:1] == bytes([pdu[0] | EXCEPTION_BIT]) and len(answer) == 2:
            raise ModbusError(pdu[0], answer[1])
        if answer[:1] != pdu[:1]:
            raise BadAnswer(f"function {pdu[0]} was asked: {answer.hex(' ')}")
        return answer

    async def send_raw(self, data: bytes) -> None:
        """Any bytes, as they are."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionLost from None

    async def _echoed(self, pdu: bytes, echo: int, unit: int | None) -> None:
        answer = await self.request(pdu, unit)
        if answer != pdu[:echo]:
            raise BadAnswer(f"echo of {pdu[:echo].hex(' ')} wanted: {answer.hex(' ')}")

    async def _receive(self) -> tuple[int, int, bytes]:
        """(transaction number, unit, PDU) of the next answer."""
        number, protocol, length, unit = struct.unpack(">HHHB", await self._exactly(7))
        if protocol != 0 or not 3 <= length <= 254:
            raise BadAnswer(f"MBAP with protocol {protocol} and length {length}")
        return number, unit, await self._exactly(length - 1)

    async def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                data = await self.stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise ConnectionLost from None
            if not data:
                raise ConnectionLost
            self._received += data
        taken, self._received = self._received[:size], self._received[size:]
        return taken
