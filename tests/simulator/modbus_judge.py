"""A judge of Modbus TCP frames: pymodbus' server, which shares not a line with the simulated BMS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

UNIT = 7
SIZE = 10_000
HOLDING = 3
WRITES = (5, 6, 15, 16)


class ModbusJudge:
    """A pymodbus server on a thread of its own. `writes` is what it was told; `react` may answer in registers.

    `react(registers, address, values)` runs within the server at every write of registers, before it is stored.
    """

    def __init__(self) -> None:
        self.port = 0
        self.writes: list[tuple[int, int, list[int]]] = []
        self.refuse: ExcCodes | None = None
        self.react: Callable[[list[int], int, list[int]], None] = lambda registers, address, values: None
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._listening.wait(10)

    def close(self) -> None:
        self._do(self._server.shutdown())  # type: ignore[no-untyped-call]
        self._thread.join(10)

    def get(self, address: int, count: int = 1, function: int = HOLDING) -> Any:
        return self._do(self._server.async_getValues(UNIT, function, address, count))

    def put(self, address: int, values: list[Any], function: int = HOLDING) -> None:
        self._do(self._server.async_setValues(UNIT, function, address, values))

    async def _serve(self) -> None:
        registers, bits = ([SimData(0, count=SIZE, values=0, datatype=DataType.REGISTERS)] for _ in range(2))
        coils, inputs = ([SimData(0, values=[False] * SIZE, datatype=DataType.BITS)] for _ in range(2))
        device = SimDevice(UNIT, simdata=(coils, inputs, registers, bits), action=self._act)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", 0))
        await self._server.serve_forever(background=True)
        transport: Any = self._server.transport
        self.port = transport.sockets[0].getsockname()[1]
        self._listening.set()
        await self._server.serving

    async def _act(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: Any
    ) -> ExcCodes | None:
        if self.refuse:
            return self.refuse
        if values and function in WRITES:  # not the test's own puts
            self.writes.append((function, address, list(values)))
            if function in (6, 16):
                self.react(registers, address, list(values))
        return None

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
