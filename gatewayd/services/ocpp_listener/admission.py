"""Who may have a link: what the connection itself tells, what the request says, and whether that is enough (ocpp.md,
Who may connect, Security). Everything before the WebSocket."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass, field

import trio
from msgspec import Struct

from gatewayd.ocpp import handshake
from gatewayd.ocpp.handshake import Refused, Upgrade
from gatewayd.services.ocpp_listener.crowd import Crowd
from gatewayd.services.ocpp_listener.link import Rules
from gatewayd.services.ocpp_listener.passwords import Passwords
from gatewayd.services.ocpp_listener.tls_stream import NoTls, TlsStream
from gatewayd.site.model import Site
from gatewayd.site.refusal import Cause

HEAD_TIMEOUT_S = 5.0
"""For the last byte of the request's head, and before it as long for TLS; slow attackers hold a socket no longer
(promises, R16)."""
RECEIVE_BYTES = 4096
TLS_HANDSHAKE = 0x16
"""The first byte of whoever begins to speak TLS; nobody begins HTTP so."""
FATAL_HANDSHAKE_FAILURE = bytes((0x15, 3, 1, 0, 2, 2, 40))
"""A TLS alert, for who speaks TLS where none is served: it would not understand HTTP."""
SECURING_MAX = 250
"""TLS handshakes that may be under way at once, 40 KiB each; 200 charge points may come back together."""


class Caller(Struct, frozen=True):
    """Who dialled, as far as the connection itself tells."""

    address: str = ""
    encrypted: bool = False
    common_name: str | None = None
    """Of the certificate that it showed and that was found good; None: none."""


class Admission(Struct, frozen=True):
    """What lets a charge point in."""

    profile: int
    """The OCPP security profile: 0 nothing, 1 a password, 2 TLS with the password if one is set, 3 TLS with a
    certificate."""
    authenticated: bool
    """It showed a password or a certificate: it is who it says it is."""


async def read_head(stream: trio.abc.ReceiveStream) -> tuple[bytes, bytes]:
    """The request's head, and what came behind it. Raises Refused, or EOFError when nobody is there any more."""
    received = bytearray()
    with trio.move_on_after(HEAD_TIMEOUT_S):
        while handshake.END_OF_HEAD not in received:
            if len(received) > handshake.HEAD_MAX:
                raise Refused(Cause.too_long, f"the head of the request is longer than {handshake.HEAD_MAX} bytes")
            data = await stream.receive_some(RECEIVE_BYTES)
            if not data:
                raise EOFError
            received += data
            if received[0] == TLS_HANDSHAKE:
                raise NoTls(
                    Cause.tls_on_plain_port, "it speaks TLS, and this port serves none", FATAL_HANDSHAKE_FAILURE
                )
        head, separator, rest = bytes(received).partition(handshake.END_OF_HEAD)
        return head + separator, rest
    raise Refused(Cause.too_slow, f"no whole request within {HEAD_TIMEOUT_S:.0f} s")


@dataclass(eq=False, slots=True)
class TlsDoor:
    """TLS for those who dial the port that serves it."""

    context: ssl.SSLContext | None = None
    """May be replaced while running; None: there is no certificate to show."""
    _turn: trio.Lock = field(default_factory=trio.Lock)
    _crowd: Crowd = field(default_factory=lambda: Crowd(SECURING_MAX))

    async def secure(self, stream: trio.abc.HalfCloseableStream) -> TlsStream:
        """Raises NoTls, Refused for who does not even try, or EOFError when nobody is there any more.

        Whoever says nothing holds nothing but its socket: the state of TLS begins with the first byte."""
        scope = trio.CancelScope(deadline=trio.current_time() + HEAD_TIMEOUT_S)
        hello = b""
        with scope:
            hello = bytes(await stream.receive_some(RECEIVE_BYTES))
            if not hello:
                raise EOFError
            if hello[0] != TLS_HANDSHAKE:
                why = "it speaks plain WebSocket, and this port serves TLS"
                raise Refused(Cause.plain_on_tls_port, why, identity=_identity_in(hello))
            if self.context is None:
                raise NoTls(Cause.tls_failed, "the gateway has no certificate to show")
            self._crowd.enter(scope)
            try:
                secured = TlsStream(stream, self.context)
                await secured.secure(hello, self._turn)
                return secured
            finally:
                self._crowd.leave(scope)
        if not hello or trio.current_time() < scope.deadline:  # it had nothing to say, or had to go
            raise EOFError
        raise NoTls(Cause.too_slow, f"no whole TLS handshake within {HEAD_TIMEOUT_S:.0f} s")


def _identity_in(head: bytes) -> str:
    """The identity that a plain request names, if it can be read."""
    with suppress(Refused):
        return handshake.read(head).identity
    return ""


async def admit(site: Site, rules: Rules, passwords: Passwords, upgrade: Upgrade, caller: Caller) -> Admission:
    """Whether this identity may connect, and as what. Raises Refused."""
    name = upgrade.identity
    charge_point = site.charge_points.get(name)
    if charge_point is None:
        raise Refused(Cause.unknown_identity, "no charge point of this identity is configured", identity=name)
    if not charge_point.allowed:
        raise Refused(Cause.not_allowed, "its register `allowed` is 0", identity=name)
    certified = caller.common_name is not None
    if certified and caller.common_name != name:
        why = f"its certificate is for {caller.common_name!r}"
        raise Refused(Cause.certificate_name, why, identity=name)
    password = rules.passwords.get(name, "")
    profile = 3 if certified else 2 if caller.encrypted else int(bool(password))
    least = rules.least_profiles.get(name, 0)
    if profile < least:
        why = f"it dialled with security profile {profile}, and at least {least} is configured"
        raise Refused(Cause.profile_too_low, why, identity=name)
    if password and not certified:
        await passwords.check(name, password, upgrade.authorization, caller.address)
    return Admission(profile, certified or bool(password))
