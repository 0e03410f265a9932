"""The edge of webd: sockets, TLS and anycorn's HTTP, each connection in a nursery of its own.

`Server._connection` is a containment boundary: whatever a peer sends, and what the libraries make of it, ends there.
Anycorn's own `serve` runs all connections in one task group, where one failure would end everybody.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.abc
import anyio.streams.tls
import trio
from anycorn.config import Config
from anycorn.typing import ConnectionState
from anycorn.utils import wrap_app
from anycorn.worker_context import WorkerContext
from starlette.types import ASGIApp

from gatewayd.web.connection import Connection

log = logging.getLogger(__name__)

CONNECTIONS_MOST: Final = 128
"""Twenty viewers with six connections each; a connection takes some 60 KiB."""
CONNECTIONS_OF_ONE: Final = 48
"""From one address: a control room behind one router, or one attacker."""
HANDSHAKE_S: Final = 8.0
"""For TLS; R16: whoever does not come to the point is cut within 10 s."""
HEAD_S: Final = 8
"""Without a whole request: before the first, and between two."""
READ_S: Final = 120
"""A connection that is being answered (a live view) and says nothing itself may stay; then TCP is asked."""
SEND_S: Final = 8.0
"""Whoever takes nothing for this long is cut."""
BACKLOG: Final = 128
HEAD_MOST_BYTES: Final = 16 * 1024


class PortTaken(Exception):
    """The port cannot be had; the message names it. Exit code 3."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortTaken."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        own = socket.socket(family, socket.SOCK_STREAM)
        try:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            own.bind(address)
            own.listen(BACKLOG)
            own.setblocking(False)
        except BaseException:
            own.close()
            raise
        return own
    except OSError as error:
        raise PortTaken(f"web: {host}:{port} cannot be had: {error.strerror or error}") from error


class _Bounded(anyio.abc.ByteStream):
    """A stream whose peer has to take what is sent, in time. Anycorn shields its sends from being cancelled."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data: bytes = await self._inner.receive(max_bytes)
        return data

    async def send(self, item: bytes) -> None:
        with anyio.move_on_after(SEND_S) as patience:
            await self._inner.send(item)
        if patience.cancelled_caught:
            raise anyio.BrokenResourceError

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        with anyio.move_on_after(SEND_S):
            await self._inner.aclose()

    @property
    def extra_attributes(self) -> Any:
        return self._inner.extra_attributes


class Server:
    """Serves one application on one socket."""

    def __init__(self, app: ASGIApp, context: Callable[[], ssl.SSLContext | None] = lambda: None) -> None:
        """`context` gives what TLS works with now; plain HTTP where it gives None."""
        self._app = wrap_app(app, 0, "asgi")  # type: ignore[arg-type]
        self._tls = context
        self._config = _anycorn()
        self._worker = WorkerContext(None)
        self._open: dict[str, int] = {}
        self.turned_away = 0
        """Connections beyond the limits, since the start."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(self._open.values())

    async def serve(self, own: socket.socket, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Accepts again after whatever accepting fails with (a host out of descriptors)."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(own))
        async with listener, trio.open_nursery() as nursery:
            task_status.started()
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    log.warning("no connection can be accepted: %s", error)
                    await trio.sleep(0.2)
                    continue
                nursery.start_soon(self._connection, stream.socket)

    async def _connection(self, accepted: trio.socket.SocketType) -> None:
        """One peer, whatever it does; nothing gets out of here but being cancelled."""
        with accepted:
            try:
                address = str(accepted.getpeername()[0])
                async with self._place(address) as has_place:
                    if has_place:
                        await self._answer(accepted)
            except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
                pass
            except Exception:
                log.exception("a connection ended by a fault of ours, or of a library")

    @asynccontextmanager
    async def _place(self, address: str) -> AsyncIterator[bool]:
        here = self._open.get(address, 0)
        if here >= CONNECTIONS_OF_ONE or self.connections >= CONNECTIONS_MOST:
            self.turned_away += 1
            yield False
            return
        self._open[address] = here + 1
        try:
            yield True
        finally:
            left = self._open.pop(address) - 1
            if left:
                self._open[address] = left

    async def _answer(self, accepted: trio.socket.SocketType) -> None:
        stream: Any = await anyio.abc.SocketStream.from_socket(_detached(accepted))
        context = self._tls()
        try:
            if context is not None:
                with anyio.fail_after(HANDSHAKE_S):
                    stream = await anyio.streams.tls.TLSStream.wrap(
                        stream, server_side=True, ssl_context=context, standard_compatible=False
                    )
        except TimeoutError:
            await anyio.aclose_forcefully(stream)
            return
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        await Connection(self._app, self._config, self._worker, ConnectionState({}), _Bounded(stream)).run()  # type: ignore[arg-type]


def _detached(accepted: trio.socket.SocketType) -> socket.socket:
    return socket.socket(fileno=accepted.detach())


def _anycorn() -> Config:
    config = Config()
    config.errorlog = logging.getLogger("anycorn")
    config.accesslog = None
    config.include_server_header = False
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = HEAD_S
    config.read_timeout = READ_S
    config.h11_max_incomplete_size = HEAD_MOST_BYTES
    return config
