"""Modbus TCP on real sockets: six places, one task.

What a Modbus server costs is not the register read (1 us) but being woken. So the clients' non-blocking sockets sit in
one epoll, trio waits for that epoll's own descriptor, and each wake-up serves every client that is ready: one receive
each, then one send each. All are heard before the first is answered: an answer wakes its client, and one program that
holds several connections is still awake when the next answers come (six connections: a fifth more requests a second).
A client whose answers do not fit its socket is not read until they do, so what a client can make the gateway hold is
bounded by what one receive can ask for.

The answer to a write that moved an ack goes out when the ack is on the disk: meanwhile that client is not read.

Whatever a peer does ends at its own connection. A bug in the server or a bank propagates out of `serve`.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from math import inf
from time import perf_counter
from typing import NamedTuple

import trio

from gatewayd.config import ModbusTcp
from gatewayd.modbus.places import Place, place_to_take
from gatewayd.modbus.server import Server, TcpSession
from gatewayd.services.modbus_tcp.kernel import allowed, keep_alive, open_listener, place, plain
from gatewayd.services.modbus_tcp.peer_log import PeerLog
from gatewayd.site.refusal import Cause, Refusal

__all__ = ["Client", "open_listener", "serve"]

_log = logging.getLogger(__name__)

# One receive: almost two of the longest frames, or 42 reads. So much is answered before the next client's turn, so that
# one that pipelines without end delays the others by less than a millisecond.
RECEIVE_BYTES = 512

# What the kernel may keep of a client's answers, 250 of the longest (it doubles the figure). Left alone it would keep
# 4 MB of every client that asks and does not read.
SEND_BUFFER_BYTES = 0x8000

# Events taken in one round; there are seldom more sockets. What is left over wakes again.
MAX_EVENTS = 32

# A wake-up goes round for so long. While the others were served, the first has often asked again, and to look costs a
# tenth of being woken; but the rest of the gateway waits for its turn meanwhile. Real time, under a virtual clock too.
TURN_S = 0.002

# Who asked again so soon after the last turn will most likely do so once more: this turn ends only when nobody was
# ready for as long as being woken costs. Else the first look in vain ends it.
SOON_S = 0.0002
LOOK_S = 0.00005

# Newcomers looked at in one round, so that a flood of them cannot keep the clients waiting.
MAX_ACCEPTS = 16

# How often late frames, clients that do not read and muted listeners are looked after.
SWEEP_S = 1.0

# A client has so long to take an answer that does not fit its socket, before the next sweep closes it (promises R16).
UNREAD_TIMEOUT_S = 9.0

# An answer that waits for the disk waits no longer: a disk that hangs must not silence the gateway (promises, R5), and
# clients wait about a second.
DURABLE_WAIT_S = 1.0

# Errors of accept() that say that we, not the newcomer, lack something; accepting rests until the next sweep.
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


async def _at_once(_number: int) -> bool:
    """Durable without a ledger."""
    return True


class Client(NamedTuple):
    """Who a TCP client is, in mailboxes and in the log. The number tells connections of one address and port apart."""

    address: str
    port: int
    number: int

    def __str__(self) -> str:
        return f"{self.address} port {self.port}"


class _Connection:
    """A client's socket, its session, and the answers its socket would not take yet. `held`: its answers wait for the
    disk; the epoll does not know it meanwhile."""

    __slots__ = ("client", "held", "session", "sock", "unread_since", "unsent")

    def __init__(self, sock: socket.socket, client: Client, session: TcpSession) -> None:
        self.sock = sock
        self.client = client
        self.session = session
        self.unsent = b""
        self.unread_since = 0.0
        self.held = False


async def serve(
    listeners: Sequence[socket.socket],
    server: Server,
    config: ModbusTcp,
    *,
    on_traffic: Callable[[], None],
    on_clients: Callable[[int], None],
    on_refused: Callable[[Refusal], None],
    clock: Callable[[], float] = trio.current_time,
    roster: dict[Client, TcpSession] | None = None,
    durable: Callable[[int], Awaitable[bool]] = _at_once,
    task_status: trio.TaskStatus[Callable[[ModbusTcp], None]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then every socket is closed, the listeners too.

    `on_traffic()` after each wake-up that brought requests, `on_clients(count)` when it changes, `on_refused` for
    each client turned away. `roster` always holds those that are connected. `durable` waits for an entry of the
    journal. Starts with a function that takes another configuration; clients that it allows stay.
    """
    pump = _Pump(listeners, server, config, on_traffic, on_clients, on_refused, clock, roster)
    try:
        async with trio.open_nursery() as nursery:
            pump.on_promise = lambda connection, answers: nursery.start_soon(pump.keep, connection, answers, durable)
            nursery.start_soon(pump.sweep)
            task_status.started(pump.configure)
            await pump.run()
    finally:
        pump.close()


class _Pump:
    """All clients of one server. Only `run` and `sweep` wait; everything else happens between two waits."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        server: Server,
        config: ModbusTcp,
        on_traffic: Callable[[], None],
        on_clients: Callable[[int], None],
        on_refused: Callable[[Refusal], None],
        clock: Callable[[], float],
        roster: dict[Client, TcpSession] | None,
    ) -> None:
        self._roster = {} if roster is None else roster
        self._server = server
        self.on_promise: Callable[[_Connection, bytes], None]
        self._on_traffic = on_traffic
        self._on_clients = on_clients
        self._on_refused = on_refused
        self._clock = clock
        self._log = PeerLog(_log)
        self._accepted = 0
        self._connections: dict[int, _Connection] = {}
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._muted: list[int] = []
        self.configure(config)
        self._epoll = select.epoll()
        for descriptor in self._listeners:
            self._epoll.register(descriptor, select.EPOLLIN)

    def configure(self, config: ModbusTcp) -> None:
        """From now on these are the rules; who is connected against them is not any longer."""
        self._max_clients = config.max_clients
        self._keep_alive_s = config.keep_alive_s
        self._allow = tuple(ip_network(entry, strict=False) for entry in config.allow)
        now = self._clock()
        for connection in tuple(self._connections.values()):
            keep_alive(connection.sock, self._keep_alive_s)
            if self._allow and not allowed(connection.client.address, self._allow):
                self._end(connection, now, "not in modbus.tcp.allow any more")
        idle_first = sorted(self._connections.values(), key=lambda each: each.session.last_request_s)
        for connection in idle_first[: max(0, len(idle_first) - self._max_clients)]:
            self._end(connection, now, f"there are {self._max_clients} places now, and it was idle longest")

    def close(self) -> None:
        for connection in tuple(self._connections.values()):
            self._drop(connection)
        for listener in self._listeners.values():
            listener.close()
        self._epoll.close()

    async def run(self) -> None:
        wait, descriptor = trio.lowlevel.wait_readable, self._epoll.fileno()
        turn_ended = -inf
        while True:
            await wait(descriptor)
            woken = perf_counter()
            if self._turn(woken, LOOK_S if woken - turn_ended < SOON_S else 0.0):
                self._on_traffic()
            turn_ended = perf_counter()

    def _turn(self, began: float, patience: float) -> bool:
        """Serve whoever is ready, until nobody was for `patience` seconds or the turn is over; was there traffic?

        `began`: now, as perf_counter counts.
        """
        poll, connections, clock = self._epoll.poll, self._connections, self._clock
        traffic, served = False, began
        while (looked := perf_counter()) < began + TURN_S:
            if not (events := poll(0, MAX_EVENTS)):
                if looked - served >= patience:
                    break
                continue
            now = clock()
            answered: list[tuple[_Connection, bytes]] = []
            for ready, _ in events:
                # A descriptor can be closed and given away again within a round, so no event flag is believed:
                # every socket says for itself what is the matter, and one that has nothing to say costs a call.
                connection = connections.get(ready)
                if connection is None:
                    self._accept(ready, now)
                elif connection.unsent:
                    self._send(connection, connection.unsent, now)
                else:
                    traffic = True
                    if answers := self._receive(connection, now):
                        answered.append((connection, answers))
            for connection, answers in answered:
                self._answer(connection, answers, now)
            served = perf_counter()
        return traffic

    async def sweep(self) -> None:
        """Once a second: close what is overdue, listen again where accepting had to rest."""
        while True:
            await trio.sleep(SWEEP_S)
            now = self._clock()
            for connection in tuple(self._connections.values()):
                if connection.held:
                    continue
                if connection.unsent:
                    if now - connection.unread_since >= UNREAD_TIMEOUT_S:
                        self._end(connection, now, "answers are not read")
                elif now >= connection.session.deadline:
                    # The rest may be there since we did not read it.
                    if answers := self._receive(connection, now):
                        self._answer(connection, answers, now)
                    if now >= connection.session.deadline:
                        self._end(connection, now, "a request was begun and not finished")
            for descriptor in self._muted:
                self._epoll.register(descriptor, select.EPOLLIN)
            self._muted.clear()

    def _receive(self, connection: _Connection, now: float) -> bytes:
        """The answers to what this client has sent, to be sent now; b"": none, or not yet."""
        try:
            data = connection.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._end(connection, now, str(error))
            return b""
        if not data:
            self._end(connection, now, "the client closed it")
            return b""
        session = connection.session
        answers = session.receive(data, now)
        if answers and session.promise:
            connection.held = True
            self._epoll.unregister(connection.sock)
            self.on_promise(connection, answers)
            return b""
        if not answers:
            self._end_at_fault(connection, now)
        return answers

    async def keep(self, connection: _Connection, answers: bytes, durable: Callable[[int], Awaitable[bool]]) -> None:
        """Send them when what they promise is on the disk, or the disk fails."""
        session = connection.session
        with trio.move_on_after(DURABLE_WAIT_S):
            await durable(session.promise)
        if connection.sock.fileno() < 0:
            return
        now, connection.held = self._clock(), False
        self._epoll.register(connection.sock, select.EPOLLIN)
        self._answer(connection, answers, now)

    def _answer(self, connection: _Connection, answers: bytes, now: float) -> None:
        self._send(connection, answers, now)
        self._end_at_fault(connection, now)

    def _end_at_fault(self, connection: _Connection, now: float) -> None:
        if connection.session.fault is not None:
            self._end(connection, now, f"not Modbus TCP: {connection.session.fault}")

    def _send(self, connection: _Connection, answers: bytes, now: float) -> None:
        try:
            sent = connection.sock.send(answers)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(connection, now, str(error))
            return
        if sent == len(answers):
            if connection.unsent:
                connection.unsent = b""
                self._epoll.modify(connection.sock, select.EPOLLIN)
            return
        if not connection.unsent:
            self._epoll.modify(connection.sock, select.EPOLLOUT)
        if sent or not connection.unsent:
            connection.unread_since = now
        connection.unsent = answers[sent:]

    def _accept(self, descriptor: int, now: float) -> None:
        listener = self._listeners.get(descriptor)
        if listener is None:  # an event of a connection that ended earlier in this wake-up
            return
        for _ in range(MAX_ACCEPTS):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._log(logging.WARNING, now, "Modbus TCP cannot accept clients: %s", error)
                    self._epoll.unregister(descriptor)
                    self._muted.append(descriptor)
                    return
                continue  # the newcomer gave up; accept(2) reports that here
            self._accepted += 1
            self._admit(sock, Client(plain(peer[0]), peer[1], self._accepted), now)

    def _admit(self, sock: socket.socket, client: Client, now: float) -> None:
        if self._allow and not allowed(client.address, self._allow):
            self._refuse(sock, client, now, Cause.address_not_allowed, "not in modbus.tcp.allow")
            return
        if len(self._connections) >= self._max_clients:
            connections = tuple(self._connections.values())
            index = place_to_take(client.address, [_place(connection) for connection in connections], now)
            if index is None:
                self._refuse(sock, client, now, Cause.too_many_clients, f"all {self._max_clients} places are taken")
                return
            self._end(connections[index], now, f"its place was given to {client}")
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            keep_alive(sock, self._keep_alive_s)
            self._epoll.register(sock, select.EPOLLIN)
        except OSError as error:
            sock.close()
            self._log(logging.INFO, now, "Modbus TCP client %s was gone at once: %s", client, error)
            return
        session = self._roster[client] = TcpSession(self._server, client, now)
        self._connections[sock.fileno()] = _Connection(sock, client, session)
        self._on_clients(len(self._connections))
        self._log(logging.INFO, now, "Modbus TCP client %s connected", client)

    def _refuse(self, sock: socket.socket, client: Client, now: float, cause: Cause, why: str) -> None:
        sock.close()
        self._on_refused(Refusal(cause, why, address=client.address))
        self._log(logging.WARNING, now, "Modbus TCP client %s refused: %s", client, why)

    def _end(self, connection: _Connection, now: float, why: str) -> None:
        if connection.sock.fileno() in self._connections:
            self._drop(connection)
            self._log(logging.INFO, now, "Modbus TCP client %s disconnected: %s", connection.client, why)

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.sock.fileno()]
        connection.sock.close()  # leaves the epoll by itself
        connection.session.closed()
        self._roster.pop(connection.client, None)
        self._on_clients(len(self._connections))


def _place(connection: _Connection) -> Place:
    return place(connection.sock, connection.client.address, connection.session.last_request_s)
