"""A gateway's OCPP side on real loopback sockets, plain and TLS side by side, and papers for everybody.

Certificates are made as the tests run, by an authority that lives as long as the test: none is in the repository.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import cast

import trio
import trustme

from gatewayd import config
from gatewayd.assembly import build_site
from gatewayd.served import listener_rules
from gatewayd.services.ocpp_listener import Listener
from gatewayd.services.tls import server_context
from gatewayd.site.model import Site
from gatewayd.site.refusal import Cause
from tests.services.ocpp_peer import EPOCH, Peer, always_durable

HOST = "127.0.0.1"
NOW = datetime.now(UTC)
Dates = tuple[datetime, datetime]
NOWADAYS = NOW - timedelta(days=10), NOW + timedelta(days=100)
PAST = NOW - timedelta(days=20), NOW - timedelta(days=10)
FUTURE = NOW + timedelta(days=10), NOW + timedelta(days=20)


@dataclass(frozen=True)
class Papers:
    """A certificate and its key as PEM."""

    certificate: str
    key: str


def certify(authority: trustme.CA, name: str, dates: Dates = NOWADAYS) -> Papers:
    """A certificate for a host, an address or, as its common name, a charge point."""
    leaf = authority.issue_cert(name, common_name=name, not_before=dates[0], not_after=dates[1])
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems).decode()
    return Papers(chain, leaf.private_key_pem.bytes().decode())


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def client(believes: trustme.CA | None = None, shows: Papers | None = None, **limits: object) -> ssl.SSLContext:
    """How a charge point dials: whom it believes, what it shows; `limits` are attributes of the context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if believes is not None:
        believes.configure_trust(context)
    if shows is not None:
        show(context, shows)
    for name, value in limits.items():
        setattr(context, name, value)
    return context


def show(context: ssl.SSLContext, papers: Papers) -> None:
    with trustme.Blob(f"{papers.certificate}\n{papers.key}".encode()).tempfile() as file:
        context.load_cert_chain(file)


def of_tls_1_1(believes: trustme.CA, shows: Papers | None = None) -> ssl.SSLContext:
    """A charge point that never heard of TLS 1.2."""
    context = client(believes, shows)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def secured(
    transport: trio.SocketStream, context: ssl.SSLContext, host: str = HOST
) -> trio.abc.HalfCloseableStream:
    """The charge point's end of TLS. Raises BrokenResourceError, after the gateway was told why as OpenSSL tells it."""
    stream = trio.SSLStream(transport, context, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        with suppress(trio.BrokenResourceError):
            await transport.send_all(stream._outgoing.read())  # trio keeps the alert to itself
        await trio.aclose_forcefully(transport)
        raise
    return cast("trio.abc.HalfCloseableStream", stream)  # no test here closes half of it


@dataclass
class SecurePlant:
    """The listener on two ports."""

    site: Site
    listener: Listener
    plain_port: int
    tls_port: int

    async def dial(self, context: ssl.SSLContext | None = None, host: str = HOST) -> Peer:
        """A connection: with a context to the TLS port, else to the plain one. The host name is what the charge point
        was told; it finds the gateway here anyway. BrokenResourceError if TLS does not come about."""
        if context is None:
            return Peer(await trio.open_tcp_stream(HOST, self.plain_port))
        return Peer(await secured(await trio.open_tcp_stream(HOST, self.tls_port), context, host))

    def profile(self, identity: str = "CP001") -> int | None:
        """What the register says while it is connected."""
        charge_point = self.site.charge_points[identity]
        return charge_point.security_profile if charge_point.connected else None

    @property
    def causes(self) -> list[Cause]:
        """Why somebody was turned away, oldest first."""
        return [each.refusal.cause for each in reversed(self.site.refusals.latest)]

    async def cause(self) -> Cause:
        """The next one's, when it comes."""
        with trio.fail_after(8):
            while not self.site.refusals.latest:  # noqa: ASYNC110  nobody announces it
                await trio.sleep(0.005)
        return self.causes[0]


@asynccontextmanager
async def secure_plant(
    toml: str, shows: Papers, client_roots: str = "", *, required: bool = True
) -> AsyncIterator[SecurePlant]:
    parsed = config.parse(toml, "secure.toml")
    site = build_site(parsed, trio.current_time(), EPOCH, "SECURE")
    listener = Listener(
        site,
        listener_rules(parsed),
        durable=always_durable,
        on_refused=lambda refusal: site.refusals.note(refusal, site.epoch),
    )
    listener.show_certificate(server_context(shows.certificate, shows.key, client_roots, required=required))
    ports = []
    async with trio.open_nursery() as nursery:
        for tls in (False, True):
            listeners = await trio.open_tcp_listeners(0, host=HOST, backlog=512)
            ports.append(listeners[0].socket.getsockname()[1])
            await nursery.start(partial(listener.serve, listeners, nursery, tls=tls))
        yield SecurePlant(site, listener, *ports)
        nursery.cancel_scope.cancel()
