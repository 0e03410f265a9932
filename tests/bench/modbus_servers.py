"""The two Python servers under test: `python -m tests.bench.modbus_servers gateway|pymodbus`.

Each is a process of its own, prints the port it took and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import trio
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gatewayd.assembly import build_site, build_units
from gatewayd.config import ChargePoint, Config
from gatewayd.modbus.server import Server
from gatewayd.services import modbus_tcp

CHARGE_POINTS, CONNECTORS = 20, 2  # a full bank
TICK_S = 1.0  # ages and heartbeats are encoded again so often, as in the running gateway


async def gateway() -> None:
    """The gateway's own service over a full bank; all that is left out is OCPP."""
    numbers = range(1, CHARGE_POINTS + 1)
    config = Config(charge_points=tuple(ChargePoint(n, f"CP{n:03}", CONNECTORS) for n in numbers))
    units = build_units(build_site(config, trio.current_time(), 0, ""), config)
    server = Server(units, writes=True, on_exception=lambda code: None)
    listeners = modbus_tcp.open_listener("127.0.0.1", 0)
    print(listeners[0].getsockname()[1], flush=True)

    async def tick() -> None:
        while True:
            await trio.sleep(TICK_S)
            units.tick()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await modbus_tcp.serve(
            listeners,
            server,
            config.modbus.tcp,
            on_traffic=lambda: None,
            on_clients=lambda count: None,
            on_refused=lambda refusal: None,
        )


async def pymodbus() -> None:
    """pymodbus with one device of 65535 registers."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # a client that leaves makes it print pages
    device = SimDevice(1, simdata=[SimData(0, count=65535, values=0, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.listen()
    assert isinstance(server.transport, asyncio.Server)
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await server.serving


if __name__ == "__main__":
    if sys.argv[1] == "gateway":
        trio.run(gateway)
    else:
        asyncio.run(pymodbus())
