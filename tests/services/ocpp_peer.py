"""A charge point's end of a connection, byte by byte, so that it can be as rude as it likes; and a gateway to dial.

The frames are spelled here: a library would refuse to send most of what the tests send.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from trio.testing import memory_stream_pair

from gatewayd import config
from gatewayd.assembly import build_site, build_units
from gatewayd.points.bank import Bank
from gatewayd.services.ocpp_listener import Listener, Rules
from gatewayd.services.ocpp_listener.listener import nobody_upstream
from gatewayd.services.ocpp_upstream import Upstreams
from gatewayd.site.charge_point import ChargePoint

EPOCH = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
NO_CODE = 1005
"""A Close frame without a code."""
KEY = base64.b64encode(b"sixteen bytes ok")
UPGRADE = {
    b"Host": b"gateway:8887", b"Upgrade": b"websocket", b"Connection": b"Upgrade",
    b"Sec-WebSocket-Version": b"13", b"Sec-WebSocket-Key": KEY, b"Sec-WebSocket-Protocol": b"ocpp1.6",
}  # fmt: skip


def request(path: bytes = b"/ocpp/CP001", *, without: bytes = b"", first: bytes | None = None, **more: bytes) -> bytes:
    """The head of an upgrade: header names are written as keywords with `_` for `-`."""
    headers = {name: value for name, value in UPGRADE.items() if name != without}
    headers |= {name.replace("_", "-").encode(): value for name, value in more.items()}
    lines = [b"GET " + path + b" HTTP/1.1" if first is None else first]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in headers.items()), b"", b""])


def basic(user: str | bytes, password: str | bytes) -> bytes:
    parts = (part.encode() if isinstance(part, str) else part for part in (user, password))
    return b"Basic " + base64.b64encode(b":".join(parts))


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """One WebSocket frame as a client sends it."""
    first, flag = (fin << 7) | (reserved << 4) | opcode, 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, flag | size))
    elif size < 1 << 16:
        head = bytes((first, flag | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, flag | 127)) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@dataclass
class Peer:
    """The other end of one connection."""

    stream: trio.abc.HalfCloseableStream
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def _more(self) -> None:
        data = b"" if self.ended else bytes(await self.stream.receive_some(65536))
        if not data:
            self.ended = True
            raise EOFError
        self.received += data

    async def response(self) -> tuple[int, dict[bytes, bytes]]:
        """The HTTP response: its status and its headers, names in small letters."""
        while b"\r\n\r\n" not in self.received:
            await self._more()
        head, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        self.received = bytearray(rest)
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        return int(first.split()[1]), headers

    async def upgrade(self, head: bytes | None = None) -> int:
        await self.send(request() if head is None else head)
        return (await self.response())[0]

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the gateway: opcode and payload."""
        while True:
            if len(self.received) >= 2:
                size, at = self.received[1] & 0x7F, 2
                if size > 125:
                    at += 2 if size == 126 else 8
                    size = int.from_bytes(self.received[2:at], "big")
                if len(self.received) >= at + size:
                    opcode, payload = self.received[0] & 0x0F, bytes(self.received[at : at + size])
                    del self.received[: at + size]
                    return opcode, payload
            await self._more()

    async def message(self) -> Any:
        """The next OCPP frame; pings on the way are answered."""
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT:
                return json.loads(payload)
            if opcode == PING:
                await self.send(frame(PONG, payload))
            elif opcode == CLOSE:
                raise EOFError(int.from_bytes(payload[:2], "big"))

    async def call(self, action: str, payload: Any, unique_id: str = "1") -> Any:
        """Ask, and wait for this answer; Calls of the gateway on the way are left unanswered."""
        await self.send(frame(TEXT, json.dumps([2, unique_id, action, payload]).encode()))
        while True:
            message = await self.message()
            if message[0] != 2 and message[1] == unique_id:
                return message[2]

    async def boot(self) -> Any:
        return await self.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})

    async def close_code(self) -> int | None:
        """Wait for the end: the code of the Close frame, or None where there was none."""
        code = None
        try:
            while True:
                opcode, payload = await self.frame()
                if opcode == CLOSE:
                    code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
        except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            return code

    async def gone(self) -> bool:
        """Whether the gateway closes without another byte."""
        before = len(self.received)
        try:
            await self._more()
        except (EOFError, trio.BrokenResourceError):
            return len(self.received) == before
        return False


async def always_durable(number: int) -> bool:
    await trio.lowlevel.checkpoint()
    return True


@dataclass
class Stand:
    """A gateway's OCPP side with its registers, without the rest of the daemon."""

    listener: Listener
    bank: Bank
    nursery: trio.Nursery
    charge_points: dict[str, ChargePoint]
    refused: list[tuple[str, str, int]]
    links: list[int]

    async def dial(self) -> Peer:
        """A connection in memory."""
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.listener.connection, theirs)
        await trio.lowlevel.checkpoint()
        return Peer(ours)

    async def connect(self, identity: str = "CP001", **headers: bytes) -> Peer:
        peer = await self.dial()
        assert await peer.upgrade(request(b"/ocpp/" + identity.encode(), **headers)) == 101
        return peer

    def read(self, address: int, quantity: int = 1) -> list[int]:
        data = self.bank.read(address, quantity)
        return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]

    def write(self, address: int, *values: int) -> None:
        self.bank.write(address, b"".join(value.to_bytes(2, "big") for value in values), "bms", trio.current_time())


async def stand(
    nursery: trio.Nursery,
    toml: str = "",
    *,
    durable: Callable[[int], Awaitable[bool]] = always_durable,
    charge_points: int = 1,
    upstreams: Upstreams | None = None,
) -> Stand:
    """Run a gateway's OCPP side in this nursery: its site, agenda and listener, for connections in memory."""
    for number in range(1, charge_points + 1):
        if f'"CP{number:03}"' not in toml:
            toml += f'\n[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\n'
    parsed = config.parse(toml, "stand.toml")
    site = build_site(parsed, trio.current_time(), EPOCH, "STAND")
    rules = Rules(
        parsed.ocpp.call_timeout_s,
        parsed.ocpp.heartbeat_interval_s,
        parsed.ocpp.ping_interval_s,
        parsed.ocpp.max_message_bytes,
        frozenset(parsed.ocpp.ask_bms),
        {entry.identity: entry.password for entry in parsed.charge_points if entry.password},
    )
    refused: list[tuple[str, str, int]] = []
    links: list[int] = []
    listener = Listener(
        site,
        rules,
        durable=durable,
        on_links=links.append,
        on_refused=lambda refusal: refused.append((refusal.identity, refusal.why, refusal.status)),
        dial=nobody_upstream if upstreams is None else upstreams.dial,
        may_dial=(lambda _identity: trio.current_time() + 30.0) if upstreams is None else upstreams.may_dial,
    )
    units = build_units(site, parsed)
    earlier = trio.Event()

    async def keep_time() -> None:
        nonlocal earlier
        site.agenda.on_earlier = lambda: earlier.set()
        while True:
            site.advance(trio.current_time())
            site.agenda.run(site.now)
            units.tick()
            earlier, due = trio.Event(), site.agenda.next()
            with trio.move_on_at(float("inf") if due is None else due):
                await earlier.wait()

    nursery.start_soon(keep_time)
    await trio.testing.wait_all_tasks_blocked()
    return Stand(listener, units.banks()[0], nursery, site.charge_points, refused, links)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is inside takes no longer."""
    began = trio.current_time()
    with trio.fail_after(seconds):
        yield
    assert trio.current_time() - began <= seconds
