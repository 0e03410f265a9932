"""Charge points dial in here: TCP accept, HTTP upgrade, and who may have a link (ocpp.md, Who may connect).

Containment boundary `one charge point's connection`: whatever a peer sends, and whatever the WebSocket library makes
of it, ends at its own connection (`Listener._contained`).
"""

from __future__ import annotations

import logging
import math
import secrets
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from gatewayd.ocpp import handshake
from gatewayd.ocpp.handshake import Refused, Upgrade
from gatewayd.ocpp.lockout import Lockout
from gatewayd.ocpp.session import Session
from gatewayd.services.ocpp_listener.link import CLOSE_TIMEOUT_S, DUPLICATE_PROOF_S, Link, Rules, Stream
from gatewayd.services.ocpp_listener.peer_log import PeerLog
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits
from gatewayd.site.model import Site

HEAD_TIMEOUT_S = 5.0
"""From accept to the last byte of the request's head; slow attackers hold a socket no longer (promises, R16)."""
HANDSHAKE_TIMEOUT_S = HEAD_TIMEOUT_S + DUPLICATE_PROOF_S
"""From accept to the end of the upgrade, whatever happens in between."""
MESSAGE_QUEUE = 8
"""Messages read ahead, so that pings are answered while a session is busy; at most 2 MiB for a peer."""
HALF_OPEN_MAX = 600
"""Connections that are not a charge point yet; 500 must fit (R16). Of more the oldest goes: a real charge point is
through in a few milliseconds, so a flood cannot keep it out."""
LINGER_BYTES = 1 << 20
"""Read and dropped from a peer that is being refused, so that what we said is not lost to its unread bytes."""
ACCEPT_PAUSE_S = 0.1
"""After accept() failed (no descriptors left, a network gone): waiting connections stay in the kernel's queue."""
NO_SUBPROTOCOL, POLICY_VIOLATION = 1002, 1008
RECEIVE_BYTES = 4096


class Listener:
    """Serves OCPP on given TCP listeners for the charge points of a site."""

    def __init__(
        self,
        site: Site,
        rules: Rules,
        *,
        durable: Callable[[int], Awaitable[bool]],
        on_traffic: Callable[[], None] = lambda: None,
        on_links: Callable[[int], None] = lambda _count: None,
        on_refused: Callable[[str, str, int], None] = lambda _who, _why, _status: None,
    ) -> None:
        """`durable(number)` waits for the ledger; `on_links` hears how many charge points are connected;
        `on_refused(identity, why, status)` of every refusal."""
        self.rules = rules
        """May be replaced while running; connections that stand keep what they began with."""
        self._site = site
        self._durable, self._on_traffic = durable, on_traffic
        self._on_links, self._on_refused = on_links, on_refused
        self._links: dict[str, Link] = {}
        self._half_open: dict[trio.CancelScope, None] = {}
        """Who is not a charge point yet, oldest first."""
        self._doors: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        """Configured identity → one at a time through its door."""
        self._lockout = Lockout()
        self._passwords = trio.Lock()
        self._log = PeerLog()

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        links: trio.Nursery,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled. Connections live on in `links`: a listener that moves drops none."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self.accept, listener, links)
            task_status.started()

    async def accept(self, listener: trio.abc.Listener[trio.abc.Stream], links: trio.Nursery) -> None:
        """Accept on one listener until cancelled; a connection that cannot be had stops nothing."""
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:  # ours (no descriptors) or the network's: never a reason to stop
                    self._log.say(logging.ERROR, "no connection can be accepted: %s", error)
                    await trio.sleep(ACCEPT_PAUSE_S)
                    continue
                links.start_soon(self.connection, stream)

    async def connection(self, stream: trio.abc.Stream) -> None:
        """One incoming connection, from its first byte to its end; nothing a peer does leaves here."""
        if len(self._half_open) >= HALF_OPEN_MAX:
            oldest = next(iter(self._half_open))
            del self._half_open[oldest]
            oldest.cancel()
        scope = trio.CancelScope(deadline=trio.current_time() + HANDSHAKE_TIMEOUT_S)
        self._half_open[scope] = None
        try:
            with scope:
                await self._contained(stream, scope)
        finally:
            self._half_open.pop(scope, None)
            with suppress(Exception):
                await trio.aclose_forcefully(stream)

    async def _contained(self, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        try:
            async with trio.open_nursery() as library:  # whatever its tasks raise arrives here
                try:
                    head, rest = await self._head(stream)
                    upgrade = handshake.read(head)
                    await self._check(upgrade, _address(stream))
                    await self._upgrade(upgrade, Stream(stream, upgrade.head, rest), scope, library)
                except Refused as refused:
                    self._tell(refused.identity, refused.status, refused.why)
                    await stream.send_all(refused.response())
                library.cancel_scope.cancel()
            await _linger(stream)
        except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        except* LocalProtocolError:  # the library answers a Ping after it gave the connection up
            pass
        except* Exception as group:
            self._log.say(logging.WARNING, "a connection broke: %s", "; ".join(_causes(group)))

    # --- the handshake --------------------------------------------------------------------------------------

    async def _head(self, stream: trio.abc.Stream) -> tuple[bytes, bytes]:
        """The request's head, and what came behind it. Raises Refused, or EOFError when nobody is there any more."""
        received = bytearray()
        with trio.move_on_after(HEAD_TIMEOUT_S):
            while handshake.END_OF_HEAD not in received:
                if len(received) > handshake.HEAD_MAX:
                    raise Refused(431, f"the head of the request is longer than {handshake.HEAD_MAX} bytes")
                data = await stream.receive_some(RECEIVE_BYTES)
                if not data:
                    raise EOFError
                received += data
            head, separator, rest = bytes(received).partition(handshake.END_OF_HEAD)
            return head + separator, rest
        raise Refused(408, f"no whole request within {HEAD_TIMEOUT_S:.0f} s")

    async def _check(self, upgrade: Upgrade, address: str) -> None:
        """Whether this identity may connect at all. Raises Refused."""
        name = upgrade.identity
        charge_point = self._site.charge_points.get(name)
        if charge_point is None:
            raise Refused(404, "no charge point of this identity is configured", identity=name)
        if not charge_point.allowed:
            raise Refused(403, "not allowed: its register `allowed` is 0", identity=name)
        configured = self.rules.passwords.get(name)
        if configured and not await self._knows(configured, upgrade, address):
            why = "password missing" if not upgrade.authorization else "user or password wrong"
            raise Refused(401, why, 'WWW-Authenticate: Basic realm="ocpp"', identity=name)

    async def _knows(self, configured: str, upgrade: Upgrade, address: str) -> bool:
        """Whether the request brings the configured password. Raises Refused (429) for who guesses too often."""
        given = handshake.credentials(upgrade.authorization)
        judge = partial(handshake.password_is_right, configured)
        async with self._passwords:  # one at a time, so that nobody guesses faster by guessing in parallel
            wait_s = self._lockout.wait_s(address, trio.current_time())
            if wait_s > 0:
                why = "too many wrong passwords from this address"
                raise Refused(429, why, f"Retry-After: {math.ceil(wait_s)}", identity=upgrade.identity)
            if given is None:
                return False
            right = handshake.is_user(upgrade.identity, given[0])
            if right and configured.startswith(handshake.HASHED):
                right = await trio.to_thread.run_sync(judge, given[1])
            elif right:
                right = judge(given[1])
            if not right:
                self._lockout.note_wrong(address, trio.current_time())
            return right

    async def _upgrade(self, upgrade: Upgrade, stream: Stream, scope: trio.CancelScope, library: trio.Nursery) -> None:
        """Let it in, or out again, and stay with it to its end. Raises Refused."""
        name, rules = upgrade.identity, self.rules
        async with self._doors[name]:
            charge_point = self._site.charge_points.get(name)
            welcome = charge_point is not None and (upgrade.agreed is not None or charge_point.assume_subprotocol)
            if welcome and not rules.passwords.get(name):
                await self._dispute(name)
            request = await wrap_server_stream(
                library, stream, message_queue_size=MESSAGE_QUEUE, max_message_size=rules.max_message_bytes
            )
            socket = await request.accept(subprotocol=upgrade.agreed)
            stream.accepted.set()
            scope.deadline = math.inf
            self._half_open.pop(scope, None)
            link, charge_point = None, self._site.charge_points.get(name)  # it may have changed while we waited
            if charge_point is not None:
                charge_point.note_quirk(upgrade.tolerated)
                if upgrade.agreed is None:
                    charge_point.note_quirk(QuirkBits.no_subprotocol)
                link = self._enter(charge_point, socket, stream, rules) if welcome else None
        if link is not None:
            await self._stay(link)
            return
        self._tell(name, 101, "it does not offer the subprotocol ocpp1.6")
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            await stream.say_goodbye(NO_SUBPROTOCOL, "subprotocol ocpp1.6 required")

    async def _dispute(self, name: str) -> None:
        """Without a password, who was here first stays if it shows that it lives. Raises Refused."""
        while (old := self._links.get(name)) is not None:
            if await old.lives():
                raise Refused(409, "another connection of this identity is alive", identity=name)
            if self._links.get(name) is old:
                return

    def _enter(self, charge_point: ChargePoint, socket: WebSocketConnection, stream: Stream, rules: Rules) -> Link:
        """It is the charge point's link from now on; an older one has lost its place already."""
        name = charge_point.name
        prefix = secrets.token_hex(4) + "-"
        session = Session(charge_point, prefix, rules.call_timeout_s, rules.heartbeat_interval_s, rules.ask_bms)
        link = Link(session, socket, stream, rules, self._durable, self._on_traffic, self._log)
        old, self._links[name] = self._links.get(name), link
        if old is not None:
            self._log.say(logging.INFO, "%s: a new connection takes over from the old one", name)
            old.forget()
            old.end()
        charge_point.security_profile = rules.security_profile + bool(rules.passwords.get(name))
        link.open()
        if not charge_point.allowed:
            session.close(POLICY_VIOLATION, "not allowed")
        self._log.say(logging.INFO, "%s: connected", name)
        self._on_links(len(self._links))
        return link

    async def _stay(self, link: Link) -> None:
        name = link.session.charge_point.name
        try:
            await link.run()
        finally:
            if self._links.get(name) is link:
                del self._links[name]
            self._log.say(logging.INFO, "%s: disconnected", name)
            self._on_links(len(self._links))

    def _tell(self, identity: str, status: int, why: str) -> None:
        """A refusal, to everybody who looks for the fault."""
        self._log.say(logging.INFO, "refused %r with %d: %s", identity[:48], status, why)
        self._on_refused(identity, why, status)


async def _linger(stream: trio.abc.Stream) -> None:
    """Everything was said: let the peer take it. Closed with its bytes unread, a socket throws away what was sent."""
    with trio.move_on_after(CLOSE_TIMEOUT_S):
        if not isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.aclose()
            return
        await stream.send_eof()
        dropped = 0
        while dropped < LINGER_BYTES and (data := await stream.receive_some(RECEIVE_BYTES)):
            dropped += len(data)


def _address(stream: trio.abc.Stream) -> str:
    """Where a peer is; "" where that means nothing."""
    inner = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(inner, trio.SocketStream):
        with suppress(OSError):
            return str(inner.socket.getpeername()[0])
    return ""


def _causes(group: BaseExceptionGroup[Exception]) -> list[str]:
    """The plain errors inside nested groups: what, and where in which module."""
    found: list[str] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _causes(error)
        else:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
            found.append(f"{type(error).__name__} at {place}: {str(error)[:200]!r}")
    return found
