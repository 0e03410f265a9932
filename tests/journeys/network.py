"""The network between the gateway and its peers, in memory: every connection goes through the weather."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from tests.journeys.frames import Frame, ModbusSplitter, Splitter, WebSocketSplitter
from tests.journeys.weather import DOWN, UP, Fault, Kind, Weather

OCPP, MODBUS = "ocpp", "modbus"
SPLITTERS: dict[str, Callable[[], Splitter]] = {OCPP: WebSocketSplitter, MODBUS: ModbusSplitter}


class Listening(Protocol):
    """Takes a connection: the gateway, while it runs."""

    def __call__(self, port: str, stream: trio.abc.HalfCloseableStream) -> None: ...


class Witness(Protocol):
    """Sees one connection from the gateway's end: what it says, and what reaches it."""

    def said(self, frame: Frame) -> None: ...

    def heard(self, frame: Frame) -> None: ...

    def ended(self) -> None: ...


class Network:
    """`listening` is None while nobody is there to connect to. `witness` makes one for every OCPP connection."""

    def __init__(self, nursery: trio.Nursery, weather: Weather, log: Callable[[str, str], None]) -> None:
        self.weather = weather
        self.log = log
        self.listening: Listening | None = None
        self.witness: Callable[[str, str], Witness] | None = None
        self.wires: set[Wire] = set()
        self.nursery = nursery
        self._dialled: dict[str, int] = {}
        self._healed = trio.Event()

    def dialler(self, who: str, port: str) -> Callable[[], Awaitable[trio.abc.HalfCloseableStream]]:
        """A function that connects this peer, each time anew. OSError where nobody listens."""

        async def dial() -> trio.abc.HalfCloseableStream:
            await trio.lowlevel.checkpoint()
            if self.listening is None:
                raise ConnectionRefusedError(f"{port}: nobody listens")
            number = self._dialled[who] = self._dialled.get(who, 0) + 1
            wire = Wire(self, who, f"{who}#{number}", port)
            self.wires.add(wire)
            self.listening(port, wire.gateway_end)
            self.nursery.start_soon(wire.carry)
            return wire.peer_end

        return dial

    async def wait_until(self, when: float) -> None:
        """Hold something back, no longer than the weather lasts."""
        if trio.current_time() < when:
            with trio.move_on_at(when):
                await self._healed.wait()

    def heal(self) -> None:
        """Fair weather from now on, and what was held back comes."""
        self.weather.odds = {}
        self._healed.set()

    def cut_all(self) -> None:
        """The gateway's plug is pulled: no connection of it says another word."""
        for wire in sorted(self.wires, key=lambda each: each.name):
            wire.cut()


class Wire:
    """One connection: two ends, and a task that carries frames from one to the other, in either direction."""

    def __init__(self, network: Network, who: str, name: str, port: str) -> None:
        self.who, self.name = who, name
        self._network = network
        self._witness = network.witness(who, name) if network.witness and port == OCPP else None
        self.peer_end, self.gateway_end = End(), End()
        self._ways = (
            _Way(UP, self.peer_end, self.gateway_end, SPLITTERS[port](), None),
            _Way(DOWN, self.gateway_end, self.peer_end, SPLITTERS[port](), self._witness),
        )
        self._dark_until = -math.inf
        self._whole = trio.CancelScope()

    async def carry(self) -> None:
        """Until both directions have ended, or it is cut."""
        with self._whole:
            async with trio.open_nursery() as nursery:
                for way in self._ways:
                    nursery.start_soon(self._carry_all, way, nursery)
        self._over()

    def cut(self) -> None:
        """Both ends see that it is broken; what was on its way is lost."""
        for way in self._ways:
            way.to.break_off()
        self._over()
        self._whole.cancel()

    def _over(self) -> None:
        self._network.wires.discard(self)
        if self._witness:
            self._witness.ended()
            self._witness = None

    async def _carry_all(self, way: _Way, nursery: trio.Nursery) -> None:
        async for frame in way.frames:
            await self._carry(way, frame, nursery)
        await self._network.wait_until(self._dark_until)
        way.to.end()

    async def _carry(self, way: _Way, frame: Frame, nursery: trio.Nursery) -> None:
        fault = self._network.weather.of(self.who, way.direction, frame)
        if fault.kind is not Kind.delay or fault.seconds:
            self._network.log(self.name, f"weather {way.direction} {fault.kind.name} {fault.seconds:.3f} {frame.what}")
        if fault.kind is Kind.cut:
            self.cut()
            await trio.lowlevel.checkpoint()
        await self._hold(fault)
        if fault.kind is Kind.reorder and not way.overtaken:
            way.overtaken.append(frame)
            nursery.start_soon(self._overtaken, fault.seconds, way)
            return
        for each in self._network.weather.garbled(frame) if fault.kind is Kind.garble else [frame]:
            self._deliver(way, each)
        if fault.kind is Kind.duplicate:
            self._deliver(way, frame)
        if fault.kind is Kind.echo:
            nursery.start_soon(self._echo, fault.seconds, way, frame)
        self._let_go(way)

    async def _hold(self, fault: Fault) -> None:
        """As long as nothing is carried here, and as long as this one is delayed."""
        if fault.kind is Kind.blackout:
            self._dark_until = max(self._dark_until, trio.current_time() + fault.seconds)
        await self._network.wait_until(self._dark_until)
        if fault.kind is Kind.delay and fault.seconds:
            await self._network.wait_until(trio.current_time() + fault.seconds)

    async def _overtaken(self, patience_s: float, way: _Way) -> None:
        """Nobody came to overtake: on it goes."""
        await trio.sleep(patience_s)
        self._let_go(way)

    def _let_go(self, way: _Way) -> None:
        while way.overtaken:
            self._deliver(way, way.overtaken.pop())

    async def _echo(self, seconds: float, way: _Way, frame: Frame) -> None:
        await trio.sleep(seconds)
        self._deliver(way, frame)

    def _deliver(self, way: _Way, frame: Frame) -> None:
        if way.to.closed:
            return  # nobody is there to hear it
        if way.direction == UP and self._witness:
            self._witness.heard(frame)
        way.to.deliver(frame.data)


class _Way:
    """One direction of a wire: what the sending end said, in frames, for the task that carries them."""

    def __init__(self, direction: str, sender: End, to: End, splitter: Splitter, witness: Witness | None) -> None:
        self.direction, self.to = direction, to
        self._said, self.frames = trio.open_memory_channel[Frame](math.inf)
        self.overtaken: list[Frame] = []
        """The frame that waits to be overtaken."""
        self._splitter, self._witness = splitter, witness
        sender.way, sender.other = self, to

    def say(self, data: bytes) -> None:
        for frame in self._splitter.feed(data):
            if self._witness:
                self._witness.said(frame)
            self._said.send_nowait(frame)

    def end(self) -> None:
        """Nothing more will be said."""
        if self._witness:
            self._witness.ended()
        self.unheard()

    def unheard(self) -> None:
        """Nobody is there to hear more: what was said still arrives, as into a closed socket."""
        self._said.close()


class End(trio.abc.HalfCloseableStream):
    """One end of a wire. What is sent never blocks; what was not read when the wire breaks is lost."""

    way: _Way
    other: End

    def __init__(self) -> None:
        self._bytes = b""
        self._news = trio.Event()
        self._ended = self._broken = self._closed = False

    # --- for whoever holds it -------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        if self._broken or self.other._closed:
            raise trio.BrokenResourceError
        self.way.say(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not (self._bytes or self._ended or self._broken or self._closed):
            self._news = trio.Event()
            await self._news.wait()
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        if self._broken:
            raise trio.BrokenResourceError
        size = len(self._bytes) if max_bytes is None else max_bytes
        taken, self._bytes = self._bytes[:size], self._bytes[size:]
        return taken

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self.way.end()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._news.set()
            self.way.end()
            self.other.way.unheard()  # a peer that died without a word would hold the wire for ever
        await trio.lowlevel.checkpoint()

    # --- for the wire ---------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """By whoever holds it."""
        return self._closed

    def deliver(self, data: bytes) -> None:
        self._bytes += data
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    def break_off(self) -> None:
        self._broken = True
        self._news.set()
