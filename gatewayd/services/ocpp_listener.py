"""Charge points dial in here: TCP accept, HTTP upgrade, WebSocket, and one session for each (ocpp.md).

Containment boundary `one charge point's connection`: whatever a peer sends, and whatever the WebSocket library makes
of it, ends at its own connection (`Listener._contained`). What goes wrong in our own session is a bug, crosses the
boundary as `SessionBug` and ends the process.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from gatewayd.ocpp import handshake
from gatewayd.ocpp.session import Close, Send, Session
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits
from gatewayd.site.model import Site

log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 5.0
"""From accept to the end of the upgrade; slow attackers hold a socket no longer (promises, R16)."""
DISCONNECT_TIMEOUT_S = 2.0
"""For the closing handshake; then the socket is closed hard."""
SEND_TIMEOUT_S = 30.0
"""A peer that takes no byte for this long is gone."""
DUPLICATE_PROOF_S = 5.0
"""The old link of an unauthenticated charge point has this long to prove that it lives (ocpp.md, Duplicates)."""
MESSAGE_QUEUE = 32
"""Messages read ahead, so that pings are answered while a handler is busy."""
WORDS_MAX = 200
"""Answers not yet sent; beyond this a peer that does not read is not read either."""
HANDSHAKES_MAX = 600
"""Connections that are not a charge point yet; more are closed at once. 500 half-open ones must fit (R16)."""
DEAD_AFTER_PINGS = 3
"""Ping intervals without any frame after which a link is dead (quirk C2)."""
NO_SUBPROTOCOL, DUPLICATE_CLOSE, DEAD_CLOSE = 1002, 1001, 1001
RECEIVE_BYTES = 4096


class SessionBug(BaseException):
    """Our own session raised: no peer's fault, so no containment boundary stops it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the configuration a listener needs."""

    call_timeout_s: float = 60.0
    heartbeat_interval_s: int = 60
    ping_interval_s: float = 30.0
    max_message_bytes: int = 262144
    ask_bms: frozenset[str] = frozenset()
    passwords: dict[str, str] = field(default_factory=dict)
    """Identity → password, where one is set."""
    security_profile: int = 0
    """Of a connection without a password on this listener: 0 without TLS."""


class _MendedStream(trio.abc.HalfCloseableStream):
    """A stream whose request head was read and mended already; it also remembers when bytes last came."""

    def __init__(self, stream: trio.abc.Stream, head: bytes) -> None:
        self._stream, self._head = stream, head
        self.heard_at = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        data = bytes(await self._stream.receive_some(max_bytes))
        self.heard_at = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with trio.fail_after(SEND_TIMEOUT_S):
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


@dataclass(slots=True)
class _Live:
    """The connection that a charge point has now."""

    session: Session
    socket: WebSocketConnection
    stream: _MendedStream
    authenticated: bool
    scope: trio.CancelScope
    sent: trio.Event = field(default_factory=trio.Event)
    """Set when the session has a new word."""
    drained: trio.Event = field(default_factory=trio.Event)
    """Set when there is room for the answers to more messages."""


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
        self._live: dict[str, _Live] = {}
        self._handshakes = 0

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        links: trio.Nursery,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled. Connections live on in `links`: a listener that moves drops none."""
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_listeners, self.connection, listeners, handler_nursery=links))
            task_status.started()

    async def connection(self, stream: trio.abc.Stream) -> None:
        """One incoming connection, from its first byte to its end; nothing a peer does leaves here."""
        if self._handshakes >= HANDSHAKES_MAX:
            await trio.aclose_forcefully(stream)
            return
        try:
            await self._contained(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def _contained(self, stream: trio.abc.Stream) -> None:
        try:
            head = await self._head(stream)
            if head is None:
                return
            mended, tolerated = head
            async with trio.open_nursery() as nursery:
                await self._upgrade(_MendedStream(stream, mended), tolerated, nursery)
                nursery.cancel_scope.cancel()
        except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass
        except* Exception as group:
            log.info("a peer broke its connection: %s", "; ".join(_causes(group)))

    # --- the upgrade ----------------------------------------------------------------------------------------

    async def _head(self, stream: trio.abc.Stream) -> tuple[bytes, QuirkBits] | None:
        """Read the request's head and mend it; None when there is nothing more to do."""
        received = bytearray()
        self._handshakes += 1
        try:
            with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
                while handshake.END_OF_HEAD not in received:
                    data = await stream.receive_some(RECEIVE_BYTES)
                    if not data:
                        return None
                    received += data
                    if len(received) > handshake.HEAD_MAX and handshake.END_OF_HEAD not in received:
                        await self._refuse_plainly(stream, "431 Request Header Fields Too Large", "head too long")
                        return None
                head, separator, rest = bytes(received).partition(handshake.END_OF_HEAD)
                try:
                    mended, tolerated = handshake.mend(head + separator)
                except handshake.BadRequest as error:
                    await self._refuse_plainly(stream, "400 Bad Request", str(error))
                    return None
                return mended + rest, tolerated
            return None
        finally:
            self._handshakes -= 1

    async def _refuse_plainly(self, stream: trio.abc.Stream, status: str, why: str) -> None:
        self._on_refused("", why, int(status[:3]))
        await stream.send_all(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())

    async def _upgrade(self, stream: _MendedStream, tolerated: QuirkBits, nursery: trio.Nursery) -> None:
        with trio.fail_after(HANDSHAKE_TIMEOUT_S + DUPLICATE_PROOF_S):
            request = await wrap_server_stream(
                nursery, stream, message_queue_size=MESSAGE_QUEUE, max_message_size=self.rules.max_message_bytes
            )
            judged = await self._judge(request)
            if judged is None:
                return
            charge_point, authenticated = judged
            charge_point.note_quirk(tolerated)
            agreed = handshake.SUBPROTOCOL in request.proposed_subprotocols
            socket = await request.accept(subprotocol=handshake.SUBPROTOCOL if agreed else None)
        if not agreed:
            charge_point.note_quirk(QuirkBits.no_subprotocol)
            self._on_refused(charge_point.name, "it does not offer the subprotocol ocpp1.6", 101)
            with trio.move_on_after(DISCONNECT_TIMEOUT_S):
                await socket.aclose(NO_SUBPROTOCOL, "subprotocol ocpp1.6 required")
            return
        await self._run(charge_point, socket, stream, authenticated)

    async def _judge(self, request: WebSocketRequest) -> tuple[ChargePoint, bool] | None:
        """Who this is, and whether a password proved it; None after a refusal."""
        try:
            name = handshake.identity(request.path)
        except handshake.BadRequest as error:
            await self._reject(request, "", str(error), 400)
            return None
        charge_point = self._site.charge_points.get(name)
        if charge_point is None:
            await self._reject(request, name, "no charge point of this identity is configured", 404)
            return None
        if not charge_point.allowed:
            await self._reject(request, name, "not allowed: the register `allowed` is 0", 403)
            return None
        password = self.rules.passwords.get(name)
        if password:
            given = handshake.credentials(request.headers)
            right = given is not None and given[0] == name.encode() and handshake.password_is_right(password, given[1])
            if not right:
                challenge = [(b"WWW-Authenticate", b'Basic realm="ocpp"')]
                await self._reject(request, name, "password missing or wrong", 401, challenge)
                return None
        live = self._live.get(name)
        if live is not None and not password and await self._lives(live):
            await self._reject(request, name, "another connection of this identity is alive", 409)
            return None
        return charge_point, bool(password)

    async def _reject(
        self,
        request: WebSocketRequest,
        name: str,
        why: str,
        status: int,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        log.info("refused %r with %d: %s", name[:48], status, why)
        self._on_refused(name, why, status)
        await request.reject(status, extra_headers=[*(headers or []), (b"Content-Length", b"0")])

    async def _lives(self, live: _Live) -> bool:
        """Whether the old link of an unauthenticated charge point answers a ping."""
        with trio.move_on_after(DUPLICATE_PROOF_S):
            try:
                await live.socket.ping()
                return True
            except (ConnectionClosed, trio.TooSlowError):
                return False
        return False

    # --- the connection -------------------------------------------------------------------------------------

    async def _run(
        self, charge_point: ChargePoint, socket: WebSocketConnection, stream: _MendedStream, authenticated: bool
    ) -> None:
        rules = self.rules
        session = Session(
            charge_point,
            secrets.token_hex(4) + "-",
            rules.call_timeout_s,
            rules.heartbeat_interval_s,
            rules.ask_bms,
        )
        with trio.CancelScope() as scope:
            live = _Live(session, socket, stream, authenticated, scope)
            old = self._live.get(charge_point.name)
            if old is not None:
                log.info("%s: a new connection takes over from the old one", charge_point.name)
                self._ours(old.session.closed, trio.current_time())
                old.scope.cancel()
            self._live[charge_point.name] = live
            charge_point.security_profile = rules.security_profile + authenticated
            session.on_word = lambda: live.sent.set()
            self._ours(session.opened, trio.current_time())
            self._on_links(len(self._live))
            log.info("%s: connected", charge_point.name)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, live, nursery.cancel_scope)
                    nursery.start_soon(self._watch, live, nursery.cancel_scope)
                    await self._read(live)
                    nursery.cancel_scope.cancel()
            finally:
                if self._live.get(charge_point.name) is live:
                    del self._live[charge_point.name]
                self._ours(session.closed, trio.current_time())
                self._on_links(len(self._live))
                log.info("%s: disconnected", charge_point.name)
                with trio.move_on_after(DISCONNECT_TIMEOUT_S, shield=True):
                    await socket.aclose(DUPLICATE_CLOSE, "gateway closes")

    @staticmethod
    def _ours(step: Callable[..., None], *arguments: object) -> None:
        """A step of our own session: what it raises is a bug, not a peer's doing."""
        try:
            step(*arguments)
        except Exception as error:
            raise SessionBug(f"{step.__qualname__} raised {error!r}") from error

    async def _read(self, live: _Live) -> None:
        while True:
            message = await live.socket.get_message()
            self._on_traffic()
            self._ours(live.session.received, message, trio.current_time())
            if len(live.session.words) > WORDS_MAX:
                live.drained = trio.Event()
                await live.drained.wait()

    async def _write(self, live: _Live, scope: trio.CancelScope) -> None:
        """Send the session's words in order, each when it is as durable as it promises."""
        words = live.session.words
        while True:
            if not words:
                live.sent = trio.Event()
                await live.sent.wait()
                continue
            word = words.popleft()
            if len(words) < WORDS_MAX // 2:
                live.drained.set()
            if isinstance(word, Close):
                with trio.move_on_after(DISCONNECT_TIMEOUT_S):
                    await live.socket.aclose(word.code, word.reason)
                scope.cancel()
                return
            if await self._may_go(word):
                await live.socket.send_message(word.text)
                self._on_traffic()

    async def _may_go(self, word: Send) -> bool:
        return not word.durable or await self._durable(word.durable) or not word.withheld

    async def _watch(self, live: _Live, scope: trio.CancelScope) -> None:
        """Ping; notice silence; end a dead link. Any frame counts as a sign of life (quirks C2–C4)."""
        rules, pongs = self.rules, False
        while True:
            before = trio.current_time()
            with trio.move_on_after(rules.ping_interval_s) as waited:
                await live.socket.ping()
                pongs = True
                self._ours(live.session.round_trip, trio.current_time() - before)
            if waited.cancelled_caught and not pongs:
                live.session.charge_point.note_quirk(QuirkBits.no_pong)
            await trio.sleep_until(before + rules.ping_interval_s)
            interval = rules.ping_interval_s if pongs else max(rules.ping_interval_s, rules.heartbeat_interval_s)
            quiet = trio.current_time() - live.stream.heard_at
            if quiet >= DEAD_AFTER_PINGS * interval:
                log.warning("%s: nothing heard for %.0f s, closing", live.session.charge_point.name, quiet)
                scope.cancel()
                return
            if quiet >= (DEAD_AFTER_PINGS - 1) * interval and not live.session.charge_point.silent:
                self._ours(live.session.went_silent, trio.current_time())


def _causes(group: BaseExceptionGroup[Exception]) -> list[str]:
    """The plain errors inside nested groups, in words for the log."""
    found: list[str] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _causes(error)
        else:
            found.append(f"{type(error).__name__}: {str(error)[:200]}")
    return found
