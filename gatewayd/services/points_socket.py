"""Modbus for programs on this machine, on a UNIX socket (docs/interfaces.md, points.sock).

Containment boundary `one program's Modbus connection`: whatever comes ends at its own connection. A task for each:
there are few, and none of them may take the network's clients' turn.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import trio

from gatewayd.modbus.server import Server, TcpSession

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 8
"""The page uses one; the rest is for scripts. Each costs a descriptor and less than a kilobyte."""
RECEIVE_BYTES = 512
"""As on the network: so much is answered before the others' turn."""
SEND_TIMEOUT_S = 9.0
"""Whoever takes no answer for so long is gone."""
DURABLE_WAIT_S = 1.0
"""As on the network: a disk that hangs does not silence the gateway."""
ACCEPT_PAUSE_S = 0.1
"""After accept() failed for want of descriptors."""


class Program(NamedTuple):
    """A client on this machine; the number tells them apart, as owners of mailboxes."""

    number: int
    address: str = "page"


async def at_once(_number: int) -> bool:
    """Durable without a ledger."""
    return True


async def serve(
    listener: socket.socket,
    server: Server,
    durable: Callable[[int], Awaitable[bool]] = at_once,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; a bug in the server or a bank propagates. `durable` waits for an entry of the journal."""
    listening = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    numbers = connected = 0

    async def connection(stream: trio.SocketStream, program: Program) -> None:
        nonlocal connected
        connected += 1
        try:
            await converse(stream, server, program, durable)
        finally:
            connected -= 1

    async with listening, trio.open_nursery() as nursery:
        task_status.started()
        while True:
            try:
                stream = await listening.accept()
            except OSError as error:
                log.error("%s cannot accept: %s", "points.sock", error)
                await trio.sleep(ACCEPT_PAUSE_S)
                continue
            if connected >= CONNECTIONS_MAX:
                log.warning("points.sock: %d programs are connected, another is turned away", connected)
                await trio.aclose_forcefully(stream)
                continue
            numbers += 1
            nursery.start_soon(connection, stream, Program(numbers))
            await trio.lowlevel.checkpoint()  # so that it is counted before the next one comes


async def converse(
    stream: trio.abc.Stream, server: Server, program: Program, durable: Callable[[int], Awaitable[bool]] = at_once
) -> None:
    """One connection to its end."""
    session = TcpSession(server, program, trio.current_time())
    try:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while session.fault is None:
                with trio.move_on_at(session.deadline) as waiting:
                    data = await stream.receive_some(RECEIVE_BYTES)
                if waiting.cancelled_caught or not data:
                    return
                answers = session.receive(bytes(data), trio.current_time())
                if session.promise:  # an ack is answered when it is on the disk, here too
                    with trio.move_on_after(DURABLE_WAIT_S):
                        await durable(session.promise)
                with trio.move_on_after(SEND_TIMEOUT_S) as sending:
                    if answers:
                        await stream.send_all(answers)
                if sending.cancelled_caught:
                    return
    finally:
        session.closed()
        with suppress(Exception):
            await trio.aclose_forcefully(stream)
