"""Bridge role: dials the central system of a charge point that dials us (ocpp.md, Bridge).

Containment boundary `one charge point's central system`: whatever that sends, and whatever the WebSocket library makes
of it, ends at this one connection (`Upstreams._reached`, then `_connection`); the charge point's is dropped then.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import cast

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from gatewayd.config import OcppUpstream
from gatewayd.ocpp import handshake
from gatewayd.ocpp.bridge import Bridge
from gatewayd.ocpp.handshake import Refused, Upgrade
from gatewayd.ocpp.session import NO_ANSWER_CLOSE, Close, Send, SessionBug, Word
from gatewayd.ocpp.upstream_place import Place
from gatewayd.site.refusal import Cause
from gatewayd.sockets import Bell, WholeSends, text_of_client

log = logging.getLogger(__name__)

DIAL_TIMEOUT_S = 10.0
"""For name, TCP, TLS and WebSocket together. Charge points wait longer than this for their own handshake."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""After a dial that failed, and at most: so long the charge point gets 503 unasked. Each failure doubles it; each
pause is shortened by chance to as little as half, so that twenty charge points do not come back as one."""
STEADY_S = 30.0
"""A link that lasted this long was none that failed."""
PING_INTERVAL_S, DEAD_S = 3.0, 7.0
"""A central system that answers pings is gone when nothing came for so long: the charge point is to be dropped within
10 s (ocpp.md, Bridge). One that never answers one is left to TCP."""
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 4),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 8000),
)
"""TCP itself notices within 8 s that nobody is there any more."""
SEND_TIMEOUT_S = 8.0
"""A central system that takes no byte for this long is gone."""
CLOSE_TIMEOUT_S = 2.0
"""For what was said last and the closing handshake; after that the socket is closed hard."""
PINGS_OPEN_MAX = 5
"""Unanswered pings at a time."""
MESSAGE_QUEUE = 8
"""Messages read ahead, so that pings are answered meanwhile."""
WORDS_MAX = 200
"""Messages not yet sent; beyond this a charge point whose central system does not read is not read either."""
RECEIVE_BYTES = 4096
UNANSWERED = "it closed without an answer"
NORMAL = 1000
"""WebSocket close code."""


@dataclass(slots=True)
class Past:
    """What earlier links with one charge point's central system told of it."""

    failures: int = 0
    until: float = 0.0
    """It is not dialled again before."""
    pongs: bool = False
    """It answered a ping on the last link that lasted long enough: so it is gone, too, when it answers none on a new
    one, and nothing else comes."""

    def failed(self, now: float, chance: float) -> None:
        """`chance` is 0..1."""
        whole_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.failures, 10))
        self.failures += 1
        self.until = now + whole_s * (1 + chance) / 2


Open = Callable[[str, int], Awaitable[trio.abc.HalfCloseableStream]]


class Upstreams:
    """Dials the central systems of the bridged charge points."""

    def __init__(
        self,
        places: Mapping[str, Place],
        make_context: Callable[[OcppUpstream], ssl.SSLContext],
        *,
        max_message_bytes: int,
        open_stream: Open = trio.open_tcp_stream,
        random: Random | None = None,
    ) -> None:
        """`make_context` for TLS may raise ValueError."""
        self.places = places
        """Identity → where its central system is; may be replaced while running."""
        self._make_context = make_context
        self._max_message_bytes = max_message_bytes
        self.open_stream = open_stream
        self.random = random or Random()
        self._pasts: defaultdict[str, Past] = defaultdict(Past)

    def may_dial(self, identity: str) -> float:
        """When its central system may be dialled again, monotonic."""
        return max(self._pasts[identity].until, trio.current_time() + FIRST_PAUSE_S)

    async def dial(self, upgrade: Upgrade, nursery: trio.Nursery) -> Upstream:
        """The central system's end for this charge point, up and ready; it lives in `nursery`. Raises Refused (503)."""
        name = upgrade.identity
        place, past = self.places.get(name), self._pasts[name]
        if place is None:
            raise Refused(Cause.upstream_away, "no central system is configured for it", identity=name)
        wait_s = past.until - trio.current_time()
        if wait_s > 0:
            raise Refused(Cause.upstream_away, f"its central system is tried again in {wait_s:.0f} s", identity=name)
        found: Upstream | Stream | str = f"no answer within {DIAL_TIMEOUT_S:.0f} s"
        with trio.move_on_after(DIAL_TIMEOUT_S):
            found = await self._reached(place)
            if isinstance(found, Stream):
                found = await nursery.start(self._connection, found, place, upgrade, past)
        if isinstance(found, Upstream):
            return found
        past.failed(trio.current_time(), self.random.random())
        raise Refused(Cause.upstream_away, f"its central system at {place.host}: {found}", identity=name)

    async def _reached(self, place: Place) -> Stream | str:
        """The way to a central system, or why there is none; nothing that is found there leaves here. No task is made
        for it: one that is away is dialled for days."""
        found: Stream | str = "closed"
        try:
            found = await self._stream(place)
        except* Exception as group:
            found = _told(group)
        return found

    async def _connection(
        self, stream: Stream, place: Place, upgrade: Upgrade, past: Past,
        task_status: trio.TaskStatus[Upstream | str],
    ) -> None:  # fmt: skip
        """One connection from its first message to its end; nothing that a central system does leaves here."""
        upstream: Upstream | None = None
        why = "closed"
        try:
            async with trio.open_nursery() as library:  # whatever its tasks raise arrives here
                offered = [upgrade.agreed or handshake.SUBPROTOCOL]
                connection = await wrap_client_stream(
                    library, cast("trio.SocketStream", stream), place.host, place.resource, subprotocols=offered,
                    extra_headers=place.headers(upgrade), message_queue_size=MESSAGE_QUEUE,
                    max_message_size=self._max_message_bytes, receive_buffer_size=RECEIVE_BYTES,
                )  # fmt: skip
                stream.upgraded = True
                upstream = Upstream(upgrade.identity, connection, stream, past)
                task_status.started(upstream)
                await upstream.done.wait()
                library.cancel_scope.cancel()
        except* Exception as group:
            why = _told(group)
        finally:
            with suppress(Exception):
                await trio.aclose_forcefully(stream)
            if upstream is not None:
                upstream.lost |= not upstream.done.is_set()
                upstream.gone.set()
                if trio.current_time() - upstream.began >= STEADY_S and not upstream.hung:
                    past.failures = 0
                elif upstream.lost:
                    past.failed(trio.current_time(), self.random.random())
        if upstream is None:
            task_status.started(why)

    async def _stream(self, place: Place) -> Stream:
        stream: trio.abc.Stream = await self.open_stream(*place.address)
        if isinstance(stream, trio.SocketStream):
            for level, option, value in KEEP_ALIVE:
                stream.setsockopt(level, option, value)
        if place.encrypted:
            context = self._make_context(place.papers)
            stream = trio.SSLStream(stream, context, server_hostname=place.address[0], https_compatible=True)
            await stream.do_handshake()
        return Stream(stream)


def _told(group: BaseExceptionGroup[Exception]) -> str:
    """The first plain error inside nested groups, in words for the log and the page."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectionRejected):
        return f"it refused with {error.status_code}"
    if isinstance(error, trio.BrokenResourceError) and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"[:200]


class Stream(trio.abc.Stream):
    """A central system's bytes; knows when some last came. Beside what is posted only the library sends, one message
    after the other."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.sends = WholeSends(stream, SEND_TIMEOUT_S)
        self.upgraded = False
        """The WebSocket is up."""
        self.heard_at = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError:
            if self.upgraded:
                raise
            data = b""
        if not data and not self.upgraded:
            raise EOFError(UNANSWERED)  # the library would wait for one for ever
        self.heard_at = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self.sends.send(data)
        except trio.TooSlowError:
            raise trio.BrokenResourceError("the central system takes no bytes") from None
        except trio.BrokenResourceError:
            if self.upgraded:
                raise
            raise EOFError(UNANSWERED) from None

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@dataclass(eq=False, slots=True)
class Upstream:
    """One charge point's link to its central system."""

    name: str
    connection: WebSocketConnection
    stream: Stream
    _past: Past
    began: float = field(default_factory=trio.current_time)
    done: trio.Event = field(default_factory=trio.Event)
    """Nobody needs it any more."""
    gone: trio.Event = field(default_factory=trio.Event)
    """It has ended, for whatever reason."""
    lost: bool = False
    """The central system ended it, not the charge point."""
    hung: bool = False
    """It was given up because no answers came, however long that took."""
    _word: Bell = field(default_factory=Bell)
    _room: trio.Event = field(default_factory=trio.Event)
    _words: deque[Word] = field(default_factory=deque)
    """The bridge's, once it runs."""
    _pings_open: int = 0
    _ponged: bool = False

    def join(self, bridge: Bridge) -> None:
        """Be the central system's end of this bridge."""
        self._words = bridge.upstream_words
        bridge.on_upstream_word = self._spoke
        self._ours(bridge.upstream_opened)

    def _spoke(self) -> None:
        """There is a word to send. If nothing else is, it goes out at once: two rounds of the loop less, and before the
        site looks at what was heard."""
        if self._word.waited_for and len(self._words) == 1 and self.connection.closed is None:
            word = self._words[0]
            if isinstance(word, Send) and self.stream.sends.post(text_of_client(word.text)):
                self._words.popleft()
                if not self.stream.sends.left:
                    return
        self._word.ring()

    async def run(self, bridge: Bridge, room: Callable[[], Awaitable[None]]) -> None:
        """Once joined, carry messages both ways until either side is gone; then both are. `room` waits until the
        charge point took enough of what it was sent."""
        try:
            async with trio.open_nursery() as nursery:
                for each in (self._write, self._watch, self._ended):
                    nursery.start_soon(each, nursery)
                await self._read(bridge, room)
                self.lost = True
                nursery.cancel_scope.cancel()
        finally:
            self._ours(bridge.upstream_closed)
            self._room.set()
            with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await self._say_the_rest()
            self.done.set()
        await self.gone.wait()  # until then nobody knows how soon it may be dialled again

    async def room(self) -> None:
        """Wait while the central system does not take what it is sent."""
        if len(self._words) > WORDS_MAX and self.connection.closed is None:
            self._room = trio.Event()
            await self._room.wait()

    @staticmethod
    def _ours(step: Callable[..., None], *arguments: object) -> None:
        """A step of our own bridge: what it raises is a bug, no peer's doing."""
        try:
            step(*arguments, trio.current_time())
        except Exception as error:
            raise SessionBug(f"{step.__qualname__} raised {error!r}") from error

    async def _read(self, bridge: Bridge, room: Callable[[], Awaitable[None]]) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = await self.connection.get_message()
                self._ours(bridge.upstream_received, message)
                await room()

    async def _write(self, nursery: trio.Nursery) -> None:
        words = self._words
        with suppress(ConnectionClosed):
            while not words or not isinstance(words[0], Close):
                while not words:
                    if self.stream.sends.left:
                        await self.stream.send_all(b"")
                    else:
                        await self._word.wait()
                if isinstance(word := words[0], Send):
                    words.popleft()
                    if len(words) <= WORDS_MAX // 2:
                        self._room.set()
                    await self.connection.send_message(word.text)
            if isinstance(last := words[0], Close):
                self.hung = self.lost = last.code == NO_ANSWER_CLOSE
        nursery.cancel_scope.cancel()

    async def _say_the_rest(self) -> None:
        """What the charge point said before it left still goes up."""
        code = NORMAL
        with suppress(ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            while self._words:
                word = self._words.popleft()
                if isinstance(word, Send):
                    await self.connection.send_message(word.text)
                else:
                    code = word.code
            await self.connection.aclose(code)

    async def _ended(self, nursery: trio.Nursery) -> None:
        await self.gone.wait()
        nursery.cancel_scope.cancel()

    async def _watch(self, nursery: trio.Nursery) -> None:
        """Ping; notice silence. Any byte counts as a sign of life."""
        ping_at = trio.current_time()
        while True:
            now = trio.current_time()
            if now >= ping_at:
                ping_at = now + PING_INTERVAL_S
                if self._pings_open < PINGS_OPEN_MAX:
                    nursery.start_soon(self._ping)
            if self._past.pongs and now >= self.stream.heard_at + DEAD_S:
                self._past.pongs = self._ponged  # not on this link: it may be another one now, that never answers any
                log.warning("%s: nothing heard of its central system for %.0f s", self.name, DEAD_S)
                self.lost = True
                nursery.cancel_scope.cancel()
                return
            await trio.sleep_until(min(ping_at, self.stream.heard_at + DEAD_S) if self._past.pongs else ping_at)

    async def _ping(self) -> None:
        self._pings_open += 1
        with suppress(ConnectionClosed):
            await self.connection.ping()
            self._ponged = self._past.pongs = True
            self._pings_open -= 1
