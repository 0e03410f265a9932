"""A simulated OCPP 1.6J central system: what the gateway is, or dials, seen from the other side.

`python -m tests.simulator.central_system --help` for the command; in tests, `run` in a nursery and dial with
`open_stream`, or give `handle` any trio stream.
"""

from __future__ import annotations

import argparse
import base64
import json
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from urllib.parse import unquote

import trio
import trio.testing
import wsproto.utilities
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketRequest, wrap_server_stream

from .clock import Clock, parse_stamp, stamp
from .ocpp_link import Answer, CallFailed, Link, LinkLost, NoAnswer, Refusal, Trace
from .script import Payload, Script

SUBPROTOCOL = "ocpp1.6"
HANDSHAKE_TIMEOUT_S = 10.0
MESSAGE_QUEUE = 64
# What a charge point, a bridge or the network can do to a link; anything else is a bug of ours and must be seen.
LINK_TROUBLE = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    HandshakeError,
    ConnectionClosed,
    wsproto.utilities.ProtocolError,
    LinkLost,
)


def _silent(text: str) -> None:
    return None


def _no_trace(direction: str, text: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Received:
    """One Call that came in; `at` is seconds since 1970."""

    identity: str
    action: str
    payload: Payload
    at: float


@dataclass(slots=True)
class Booked:
    """A transaction in this central system's books."""

    transaction_id: int
    identity: str
    connector: int
    id_tag: str
    meter_start_wh: int
    started_at: float
    meter_stop_wh: int | None = None
    stopped_at: float | None = None
    reason: str | None = None


class CentralSystem:
    """Accepts everybody unless told otherwise; `script` changes any answer.

    `passwords`: identity -> password wanted by HTTP Basic. `refuse`: identity -> HTTP status of the upgrade.
    `authorizations`: idTag -> idTagInfo, others are Accepted. `received` and `books` remember.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        passwords: dict[str, str] | None = None,
        heartbeat_interval_s: int = 60,
        first_transaction_id: int = 1,
        seed: int = 0,
        say: Callable[[str], None] = _silent,
        trace: Trace = _no_trace,
    ) -> None:
        self.clock = clock or Clock()
        self.passwords = passwords or {}
        self.heartbeat_interval_s = heartbeat_interval_s
        self.say = say
        self.trace = trace
        self.script = Script()
        self.boot_status = "Accepted"
        self.accepting = True
        self.subprotocol: str | None = SUBPROTOCOL
        self.refuse: dict[str, int] = {}
        self.authorizations: dict[str, Payload] = {}
        self.links: dict[str, Link] = {}
        self.requests: list[WebSocketRequest] = []
        self.received: list[Received] = []
        self.violations: list[str] = []
        self.strays: list[str] = []
        self.books: dict[int, Booked] = {}
        self._next_transaction_id = first_transaction_id
        self._random = Random(seed)
        self._nursery: trio.Nursery | None = None

    # Being reached.

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled; needed for `open_stream`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def open_stream(self) -> trio.abc.Stream:
        """Dial in memory: the caller's end of a new stream. ConnectionRefusedError while not `accepting`."""
        if not self.accepting:
            raise ConnectionRefusedError("the central system is away")
        if self._nursery is None:
            raise RuntimeError("run this central system first")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.handle, ours)
        return theirs

    async def serve(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen on TCP until cancelled, with TLS if there is a context; reports the port that was bound."""
        listeners = await trio.open_tcp_listeners(port, host=host)
        task_status.started(listeners[0].socket.getsockname()[1])
        if context is None:
            await trio.serve_listeners(self.handle, listeners)
        else:
            await trio.serve_listeners(
                self.handle, [trio.SSLListener(listener, context, https_compatible=True) for listener in listeners]
            )

    async def handle(self, stream: trio.abc.Stream) -> None:
        """One connection, from the handshake to its end."""
        identity, link = "", None
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(HANDSHAKE_TIMEOUT_S):
                    if isinstance(stream, trio.SSLStream):
                        await _secure(stream)
                    request = await wrap_server_stream(nursery, stream, message_queue_size=MESSAGE_QUEUE)
                    identity = unquote(request.path.partition("?")[0].rstrip("/").rpartition("/")[2])
                    link = await self._admit(identity, request, stream)
                if link:
                    self.say(f"{identity}: connected at {request.path}")
                    await self._replace(identity, link)
                    await link.run()
                nursery.cancel_scope.cancel()
        except* LINK_TROUBLE as trouble:
            self.say(f"{identity or 'somebody'}: {trouble.exceptions[0]!r}")
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
            if link:
                self.violations += link.violations
                self.strays += link.strays
                self.say(f"{identity}: disconnected")
                if self.links.get(identity) is link:
                    del self.links[identity]

    # Asking.

    async def call(
        self, identity: str, action: str, payload: Payload, timeout_s: float = 60.0, unique_id: str | None = None
    ) -> Payload:
        """Any Call to a connected charge point. LinkLost, NoAnswer or CallFailed."""
        link = self.links.get(identity)
        if link is None:
            raise LinkLost
        return await link.call(action, payload, timeout_s, unique_id)

    async def until(self, true: Callable[[], bool], timeout_s: float = 60.0, look_every_s: float = 0.1) -> None:
        """Wait until a fact about this central system holds. trio.TooSlowError."""
        with trio.fail_after(timeout_s):
            while not true():  # noqa: ASYNC110  a fact of any kind, that nobody announces
                await trio.sleep(look_every_s)

    async def connected(self, identity: str, timeout_s: float = 60.0) -> Link:
        """Wait until this charge point is connected. trio.TooSlowError."""
        await self.until(lambda: identity in self.links, timeout_s)
        return self.links[identity]

    async def go_away(self, code: int = 1001) -> None:
        """Close every link and let nobody in until `come_back`."""
        self.accepting = False
        for link in list(self.links.values()):
            await link.close(code)

    def come_back(self) -> None:
        self.accepting = True

    def calls(self, action: str, identity: str | None = None) -> list[Payload]:
        """Payloads of every Call of that action so far, in order."""
        return [r.payload for r in self.received if r.action == action and identity in (None, r.identity)]

    # Answering.

    async def _admit(self, identity: str, request: WebSocketRequest, stream: trio.abc.Stream) -> Link | None:
        self.requests.append(request)
        status = self.refuse.get(identity, 0 if self.accepting else 503)
        wanted = self.passwords.get(identity)
        if not status and wanted is not None and _basic(request) != f"{identity}:{wanted}":
            status = 401
        if status:
            self.say(f"{identity}: refused with {status}")
            await request.reject(status)
            return None
        offered = self.subprotocol if self.subprotocol in request.proposed_subprotocols else None
        socket = await request.accept(subprotocol=offered)
        return Link(
            socket,
            stream,
            partial(self._answer, identity),
            script=self.script,
            random=self._random,
            trace=self.trace,
            answer_latency_s=0.0,
        )

    async def _replace(self, identity: str, link: Link) -> None:
        old = self.links.get(identity)
        self.links[identity] = link
        if old:
            await old.cut()

    def _answer(self, identity: str, action: str, payload: Payload) -> Answer:
        self.received.append(Received(identity, action, payload, self.clock.now()))
        self.say(f"{identity}: {action} {json.dumps(payload)}")
        now = stamp(self.clock.now())
        match action:
            case "Authorize":
                return Answer({"idTagInfo": self._standing(payload["idTag"])})
            case "BootNotification":
                interval_s = self.heartbeat_interval_s
                return Answer({"status": self.boot_status, "currentTime": now, "interval": interval_s})
            case "DataTransfer":
                return Answer({"status": "UnknownVendorId"})
            case "Heartbeat":
                return Answer({"currentTime": now})
            case "StartTransaction":
                return Answer(self._start(identity, payload))
            case "StopTransaction":
                return Answer(self._stop(payload))
            case "SignCertificate":
                return Answer({"status": "Accepted"})
            case (
                "DiagnosticsStatusNotification"
                | "FirmwareStatusNotification"
                | "LogStatusNotification"
                | "MeterValues"
                | "SecurityEventNotification"
                | "SignedFirmwareStatusNotification"
                | "StatusNotification"
            ):
                return Answer({})
        raise Refusal("NotImplemented", action)

    def _standing(self, id_tag: str) -> Payload:
        return self.authorizations.get(id_tag, {"status": "Accepted"})

    def _start(self, identity: str, payload: Payload) -> Payload:
        started_at = parse_stamp(payload["timestamp"])
        same = (identity, payload["connectorId"], payload["idTag"], payload["meterStart"], started_at)
        for known in self.books.values():  # a repeated one is the same transaction
            if (known.identity, known.connector, known.id_tag, known.meter_start_wh, known.started_at) == same:
                return {"transactionId": known.transaction_id, "idTagInfo": self._standing(known.id_tag)}
        number, self._next_transaction_id = self._next_transaction_id, self._next_transaction_id + 1
        self.books[number] = Booked(number, *same)
        return {"transactionId": number, "idTagInfo": self._standing(payload["idTag"])}

    def _stop(self, payload: Payload) -> Payload:
        known = self.books.get(payload["transactionId"])
        if known:
            known.meter_stop_wh = payload["meterStop"]
            known.stopped_at = parse_stamp(payload["timestamp"])
            known.reason = payload.get("reason", "Local")
        return {"idTagInfo": self._standing(payload["idTag"])} if "idTag" in payload else {}


async def _secure(stream: trio.SSLStream[trio.abc.Stream]) -> None:
    """TLS before anything else; who is turned away hears why, which trio keeps to itself."""
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        with suppress(trio.BrokenResourceError):
            await stream.transport_stream.send_all(stream._outgoing.read())
        raise


def _basic(request: WebSocketRequest) -> str | None:
    for name, value in request.headers:
        if name.lower() == b"authorization" and value.startswith(b"Basic "):
            with suppress(ValueError):
                return base64.b64decode(value[6:]).decode()
    return None


async def _typed(central: CentralSystem) -> None:
    """Calls typed on the keyboard: `CP001 Reset {"type": "Soft"}`."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        identity, _, rest = line.strip().partition(" ")
        action, _, text = rest.partition(" ")
        if not action:
            print('type: identity action payload, for example: CP001 Reset {"type": "Soft"}', flush=True)
            continue
        try:
            payload = json.loads(text or "{}")
            print(f"{identity}: {action} -> {json.dumps(await central.call(identity, action, payload))}", flush=True)
        except ValueError as error:
            print(f"the payload is not JSON: {error}", flush=True)
        except (LinkLost, NoAnswer, CallFailed) as error:
            print(f"{identity}: {action} failed: {error!r}", flush=True)


async def _main(options: argparse.Namespace) -> None:
    passwords = dict(text.split("=", 1) for text in options.password)
    central = CentralSystem(
        clock=Clock.real(),
        passwords=passwords,
        heartbeat_interval_s=options.heartbeat,
        say=lambda text: print(text, flush=True),
    )
    async with trio.open_nursery() as nursery:
        context = None
        if options.certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(options.certificate)
        port = await nursery.start(central.serve, options.host, options.port, context)
        scheme = "wss" if context else "ws"
        print(f"charge points dial {scheme}://{options.host}:{port}/ocpp/<identity>; Ctrl-C ends", flush=True)
        await _typed(central)
        await trio.sleep_forever()


def _identity_and_password(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError("wanted: identity=password")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator.central_system",
        description="A simulated OCPP 1.6J central system. It accepts every charge point, prints what they say, and "
        'sends the Calls that you type, for example: CP001 Reset {"type": "Soft"}',
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="TCP port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--heartbeat", type=int, default=60, help="heartbeat interval in seconds (default: 60)")
    parser.add_argument("--certificate", metavar="FILE", help="PEM with certificate and key: listen with TLS (wss)")
    parser.add_argument(
        "--password",
        action="append",
        default=[],
        type=_identity_and_password,
        metavar="ID=SECRET",
        help="this charge point has to give this password; may be repeated",
    )
    try:
        trio.run(_main, parser.parse_args())
    except* KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
