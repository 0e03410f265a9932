"""Modbus TCP over loopback sockets and the real bank: what clients get, rude ones included.

Time runs at its normal pace and is pushed forward with `clock.jump`, so nothing here waits for a real minute.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from ctypes import addressof, create_string_buffer
from fcntl import ioctl
from termios import FIONREAD

import pytest
import trio
from pymodbus.client import ModbusTcpClient
from trio.testing import MockClock

from gatewayd.assembly import build_site, build_units
from gatewayd.config import ChargePoint, Config, ModbusTcp
from gatewayd.modbus import places
from gatewayd.modbus.server import Server
from gatewayd.points.bank import Bank
from gatewayd.services import modbus_tcp
from gatewayd.services.modbus_tcp import kernel, open_listener, peer_log, serve

PATIENCE_S = 5  # what a test waits for an answer before it fails

MAGIC = 0x4F43  # at address 0
BMS_HEARTBEAT, SITE_LIMIT_W, SITE_LIMIT_U16 = 9, 50, 53
COMMAND_CODE = 3000 + 8 * 300
ENABLE = 3000 + 300 + 16  # connector 1: a coil too


def adu(pdu: bytes, transaction: int = 1, unit: int = 1) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def read(address: int, quantity: int = 1, transaction: int = 1) -> bytes:
    return adu(struct.pack(">BHH", 3, address, quantity), transaction)


def write(address: int, value: int) -> bytes:
    return adu(struct.pack(">BHH", 6, address, value))


READ_MAGIC = read(0)
MAGIC_ANSWER = adu(struct.pack(">BBH", 3, 2, MAGIC))


class Client:
    """A socket and no manners of its own."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock

    async def ask(self, frame: bytes) -> bytes:
        await self.send(frame)
        return await self.answer()

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE_S):
            while data:
                data = data[await self.sock.send(data) :]

    async def exactly(self, size: int) -> bytes:
        data = b""
        with trio.fail_after(PATIENCE_S):
            while len(data) < size:
                piece = await self.sock.recv(size - len(data))
                if not piece:
                    raise EOFError
                data += piece
        return data

    async def answer(self) -> bytes:
        head = await self.exactly(6)
        return head + await self.exactly(int.from_bytes(head[4:], "big"))

    async def is_served(self) -> bool:
        return await self.ask(READ_MAGIC) == MAGIC_ANSWER

    async def closed_by_gateway(self) -> bool:
        """Waits for the end of the stream; False if an answer comes instead."""
        with trio.fail_after(PATIENCE_S):
            try:
                return await self.sock.recv(1) == b""
            except ConnectionResetError:
                return True

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Gateway:
    """A served site with two charge points, and everything its callbacks said."""

    def __init__(self, **config: object) -> None:
        self.config = ModbusTcp(**config)  # type: ignore[arg-type]
        whole = Config(charge_points=(ChargePoint(1, "CP001", 2), ChargePoint(2, "CP002", 1)))
        site = build_site(whole, 0, 0, "")
        units = build_units(site, whole)
        self.journal = site.journal
        self.server = Server(units, writes=True, on_exception=lambda code: None, journal=self.journal)
        self.disk = trio.Event()
        """Set: what was promised is on the disk."""
        self.disk.set()
        self.listeners = open_listener("127.0.0.1", 0)
        self.port = self.listeners[0].getsockname()[1]
        self.traffic = 0
        self.clients: list[int] = []
        self.refused: list[tuple[str, str]] = []
        self.configure: Callable[[ModbusTcp], None] = lambda config: None

    def on_traffic(self) -> None:
        self.traffic += 1

    async def durable(self, number: int) -> bool:
        assert number == self.journal.promised
        await self.disk.wait()
        return True

    async def serve(self, task_status: trio.TaskStatus[Callable[[ModbusTcp], None]] = trio.TASK_STATUS_IGNORED) -> None:
        await serve(
            self.listeners,
            self.server,
            self.config,
            on_traffic=self.on_traffic,
            on_clients=self.clients.append,
            on_refused=lambda refusal: self.refused.append((refusal.address, refusal.why)),
            durable=self.durable,
            task_status=task_status,
        )

    async def connect(self, source: str = "127.0.0.1", receive_buffer: int | None = None) -> Client:
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.bind((source, 0))
        with trio.fail_after(PATIENCE_S):
            await sock.connect(("127.0.0.1", self.port))
        return Client(sock)

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` holds."""
        with trio.fail_after(PATIENCE_S):
            while not condition():  # noqa: ASYNC110  (of the kernel or the gateway; neither sets an event of ours)
                await trio.sleep(0.001)


@asynccontextmanager
async def running(**config: object) -> AsyncIterator[Gateway]:
    gateway = Gateway(**config)
    async with trio.open_nursery() as nursery:
        gateway.configure = await nursery.start(gateway.serve)
        yield gateway
        nursery.cancel_scope.cancel()


@pytest.fixture
def clock() -> MockClock:
    return MockClock(rate=1.0)


@pytest.fixture
def pumps(monkeypatch: pytest.MonkeyPatch) -> list[modbus_tcp._Pump]:
    """The pumps that `serve` makes, to look at what they hold."""
    made: list[modbus_tcp._Pump] = []
    real = modbus_tcp._Pump

    def make(*arguments: object) -> modbus_tcp._Pump:
        made.append(real(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(modbus_tcp, "_Pump", make)
    return made


# --- well-behaved clients -------------------------------------------------------------------------------------


def pymodbus_conversation(port: int) -> None:
    with ModbusTcpClient("127.0.0.1", port=port) as client:
        for unit in (1, 0, 255):
            assert client.read_holding_registers(0, count=2, device_id=unit).registers == [MAGIC, 256]
        assert client.read_input_registers(0, count=1, device_id=1).registers == [MAGIC]
        assert len(client.read_holding_registers(3300, count=125, device_id=1).registers) == 125

        assert client.write_register(BMS_HEARTBEAT, 4711, device_id=1).registers == [4711]
        assert client.read_holding_registers(BMS_HEARTBEAT, count=1, device_id=1).registers == [4711]
        assert not client.write_registers(SITE_LIMIT_W, [0, 7400], device_id=1).isError()
        assert client.read_holding_registers(SITE_LIMIT_W, count=2, device_id=1).registers == [0, 7400]

        assert client.read_coils(ENABLE, count=2, device_id=1).bits[:2] == [True, True]
        assert not client.write_coil(ENABLE, False, device_id=1).isError()
        assert client.read_discrete_inputs(ENABLE, count=1, device_id=1).bits[0] is False
        assert client.read_holding_registers(ENABLE, count=1, device_id=1).registers == [0]
        assert not client.write_coils(ENABLE, [True, True], device_id=1).isError()
        assert client.read_coils(ENABLE, count=2, device_id=1).bits[:2] == [True, True]

        assert client.read_holding_registers(63000, count=1, device_id=1).exception_code == 2
        assert client.read_holding_registers(9000, count=1, device_id=1).exception_code == 2  # charge point 3
        assert client.write_register(0, 1, device_id=1).exception_code == 2
        assert client.write_register(ENABLE, 2, device_id=1).exception_code == 3
        assert client.write_registers(SITE_LIMIT_W, [0], device_id=1).exception_code == 2  # half a point
        assert client.read_holding_registers(0, count=1, device_id=2).exception_code == 0x0B


async def test_pymodbus_reads_and_writes_everything(clock: MockClock) -> None:
    async with running() as gateway:
        await trio.to_thread.run_sync(pymodbus_conversation, gateway.port)
        assert gateway.traffic > 0
        await gateway.settled(lambda: gateway.clients == [1, 0])


async def test_byte_at_a_time(clock: MockClock) -> None:
    async with running() as gateway:
        client = await gateway.connect()
        for byte in READ_MAGIC:
            await client.send(bytes((byte,)))
            await trio.testing.wait_all_tasks_blocked()
        assert await client.answer() == MAGIC_ANSWER


async def test_pipelined_requests_are_all_answered_in_order(clock: MockClock) -> None:
    async with running() as gateway:
        client = await gateway.connect()
        await client.send(b"".join(read(0, transaction=number) for number in range(1000)))
        for number in range(1000):
            answer = await client.answer()
            assert answer[:2] == struct.pack(">H", number)
            assert answer[2:] == MAGIC_ANSWER[2:]


async def test_a_closed_connection_frees_its_mailbox(clock: MockClock) -> None:
    async with running() as gateway:
        first, second = await gateway.connect(), await gateway.connect()
        assert await first.ask(write(COMMAND_CODE, 4)) == write(COMMAND_CODE, 4)
        assert await second.ask(write(COMMAND_CODE, 5)) == adu(b"\x86\x06")
        first.sock.close()
        await gateway.settled(lambda: gateway.clients[-1] == 1)
        assert await second.ask(write(COMMAND_CODE, 5)) == write(COMMAND_CODE, 5)


# --- rude clients ---------------------------------------------------------------------------------------------


async def test_a_reset_in_the_middle_of_a_frame_ends_only_that_client(clock: MockClock) -> None:
    async with running() as gateway:
        good = await gateway.connect()
        for size in range(len(READ_MAGIC)):
            rude = await gateway.connect()
            await rude.send(READ_MAGIC[:size])
            rude.reset()
            assert await good.is_served()
        await gateway.settled(lambda: gateway.clients[-1] == 1)


async def test_a_reset_before_the_answer_ends_only_that_client(clock: MockClock) -> None:
    async with running() as gateway:
        good = await gateway.connect()
        for _ in range(20):
            rude = await gateway.connect()
            await rude.send(READ_MAGIC * 100)
            rude.reset()
            assert await good.is_served()


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", bytes(512), b"\xff" * 512]
)
async def test_garbage_closes_the_connection(clock: MockClock, garbage: bytes) -> None:
    async with running() as gateway:
        good, rude = await gateway.connect(), await gateway.connect()
        await rude.send(READ_MAGIC + garbage)
        assert await rude.answer() == MAGIC_ANSWER
        assert await rude.closed_by_gateway()
        assert await good.is_served()


async def test_a_half_closed_client_gets_its_answers_and_then_the_end(clock: MockClock) -> None:
    async with running() as gateway:
        client = await gateway.connect()
        await client.send(READ_MAGIC * 10)
        client.sock.shutdown(socket.SHUT_WR)
        for _ in range(10):
            assert await client.answer() == MAGIC_ANSWER
        assert await client.closed_by_gateway()


def pump_side(client: Client, pump: modbus_tcp._Pump) -> modbus_tcp._Connection:
    """The gateway's end of a client's connection."""
    port = client.sock.getsockname()[1]
    return next(connection for connection in pump._connections.values() if connection.client.port == port)


async def clog(gateway: Gateway, pump: modbus_tcp._Pump, source: str = "127.0.0.1") -> tuple[Client, int]:
    """A client that asks and does not read, until the gateway has stopped reading it; and how often it has asked."""
    client = await gateway.connect(source, receive_buffer=4096)
    assert await client.is_served()
    connection = pump_side(client, pump)
    asked = 0
    with trio.fail_after(PATIENCE_S):
        while not connection.unsent:
            await client.send(read(3300, 125, transaction=asked & 0xFFFF))
            asked += 1
    return client, asked


async def test_a_client_that_does_not_read_is_not_read(clock: MockClock, pumps: list[modbus_tcp._Pump]) -> None:
    async with running() as gateway:
        good = await gateway.connect()
        clogged, asked = await clog(gateway, pumps[0])
        connection = pump_side(clogged, pumps[0])
        more = range(asked, asked + 1000)
        await clogged.send(b"".join(read(3300, 125, transaction=number & 0xFFFF) for number in more))
        assert await good.is_served()

        def waits_in_the_kernel() -> int:
            return int.from_bytes(ioctl(connection.sock, FIONREAD, bytes(4)), sys.byteorder)

        await gateway.settled(lambda: waits_in_the_kernel() > modbus_tcp.RECEIVE_BYTES)
        assert len(connection.unsent) <= (modbus_tcp.RECEIVE_BYTES // 12 + 1) * 259
        # Nothing was lost: everything that was asked is answered, in order, once the client reads.
        for number in range(more.stop):
            answer = await clogged.answer()
            assert (answer[:2], len(answer)) == (struct.pack(">H", number & 0xFFFF), 259)
        assert connection.unsent == b""
        assert await clogged.is_served()


async def test_a_client_that_does_not_read_for_ten_seconds_is_closed(
    clock: MockClock, pumps: list[modbus_tcp._Pump]
) -> None:
    async with running() as gateway:
        clogged, _ = await clog(gateway, pumps[0])
        clock.jump(7)
        await trio.testing.wait_all_tasks_blocked()
        assert gateway.clients == [1]
        clock.jump(3)
        await gateway.settled(lambda: gateway.clients == [1, 0])
        clogged.sock.close()


async def test_a_request_that_is_not_finished_in_ten_seconds_closes(clock: MockClock) -> None:
    async with running() as gateway:
        quiet, slow = await gateway.connect(), await gateway.connect()
        await slow.send(READ_MAGIC[:3])
        await gateway.settled(lambda: gateway.clients == [1, 2])
        for byte in READ_MAGIC[3:9]:
            clock.jump(1)
            await slow.send(bytes((byte,)))  # trickling on makes no difference
            await trio.sleep(0.01)
        assert gateway.clients == [1, 2]
        clock.jump(4)
        assert await slow.closed_by_gateway()
        assert await quiet.is_served()


async def test_a_flood_of_pipelined_requests_starves_nobody(clock: MockClock) -> None:
    async with running() as gateway:
        flooded = [await gateway.connect() for _ in range(5)]
        good = await gateway.connect()

        async def flood(client: Client) -> None:
            while True:
                await client.send(read(3300, 125) * 50)

        async def drain(client: Client) -> None:
            while True:
                await client.exactly(4096)

        async with trio.open_nursery() as nursery:
            for client in flooded:
                nursery.start_soon(flood, client)
                nursery.start_soon(drain, client)
            for _ in range(50):
                assert await good.is_served()  # and this task, the seventh to want the one thread, had its turns
            nursery.cancel_scope.cancel()


async def test_a_bug_ends_the_service_and_closes_everything(clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway()

    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(Bank, "read", broken)
    with pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)):
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.serve)
            client = await gateway.connect()
            await client.send(READ_MAGIC)
    assert await client.closed_by_gateway()
    assert gateway.clients == [1, 0]
    assert [listener.fileno() for listener in gateway.listeners] == [-1]


async def test_being_cancelled_closes_everything(clock: MockClock) -> None:
    async with running() as gateway:
        clients = [await gateway.connect() for _ in range(3)]
        for client in clients:
            assert await client.is_served()
    for client in clients:
        assert await client.closed_by_gateway()
    assert gateway.clients == [1, 2, 3, 2, 1, 0]
    with pytest.raises(ConnectionRefusedError):
        await gateway.connect()


# --- six places -----------------------------------------------------------------------------------------------


async def test_the_seventh_is_refused_at_once_counted_and_logged(
    clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as gateway:
        six = [await gateway.connect() for _ in range(6)]
        for client in six:
            assert await client.is_served()
        seventh = await gateway.connect("127.0.0.7")
        before = trio.current_time()
        assert await seventh.closed_by_gateway()
        assert trio.current_time() - before < 0.1
        assert gateway.refused == [("127.0.0.7", "all 6 places are taken")]
        assert "127.0.0.7" in caplog.text
        for client in six:
            assert await client.is_served()
        assert gateway.clients == [1, 2, 3, 4, 5, 6]


async def test_the_places_are_as_many_as_configured(clock: MockClock) -> None:
    async with running(max_clients=2) as gateway:
        first, second, third = [await gateway.connect() for _ in range(3)]
        assert await third.closed_by_gateway()
        assert await first.is_served()
        assert await second.is_served()


async def test_who_asks_nothing_for_a_minute_gives_up_its_place_to_the_seventh(clock: MockClock) -> None:
    async with running() as gateway:
        six = [await gateway.connect() for _ in range(6)]
        for client in six:
            assert await client.is_served()
        clock.jump(40)
        for client in [*six[:2], *six[3:]]:
            assert await client.is_served()
        clock.jump(25)
        seventh = await gateway.connect("127.0.0.7")
        assert await seventh.is_served()
        assert await six[2].closed_by_gateway()
        assert await (await gateway.connect()).closed_by_gateway()
        for client in [*six[:2], *six[3:]]:
            assert await client.is_served()


async def test_a_connection_is_idle_from_its_beginning(clock: MockClock) -> None:
    async with running(max_clients=1) as gateway:
        silent = await gateway.connect()
        await gateway.settled(lambda: gateway.clients == [1])
        clock.jump(50)
        assert await (await gateway.connect()).closed_by_gateway()
        clock.jump(10)
        assert await (await gateway.connect()).is_served()
        assert await silent.closed_by_gateway()


async def test_a_half_closed_connection_goes_to_its_own_address_only(
    clock: MockClock, pumps: list[modbus_tcp._Pump]
) -> None:
    async with running(max_clients=2) as gateway:
        other = await gateway.connect("127.0.0.3")
        assert await other.is_served()
        clogged, _ = await clog(gateway, pumps[0], "127.0.0.2")
        clogged.sock.shutdown(socket.SHUT_WR)  # not seen by the gateway as long as it does not read
        connection = pump_side(clogged, pumps[0])
        await gateway.settled(lambda: modbus_tcp._place(connection).half_closed)
        assert await (await gateway.connect("127.0.0.4")).closed_by_gateway()
        assert await (await gateway.connect("127.0.0.2")).is_served()
        assert await other.is_served()


def deaf(sock: trio.socket.SocketType) -> None:
    """From now on the kernel drops every segment for this socket, acknowledgements too, as behind a pulled cable."""
    drop_all = create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, addressof(drop_all)))  # SO_ATTACH_FILTER


async def test_an_unacknowledged_connection_goes_to_its_own_address_only(
    clock: MockClock, pumps: list[modbus_tcp._Pump], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "DEAD_AFTER_S", 0.1)  # the kernel counts this one, and not in virtual time
    async with running(max_clients=2) as gateway:
        other = await gateway.connect("127.0.0.3")
        assert await other.is_served()
        dead = await gateway.connect("127.0.0.2")
        assert await dead.is_served()
        connection = pump_side(dead, pumps[0])
        deaf(dead.sock)
        await dead.send(READ_MAGIC)
        assert modbus_tcp._place(connection).unacknowledged_s < 0.1
        assert await (await gateway.connect("127.0.0.2")).closed_by_gateway()
        await gateway.settled(lambda: modbus_tcp._place(connection).unacknowledged_s >= 0.1)
        assert await (await gateway.connect("127.0.0.4")).closed_by_gateway()
        assert await (await gateway.connect("127.0.0.2")).is_served()
        assert await other.is_served()


async def test_a_peer_that_acknowledges_is_not_dead_however_long_it_was_quiet(
    clock: MockClock, pumps: list[modbus_tcp._Pump]
) -> None:
    async with running() as gateway:
        client = await gateway.connect()
        assert await client.is_served()
        connection = pump_side(client, pumps[0])
        await gateway.settled(lambda: modbus_tcp._place(connection).unacknowledged_s == 0)
        await trio.sleep(0.1)
        assert await client.is_served()
        assert modbus_tcp._place(connection).unacknowledged_s < 0.1


@pytest.mark.parametrize("keep_alive_s", [1, 30, 56])
def test_keep_alive_finds_a_dead_peer_in_less_than_a_minute(keep_alive_s: int) -> None:
    with socket.socket() as sock:
        kernel.keep_alive(sock, keep_alive_s)
        idle, interval, probes = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert idle == keep_alive_s
        assert idle + interval * probes < 60
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) < 60_000


async def test_the_options_are_on_a_clients_socket(clock: MockClock, pumps: list[modbus_tcp._Pump]) -> None:
    async with running(keep_alive_s=17) as gateway:
        assert await (await gateway.connect()).is_served()
        sock = next(iter(pumps[0]._connections.values())).sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 17
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_a_crowd_that_never_says_anything(clock: MockClock) -> None:
    """500 connections: six places at most, the good client's is kept, the rest is closed at once (promises R16)."""
    async with running() as gateway:
        good = await gateway.connect()
        assert await good.is_served()
        crowd = []
        for _ in range(500):
            crowd.append(await gateway.connect("127.0.0.9"))
            if len(crowd) % 100 == 0:
                assert await good.is_served()
        await gateway.settled(lambda: len(gateway.refused) == 495)
        assert gateway.clients[-1] == 6
        for client in crowd:
            client.sock.close()
        await gateway.settled(lambda: gateway.clients[-1] == 1)


# --- answers that promise something -----------------------------------------------------------------------------

COMMAND_SEQUENCE, COMMAND_ACK = COMMAND_CODE + 105, COMMAND_CODE + 110
COMMIT = write(COMMAND_SEQUENCE, 7)


async def test_an_ack_is_answered_when_it_is_on_the_disk(clock: MockClock) -> None:
    async with running() as gateway:
        gateway.disk = trio.Event()
        writer, reader = await gateway.connect(), await gateway.connect()
        await writer.send(COMMIT + READ_MAGIC)
        await gateway.settled(lambda: gateway.journal.promised > 0)
        assert await reader.ask(read(COMMAND_ACK)) == adu(struct.pack(">BBH", 3, 2, 7)), "others are served meanwhile"
        with trio.move_on_after(0.05) as waiting:
            await writer.sock.recv(1)
        assert waiting.cancelled_caught
        gateway.disk.set()
        assert await writer.answer() == COMMIT
        assert await writer.answer() == MAGIC_ANSWER
        assert await writer.is_served()


async def test_a_setpoint_waits_for_no_disk(clock: MockClock) -> None:
    async with running() as gateway:
        gateway.disk = trio.Event()
        client = await gateway.connect()
        assert await client.ask(write(ENABLE, 0)) == write(ENABLE, 0)
        assert await client.ask(write(COMMAND_SEQUENCE, 0)) == write(COMMAND_SEQUENCE, 0), "0 moves no ack"


async def test_a_disk_that_hangs_silences_nobody(clock: MockClock) -> None:
    async with running() as gateway:
        gateway.disk = trio.Event()
        client = await gateway.connect()
        await client.send(COMMIT)
        await gateway.settled(lambda: gateway.journal.promised > 0)
        clock.jump(modbus_tcp.DURABLE_WAIT_S)
        assert await client.answer() == COMMIT
        assert await client.is_served()


async def test_a_client_that_left_meanwhile_is_noticed(clock: MockClock) -> None:
    async with running() as gateway:
        gateway.disk = trio.Event()
        client = await gateway.connect()
        await client.send(COMMIT)
        await gateway.settled(lambda: gateway.journal.promised > 0)
        client.reset()
        gateway.disk.set()
        await gateway.settled(lambda: gateway.clients[-1] == 0)


async def test_what_is_no_modbus_behind_a_commit_ends_the_connection_after_its_answer(clock: MockClock) -> None:
    async with running() as gateway:
        client = await gateway.connect()
        await client.send(COMMIT + b"\0\1\0\1\0\6")
        assert await client.answer() == COMMIT
        assert await client.closed_by_gateway()


# --- another configuration ------------------------------------------------------------------------------------


async def test_another_configuration_ends_only_the_connections_that_it_forbids(
    clock: MockClock, pumps: list[modbus_tcp._Pump]
) -> None:
    async with running() as gateway:
        clients = [await gateway.connect(f"127.0.0.{last}") for last in (2, 3, 4, 5)]
        for client in clients:
            assert await client.is_served()
            clock.jump(1)
        gateway.configure(ModbusTcp(max_clients=2, keep_alive_s=17, allow=("127.0.0.2", "127.0.0.3", "127.0.0.4")))
        assert await clients[3].closed_by_gateway(), "not allowed any more"
        assert await clients[0].closed_by_gateway(), "one too many, and idle longest"
        assert await clients[1].is_served()
        assert await clients[2].is_served()
        for connection in pumps[0]._connections.values():
            assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 17
        assert await (await gateway.connect("127.0.0.2")).closed_by_gateway()


# --- who may connect ------------------------------------------------------------------------------------------


async def test_only_allowed_addresses_are_served(clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with running(allow=("127.0.0.2", "127.0.1.0/24", "::1")) as gateway:
        assert await (await gateway.connect("127.0.0.2")).is_served()
        assert await (await gateway.connect("127.0.1.77")).is_served()
        assert await (await gateway.connect("127.0.0.3")).closed_by_gateway()
        assert await (await gateway.connect("127.0.2.1")).closed_by_gateway()
        assert gateway.refused == [
            ("127.0.0.3", "not in modbus.tcp.allow"),
            ("127.0.2.1", "not in modbus.tcp.allow"),
        ]
        assert "127.0.2.1" in caplog.text


@pytest.mark.parametrize(
    ("address", "plain"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1")],
)
def test_an_ipv4_client_of_a_dual_stack_listener_has_an_ipv4_address(address: str, plain: str) -> None:
    assert kernel.plain(address) == plain


async def test_a_scanner_cannot_flood_the_log(clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, modbus_tcp.__name__)
    async with running(max_clients=1) as gateway:
        good = await gateway.connect()
        assert await good.is_served()
        for _ in range(200):
            (await gateway.connect()).reset()
        await gateway.settled(lambda: len(gateway.refused) == 200)
        assert len(caplog.records) == peer_log.LOG_BURST
        clock.jump(peer_log.LOG_INTERVAL_S)
        assert await (await gateway.connect()).closed_by_gateway()
        left_out = 201 + 1 - peer_log.LOG_BURST - 1
        assert caplog.records[-2].getMessage() == f"Modbus TCP: {left_out} log lines left out"
        assert len(caplog.records) == peer_log.LOG_BURST + 2


# --- the listener ---------------------------------------------------------------------------------------------


def test_a_port_in_use_is_an_error_with_its_number() -> None:
    [holder] = open_listener("127.0.0.1", 0)
    with holder, pytest.raises(OSError) as error:
        open_listener("127.0.0.1", holder.getsockname()[1])
    assert error.value.errno == errno.EADDRINUSE


def test_every_address_of_a_host_gets_the_same_port() -> None:
    listeners = open_listener("", 0)
    names = [listener.getsockname()[:2] for listener in listeners]
    blocking = [listener.getblocking() for listener in listeners]
    for listener in listeners:
        listener.close()
    assert sorted(address for address, _ in names) == ["0.0.0.0", "::"]
    assert names[0][1] == names[1][1] != 0
    assert blocking == [False, False]


async def test_ipv6_and_ipv4_on_one_listener(clock: MockClock) -> None:
    gateway = Gateway(allow=("127.0.0.0/8", "::1"))
    gateway.listeners = open_listener("::", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.serve)
        port = gateway.listeners[0].getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            stream = await trio.open_tcp_stream(address, port)
            assert await Client(stream.socket).is_served()
        nursery.cancel_scope.cancel()


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    fillers = []
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        yield
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_the_clients_there_are_served_and_newcomers_later(
    clock: MockClock, pumps: list[modbus_tcp._Pump], caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as gateway:
        good = await gateway.connect()
        assert await good.is_served()
        sock = trio.socket.socket()
        with no_descriptors_left():
            await sock.connect(("127.0.0.1", gateway.port))
            newcomer = Client(sock)
            await newcomer.send(READ_MAGIC)
            await gateway.settled(lambda: bool(pumps[0]._muted))
            assert await good.is_served()
            assert "cannot accept" in caplog.text
        clock.jump(1)
        assert await newcomer.answer() == MAGIC_ANSWER
