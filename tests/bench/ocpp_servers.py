"""The two WebSocket servers under test: `python -m tests.bench.ocpp_servers gateway|echo`.

Each is a process of its own, prints the port it took and serves until it is ended.
"""

from __future__ import annotations

import logging
import sys

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from gatewayd.assembly import build_site, build_units
from gatewayd.config import ChargePoint, Config
from gatewayd.services.ocpp_listener import Listener, Rules

CHARGE_POINTS, CONNECTORS = 20, 2  # a full bank
READ_S = 0.1  # how often a BMS reads: what changed in between is encoded once


async def gateway() -> None:
    """The gateway's own listener, sessions, site and bank; what is left out is the disk."""
    numbers = range(1, CHARGE_POINTS + 1)
    config = Config(charge_points=tuple(ChargePoint(n, f"CP{n:03}", CONNECTORS) for n in numbers))
    site = build_site(config, trio.current_time(), 1.8e9, "")
    bank = build_units(site, config).banks()[0]

    async def durable(number: int) -> bool:
        await trio.lowlevel.checkpoint()
        return True

    async def read() -> None:
        while True:
            await trio.sleep(READ_S)
            site.advance(trio.current_time())
            site.agenda.run(site.now)
            site.journal.take(site.now)
            for n in numbers:
                bank.read(3000 * n + 300, 125)

    listener = Listener(site, Rules(), durable=durable)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listeners[0].socket.getsockname()[1], flush=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await listener.serve(listeners, nursery)


async def echo() -> None:
    """What trio-websocket alone takes to carry a message there and back."""

    async def answer(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol="ocpp1.6")
        try:
            while True:
                await connection.send_message(await connection.get_message())
        except ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, answer, "127.0.0.1", 0, None)
        print(server.port, flush=True)


def main() -> None:
    logging.disable(logging.CRITICAL)
    trio.run({"gateway": gateway, "echo": echo}[sys.argv[1]])


if __name__ == "__main__":
    main()
