"""Modbus RTU at the edge: what the line hears and when, and what becomes of the port.

What happens on the line runs in a time that stands still unless a test moves it, over a socket pair, which delivers at
once; so every pause is exact. What happens to the port runs on a pty.
"""

from __future__ import annotations

import os
import socket
import termios
import tty
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewayd.config_tables import BAUD_RATES, ModbusRtu
from gatewayd.modbus.adu import rtu_frame
from gatewayd.modbus.server import Server
from gatewayd.points.bank import MailboxBusy
from gatewayd.services import modbus_rtu
from tests.kit import Kit

US, OTHER = 1, 9
READ_MAGIC = rtu_frame(US, bytes.fromhex("0300000001"))
MAGIC = rtu_frame(US, bytes.fromhex("03024f43"))
WRITE_HEARTBEAT = rtu_frame(US, bytes.fromhex("0600091234"))
FILL_COMMAND = rtu_frame(US, bytes.fromhex("0615180001"))  # command_code of charge point 1
HEARTBEAT, COMMAND_CODE = 9, 5400

# parity, stop bits, and the bits of a character with its start bit: the four frames of modbus.md, RTU
FRAMES = [("none", 1, 10), ("even", 1, 11), ("odd", 1, 11), ("none", 2, 11)]


def server_of(kit: Kit) -> Server:
    return Server(kit.units, writes=True, on_exception=lambda _code: None)


# --- the line -------------------------------------------------------------------------------------------------


class Client:
    """The client's end of a line whose time stands still, and what the gateway counted."""

    def __init__(self, config: ModbusRtu, clock: MockClock, wire: socket.socket) -> None:
        self.kit, self.config, self._clock, self._wire = Kit(), config, clock, wire
        self.counted: Counter[str] = Counter()
        self.timing = modbus_rtu.Timing.of(config)

    async def wait(self, seconds: float) -> bytes:
        """What the gateway sends meanwhile."""
        self._clock.jump(seconds)
        await wait_all_tasks_blocked()
        try:
            return self._wire.recv(4096)
        except BlockingIOError:
            return b""

    async def send(self, data: bytes, gap: float = 4.0) -> bytes:
        """Put bytes on the line, `gap` characters after the last; what the gateway sends meanwhile."""
        said = await self.wait(gap * self.timing.character_s)
        self._clock.jump(len(data) * self.timing.character_s)
        self.put(data)
        await wait_all_tasks_blocked()
        return said

    def put(self, data: bytes) -> None:
        """The last of these bytes comes now."""
        assert self._wire.send(data) == len(data)

    async def ask(self, data: bytes, gap: float = 4.0) -> bytes:
        """The answer to a request, whose own time on the line is over when this returns."""
        assert await self.send(data, gap) == b""
        answer = await self.wait(self.timing.delay_s)
        await self.wait(len(answer) * self.timing.character_s)
        return answer

    async def is_served(self) -> bool:
        return await self.ask(READ_MAGIC) == MAGIC


@asynccontextmanager
async def line(clock: MockClock, **settings: object) -> AsyncIterator[Client]:
    gateway, wire = socket.socketpair()
    gateway.setblocking(False)
    wire.setblocking(False)
    client = Client(ModbusRtu(enabled=True, **settings), clock, wire)  # type: ignore[arg-type]
    units = client.kit.units
    listener = modbus_rtu.Line(
        gateway.fileno(), client.timing, server_of(client.kit), units, lambda name: client.counted.update([name])
    )
    with gateway, wire:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.listen)
            await wait_all_tasks_blocked()
            yield client
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("baudrate", BAUD_RATES)
@pytest.mark.parametrize(("parity", "stop_bits", "bits"), FRAMES)
async def test_the_answer_starts_three_and_a_half_characters_after_the_request(
    mock_clock: MockClock, baudrate: int, parity: str, stop_bits: int, bits: int
) -> None:
    async with line(mock_clock, baudrate=baudrate, parity=parity, stop_bits=stop_bits) as client:
        silence_s = 0.00175 if baudrate > 19200 else 3.5 * bits / baudrate
        assert await client.send(READ_MAGIC) == b""
        assert await client.wait(0.999 * silence_s) == b""
        assert await client.wait(0.002 * silence_s) == MAGIC
        assert client.counted == {"rtu_frames": 1}


@pytest.mark.parametrize("delay_ms", [0, 1, 40, 1000])
async def test_a_configured_delay_replaces_the_silence(mock_clock: MockClock, delay_ms: int) -> None:
    async with line(mock_clock, response_delay_ms=delay_ms) as client:
        await client.send(READ_MAGIC)
        if delay_ms:
            assert await client.wait(0.00099 * delay_ms) == b""
        assert await client.wait(0.00002 * delay_ms) == MAGIC


async def test_a_request_in_pieces_is_one_request(mock_clock: MockClock) -> None:
    async with line(mock_clock, baudrate=1200) as client:
        for byte in READ_MAGIC:
            assert await client.send(bytes((byte,)), gap=3.4) == b""
        assert await client.wait(client.timing.delay_s) == MAGIC


async def test_what_stopped_half_way_is_forgotten_after_the_silence(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        await client.send(READ_MAGIC[:5])
        assert await client.wait(client.timing.silence_s + modbus_rtu.LATENCY_S) == b""
        assert client.counted == {"rtu_crc_errors": 1}
        assert await client.is_served()


async def test_a_written_value_acts_before_its_answer_is_due(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        await client.send(WRITE_HEARTBEAT)
        assert client.kit.read(HEARTBEAT) == 0x1234
        assert await client.wait(client.timing.delay_s) == WRITE_HEARTBEAT


async def test_an_exception_is_answered(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        assert await client.ask(rtu_frame(US, bytes.fromhex("03ffff0001"))) == rtu_frame(US, bytes.fromhex("8302"))
        assert await client.ask(rtu_frame(US, bytes.fromhex("2b0e0100"))) == rtu_frame(US, bytes.fromhex("ab01"))


async def test_other_servers_and_their_answers_get_silence_and_are_counted(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        assert await client.ask(rtu_frame(OTHER, bytes.fromhex("0300000001"))) == b""
        assert await client.ask(rtu_frame(OTHER, bytes.fromhex("03021234"))) == b""
        await client.wait(1)
        assert client.counted == {"rtu_foreign_frames": 2}
        assert await client.is_served()


async def test_a_request_inside_anothers_answer_does_nothing(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        await client.send(rtu_frame(OTHER, bytes.fromhex("0300000004")))
        answer = rtu_frame(OTHER, b"\x03\x08" + WRITE_HEARTBEAT)
        assert await client.send(answer[:3]) == b""
        assert await client.send(answer[3:11], gap=0) == b""
        assert await client.send(answer[11:], gap=0) == b""
        assert client.kit.read(HEARTBEAT) == 0
        assert client.counted == {"rtu_foreign_frames": 2}


async def test_a_broadcast_writes_and_is_not_answered(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        assert await client.ask(rtu_frame(0, bytes.fromhex("0600090007"))) == b""
        assert client.kit.read(HEARTBEAT) == 7
        assert await client.ask(rtu_frame(0, bytes.fromhex("0300000001"))) == b""
        assert await client.ask(rtu_frame(0, bytes.fromhex("0600000001"))) == b""  # refused, in silence too
        assert await client.is_served()


@pytest.mark.parametrize("noise", [READ_MAGIC[:-1] + b"\0", b"\0", b"\xff" * 300, bytes(range(256)), b"\x01\x10" * 40])
async def test_after_noise_and_a_silence_the_next_request_is_answered(mock_clock: MockClock, noise: bytes) -> None:
    async with line(mock_clock, baudrate=115200) as client:
        for at in range(0, len(noise), 16):
            assert await client.send(noise[at : at + 16], gap=0) == b""
        assert await client.wait(client.timing.silence_s + modbus_rtu.LATENCY_S) == b""
        assert await client.is_served()
        assert client.counted["rtu_frames"] == 1


async def test_an_answer_in_our_name_is_a_collision(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        assert await client.ask(MAGIC) == b""
        await client.wait(1)
        assert client.counted == {"rtu_collisions": 1}
        assert await client.is_served()


async def test_our_own_words_are_dropped_where_they_come_back(mock_clock: MockClock) -> None:
    async with line(mock_clock) as client:
        for asked, answered in [(WRITE_HEARTBEAT, WRITE_HEARTBEAT), (READ_MAGIC, MAGIC)] * 3:
            assert await client.ask(asked) == answered
            client.put(answered)  # it came while it was sent
            assert await client.wait(0) == b""
        assert client.counted == {"rtu_frames": 6}


async def test_a_client_may_ask_again_without_waiting(mock_clock: MockClock) -> None:
    """More answers than a port takes at once: they are sent as it can take them, in order, none left out."""
    async with line(mock_clock, response_delay_ms=0) as client:
        long_answer = bytes.fromhex("030ce4007d")  # the 125 registers of connector 1
        requests = 2000
        client.put(rtu_frame(US, long_answer) * requests)
        said = b""
        while piece := await client.wait(0):
            said += piece
        assert len(said) == requests * 255
        assert {said[at : at + 3] for at in range(0, len(said), 255)} == {b"\x01\x03\xfa"}
        assert client.counted == {"rtu_frames": requests}


# --- the port -------------------------------------------------------------------------------------------------


class Port:
    """A port by a name that stays, behind which a pty comes and goes, and a service that looks for it."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.path, self.kit = path, Kit()
        self.config = ModbusRtu(enabled=True, device=str(path), **settings)  # type: ignore[arg-type]
        self.states: list[bool] = []
        self.on_state: Callable[[bool], None] = lambda _there: None
        self._changed = trio.Event()
        self._ends: list[int] = []

    def plug(self) -> None:
        self._ends = list(os.openpty())
        tty.setraw(self._ends[1])
        os.set_blocking(self._ends[0], False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._ends[1]))

    def pull(self) -> None:
        for end in self._ends:
            os.close(end)
        self._ends.clear()

    async def reaches(self, there: bool) -> None:
        with trio.fail_after(100):
            while self.states[-1:] != [there]:
                await self._changed.wait()

    def settings(self) -> list[int]:
        """Of the line, as termios has them."""
        return termios.tcgetattr(self._ends[1])[:6]

    def send(self, data: bytes) -> None:
        os.write(self._ends[0], data)

    def drain(self) -> None:
        """What the gateway has said so far is of no interest."""
        with suppress(BlockingIOError):
            while os.read(self._ends[0], 4096):
                pass

    async def ask(self, data: bytes, size: int) -> bytes:
        self.send(data)
        answer = b""
        with trio.fail_after(100):
            while len(answer) < size:
                await trio.lowlevel.wait_readable(self._ends[0])
                answer += os.read(self._ends[0], 512)
        return answer

    async def is_served(self) -> bool:
        return await self.ask(READ_MAGIC, len(MAGIC)) == MAGIC

    def _on_port(self, there: bool) -> None:
        self.states.append(there)
        self._changed.set()
        self._changed = trio.Event()
        self.on_state(there)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        serve = partial(
            modbus_rtu.serve,
            self.config,
            server_of(self.kit),
            self.kit.units,
            count=lambda _name: None,
            on_port=self._on_port,
        )
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(serve)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self.pull()


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path / "port")


@pytest.fixture
def fast_clock() -> MockClock:
    """Ten times as fast: the pauses before a port is opened again are real ones here."""
    return MockClock(rate=10)


SPEEDS = {
    1200: termios.B1200,
    2400: termios.B2400,
    4800: termios.B4800,
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
}


@pytest.mark.parametrize("baudrate", BAUD_RATES)
@pytest.mark.parametrize(("parity", "stop_bits", "bits"), FRAMES)
async def test_the_port_is_set_as_configured(
    tmp_path: Path, baudrate: int, parity: str, stop_bits: int, bits: int
) -> None:
    """All but the parity, which a pty does not have."""
    port = Port(tmp_path / "port", baudrate=baudrate, parity=parity, stop_bits=stop_bits)
    port.plug()
    async with port.served():
        cflag, ispeed, ospeed = port.settings()[2], *port.settings()[4:6]
        assert (ispeed, ospeed) == (SPEEDS[baudrate], SPEEDS[baudrate])
        assert bool(cflag & termios.CSTOPB) is (stop_bits == 2)
        assert cflag & termios.CSIZE == termios.CS8
        assert await port.is_served()


async def test_a_port_without_rts_says_so_and_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = Port(tmp_path / "port", direction="rts")
    port.plug()
    async with port.served():
        assert await port.is_served()
    assert "RTS" in caplog.text


async def test_a_port_that_is_missing_is_looked_for(port: Port, autojump_clock: MockClock) -> None:
    async with port.served():
        await trio.sleep(60)
        assert set(port.states) == {False}
        assert 60 / modbus_rtu.RETRY_MOST_S <= len(port.states) <= 12


async def test_what_is_no_serial_port_is_looked_at_again(port: Port, autojump_clock: MockClock) -> None:
    port.path.write_text("not a port")
    async with port.served():
        await trio.sleep(60)
        assert set(port.states) == {False}


async def test_a_port_that_another_program_holds_is_waited_for(port: Port, fast_clock: MockClock) -> None:
    port.plug()
    holder = modbus_rtu.open_port(port.config)
    async with port.served():
        assert port.states == [False]
        holder.close()
        await port.reaches(True)
        assert await port.is_served()


@pytest.mark.parametrize("said", [b"", READ_MAGIC[:5], READ_MAGIC], ids=["silent", "in a request", "before the answer"])
async def test_a_port_that_vanishes_comes_back(port: Port, fast_clock: MockClock, said: bytes) -> None:
    port.plug()
    async with port.served():
        assert await port.is_served()
        port.send(said)
        port.pull()
        await port.reaches(False)
        port.plug()
        await port.reaches(True)
        assert await port.is_served()


async def test_a_port_that_vanishes_lets_go_of_its_mailbox(port: Port, fast_clock: MockClock) -> None:
    port.plug()
    async with port.served():
        assert await port.ask(FILL_COMMAND, len(FILL_COMMAND)) == FILL_COMMAND
        port.kit.now = trio.current_time()
        with pytest.raises(MailboxBusy):
            port.kit.write(COMMAND_CODE, 2)
        port.pull()
        await port.reaches(False)
        port.kit.write(COMMAND_CODE, 2)


async def test_a_port_that_comes_and_goes_is_opened_less_and_less_often(port: Port, autojump_clock: MockClock) -> None:
    def flap(there: bool) -> None:
        if there:
            port.pull()
            with suppress(OSError):
                port.plug()

    port.on_state = flap
    port.plug()
    async with port.served():
        await trio.sleep(60)
        assert port.states[:4] == [True, False, True, False]
        assert len(port.states) <= 24
