"""Modbus TCP on any stream: what `services.modbus_tcp` does with sockets, without them."""

from __future__ import annotations

import trio

from gatewayd.modbus.server import Server, TcpSession


async def serve(stream: trio.abc.Stream, server: Server, client: object) -> None:
    """One client until it goes, or has to."""
    session = TcpSession(server, client, trio.current_time())
    try:
        async with stream:
            while session.fault is None and (data := await stream.receive_some()):
                if answers := session.receive(bytes(data), trio.current_time()):
                    await stream.send_all(answers)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        session.closed()
