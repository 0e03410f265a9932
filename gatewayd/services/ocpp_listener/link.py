"""One charge point's live connection: its bytes, its WebSocket, its session, and what runs while it lasts (ocpp.md).

What goes wrong in the session is a bug of ours: it leaves as `SessionBug`, which nothing contains.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from gatewayd.ocpp.bridge import Bridge
from gatewayd.ocpp.session import Send, Session, SessionBug, Word
from gatewayd.services.ocpp_listener.peer_log import PeerLog
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits
from gatewayd.site.reading_pace import WAIT_MAX_S
from gatewayd.sockets import Bell, WholeSends, text_of_server

CLOSE_TIMEOUT_S = 2.0
"""For the last word, and then for a peer to take it and close; after that the socket is closed hard."""
LAST_WORDS_S = 5.0
"""What was said before a Close has this long to go out."""
SEND_TIMEOUT_S = 30.0
"""A peer that takes no byte for this long is gone."""
DURABLE_WAIT_S = WAIT_MAX_S + 5.0
"""A disk that hangs counts as one that fails after this long: all but transactions is answered still (promises, R5).
A reading that waits for company on its way to the disk waits for that, and then for the disk."""
DUPLICATE_PROOF_S = 5.0
"""An old link that is asked whether it lives has this long to show it (ocpp.md, Duplicates)."""
WORDS_MAX = 200
"""Answers not yet sent; beyond this a peer that does not read is not read either."""
DEAD_INTERVALS, SILENT_INTERVALS = 3, 2
"""Intervals without any frame after which a link is dead, and before that its values not to be trusted (quirk C2)."""
PINGS_OPEN_MAX = 10
"""Unanswered pings after which a charge point is not pinged any more on this link: it never will answer (quirk C4)."""
GOING_AWAY = 1001
UNSPEAKABLE = (1005, 1006)
"""Close codes that mean "none was sent" and may not be (RFC 6455, 7.4.1)."""
CLOSE_FRAME = b"\x88"
"""What begins the Close frame of a server; then its length, the code, the reason."""
REASON_MAX = 123
"""Bytes of a reason: a control frame carries 125 (RFC 6455, 5.5)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the configuration a listener and its links need."""

    call_timeout_s: float = 60.0
    heartbeat_interval_s: int = 60
    ping_interval_s: float = 30.0
    max_message_bytes: int = 262144
    ask_bms: frozenset[str] = frozenset()
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    """Identity → password, where one is set."""
    least_profiles: dict[str, int] = field(default_factory=dict)
    """Identity → the security profile that its connection must have at least, where one is set."""


class Stream(trio.abc.HalfCloseableStream):
    """A charge point's bytes as the library shall see them: the request spelled anew; then, when that is accepted, what
    came behind it (earlier the library would lay it aside until more comes), and what comes from then on.

    It knows when bytes last came. Closing is left to the listener, which lets the peer take what was said."""

    def __init__(self, stream: trio.abc.Stream, head: bytes, rest: bytes) -> None:
        self._stream, self._head, self._rest = stream, head, rest
        self.sends = WholeSends(stream, SEND_TIMEOUT_S)
        self._sending = trio.Lock()
        self._goodbye = False
        """A Close frame went out: nothing may follow it."""
        self.accepted = trio.Event()
        self.heard_at = trio.current_time()
        self.heard = trio.Event()
        """Set, and made anew, whenever bytes come."""
        self.on_heard: Callable[[], None] = lambda: None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        await self.accepted.wait()
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        data = bytes(await self._stream.receive_some(max_bytes))
        self.heard_at = trio.current_time()
        self.heard.set()
        self.heard = trio.Event()
        self.on_heard()
        return data

    def post(self, data: bytearray) -> bool:
        """As `WholeSends.post`; nothing behind a goodbye."""
        return not self._goodbye and not self._sending.locked() and self.sends.post(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._sending.acquire_nowait()  # the usual case, and a round of the loop less
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            if self._goodbye:
                raise trio.BrokenResourceError("an earlier send was the last one")
            await self.sends.send(data)
            self._goodbye = data[:1] == CLOSE_FRAME
        except trio.TooSlowError:
            raise trio.BrokenResourceError("the peer takes no bytes") from None
        finally:
            self._sending.release()

    async def say_goodbye(self, code: int, reason: str = "") -> None:
        """A Close frame of our own; nothing if there was one. The library's would wait for the peer's, in a state in
        which it stumbles over pings, and where a peer broke the protocol it sends none at all."""
        payload = code.to_bytes(2, "big") + reason.encode()[:REASON_MAX]
        if code not in UNSPEAKABLE:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.send_all(CLOSE_FRAME + bytes((len(payload),)) + payload)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Partner(Protocol):
    """The central system's end of a bridged charge point."""

    @property
    def gone(self) -> trio.Event:
        """Set when its connection has ended."""

    def join(self, bridge: Bridge) -> None:
        """Be what this one speaks to from now on."""

    async def run(self, bridge: Bridge, room: Callable[[], Awaitable[None]]) -> None:
        """Carry messages until either side is gone; `room` waits while the charge point takes none."""

    async def room(self) -> None:
        """Wait while the central system takes none."""


OnFrame = Callable[[ChargePoint, str, str | bytes], None]
"""Hears a message: `in` from the charge point, or `out` to it, as it stands on the wire."""


@dataclass(eq=False, slots=True)
class Link:
    """The connection that a charge point has now."""

    session: Session
    socket: WebSocketConnection
    stream: Stream
    rules: Rules
    durable: Callable[[int], Awaitable[bool]]
    on_traffic: Callable[[], None]
    log: PeerLog
    partner: Partner | None = None
    """Bridge role."""
    on_frame: OnFrame = field(default=lambda _charge_point, _direction, _text: None)
    goodbye: tuple[int, str] | None = None
    """Code and reason with which our own side ended it, if it did."""
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _word: Bell = field(default_factory=Bell)
    """Rung when the session has a new word."""
    _room: trio.Event = field(default_factory=trio.Event)
    """Set when there is room for the answers to more messages."""
    _writing: bool = True
    _challenge: trio.Event = field(default_factory=trio.Event)
    """Set when somebody wants to know whether this link lives."""
    _challenged_at: float | None = None
    _pinged_at: float = 0.0
    _pings_open: int = 0
    _pongs: bool = False
    """A ping was answered on this link."""

    # --- for whoever opened it ------------------------------------------------------------------------------

    def open(self) -> None:
        """Introduce the session to the site."""
        self.session.on_word = self._spoke
        self.stream.on_heard = self._heard
        self._ours(self.session.opened, trio.current_time())

    async def run(self) -> None:
        """Everything until the link ends, for whatever reason, the last word included."""
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._watch, nursery)
                    await self._read()
                    await self._end()  # before what is being sent is cut short
                    nursery.cancel_scope.cancel()
            finally:
                await self._end()

    async def _end(self) -> None:
        """The site knows at once, the peer if it listens."""
        self.forget()
        closed = self.socket.closed
        with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await self.stream.say_goodbye(GOING_AWAY if closed is None else closed.code)

    def forget(self) -> None:
        """For the site this link is gone, before it has ended; nothing if it knows already."""
        self._ours(self.session.closed, trio.current_time())

    def end(self) -> None:
        """End it from outside."""
        self._scope.cancel()

    async def upstream_freed(self) -> None:
        """Once ended, wait until its place upstream is free: many central systems take no second link of a name."""
        if self.partner is not None:
            with trio.move_on_after(LAST_WORDS_S):
                await self.partner.gone.wait()

    async def lives(self) -> bool:
        """Whether a sign of life comes within `DUPLICATE_PROOF_S`; several who ask at once wait for the same one."""
        if self._challenged_at is None or self.stream.heard_at >= self._challenged_at:
            self._challenged_at = trio.current_time()
            self._challenge.set()
        with trio.move_on_at(self._challenged_at + DUPLICATE_PROOF_S):
            await self.stream.heard.wait()
            return True
        return False

    # --- what runs ------------------------------------------------------------------------------------------

    def _spoke(self) -> None:
        """The session has a word to send; one that closes is not waited for long."""
        if self._word.waited_for and self._posted() and not self.stream.sends.left:
            return
        self._word.ring()
        if self.session.closing:
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + LAST_WORDS_S)

    def _posted(self) -> bool:
        """Whether the word went out at once: two rounds less, and before the site looks at what was heard."""
        words = self.session.words
        word = words[0]
        if len(words) > 1 or not isinstance(word, Send) or word.durable or self.socket.closed is not None:
            return False
        if not self.stream.post(text_of_server(word.text)):
            return False
        words.popleft()
        self._ours(self.on_frame, self.session.charge_point, "out", word.text)
        self.on_traffic()
        return True

    def _heard(self) -> None:
        """Bytes came: whatever they are, the peer lives."""
        if self.session.charge_point.silent:
            self._ours(self.session.heard, trio.current_time())

    @staticmethod
    def _ours(step: Callable[..., None], *arguments: object) -> None:
        """A step of our own session: what it raises is a bug, not a peer's doing."""
        try:
            step(*arguments)
        except Exception as error:
            raise SessionBug(f"{step.__qualname__} raised {error!r}") from error

    async def _read(self) -> None:
        """Hand messages to the session until there are no more; not while the peer does not take its answers."""
        session = self.session
        with suppress(ConnectionClosed):
            while True:
                message = await self.socket.get_message()
                self.on_traffic()
                self._ours(self.on_frame, session.charge_point, "in", message)
                self._ours(session.received, message, trio.current_time())
                await self.room()
                if self.partner is not None:
                    await self.partner.room()

    async def room(self) -> None:
        """Wait while the peer does not take what it is sent."""
        if len(self.session.words) > WORDS_MAX and self._writing:
            self._room = trio.Event()
            await self._room.wait()

    async def _write(self) -> None:
        """Send the session's words in order, each when it is as durable as it promises. When the peer is gone, what
        it said before is still read."""
        with suppress(ConnectionClosed):
            while isinstance(word := await self._next_word(), Send):
                if await self._may_go(word):
                    self._ours(self.on_frame, self.session.charge_point, "out", word.text)
                    await self.socket.send_message(word.text)
                    self.on_traffic()
            self.goodbye = (word.code, word.reason)
            await self.stream.say_goodbye(word.code, word.reason)
            self._scope.cancel()
        self._writing = False
        self._room.set()

    async def _next_word(self) -> Word:
        words = self.session.words
        while not words:
            if self.stream.sends.left:
                await self.stream.send_all(b"")
            else:
                await self._word.wait()
        if len(words) <= WORDS_MAX // 2:
            self._room.set()
        return words.popleft()

    async def _may_go(self, word: Send) -> bool:
        if not word.durable:
            return True
        with trio.move_on_at(word.since + DURABLE_WAIT_S):
            if await self.durable(word.durable):
                return True
        return not word.withheld

    async def _watch(self, nursery: trio.Nursery) -> None:
        """Ping; notice silence; end a dead link. Any frame counts as a sign of life (quirks C2 to C4)."""
        charge_point, rules = self.session.charge_point, self.rules
        pings = charge_point.quirk_profile.ping
        ping_at = trio.current_time() if pings else math.inf
        while True:
            now = trio.current_time()
            if self._challenge.is_set() or now >= ping_at:
                if now >= ping_at and self._pings_open and not self._pongs:
                    charge_point.note_quirk(QuirkBits.no_pong)
                if pings and self._pings_open < PINGS_OPEN_MAX:
                    nursery.start_soon(self._ping)
                self._challenge, ping_at = trio.Event(), now + rules.ping_interval_s if pings else math.inf
            interval = (
                rules.ping_interval_s if self._pongs else max(rules.ping_interval_s, self.session.heartbeat_interval_s)
            )
            heard_at = self.stream.heard_at
            if now >= heard_at + DEAD_INTERVALS * interval:
                self.log.say(
                    logging.WARNING, "%s: nothing heard for %.0f s, closing", charge_point.name, now - heard_at
                )
                self._scope.cancel()
                return
            silent = now >= heard_at + SILENT_INTERVALS * interval
            if silent and not charge_point.silent:
                self._ours(self.session.went_silent, now)
            look_at = heard_at + (DEAD_INTERVALS if silent else SILENT_INTERVALS) * interval
            with trio.move_on_at(min(ping_at, look_at)):
                await self._challenge.wait()

    async def _ping(self) -> None:
        self._pings_open += 1
        self._pinged_at = sent_at = trio.current_time()
        with suppress(ConnectionClosed):
            await self.socket.ping()
            self._pings_open -= 1
            self._pongs = True
            if self._pinged_at == sent_at:  # a pong answers all pings before it, too
                now = trio.current_time()
                self._ours(self.session.round_trip, now - sent_at, now)
