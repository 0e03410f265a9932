"""One connection of the page: HTTP/1.1 by anycorn, and nothing that browsers do not ask a gateway for.

No HTTP/2 by upgrade or by its preface, and no WebSocket: what may follow such a request was found to end in exceptions
and in connections that never end. An upgrade that is not granted is an ordinary request (RFC 9110, 7.8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc
import anyio.streams.tls
import h11
from anycorn.events import Closed, Event, Updated
from anycorn.protocol.h11 import H11Protocol
from anycorn.task_group import TaskGroup
from anycorn.tcp_server import TCPServer
from anycorn.typing import ConnectionState
from anycorn.utils import build_tls_extension, parse_socket_addr


class _Http11(H11Protocol):
    """`over` is called when the connection has ended, whoever ended it."""

    over: Callable[[], None]

    async def _check_protocol(self, event: h11.Request) -> None:
        """There is one."""

    async def _create_stream(self, request: h11.Request) -> None:
        kept = [(name, value) for name, value in request.headers if name != b"upgrade"]
        plain = h11.Request(
            method=request.method, target=request.target, headers=kept, http_version=request.http_version
        )
        await super()._create_stream(plain)

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, Closed):
            self.over()


class Connection(TCPServer):
    """Ends when its peer ends it. Anycorn's own waits for what an idle connection may take, and for ever where another
    request waits behind an answer that nobody takes any more: it would hold one of the places."""

    async def run(self) -> None:
        """Until it ends. Raises what anycorn or a view raises."""
        self._over = False
        try:
            raw = self.stream.extra(anyio.abc.SocketAttribute.raw_socket)
            client, server = (parse_socket_addr(raw.family, one) for one in (raw.getpeername(), raw.getsockname()))
            async with TaskGroup() as group:
                self._task_group = group
                self.protocol: Any = _Http11(
                    self.app, self.config, self.context, group, ConnectionState({}), client, server,
                    self.protocol_send, self._tls(),
                )  # fmt: skip
                reading = anyio.CancelScope()
                self.protocol.over = reading.cancel
                await self.idle_task.restart(group, self._idle_timeout)
                with reading:
                    await self._read_data()
                self._over = True
                await self.idle_task.stop()
        except OSError:
            pass
        finally:
            await self._close()

    def _tls(self) -> Any:
        try:
            self.stream.extra(anyio.streams.tls.TLSAttribute.alpn_protocol)
        except anyio.TypedAttributeLookupError:
            return None
        return build_tls_extension(self.config, self.stream)

    async def protocol_send(self, event: Event) -> None:
        """What the protocol has for the peer; nothing is idle after the end."""
        if not (self._over and isinstance(event, Updated)):
            await super().protocol_send(event)
