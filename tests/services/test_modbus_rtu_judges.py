"""Modbus RTU as independent clients judge it: mbpoll and a program with libmodbus, on a line between ptys.

Bytes take their time on the line, as on a wire, and the clients have time limits of their own; they are far above what
is measured here, so a busy machine makes these tests slow and not red.
"""

from __future__ import annotations

import struct
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewayd.config_tables import BAUD_RATES, ModbusRtu, ModbusTcp
from gatewayd.modbus.adu import rtu_frame
from gatewayd.modbus.server import Server
from gatewayd.services import modbus_rtu, modbus_tcp
from tests.kit import Kit
from tests.services.serial_line import SerialLine, serial_line

PATIENCE_S = 30
PLANT = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n[[charge_point]]\nnumber = 21\nidentity = "CP021"\n'
HEARTBEAT, WATCHDOG, SITE_LIMIT_W, COMMAND_CODE, ENABLE = 9, 12, 50, 5400, 3316
FOREIGN = 103
FRAMES = [("none", 1), ("even", 1), ("odd", 1), ("none", 2)]


class Gateway:
    """The gateway's Modbus on a line, and on TCP where asked for, over the same banks."""

    def __init__(self, stack: AsyncExitStack, line: SerialLine, config: ModbusRtu) -> None:
        self.kit, self.line, self.config = Kit(PLANT), line, config
        self.counted: Counter[str] = Counter()
        self.port = 0
        self._stack = stack

    def server(self) -> Server:
        return Server(self.kit.units, writes=True, on_exception=lambda _code: None)

    def count(self, name: str) -> None:
        self.counted.update([name])
        self.kit.site.count(name)

    async def serve_tcp(self, nursery: trio.Nursery) -> None:
        listeners = modbus_tcp.open_listener("127.0.0.1", 0)
        self.port = listeners[0].getsockname()[1]
        serve = partial(
            modbus_tcp.serve,
            listeners,
            self.server(),
            ModbusTcp(),
            on_traffic=lambda: None,
            on_clients=lambda _count: None,
            on_refused=lambda _refusal: None,
        )
        await nursery.start(serve)

    async def mbpoll(self, *arguments: str, values: tuple[int, ...] = ()) -> str:
        """What mbpoll says of one poll over the line."""
        letter, stop_bits = self.config.parity, str(self.config.stop_bits)
        frame = ["-b", str(self.config.baudrate), "-P", letter, "-s", stop_bits]
        return await self._poll("-m", "rtu", *frame, "-a", "1", *arguments, target=self.line.plug(), values=values)

    async def mbpoll_tcp(self, *arguments: str, values: tuple[int, ...] = ()) -> str:
        return await self._poll("-p", str(self.port), "-a", "1", *arguments, target="127.0.0.1", values=values)

    async def _poll(self, *arguments: str, target: str, values: tuple[int, ...]) -> str:
        command = ["mbpoll", *arguments, "-0", "-1", "-o", "10", target, *map(str, values)]
        with trio.fail_after(PATIENCE_S):
            done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
        return done.stdout.decode()

    async def libmodbus(self, program: Path) -> LibmodbusClient:
        letter = {"none": "N", "even": "E", "odd": "O"}[self.config.parity]
        command = [
            str(program), self.line.plug(), str(self.config.baudrate), letter, str(self.config.stop_bits),
        ]  # fmt: skip
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        self._stack.push_async_callback(process.wait)
        self._stack.callback(process.kill)
        return LibmodbusClient(process.stdin, process.stdout)


class LibmodbusClient:
    """libmodbus_rtu_client.c, line by line."""

    def __init__(self, asked: trio.abc.SendStream, answered: trio.abc.ReceiveStream) -> None:
        self._asked, self._answered, self._text = asked, answered, b""

    async def ask(self, request: str) -> str:
        with trio.fail_after(PATIENCE_S):
            await self._asked.send_all(request.encode() + b"\n")
            while b"\n" not in self._text:
                piece = await self._answered.receive_some()
                assert piece, "the libmodbus client has gone"
                self._text += piece
        said, _, self._text = self._text.partition(b"\n")
        return said.decode()


@asynccontextmanager
async def gateway(*, returns: bool = False, tcp: bool = False, **settings: object) -> AsyncIterator[Gateway]:
    config = ModbusRtu(enabled=True, **settings)  # type: ignore[arg-type]
    character_s = modbus_rtu.Timing.of(config).character_s
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(serial_line(character_s))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        made = Gateway(stack, line, ModbusRtu(enabled=True, device=line.plug(returns=returns), **settings))  # type: ignore[arg-type]
        serve = partial(
            modbus_rtu.serve,
            made.config,
            made.server(),
            made.kit.units,
            count=made.count,
            on_port=lambda _there: None,
        )
        await nursery.start(serve)
        if tcp:
            await made.serve_tcp(nursery)
        yield made


@pytest.fixture
def clock() -> MockClock:
    """Real time that can be pushed forward for the gateway; the clients do not notice."""
    return MockClock(rate=1.0)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The libmodbus client; gcc and libmodbus-dev are among the Debian packages of `make test`."""
    built = tmp_path_factory.mktemp("libmodbus") / "client"
    source = Path(__file__).parent / "libmodbus_rtu_client.c"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    )
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", str(built), str(source), *flags.stdout.split()], check=True)
    return built


# --- mbpoll ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baudrate", BAUD_RATES)
@pytest.mark.parametrize(("parity", "stop_bits"), FRAMES)
async def test_mbpoll_reads_at_every_speed_and_frame(baudrate: int, parity: str, stop_bits: int) -> None:
    async with gateway(baudrate=baudrate, parity=parity, stop_bits=stop_bits) as made:
        said = await made.mbpoll("-t", "4:hex", "-r", "0", "-c", "2")
        assert "[0]: \t0x4F43\n[1]: \t0x0100\n" in said
        assert made.counted == {"rtu_frames": 1}


async def test_mbpoll_reads_and_writes_every_kind_of_point() -> None:
    async with gateway(baudrate=115200) as made:
        assert "Written 1 references" in await made.mbpoll("-r", str(HEARTBEAT), values=(4711,))
        assert made.kit.read(HEARTBEAT) == 4711
        assert "Written 1 references" in await made.mbpoll("-t", "4:int", "-B", "-r", str(SITE_LIMIT_W), values=(7400,))
        assert made.kit.read_32(SITE_LIMIT_W) == 7400
        assert "7400" in await made.mbpoll("-t", "4:int", "-B", "-r", str(SITE_LIMIT_W))
        assert "12.5" in await made.mbpoll("-t", "4:float", "-B", "-r", "92")
        assert "[3316]: \t1\n" in await made.mbpoll("-t", "0", "-r", str(ENABLE))
        assert "Written 1 references" in await made.mbpoll("-t", "0", "-r", str(ENABLE), values=(0,))
        assert "[3316]: \t0\n" in await made.mbpoll("-t", "1", "-r", str(ENABLE))
        assert "[0]: \t20291\n" in await made.mbpoll("-t", "3", "-r", "0")


async def test_mbpoll_is_told_why_not() -> None:
    async with gateway(baudrate=115200) as made:
        assert "Illegal data address" in await made.mbpoll("-r", "60000")
        assert "Illegal data value" in await made.mbpoll("-r", str(WATCHDOG), values=(3,))


# --- libmodbus ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("returns", [False, True], ids=["quiet transceiver", "echo"])
async def test_libmodbus_asks_everything(program: Path, returns: bool) -> None:
    async with gateway(baudrate=57600, parity="even", returns=returns) as made:
        # Only the gateway's transceiver returns what it sends: libmodbus cannot live with an echo.
        client = await made.libmodbus(program)
        assert await client.ask("holding 0 2") == "20291 256"
        assert await client.ask("input 0 1") == "20291"
        assert len((await client.ask("holding 3300 125")).split()) == 125
        for number in (1, 1, 2, 2, 3):  # the same again at once is a request, whatever comes back on this line
            assert await client.ask(f"register {HEARTBEAT} {number}") == "done"
            assert made.kit.read(HEARTBEAT) == number
        assert await client.ask(f"registers= {SITE_LIMIT_W} 0 7400") == "done"
        assert await client.ask(f"holding {SITE_LIMIT_W} 2") == "0 7400"
        assert await client.ask(f"coils {ENABLE} 2") == "1 1"
        assert await client.ask(f"coil {ENABLE} 0") == "done"
        assert await client.ask(f"inputs {ENABLE} 2") == "0 1"
        assert await client.ask(f"coils= {ENABLE} 1 1") == "done"
        assert await client.ask(f"coils {ENABLE} 2") == "1 1"
        assert await client.ask("coils 3300 17") == " ".join(str(made.kit.read(3300 + i)) for i in range(17))
        assert await client.ask("holding 60000 1") == "Illegal data address"
        assert await client.ask("register 0 1") == "Illegal data address"
        assert await client.ask(f"register {ENABLE} 2") == "Illegal data value"
        assert await client.ask("unit 2") == "done"
        assert await client.ask("holding 5 1") == "1"
        # On a busy machine the first echo can be late enough to look like a collision.
        assert set(made.counted) <= ({"rtu_frames", "rtu_collisions"} if returns else {"rtu_frames"})


async def test_libmodbus_hears_nothing_where_nothing_is_to_be_said(program: Path) -> None:
    async with gateway(baudrate=115200) as made:
        client = await made.libmodbus(program)
        assert await client.ask("timeout 200") == "done"
        assert await client.ask("unit 9") == "done"
        assert await client.ask("holding 0 1") == "Connection timed out"
        assert await client.ask("unit 0") == "done"
        assert await client.ask(f"register {HEARTBEAT} 77") == "Connection timed out"
        assert [made.kit.read(HEARTBEAT, unit=unit) for unit in (1, 2)] == [77, 77]
        assert await client.ask(f"registers= {COMMAND_CODE} 4 1") == "Connection timed out"
        assert [made.kit.read(COMMAND_CODE, 2, unit=unit) for unit in (1, 2)] == [[4, 1], [4, 1]]
        assert await client.ask("timeout 10000") == "done"
        assert await client.ask("unit 1") == "done"
        assert await client.ask(f"holding {FOREIGN} 1") == "1"


async def test_libmodbus_is_answered_between_noise_and_other_servers(program: Path, clock: MockClock) -> None:
    async with gateway(baudrate=38400) as made:
        client = await made.libmodbus(program)
        other_asked = rtu_frame(9, bytes.fromhex("0300000004"))
        trap = rtu_frame(1, struct.pack(">BHH", 6, HEARTBEAT, 666))
        other_answered = rtu_frame(9, b"\x03\x08" + trap)
        for noise, counter in [
            (other_asked, "rtu_foreign_frames"),
            (other_answered, "rtu_foreign_frames"),
            (b"\xff" * 40, "rtu_crc_errors"),
            (trap[:-1], "rtu_crc_errors"),
            (rtu_frame(1, b"\x83\x02"), "rtu_collisions"),
        ]:
            before = made.counted[counter]
            made.line.say(noise, to=made.config.device)
            with trio.fail_after(PATIENCE_S):
                while made.counted[counter] == before:
                    await trio.lowlevel.checkpoint()
            clock.jump(1)  # the line is silent again
            await wait_all_tasks_blocked()
            assert await client.ask("holding 0 1") == "20291"
        assert made.kit.read(HEARTBEAT) == 0
        assert made.counted["rtu_frames"] == 5


# --- TCP beside it --------------------------------------------------------------------------------------------


async def test_what_is_written_on_the_line_is_read_on_tcp_and_the_other_way_round(program: Path) -> None:
    async with gateway(baudrate=115200, tcp=True) as made:
        line = await made.libmodbus(program)
        assert await line.ask(f"register {HEARTBEAT} 1234") == "done"
        assert "[9]: \t1234\n" in await made.mbpoll_tcp("-r", str(HEARTBEAT))
        assert "Written 1 references" in await made.mbpoll_tcp("-r", str(HEARTBEAT), values=(4321,))
        assert await line.ask(f"holding {HEARTBEAT} 1") == "4321"


async def test_a_mailbox_belongs_to_the_line_or_to_the_tcp_client_that_began_to_fill_it(
    program: Path, clock: MockClock
) -> None:
    async with gateway(baudrate=115200, tcp=True) as made:
        line = await made.libmodbus(program)
        stream = await trio.open_tcp_stream("127.0.0.1", made.port)

        async def write_tcp(address: int, value: int) -> bytes:
            await stream.send_all(struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, address, value))
            with trio.fail_after(PATIENCE_S):
                return (await stream.receive_some())[7:]

        busy, done = b"\x86\x06", struct.pack(">BHH", 6, COMMAND_CODE, 7)
        assert await line.ask(f"register {COMMAND_CODE} 7") == "done"
        assert await write_tcp(COMMAND_CODE, 7) == busy
        clock.jump(2)  # so long quiet, and the line has lost it
        assert await write_tcp(COMMAND_CODE, 7) == done
        assert await line.ask(f"register {COMMAND_CODE} 8") == "Slave device or server is busy"
        await stream.aclose()
        with trio.fail_after(PATIENCE_S):
            while await line.ask(f"register {COMMAND_CODE} 8") != "done":
                await trio.lowlevel.checkpoint()  # until the gateway has seen the end of the stream
        assert made.kit.read(COMMAND_CODE) == 8
