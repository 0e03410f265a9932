"""The charge point's link: dial, boot, heartbeat, and again (OCPP 1.6, 4.2 and 4.6; OCPP-J 1.6, 3 and 5)."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote, urlsplit

import trio
import wsproto.utilities
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, wrap_client_stream

from ..clock import parse_stamp
from ..ocpp_link import CallFailed, Link, LinkLost, NoAnswer
from ..script import Payload
from .cable import Cable

if TYPE_CHECKING:
    from .charge_point import ChargePoint

Error = TypeVar("Error", bound=Exception)
OpenStream = Callable[[], Awaitable[trio.abc.Stream]]

BOOTS_UNANSWERED_MAX = 3  # in a row; then the link is taken for dead, or a pulled cable would never be noticed
MESSAGE_QUEUE = 64  # frames that may wait to be read; with one only, pings would go unanswered meanwhile
PONG_TIMEOUT_S = 20.0

# What a peer, the network or TLS can do to a link. Anything else is a bug of the simulator and must be seen.
LINK_TROUBLE = (
    OSError,
    trio.TooSlowError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    HandshakeError,
    ConnectionClosed,
    wsproto.utilities.ProtocolError,
    LinkLost,
)


def tcp(host: str, port: int) -> OpenStream:
    async def open_stream() -> trio.abc.Stream:
        return await trio.open_tcp_stream(host, port)

    return open_stream


def tls(host: str, port: int, context: ssl.SSLContext | None = None) -> OpenStream:
    async def open_stream() -> trio.abc.Stream:
        stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context)
        await stream.do_handshake()
        return stream

    return open_stream


def read_url(url: str, context: ssl.SSLContext | None = None) -> tuple[str, str, str, OpenStream]:
    """(identity, host, path, how to dial) of `ws://host:port/ocpp/CP001`. ValueError when it is no such URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"not a ws:// or wss:// address: {url}")
    identity = unquote(parts.path.rstrip("/").rpartition("/")[2])
    if not identity:
        raise ValueError(f"the address must end in the identity of the charge point: {url}")
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    open_stream = tls(parts.hostname, port, context) if secure else tcp(parts.hostname, port)
    return identity, f"{parts.hostname}:{port}", parts.path + (f"?{parts.query}" if parts.query else ""), open_stream


class Session:
    """`run` keeps the charge point connected for ever. `registration` is the last answer to BootNotification.

    `refusals`: HTTP status of every refused upgrade; `trouble`: what else went wrong, in words. `early_calls`: Calls
    that came before BootNotification was answered, which upsets some charge points. `violations` and `strays`: those
    of all past links. `dials` counts attempts, `links` those that became a WebSocket, `boots` answered
    BootNotifications.
    """

    def __init__(self, charge_point: ChargePoint, open_stream: OpenStream, host: str, path: str | None) -> None:
        self.open_stream = open_stream
        self.host = host
        self.path = path or f"/ocpp/{quote(charge_point.identity, safe='')}"
        self.link: Link | None = None
        self.cable: Cable | None = None
        self.registration: str | None = None
        self.boot_needed = True
        self.staying_away = False
        self.asleep_until = 0.0
        self.refusals: list[int] = []
        self.trouble: list[str] = []
        self.early_calls: list[str] = []
        self.violations: list[str] = []
        self.strays: list[str] = []
        self.close_codes: list[int | None] = []
        self.dials = 0
        self.links = 0
        self.boots = 0
        self._cp = charge_point
        self._failures = 0
        self._stirred = trio.Event()

    @property
    def registered(self) -> bool:
        return self.link is not None and self._cp.outbox.online

    async def run(self) -> None:
        while True:
            self._stirred = trio.Event()
            if self.staying_away or trio.current_time() < self.asleep_until:
                with trio.move_on_at(float("inf") if self.staying_away else self.asleep_until):
                    await self._stirred.wait()
                continue
            await self._one_link()
            with trio.move_on_after(self._pause_s()):
                await self._stirred.wait()

    def stir(self) -> None:
        """Look again at whether to be connected; a pause between two attempts ends."""
        self._stirred.set()

    async def _one_link(self) -> None:
        self.dials += 1
        self._failures += 1
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(self._cp.traits.dial_timeout_s):
                    link = await self._dial(nursery)
                self.links += 1
                self.link = link
                self._cp.say(f"connected to {self.host}{self.path}")
                nursery.start_soon(self._serve, link, nursery.cancel_scope)
                await self._register(link)
                self._failures = 0
                nursery.start_soon(self._heartbeat)
                nursery.start_soon(self._ping, link)
                await self._cp.outbox.deliver(link, self._cp.notices.announce)
                await link.close()
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as rejected:
            for error in _leaves(rejected):
                self.refusals.append(error.status_code)
                self._cp.say(f"refused with HTTP {error.status_code} {(error.body or b'').decode(errors='replace')}")
        except* LINK_TROUBLE as trouble:
            reasons = sorted({_reason(error) for error in _leaves(trouble)} - {""})
            self.trouble.append(": ".join(["link lost" if self.link else "cannot connect", *reasons]))
            self._cp.say(self.trouble[-1])
        finally:
            if self.link:
                self.violations += self.link.violations
                self.strays += self.link.strays
                closed = self.link.socket.closed
                self.close_codes.append(closed.code if closed else None)
                self._cp.say(f"disconnected ({closed.code if closed else 'no reason'})")
            self.link = None

    async def _dial(self, nursery: trio.Nursery) -> Link:
        self.cable = stream = Cable(await self.open_stream())
        socket = await wrap_client_stream(
            nursery,
            stream,  # type: ignore[arg-type]  # any stream will do, memory streams included
            self.host,
            self.path,
            subprotocols=self._cp.traits.subprotocols,
            extra_headers=self._credentials(),
            message_queue_size=MESSAGE_QUEUE,
        )
        return Link(
            socket,
            stream,
            self._cp.answers,
            script=self._cp.script,
            random=self._cp.random,
            trace=self._cp.trace,
            answer_latency_s=self._cp.traits.answer_latency_s,
        )

    def _credentials(self) -> list[tuple[bytes, bytes]]:
        if self._cp.password is None:
            return []
        password = self._cp.password if isinstance(self._cp.password, bytes) else self._cp.password.encode()
        both = base64.b64encode(self._cp.identity.encode() + b":" + password)
        return [(b"Authorization", b"Basic " + both)]

    async def _serve(self, link: Link, whole: trio.CancelScope) -> None:
        await link.run()
        whole.cancel()

    async def _register(self, link: Link) -> None:
        """Returns when this charge point may speak."""
        traits = self._cp.traits
        if traits.boots_on_reconnect:
            self.boot_needed = True
        unanswered = 0
        while self.boot_needed and traits.sends_boot:
            self.registration = None
            pause_s = traits.boot_retry_s
            try:
                answer = await link.call("BootNotification", self._cp.notices.boot_payload(), traits.call_timeout_s)
            except (NoAnswer, CallFailed) as error:
                self._cp.say(f"BootNotification failed: {error!r}")
                unanswered = unanswered + 1 if isinstance(error, NoAnswer) else 0
                if unanswered == BOOTS_UNANSWERED_MAX:
                    raise LinkLost from error
            else:
                unanswered = 0
                if self.take_boot_answer(answer):
                    return
                pause_s = answer["interval"] or traits.boot_retry_s
            await trio.sleep(pause_s)

    def take_boot_answer(self, answer: Payload) -> bool:
        """Whether we are registered now."""
        self.boots += 1
        self.registration = answer["status"]
        self._cp.say(f"BootNotification: {answer['status']}, heartbeat every {answer['interval']} s")
        if self.registration == "Accepted":
            self.follow_time(answer)
            self.boot_needed = False
            self._cp.notices.just_booted = True
            if answer["interval"] > 0:
                self._cp.configuration["HeartbeatInterval"] = str(answer["interval"])
        return self.registration == "Accepted"

    def take_boot_answer_again(self, answer: Payload) -> None:
        """Of a BootNotification that was triggered."""
        self.take_boot_answer(answer)
        self._cp.notices.just_booted = False

    def follow_time(self, answer: Payload) -> None:
        """Set our clock when it is more than the second away that the wire rounds off."""
        if self._cp.traits.follows_central_time:
            with suppress(ValueError):
                theirs = parse_stamp(answer["currentTime"])
                if abs(theirs - self._cp.clock.now()) > 2.0:
                    self._cp.clock.set(theirs)

    async def _heartbeat(self) -> None:
        last = trio.current_time()
        while True:
            interval_s = self._cp.configuration.number("HeartbeatInterval") or 60
            changed = self._cp.configured
            with trio.move_on_at(last + interval_s):
                await changed.wait()
                continue
            last = trio.current_time()
            self._cp.outbox.put("Heartbeat", {}, self.follow_time)

    async def _ping(self, link: Link) -> None:
        while True:
            interval_s = self._cp.configuration.number("WebSocketPingInterval")
            changed = self._cp.configured
            with trio.move_on_after(interval_s or float("inf")):
                await changed.wait()
                continue
            with trio.fail_after(PONG_TIMEOUT_S):
                await link.socket.ping()

    def _pause_s(self) -> float:
        """Longer after every failure in a row, and never the same for two charge points."""
        traits = self._cp.traits
        pause_s = min(traits.reconnect_s * 2.0 ** min(max(0, self._failures - 1), 10), traits.reconnect_max_s)
        return pause_s * (1.0 + 0.2 * self._cp.random.random())


def _reason(error: BaseException) -> str:
    """What it says, or what it was caused by: trio wraps the failures of TLS."""
    return str(error) or (_reason(error.__cause__) if error.__cause__ else "")


def _leaves(group: BaseExceptionGroup[Error]) -> list[Error]:
    found: list[Error] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
