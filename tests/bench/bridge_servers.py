"""The servers of the bridge's benchmark: `python -m tests.bench.bridge_servers central` or `bridge|relay CENTRAL_PORT`.

Each is a process of its own, prints the port it took and serves until it is ended.
"""

from __future__ import annotations

import logging
import sys

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, open_websocket, serve_websocket

from gatewayd import bridging
from gatewayd.assembly import build_site, build_units
from gatewayd.config import ChargePoint, Config, Gateway, Ocpp, OcppUpstream
from gatewayd.services.ocpp_listener import Listener, Rules

CHARGE_POINTS, CONNECTORS = 20, 2
READ_S = 0.1
SUBPROTOCOL = "ocpp1.6"
ANSWER = '[3,"{}",{{"currentTime":"2026-01-01T00:00:00Z"}}]'


async def central() -> None:
    """A central system that does nothing but answer: every Call by what a Heartbeat is answered with."""

    async def answer(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol=SUBPROTOCOL)
        try:
            while True:
                text = str(await connection.get_message())
                await connection.send_message(ANSWER.format(text.split('"', 2)[1]))
        except ConnectionClosed:
            pass

    await _serve(answer)


async def relay(port: int) -> None:
    """What the WebSocket library alone takes to carry a message on and its answer back."""

    async def carry(request: WebSocketRequest) -> None:
        below = await request.accept(subprotocol=SUBPROTOCOL)
        async with (
            open_websocket("127.0.0.1", port, request.path, use_ssl=False, subprotocols=[SUBPROTOCOL]) as above,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_copy, below, above, nursery)
            nursery.start_soon(_copy, above, below, nursery)

    await _serve(carry)


async def _copy(source: WebSocketConnection, sink: WebSocketConnection, nursery: trio.Nursery) -> None:
    try:
        while True:
            await sink.send_message(await source.get_message())
    except ConnectionClosed:
        nursery.cancel_scope.cancel()


async def _serve(handler: object) -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, handler, "127.0.0.1", 0, None)
        print(server.port, flush=True)


async def bridge(port: int) -> None:
    """The gateway in bridge role, its site and bank read as a BMS would; what is left out is the disk."""
    numbers = range(1, CHARGE_POINTS + 1)
    config = Config(
        gateway=Gateway(role="bridge"),
        ocpp=Ocpp(upstream=OcppUpstream(url=f"ws://127.0.0.1:{port}/ocpp")),
        charge_points=tuple(ChargePoint(n, f"CP{n:03}", CONNECTORS) for n in numbers),
    )
    site = build_site(config, trio.current_time(), 1.8e9, "")
    bank = build_units(site, config).banks()[0]

    async def durable(_number: int) -> bool:
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

    listener = Listener(site, Rules(), durable=durable, dial=bridging.upstreams(config).dial)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listeners[0].socket.getsockname()[1], flush=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await listener.serve(listeners, nursery)


def main() -> None:
    logging.disable(logging.CRITICAL)
    kind, *port = sys.argv[1:]
    if kind == "central":
        trio.run(central)
    else:
        trio.run({"bridge": bridge, "relay": relay}[kind], int(port[0]))


if __name__ == "__main__":
    main()
