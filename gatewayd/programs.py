"""The sockets for programs on this machine (docs/interfaces.md): made, served, and tried again where they cannot be."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from gatewayd.modbus.server import Server
from gatewayd.runtime_directory import EVENTS, POINTS, listen
from gatewayd.services import points_socket

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""A directory that takes nothing is tried again: the gateway works on without its page meanwhile."""

Serve = Callable[..., Awaitable[None]]


async def serve(
    directory: Path,
    server: Server,
    durable: Callable[[int], Awaitable[bool]],
    events: Serve,
    on_missing: Callable[[bool], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until cancelled. Started once both are served, or could not be made the first time. `events(listener)` serves
    `events.sock`; `on_missing` hears that they cannot be made, and that they are there after all."""
    listeners = made(directory)
    if listeners is None:
        on_missing(True)
        task_status.started()
        task_status = trio.TASK_STATUS_IGNORED
    while listeners is None:
        await trio.sleep(RETRY_S)
        listeners = made(directory, quiet=True)
        if listeners is not None:
            log.info("%s: sockets for programs are there now", directory)
            on_missing(False)
    points, happenings = listeners
    async with trio.open_nursery() as nursery:
        await nursery.start(points_socket.serve, points, server, durable)
        await nursery.start(events, happenings)
        task_status.started()


def made(directory: Path, *, quiet: bool = False) -> tuple[socket.socket, socket.socket] | None:
    """Both, or None after a line in the log."""
    try:
        points = listen(directory, POINTS)
        try:
            return points, listen(directory, EVENTS)
        except OSError:
            points.close()
            raise
    except OSError as error:
        log.log(logging.DEBUG if quiet else logging.ERROR, "%s: no sockets for programs: %s", directory, error)
        return None
