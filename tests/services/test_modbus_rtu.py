"""Modbus RTU on a pty: what real clients rely on, with times measured on the line itself."""

from __future__ import annotations

import os
import tty
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from gatewayd.config_tables import ModbusRtu
from gatewayd.modbus.adu import rtu_frame
from gatewayd.modbus.server import Server
from gatewayd.points.bank import Units
from gatewayd.services import modbus_rtu
from tests.kit import Kit

READ_MAGIC = rtu_frame(1, bytes.fromhex("0300000001"))
MAGIC = rtu_frame(1, bytes.fromhex("03024f43"))


class Bus:
    """The client's end of the line."""

    def __init__(self, kit: Kit, config: ModbusRtu, master: int) -> None:
        self.kit, self.config, self.master = kit, config, master
        self.counted: Counter[str] = Counter()
        self.port_states: list[bool] = []

    def send(self, data: bytes) -> float:
        os.write(self.master, data)
        return trio.current_time()

    async def receive(self, size: int, within_s: float = 2.0) -> bytes:
        data = b""
        with trio.move_on_after(within_s):
            while len(data) < size:
                await trio.lowlevel.wait_readable(self.master)
                data += os.read(self.master, 512)
        return data

    async def ask(self, data: bytes, size: int) -> bytes:
        self.send(data)
        return await self.receive(size)

    async def silence(self) -> bytes:
        """What comes although nothing should: proved by asking something that is answered."""
        data = await self.ask(READ_MAGIC, len(MAGIC))
        assert data.endswith(MAGIC), data.hex()
        return data.removesuffix(MAGIC)


@asynccontextmanager
async def bus(units: Units | None = None, **settings: object) -> AsyncIterator[Bus]:
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    kit = Kit()
    config = ModbusRtu(enabled=True, device=os.ttyname(slave), **settings)  # type: ignore[arg-type]
    line = Bus(kit, config, master)
    server = Server(kit.units, writes=True, on_exception=lambda _code: None)
    serve = partial(
        modbus_rtu.serve,
        config,
        server,
        units or kit.units,
        count=lambda name: line.counted.update([name]),
        on_port=line.port_states.append,
    )
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            os.close(slave)
            yield line
            nursery.cancel_scope.cancel()
    finally:
        os.close(master)


async def test_a_read_is_answered() -> None:
    async with bus() as line:
        assert await line.ask(READ_MAGIC, len(MAGIC)) == MAGIC
        assert line.counted["rtu_frames"] == 1


async def test_the_answer_starts_after_the_silence_and_not_much_later() -> None:
    async with bus(baudrate=9600) as line:
        timing = modbus_rtu.Timing.of(line.config)
        assert timing.silence_s == pytest.approx(3.5 * 10 / 9600)
        waits = []
        for _ in range(5):
            sent = line.send(READ_MAGIC)
            assert await line.receive(len(MAGIC)) == MAGIC
            waits.append(trio.current_time() - sent)
        assert min(waits) >= timing.delay_s


async def test_a_configured_delay_replaces_the_silence() -> None:
    async with bus(response_delay_ms=40) as line:
        sent = line.send(READ_MAGIC)
        assert await line.receive(len(MAGIC)) == MAGIC
        assert trio.current_time() - sent >= 0.04


async def test_a_request_in_pieces_is_one_request() -> None:
    async with bus(baudrate=1200) as line:
        for byte in READ_MAGIC:
            line.send(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert await line.receive(len(MAGIC)) == MAGIC


async def test_writes_act_and_are_echoed() -> None:
    async with bus() as line:
        write = rtu_frame(1, bytes.fromhex("0600091234"))
        assert await line.ask(write, len(write)) == write
        assert line.kit.read(9) == 0x1234


async def test_an_exception_is_answered() -> None:
    async with bus() as line:
        assert await line.ask(rtu_frame(1, bytes.fromhex("03ffff0001")), 5) == rtu_frame(1, bytes.fromhex("8302"))


async def test_foreign_units_get_silence_and_are_counted() -> None:
    async with bus() as line:
        line.send(rtu_frame(9, bytes.fromhex("0300000001")))
        line.send(rtu_frame(9, bytes.fromhex("03021234")))
        assert await line.silence() == b""
        assert line.counted["rtu_foreign_frames"] == 2


async def test_a_broadcast_writes_and_is_not_answered() -> None:
    async with bus() as line:
        line.send(rtu_frame(0, bytes.fromhex("0600090007")))
        assert await line.silence() == b""
        assert line.kit.read(9) == 7


async def test_a_bad_crc_is_silence_and_the_next_request_is_answered() -> None:
    async with bus(baudrate=115200) as line:
        line.send(READ_MAGIC[:-1] + b"\0")
        with trio.move_on_after(5):
            while not line.counted["rtu_crc_errors"]:
                await trio.lowlevel.checkpoint()
        await trio.sleep(0.02)  # the line must be silent before anybody speaks again, and a line is real time
        assert await line.silence() == b""


async def test_an_answer_in_our_name_is_a_collision() -> None:
    async with bus() as line:
        line.send(rtu_frame(1, bytes.fromhex("03024f43")))
        assert await line.silence() == b""
        assert line.counted["rtu_collisions"] == 1


async def test_a_port_that_is_missing_is_looked_for(tmp_path: Path, autojump_clock: trio.abc.Clock) -> None:
    kit = Kit()
    states: list[bool] = []
    config = ModbusRtu(enabled=True, device=str(tmp_path / "nothing"))
    server = Server(kit.units, writes=True, on_exception=lambda _code: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(modbus_rtu.serve, config, server, kit.units, count=lambda _name: None, on_port=states.append)
        )
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert set(states) == {False}
    assert len(states) >= 60 / modbus_rtu.RETRY_MOST_S


async def test_a_port_that_vanishes_comes_back(tmp_path: Path) -> None:
    kit = Kit()
    link = tmp_path / "port"
    masters = []
    changed = trio.Event()
    states: list[bool] = []

    def plug() -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        masters.extend([master, slave])

    def on_port(there: bool) -> None:
        nonlocal changed
        states.append(there)
        changed.set()
        changed = trio.Event()

    plug()
    config = ModbusRtu(enabled=True, device=str(link))
    server = Server(kit.units, writes=True, on_exception=lambda _code: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(modbus_rtu.serve, config, server, kit.units, count=lambda _name: None, on_port=on_port)
        )
        assert states == [True]
        for descriptor in masters:
            os.close(descriptor)
        masters.clear()
        with trio.fail_after(5):
            while True not in states[1:]:
                if states[-1] is False and not masters:
                    plug()
                await changed.wait()
        line = Bus(kit, config, masters[0])
        assert await line.ask(READ_MAGIC, len(MAGIC)) == MAGIC
        nursery.cancel_scope.cancel()
    for descriptor in masters:
        os.close(descriptor)
