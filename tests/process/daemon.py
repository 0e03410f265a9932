"""The real executable on loopback, in a folder of its own: started, stopped, killed, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import trio

from tests.simulator.bms import Bms, ModbusClient
from tests.simulator.charge_point import ChargePoint, Traits
from tests.simulator.clock import Clock

GATEWAYD = Path(sys.executable).with_name("gatewayd")
READY_TIMEOUT_S = 30.0
"""A busy machine is slow; the figure that is promised is measured elsewhere."""

LOOPBACK = """
[modbus.tcp]
host = "127.0.0.1"
port = {modbus}
[ocpp]
host = "127.0.0.1"
port = {ocpp}
[web]
port = -1
[metrics]
port = -1
"""


def executable() -> list[str]:
    """How a user starts it."""
    return [str(GATEWAYD)] if GATEWAYD.exists() else [sys.executable, "-m", "gatewayd"]


async def until_ready(process: trio.Process, logged: Callable[[], str], timeout_s: float = READY_TIMEOUT_S) -> bytes:
    """All that it said when its line `ready` came; AssertionError with what it logged when it ends instead."""
    assert process.stdout is not None
    said = b""
    with trio.fail_after(timeout_s):
        while b"ready\n" not in said:
            some = await process.stdout.receive_some()
            assert some, f"it ended:\n{logged()}"
            said += some
    return said


class Daemon:
    """`toml` is added to a configuration with free ports. `program` replaces the executable."""

    def __init__(
        self,
        folder: Path,
        toml: str = "",
        *,
        modbus: int = 0,
        ocpp: int = 0,
        program: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.config = folder / "gateway.toml"
        self.state = folder / "state"
        self.log = folder / "log"
        self.environment: dict[str, str] = {}
        """Added to this process's own."""
        self.ports: dict[str, int | None] = {}
        self.process: trio.Process | None = None
        self._places = {"modbus": modbus, "ocpp": ocpp}
        self._program = list(program) or executable()
        self.configure(toml)

    @property
    def visible_state(self) -> Path:
        """Where this process sees the state directory."""
        return self.state

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.sqlite"

    @property
    def arguments(self) -> list[str]:
        return [*self._program, "--config", str(self.config), "--state", str(self.state)]

    def configure(self, toml: str) -> None:
        """Write the configuration; a running daemon hears of it by `reload`."""
        self.config.write_text(toml + LOOPBACK.format(**self._places), encoding="utf-8")

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    async def launch(self) -> None:
        """Start the process and wait for nothing. What it logs is added to the log of its former lives."""
        environment = os.environ | {"PYTHONUNBUFFERED": "1"} | self.environment
        with self.log.open("ab") as log:
            self.process = await trio.lowlevel.open_process(self.arguments, stdout=PIPE, stderr=log, env=environment)

    async def until_ready(self) -> None:
        """Wait for the line `ready`; AssertionError with the log when it ends instead."""
        assert self.process is not None
        assert await until_ready(self.process, self.logged) == b"ready\n"
        self.look_where()

    def look_where(self) -> None:
        """Read which ports it has bound."""
        self.ports = json.loads((self.visible_state / "ports.json").read_text(encoding="utf-8"))

    async def start(self) -> None:
        await self.launch()
        await self.until_ready()

    async def kill(self) -> None:
        """As a power cut for the process: it learns nothing of it."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return await self.process.wait()

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    async def client(self) -> ModbusClient:
        return await ModbusClient.connect("127.0.0.1", self.ports["modbus_tcp"] or 0)

    async def bms(self) -> Bms:
        return Bms(await self.client(), poll_s=0.02)

    async def dial(self) -> trio.abc.Stream:
        """For a simulated charge point: wherever it listens now; OSError while it does not."""
        if not self.ports.get("ocpp"):
            raise OSError("the gateway does not listen")
        return await trio.open_tcp_stream("127.0.0.1", self.ports["ocpp"] or 0)

    def charge_point(self, identity: str = "CP001", connectors: int = 2, **settings: str) -> ChargePoint:
        """One that is quick enough for a test in real time."""
        return ChargePoint(
            identity,
            self.dial,
            connectors=connectors,
            clock=Clock.real(),
            traits=QUICK,
            configuration={"MeterValueSampleInterval": "1", "TransactionMessageRetryInterval": "1",
                           "TransactionMessageAttempts": "1000", **settings},
        )  # fmt: skip


QUICK = Traits(step_s=0.2, reconnect_s=0.2, reconnect_max_s=0.4, call_timeout_s=5.0, answer_latency_s=0.0)


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[Daemon]:
    """A daemon that is ready; killed at the end, should the test not have stopped it."""
    await daemon.start()
    try:
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.returncode is None:
            with trio.CancelScope(shield=True):
                await daemon.kill()


def run_to_its_end(*arguments: str | Path, timeout_s: float = READY_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """The executable with these arguments; for what ends by itself."""
    return subprocess.run([*executable(), *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s)


def charge_points(*identities: str, connectors: int = 2) -> str:
    return "".join(
        f'[[charge_point]]\nnumber = {number}\nidentity = "{identity}"\nconnectors = {connectors}\n'
        for number, identity in enumerate(identities, 1)
    )
