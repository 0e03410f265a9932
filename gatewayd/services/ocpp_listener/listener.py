"""Charge points dial in here: TCP accept, HTTP upgrade, and who may have a link (ocpp.md, Who may connect).

Containment boundary `one charge point's connection`: whatever a peer sends, and whatever the WebSocket library makes
of it, ends at its own connection (`Listener._contained`).
"""

from __future__ import annotations

import logging
import math
import secrets
import ssl
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import trio
from msgspec.structs import replace
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from gatewayd.ocpp import handshake
from gatewayd.ocpp.bridge import Bridge
from gatewayd.ocpp.buffered_bridge import BufferedBridge
from gatewayd.ocpp.farewell import Farewell
from gatewayd.ocpp.handshake import Refused, Upgrade
from gatewayd.ocpp.session import Session
from gatewayd.ocpp.telling import TellingBridge, owes
from gatewayd.services.ocpp_listener.admission import (
    HEAD_TIMEOUT_S,
    RECEIVE_BYTES,
    Admission,
    Caller,
    TlsDoor,
    admit,
    read_head,
)
from gatewayd.services.ocpp_listener.crowd import Crowd
from gatewayd.services.ocpp_listener.link import (
    CLOSE_TIMEOUT_S,
    DUPLICATE_PROOF_S,
    LAST_WORDS_S,
    Link,
    OnFrame,
    Partner,
    Rules,
    Stream,
)
from gatewayd.services.ocpp_listener.passwords import Passwords
from gatewayd.services.ocpp_listener.peer_log import PeerLog
from gatewayd.services.ocpp_listener.tls_stream import NoTls
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits
from gatewayd.site.model import Site
from gatewayd.site.refusal import IDENTITY_LONGEST, Cause, Refusal

HANDSHAKE_TIMEOUT_S = 2 * HEAD_TIMEOUT_S + DUPLICATE_PROOF_S
"""From accept to the end of the upgrade, whatever happens in between."""
MESSAGE_QUEUE = 8
"""Messages read ahead, so that pings are answered while a session is busy; at most 2 MiB for a peer."""
HALF_OPEN_MAX = 600
"""Connections that are not a charge point yet; 500 must fit (R16)."""
NOBODY_S = 30.0
"""Until it is looked again whether there is somebody to dial."""
LINGER_BYTES = 1 << 20
"""Read and dropped from a peer that is being refused, so that what we said is not lost to its unread bytes."""
ACCEPT_PAUSE_S = 0.1
"""After accept() failed (no descriptors left, a network gone): waiting connections stay in the kernel's queue."""
SWITCHING = 101
"""HTTP status of a handshake that completes."""
NO_SUBPROTOCOL, POLICY_VIOLATION, RESTARTING = 1002, 1008, 1012


@dataclass(frozen=True, slots=True)
class End:
    """How a link ended: the code and the reason of the WebSocket's Close, where there was one."""

    code: int | None = None
    reason: str = ""


OnLink = Callable[[ChargePoint, End | None], None]
"""Hears that a charge point is connected (None), or how its link ended."""

Dial = Callable[[Upgrade, trio.Nursery], Awaitable[Partner]]
"""Bridge role: the central system's end for who dialled so, living in that nursery. Raises Refused."""


async def nobody_upstream(upgrade: Upgrade, _nursery: trio.Nursery) -> Partner:
    """For a gateway that bridges nobody."""
    raise Refused(Cause.upstream_away, "no central system is configured for it", identity=upgrade.identity)


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
        on_refused: Callable[[Refusal], None] = lambda _refusal: None,
        dial: Dial = nobody_upstream,
        may_dial: Callable[[str], float] = lambda _identity: trio.current_time() + NOBODY_S,
        on_frame: OnFrame = lambda _charge_point, _direction, _text: None,
        on_link: OnLink = lambda _charge_point, _end: None,
    ) -> None:
        """`durable(number)` waits for the ledger; `on_links` hears how many charge points are connected, `on_link`
        of each one that comes or goes; `on_refused` of everybody who is turned away; `dial` reaches the central system
        of a bridged one; after it failed, `may_dial` says when it may be tried again, monotonic."""
        self.rules = rules
        """May be replaced while running; connections that stand keep what they began with."""
        self._site = site
        self._durable, self._on_traffic = durable, on_traffic
        self._on_links, self._on_refused = on_links, on_refused
        self._on_frame, self._on_link = on_frame, on_link
        self._dial, self._may_dial = dial, may_dial
        self._links: dict[str, Link] = {}
        self._tls = TlsDoor()
        self._half_open = Crowd(HALF_OPEN_MAX)
        self._doors: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        """Configured identity → one at a time through its door."""
        self._passwords = Passwords()
        self._log = PeerLog()

    def show_certificate(self, context: ssl.SSLContext | None) -> None:
        """What connections that begin from now on are secured with; None: nothing, so they are turned away."""
        self._tls.context = context

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        links: trio.Nursery,
        *,
        tls: bool = False,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled. Connections live on in `links`: a listener that moves drops none."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(partial(self.accept, listener, links, tls=tls))
            task_status.started()

    async def accept(
        self, listener: trio.abc.Listener[trio.abc.HalfCloseableStream], links: trio.Nursery, *, tls: bool = False
    ) -> None:
        """Accept on one listener until cancelled; a connection that cannot be had stops nothing."""
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:  # ours (no descriptors) or the network's: never a reason to stop
                    self._log.say(logging.ERROR, "no connection can be accepted: %s", error)
                    await trio.sleep(ACCEPT_PAUSE_S)
                    continue
                links.start_soon(partial(self.connection, stream, tls=tls))

    async def connection(self, stream: trio.abc.HalfCloseableStream, *, tls: bool = False) -> None:
        """One incoming connection, from its first byte to its end; nothing a peer does leaves here."""
        scope = trio.CancelScope(deadline=trio.current_time() + HANDSHAKE_TIMEOUT_S)
        self._half_open.enter(scope)
        try:
            with scope:
                await self._contained(stream, scope, tls)
        finally:
            self._half_open.leave(scope)
            with suppress(Exception):
                await trio.aclose_forcefully(stream)

    async def _contained(self, stream: trio.abc.HalfCloseableStream, scope: trio.CancelScope, tls: bool) -> None:
        caller = Caller(_address(stream), tls)
        try:
            async with trio.open_nursery() as library:  # whatever its tasks raise arrives here
                try:
                    if tls:
                        stream = secured = await self._tls.secure(stream)
                        caller = replace(caller, common_name=secured.common_name)
                    head, rest = await read_head(stream)
                    upgrade = handshake.read(head)
                    admission = await admit(self._site, self.rules, self._passwords, upgrade, caller)
                    await self._upgrade(upgrade, caller, admission, Stream(stream, upgrade.head, rest), scope, library)
                except Refused as refused:
                    self._tell(refused.cause, refused.why, refused.identity, caller, refused.status)
                    await stream.send_all(refused.response())
                except NoTls as failed:
                    self._tell(failed.cause, failed.why, "", caller)
                    await stream.send_all(failed.alert)
                library.cancel_scope.cancel()
            await _linger(stream)
        except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        except* LocalProtocolError:  # the library answers a Ping after it gave the connection up
            pass
        except* Exception as group:
            self._log.say(logging.WARNING, "a connection broke: %s", "; ".join(_causes(group)))

    # --- the handshake --------------------------------------------------------------------------------------

    async def _upgrade(
        self,
        upgrade: Upgrade,
        caller: Caller,
        admission: Admission,
        stream: Stream,
        scope: trio.CancelScope,
        library: trio.Nursery,
    ) -> None:
        """Let it in, or out again, and stay with it to its end. Raises Refused."""
        name, rules = upgrade.identity, self.rules
        async with self._doors[name]:
            charge_point = self._site.charge_points.get(name)
            welcome = charge_point is not None and (
                upgrade.agreed is not None or charge_point.quirk_profile.assume_subprotocol
            )
            if welcome and not admission.authenticated:
                await self._dispute(name)
            partner = None
            if welcome and charge_point is not None and charge_point.bridged:
                scope.deadline = math.inf  # dialling has a deadline of its own
                if not charge_point.buffered and (old := self._oust(name)) is not None:
                    await old.upstream_freed()
                partner = await self._dial_first(charge_point, upgrade, caller, library)
                scope.deadline = trio.current_time() + HEAD_TIMEOUT_S
            request = await wrap_server_stream(
                library, stream, message_queue_size=MESSAGE_QUEUE, max_message_size=rules.max_message_bytes
            )
            socket = await request.accept(subprotocol=upgrade.agreed)
            stream.accepted.set()
            scope.deadline = math.inf
            self._half_open.leave(scope)
            link, charge_point = None, self._site.charge_points.get(name)  # it may have changed while we waited
            if charge_point is not None:
                charge_point.note_quirk(upgrade.tolerated)
                if upgrade.agreed is None:
                    charge_point.note_quirk(QuirkBits.no_subprotocol)
                if welcome:
                    charge_point.address = caller.address
                    link = self._enter(charge_point, socket, stream, rules, admission, partner)
        if link is not None:
            await self._stay(link, upgrade, library)
            return
        self._tell(Cause.no_subprotocol, "it does not offer the subprotocol ocpp1.6", name, caller, SWITCHING)
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            await stream.say_goodbye(NO_SUBPROTOCOL, "subprotocol ocpp1.6 required")

    async def _dial_first(
        self, charge_point: ChargePoint, upgrade: Upgrade, caller: Caller, library: trio.Nursery
    ) -> Partner | None:
        """The central system of a bridged charge point: if it is there it answers from the first message on. None for
        one that is served without it; raises Refused for others."""
        try:
            return await self._dial(upgrade, library)
        except Refused as refused:
            if not charge_point.buffered:
                raise
            self._tell(refused.cause, refused.why, upgrade.identity, caller)
            return None

    async def _dispute(self, name: str) -> None:
        """Without a password, who was here first stays if it shows that it lives. Raises Refused."""
        while (old := self._links.get(name)) is not None:
            if await old.lives():
                raise Refused(Cause.duplicate, "another connection of this identity is alive", identity=name)
            if self._links.get(name) is old:
                return

    def _oust(self, name: str) -> Link | None:
        """End the link, if any, that has lost its place."""
        old = self._links.pop(name, None)
        if old is not None:
            self._log.say(logging.INFO, "%s: a new connection takes over from the old one", name)
            old.forget()
            old.end()
            self._on_link(old.session.charge_point, End(None, "a new connection took over"))
        return old

    def _enter(
        self,
        charge_point: ChargePoint,
        socket: WebSocketConnection,
        stream: Stream,
        rules: Rules,
        admission: Admission,
        partner: Partner | None,
    ) -> Link:
        """It is the charge point's link from now on; an older one has lost its place already."""
        name = charge_point.name
        prefix = secrets.token_hex(4) + "-"
        of_session = BufferedBridge if charge_point.bridged and owes(charge_point) else Session
        session = of_session(charge_point, prefix, rules.call_timeout_s, rules.heartbeat_interval_s, rules.ask_bms)
        if partner is not None and not isinstance(session, BufferedBridge):
            session = Bridge(charge_point, prefix, rules.call_timeout_s)
        link = Link(session, socket, stream, rules, self._durable, self._on_traffic, self._log, partner, self._on_frame)
        self._oust(name)
        self._links[name] = link
        charge_point.security_profile, charge_point.authenticated = admission.profile, admission.authenticated
        link.open()
        if partner is not None and isinstance(session, Bridge):
            partner.join(session)
        if not charge_point.allowed:
            session.close(POLICY_VIOLATION, "not allowed")
        if charge_point.bridged != isinstance(session, Bridge):
            session.close(RESTARTING, "configuration changed")
        self._log.say(logging.INFO, "%s: connected", name)
        self._site.refusals.admitted(name)
        self._on_link(charge_point, None)
        self._on_links(len(self._links))
        return link

    async def _stay(self, link: Link, upgrade: Upgrade, library: trio.Nursery) -> None:
        async with trio.open_nursery() as nursery:
            bridge, rules = link.session, link.rules
            if not isinstance(bridge, Bridge):
                bridge = Farewell(bridge.charge_point, bridge.id_prefix, rules.call_timeout_s)
            if isinstance(bridge, TellingBridge):
                nursery.start_soon(self._keep_dialling, link, bridge, upgrade, library)
            elif link.partner is not None and isinstance(link.session, Bridge):
                nursery.start_soon(link.partner.run, link.session, link.room)
            try:
                await link.run()
            finally:
                self._left(link)
            nursery.cancel_scope.deadline = trio.current_time() + LAST_WORDS_S  # for what is to go upstream still

    async def _keep_dialling(self, link: Link, bridge: TellingBridge, upgrade: Upgrade, library: trio.Nursery) -> None:
        """The charge point is served; reach its central system, again and again, for as long as it stays."""
        told = link.partner is None
        while self._links.get(upgrade.identity) is link and (link.partner is not None or bridge.reaches_out):
            if link.partner is None:
                try:
                    link.partner = await self._dial(upgrade, library)
                except Refused as refused:
                    if not told:
                        caller = Caller(bridge.charge_point.address, False)
                        self._tell(refused.cause, refused.why, upgrade.identity, caller)
                    told = True
                    await trio.sleep_until(self._may_dial(upgrade.identity))
                    continue
                link.partner.join(bridge)
            told = False
            await link.partner.run(bridge, link.room)
            link.partner = None

    def _left(self, link: Link) -> None:
        name = link.session.charge_point.name
        if self._links.get(name) is link:
            del self._links[name]
            self._on_link(link.session.charge_point, _end_of(link))
        self._log.say(logging.INFO, "%s: disconnected", name)
        self._on_links(len(self._links))

    def _tell(self, cause: Cause, why: str, identity: str, caller: Caller, status: int = 0) -> None:
        """A refusal, to everybody who looks for the fault."""
        refusal = Refusal(cause, why, identity[: IDENTITY_LONGEST + 1], caller.address, status)
        who = f"{refusal.identity!r} at {caller.address}" if refusal.identity else caller.address
        self._log.say(logging.INFO, "refused %s: %s", who, why)
        self._on_refused(refusal)


async def _linger(stream: trio.abc.HalfCloseableStream) -> None:
    """Everything was said: let the peer take it. Closed with its bytes unread, a socket throws away what was sent."""
    with trio.move_on_after(CLOSE_TIMEOUT_S):
        await stream.send_eof()
        dropped = 0
        while dropped < LINGER_BYTES and (data := await stream.receive_some(RECEIVE_BYTES)):
            dropped += len(data)


def _end_of(link: Link) -> End:
    closed = link.socket.closed
    if link.goodbye is not None:
        return End(*link.goodbye)
    return End() if closed is None else End(int(closed.code), closed.reason or "")


def _address(stream: trio.abc.Stream) -> str:
    """Where a peer is; "" where that means nothing."""
    if isinstance(stream, trio.SocketStream):
        with suppress(OSError):
            return str(stream.socket.getpeername()[0])
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
