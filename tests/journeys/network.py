"""The network between the gateway and its peers, in memory: every connection goes through the weather."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import trio
from trio.testing import memory_stream_pair

from tests.journeys.frames import Frame, ModbusSplitter, Splitter, WebSocketSplitter
from tests.journeys.weather import DOWN, UP, Kind, Weather

OCPP, MODBUS = "ocpp", "modbus"
SPLITTERS: dict[str, Callable[[], Splitter]] = {OCPP: WebSocketSplitter, MODBUS: ModbusSplitter}
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Listening(Protocol):
    """Takes a connection: the gateway, while it runs."""

    def __call__(self, port: str, stream: trio.abc.HalfCloseableStream) -> None: ...


class Witness(Protocol):
    """Sees one connection from the gateway's end: what it says, and what reaches it."""

    def said(self, frame: Frame) -> None: ...

    def heard(self, frame: Frame) -> None: ...

    def ended(self) -> None: ...


class Network:
    """`listening` is None while nobody is there to connect to. `witness` makes one for every connection."""

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
    """One connection."""

    def __init__(self, network: Network, who: str, name: str, port: str) -> None:
        self.who, self.name = who, name
        self._network = network
        self.peer_end, self._near = memory_stream_pair()
        self._far, self.gateway_end = memory_stream_pair()
        self._make_splitter = SPLITTERS[port]
        self._witness = network.witness(who, name) if network.witness and port == OCPP else None
        self._dark_until = -1.0
        self._whole = trio.CancelScope()

    async def carry(self) -> None:
        """Until both directions have ended."""
        with self._whole:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, UP, self._near, self._far, nursery)
                nursery.start_soon(self._pump, DOWN, self._far, self._near, nursery)
        for end in (self._near, self._far):
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(end)
        self._over()

    def cut(self) -> None:
        self._over()
        self._whole.cancel()

    def _over(self) -> None:
        self._network.wires.discard(self)
        if self._witness:
            self._witness.ended()
            self._witness = None

    async def _pump(
        self,
        direction: str,
        source: trio.abc.HalfCloseableStream,
        sink: trio.abc.HalfCloseableStream,
        nursery: trio.Nursery,
    ) -> None:
        begins, ends = trio.open_memory_channel[Frame](math.inf)
        nursery.start_soon(self._carry_all, direction, ends, sink, nursery)
        splitter = self._make_splitter()
        try:
            while data := await source.receive_some(65536):
                for frame in splitter.feed(bytes(data)):
                    if direction == DOWN and self._witness:
                        self._witness.said(frame)
                    begins.send_nowait(frame)
            if direction == DOWN and self._witness:
                self._witness.ended()
            begins.close()
        except GONE:
            self._whole.cancel()

    async def _carry_all(
        self,
        direction: str,
        frames: trio.MemoryReceiveChannel[Frame],
        sink: trio.abc.HalfCloseableStream,
        nursery: trio.Nursery,
    ) -> None:
        overtaken = Overtaken()
        try:
            async for frame in frames:
                await self._carry(direction, frame, sink, overtaken, nursery)
            await self._network.wait_until(self._dark_until)
            await sink.send_eof()
        except GONE:
            self._whole.cancel()

    async def _carry(
        self,
        direction: str,
        frame: Frame,
        sink: trio.abc.HalfCloseableStream,
        overtaken: Overtaken,
        nursery: trio.Nursery,
    ) -> None:
        fault = self._network.weather.of(self.who, direction, frame)
        if fault.kind is not Kind.delay or fault.seconds:
            self._network.log(self.name, f"weather {direction} {fault.kind.name} {fault.seconds:.3f} {frame.what}")
        if fault.kind is Kind.cut:
            self.cut()
            await trio.lowlevel.checkpoint()
        if fault.kind is Kind.blackout:
            self._dark_until = max(self._dark_until, trio.current_time() + fault.seconds)
        await self._network.wait_until(self._dark_until)
        if fault.kind is Kind.delay and fault.seconds:
            await self._network.wait_until(trio.current_time() + fault.seconds)
        if fault.kind is Kind.reorder and not overtaken.frames:
            overtaken.frames.append(frame)
            nursery.start_soon(self._overtaken, fault.seconds, direction, sink, overtaken)
            return
        for each in self._network.weather.garbled(frame) if fault.kind is Kind.garble else [frame]:
            await self._deliver(direction, each, sink)
        if fault.kind is Kind.duplicate:
            await self._deliver(direction, frame, sink)
        if fault.kind is Kind.echo:
            nursery.start_soon(self._echo, fault.seconds, direction, frame, sink)
        await self._let_go(direction, sink, overtaken)

    async def _overtaken(
        self, patience_s: float, direction: str, sink: trio.abc.HalfCloseableStream, overtaken: Overtaken
    ) -> None:
        """Nobody came to overtake: on it goes."""
        await trio.sleep(patience_s)
        await self._let_go(direction, sink, overtaken)

    async def _let_go(self, direction: str, sink: trio.abc.HalfCloseableStream, overtaken: Overtaken) -> None:
        while overtaken.frames:
            await self._deliver(direction, overtaken.frames.pop(), sink)

    async def _echo(self, seconds: float, direction: str, frame: Frame, sink: trio.abc.HalfCloseableStream) -> None:
        await trio.sleep(seconds)
        await self._deliver(direction, frame, sink)

    async def _deliver(self, direction: str, frame: Frame, sink: trio.abc.HalfCloseableStream) -> None:
        if direction == UP and self._witness:
            self._witness.heard(frame)
        with suppress(*GONE):
            await sink.send_all(frame.data)


class Overtaken:
    """The frame that waits to be overtaken."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
