"""Modbus on gatewayd's `points.sock`: to the gateway, webd is one more client (docs/interfaces.md, points.sock)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import trio

from gatewayd.web.unix_socket import GatewayAway, dial

READ_MOST: Final = 125
"""Registers in one answer, as Modbus has it."""
WRITE_MOST: Final = 123
PATIENCE_S: Final = 5.0
"""gatewayd answers within a millisecond; a machine that is starting up may take seconds."""
READ_HOLDING, WRITE_ONE, WRITE_SEVERAL = 3, 6, 16
EXCEPTIONS: Final = {
    1: "illegal function",
    2: "there is no such register",
    3: "the value is out of its range",
    4: "the gateway failed",
    6: "the mailbox is busy",
    11: "the charge point does not answer",
}

EXCEPTION_NAMES: Final = {
    1: "illegal_function",
    2: "illegal_data_address",
    3: "illegal_data_value",
    4: "server_device_failure",
    6: "server_device_busy",
    11: "gateway_target_failed_to_respond",
}
"""As Modbus calls them, and as events.sock writes them."""

_HEADER: Final = struct.Struct(">HHHB")


class ModbusRefused(Exception):
    """The gateway answers with an exception code, which stands in `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(EXCEPTIONS.get(code, f"exception {code}"))
        self.code = code


class PointsClient:
    """One connection, one request at a time; dialled when first needed, and again after it broke."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = trio.Lock()
        self._stream: trio.SocketStream | None = None
        self._number = 0

    async def read(self, unit: int, address: int, quantity: int) -> bytes:
        """`quantity` (any) registers from `address` (0-based) of the bank at `unit`, big-endian.

        Raises ModbusRefused, GatewayAway.
        """
        data = b""
        async with self._turn:
            while quantity:
                step = min(quantity, READ_MOST)
                answer = await self._ask(unit, struct.pack(">BHH", READ_HOLDING, address, step))
                if len(answer) != 2 + 2 * step or answer[1] != 2 * step:
                    await self._hang_up()
                    raise GatewayAway("points.sock: an answer of the wrong length")
                data += answer[2:]
                address, quantity = address + step, quantity - step
        return data

    async def write(self, unit: int, address: int, data: bytes) -> None:
        """Big-endian registers, 123 at most: all of them or none. Raises ModbusRefused, GatewayAway."""
        count = len(data) // 2
        assert 0 < count <= WRITE_MOST
        async with self._turn:
            await self._ask(unit, struct.pack(">BHHB", WRITE_SEVERAL, address, count, 2 * count) + data)

    async def _ask(self, unit: int, request: bytes) -> bytes:
        """One exchange; dials anew once, where the connection of last time has gone meanwhile."""
        fresh = self._stream is None
        try:
            answer = await self._exchange(unit, request)
        except GatewayAway:
            # A read may be asked again. What was to be written is not written twice: nobody knows how far it came.
            if fresh or request[0] != READ_HOLDING:
                raise
            answer = await self._exchange(unit, request)
        if answer[0] & 0x80:
            raise ModbusRefused(answer[1] if len(answer) > 1 else 4)
        return answer

    async def _exchange(self, unit: int, request: bytes) -> bytes:
        try:
            with trio.fail_after(PATIENCE_S):
                if self._stream is None:
                    self._stream = await dial(self._path)
                self._number = (self._number + 1) & 0xFFFF
                await self._stream.send_all(_HEADER.pack(self._number, 0, len(request) + 1, unit) + request)
                while True:
                    number, _, length, _ = _HEADER.unpack(await self._exactly(_HEADER.size))
                    answer = await self._exactly(length - 1)
                    if number == self._number and answer:
                        return answer
        except trio.TooSlowError:
            await self._hang_up()
            raise GatewayAway("points.sock: no answer") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._hang_up()
            raise GatewayAway("points.sock: the connection broke") from None
        except BaseException:
            await self._hang_up()  # cancelled in the middle: the answer would be taken for that of the next request
            raise

    async def _exactly(self, count: int) -> bytes:
        assert self._stream is not None
        data = bytearray()
        while len(data) < count:
            more = await self._stream.receive_some(count - len(data))
            if not more:
                await self._hang_up()
                raise GatewayAway("points.sock: the gateway hung up")
            data += more
        return bytes(data)

    async def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)
