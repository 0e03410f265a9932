"""R15: six BMS clients always work, the seventh gets a clear answer, and a dead peer's place is free in 60 s.

The real daemon in a namespace of its own, its clients in others. A trial is one newcomer: while six are there and all
are answered, it is turned away at once, by a closed connection, which a register counts, and the log says why; who
comes back from the address of a connection that it has half closed gets that place; and after a cable was pulled (the
veth goes down), with a client that polled and clients that were silent, newcomers get the places of the dead, while
the others are answered.

Several trials share one pull, and all gateways run at the same time: the file takes little more than a minute.

Twin: a daemon that neither asks a silent peer whether it is alive nor gives an idle one's place away.
"""

from __future__ import annotations

import os
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trio

from tests.root.wire import Machine, Wire

TIMES = int(os.environ.get("GATEWAY_R15_TIMES", "1"))
"""The release says 20: a thousand trials."""
GATEWAYS, NEWCOMERS = 2, 21
"""Each gateway has so many newcomers that are turned away, and four dead peers: fifty trials."""
PLACES, DEAD = 6, 4
FREE_S, PATIENCE_S = 60.0, 75.0
ADDRESS, PORT = "10.9.0.1", 502
REFUSED = 59
"""The register that counts clients turned away."""
ANSWER_BYTES = 9 + 2
POLL_S, ANSWER_S = 0.3, 10.0
"""Between two polls; and how long a BMS waits, on a busy machine too."""
CONFIGURATION = f"""
[modbus.tcp]
host = "{ADDRESS}"
port = {PORT}
[ocpp]
host = "{ADDRESS}"
port = 0
[web]
port = -1
[metrics]
port = -1
"""
ASKS_NOBODY = """
import sys
from gatewayd.__main__ import main
from gatewayd.modbus import places
from gatewayd.services import modbus_tcp
modbus_tcp.keep_alive = lambda sock, idle_s: None
places.IDLE_AFTER_S = 3600.0
sys.exit(main())
"""


class Client:
    """A connection from a machine on the wire."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.answers = 0

    async def connect(self) -> None:
        own = trio.socket.from_stdlib_socket(await trio.to_thread.run_sync(self._machine.socket))
        with trio.fail_after(ANSWER_S):
            await own.connect((ADDRESS, PORT))
        self._stream = trio.SocketStream(own)

    async def ask(self) -> bool:
        """Whether it was answered; False: the gateway closed. Raises TooSlowError."""
        return await self.read(0) is not None

    async def read(self, register: int) -> int | None:
        """One register; None: the gateway closed. Raises TooSlowError."""
        received = b""
        try:
            with trio.fail_after(ANSWER_S):
                await self._stream.send_all(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, register, 1))
                while len(received) < ANSWER_BYTES:
                    some = await self._stream.receive_some(64)
                    if not some:
                        return None
                    received += bytes(some)
        except (trio.BrokenResourceError, OSError):
            return None
        self.answers += 1
        return int.from_bytes(received[-2:], "big")

    async def half_close(self) -> None:
        await self._stream.send_eof()

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


@dataclass
class Plant:
    """A gateway and its clients."""

    wire: Wire
    lost: list[str] = field(default_factory=list)
    """Clients that were there and were not answered."""
    done: Counter[str] = field(default_factory=Counter)
    freed_after_s: list[float] = field(default_factory=list)

    def logged(self) -> str:
        return (self.wire.directory / "gatewayd").read_text()

    async def poll(self, client: Client, who: str) -> None:
        """As a BMS does, for ever."""
        while True:
            with suppress(trio.TooSlowError):
                if await client.ask():
                    await trio.sleep(POLL_S)
                    continue
            self.lost.append(who)
            return

    async def turned_away(self, machine: Machine, witness: Client) -> None:
        """A newcomer while all places are taken by the living; `witness`, one of them, sees that it was counted."""
        before = await witness.read(REFUSED)
        newcomer = Client(machine)
        await newcomer.connect()
        assert not await newcomer.ask(), "there are seven"
        await newcomer.close()
        assert before is not None
        assert await witness.read(REFUSED) == before + 1
        self.done["turned away"] += 1


@asynccontextmanager
async def gateway(program: Sequence[str] = ()) -> AsyncIterator[Plant]:
    """A daemon that listens, and nobody there yet."""
    async with Wire() as wire:
        await wire.gateway.take(f"{ADDRESS}/24")
        wire.configuration.write_text(CONFIGURATION)
        command = [*(program or (sys.executable, "-m", "gatewayd")), "--config", str(wire.configuration)]
        wire.gateway.start(*command, "--state", str(wire.directory / "state"), log="gatewayd")
        with trio.fail_after(60):
            while not (wire.directory / "state/ports.json").exists():  # noqa: ASYNC110 - another process
                await trio.sleep(0.1)
        yield Plant(wire)


async def trials(plant: Plant, newcomers: int = NEWCOMERS) -> None:
    """One gateway's share of them."""
    wire = plant.wire
    steady, leaving, other = [await wire.machine(f"10.9.0.{number}/24") for number in (11, 12, 13)]
    async with trio.open_nursery() as nursery:
        stay = [Client(steady) for _ in range(PLACES - DEAD)]
        go = [Client(leaving) for _ in range(DEAD)]
        for number, client in enumerate([*stay, *go]):
            await client.connect()
            assert await client.ask()
            if client in stay:
                nursery.start_soon(plant.poll, client, f"client {number}")
        for number in range(newcomers):
            await plant.turned_away((other, steady, leaving)[number % 3], go[0])
            for client in go:
                assert await client.ask()
        assert f"all {PLACES} places are taken" in plant.logged()
        await go[0].half_close()
        go[0] = Client(leaving)
        await go[0].connect()
        assert await go[0].ask(), "its own half-closed connection keeps the place"
        await wire.unplug(leaving)
        pulled = trio.current_time()
        with suppress(trio.TooSlowError), trio.fail_after(0.2):
            await go[0].ask()  # it goes out to nobody
        await take_places(plant, nursery, other, pulled)
        assert plant.lost == []
        assert all(client.answers > 10 for client in stay)
        nursery.cancel_scope.cancel()


async def take_places(plant: Plant, nursery: trio.Nursery, machine: Machine, pulled: float) -> None:
    """Newcomers try once a second, until they have the places of the dead or patience ends."""
    while len(plant.freed_after_s) < DEAD and trio.current_time() - pulled < PATIENCE_S:
        newcomer = Client(machine)
        await newcomer.connect()
        if await newcomer.ask():
            plant.freed_after_s.append(trio.current_time() - pulled)
            nursery.start_soon(plant.poll, newcomer, "a newcomer")
        else:
            await newcomer.close()
            await trio.sleep(0.5)


async def one(program: Sequence[str], newcomers: int, plants: list[Plant]) -> None:
    """A gateway, from power on to its last trial."""
    async with gateway(program) as plant:
        await trials(plant, newcomers)
        plants.append(plant)


@pytest.mark.limit(240 * TIMES)
async def test_six_always_work_and_a_dead_ones_place_is_free_in_a_minute() -> None:
    for _ in range(TIMES):
        plants: list[Plant] = []
        twins: list[Plant] = []
        async with trio.open_nursery() as nursery:
            for _ in range(GATEWAYS):
                nursery.start_soon(one, (), NEWCOMERS, plants)
            nursery.start_soon(one, [sys.executable, "-c", ASKS_NOBODY], 1, twins)
        freed = [seconds for plant in plants for seconds in plant.freed_after_s]
        away = sum(plant.done["turned away"] for plant in plants)
        print(f"{away} newcomers turned away; places of the dead free after {min(freed):.0f} to {max(freed):.0f} s")
        assert away + len(freed) == GATEWAYS * (NEWCOMERS + DEAD) == 50
        assert max(freed) <= FREE_S
        assert [twin.freed_after_s for twin in twins] == [[]], "the twin was not caught"
