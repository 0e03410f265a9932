"""The whole gateway in one trio run, on real loopback sockets: `app.Gateway` as the daemon makes it."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from gatewayd import config
from gatewayd.app import Gateway
from gatewayd.services.front_panel import FrontPanel
from gatewayd.site.refusal import Refusal
from gatewayd.state_directory import Paths
from tests.services.ocpp_peer import Peer
from tests.services.secure_plant import HOST, secured

PORTS = '[modbus.tcp]\nport = 0\nhost = "127.0.0.1"\n[ocpp]\nport = 0\nhost = "127.0.0.1"\n'
"""The ports that every test takes; [ocpp.tls] may follow at once."""
TLS = '[ocpp.tls]\nport = 0\nkey_type = "ec"\n'
"""The authority of a test need not be of RSA, which takes a while to make."""


@dataclass
class Daemon:
    """A gateway that is ready."""

    gateway: Gateway
    paths: Paths

    @property
    def ports(self) -> dict[str, int]:
        """What is bound now."""
        found: dict[str, int] = json.loads(self.paths.ports.read_text())
        return found

    @property
    def authority(self) -> str:
        return (self.paths.state / "authority.pem").read_text()

    def believes(self) -> ssl.SSLContext:
        """Of whom had the gateway's authority installed."""
        return ssl.create_default_context(cadata=self.authority)

    async def dial(self, context: ssl.SSLContext | None = None, host: str = HOST) -> Peer:
        """As a charge point: with a context to the TLS port, else to the plain one."""
        stream = await trio.open_tcp_stream(HOST, self.ports["ocpp" if context is None else "ocpp_tls"])
        return Peer(stream if context is None else await secured(stream, context, host))

    async def reload(self, toml: str) -> None:
        """As after SIGHUP."""
        self.paths.config.write_text(toml)
        await self.gateway.reload()

    async def refusal_noted(self) -> None:
        """There is one."""
        with trio.fail_after(10):
            while not self.gateway.site.refusals.latest:  # noqa: ASYNC110  nobody announces it
                await trio.sleep(0.005)

    async def refusal(self) -> Refusal:
        """The latest one, when it comes; then it is forgotten."""
        await self.refusal_noted()
        refusals = self.gateway.site.refusals
        found = refusals.latest[0].refusal
        self.gateway.site.refusals = type(refusals)()
        return found


@asynccontextmanager
async def daemon(folder: Path, toml: str) -> AsyncIterator[Daemon]:
    paths = Paths(folder / "gateway.toml", folder / "state")
    paths.config.write_text(toml)
    paths.state.mkdir(exist_ok=True)
    ready = trio.Event()
    gateway = Gateway(config.parse(toml, "daemon.toml"), paths, FrontPanel(None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.run, lambda _word: ready.set())
        with trio.fail_after(20):
            await ready.wait()
        yield Daemon(gateway, paths)
        nursery.cancel_scope.cancel()
