"""The whole card in an emulated machine, from U-Boot on, started and cut from power: no universal secret (R25), no
brick (R2).

The emulator is killed; what the guest had written stays. So these are cuts of a disk without a cache, of everything
that runs; what a cache may lose besides is the replay's (`replay.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import trio

from tests.card.flashed import flash
from tests.simulator.bms import BadAnswer, Bms, ConnectionLost, ModbusClient, ModbusError
from tests.simulator.charge_point import ChargePoint, Traits, Vehicle
from tests.simulator.clock import Clock
from tests.vm.machine import PROJECT, free_port

START_S: Final = 1800.0
"""Until Modbus answers: two minutes of one idle core, and the machine may be busy."""
ANSWER_S: Final = 60.0
"""The guest's clock goes by what it does: what takes it a moment may take minutes here."""
LOOK_S: Final = 1.0
IDENTITY: Final = "CP001"
CONFIGURATION: Final = f'[[charge_point]]\nnumber = 1\nidentity = "{IDENTITY}"\n'
TROUBLE: Final = (OSError, ModbusError, BadAnswer, ConnectionLost, trio.TooSlowError, trio.BrokenResourceError)


class Bricked(Exception):
    """It did not come to answer Modbus; says what was last on its console."""


class Whole:
    """One card and its machine. `address`: the last three bytes of its network socket's, as on any two modules.

    With `keep` a card of this image that is here already goes on; `source` is one to copy instead of a new one.
    `services`: files that its systemd has besides.
    """

    given_up = ("no slot is good", 2)
    """U-Boot's word for it (image/boot/boot.cmd): said once, it gives both slots one more try."""

    def __init__(
        self, directory: Path, address: str, *, keep: bool = False, source: Path | None = None,
        services: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        self._directory, self._address = directory, address
        self._here = directory.relative_to(PROJECT)
        self._modbus, self._ocpp = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.disk = directory / "disk.img"
        self.new = not (keep and self.disk.exists())
        if self.new:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            if source:
                subprocess.run(["cp", "--sparse=always", source, self.disk], check=True)
            else:
                self._make(services)

    @property
    def console(self) -> str:
        path = self._directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _make(self, services: Sequence[Path]) -> None:
        flash(self.disk, services)

    def _boot(self) -> dict[str, str]:
        """What image/vm.sh is told of how it starts."""
        return {"VM_CARD": "1"}

    def start(self) -> None:
        environment = (
            os.environ
            | self._boot()
            | {
                "VM_DIRECTORY": str(self._here),
                "VM_PORTS": f"modbus={self._modbus}:502 ocpp={self._ocpp}:8887",
                "VM_MAC": f"52:54:00:{self._address}",
                "VM_STEADY": "1",  # no service gives up because this machine is busy
            }
        )
        with open(self._directory / "emulator.log", "ab") as said:
            self._process = subprocess.Popen(
                ["image/vm.sh", "run", self.disk.relative_to(PROJECT)],
                cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    def cut(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.cut()
        self.disk.unlink(missing_ok=True)

    async def serial(self) -> str:
        """Waits until Modbus answers; the serial number that it says. Raises Bricked."""
        until = trio.current_time() + START_S
        while trio.current_time() < until and self._alive():
            with trio.move_on_after(10):
                try:
                    async with self._bms() as bms:
                        return str(await bms.read("gateway_serial"))
                except TROUBLE:
                    pass
            await trio.sleep(LOOK_S)
        raise self._bricked()

    async def said(self, name: str) -> str:
        """A word that a service of ours says on the console, such as guest/told.service, which does once everything
        has started. Raises Bricked."""
        until = trio.current_time() + START_S
        while trio.current_time() < until and self._alive():
            found = re.search(rf"told: {name} (\S+)[^\n]*\n", self.console)  # systemd's colours may stand before it
            if found:
                return found[1]
            await trio.sleep(LOOK_S)
        raise self._bricked()

    def _alive(self) -> bool:
        """It runs, and has not given up so often that it will for ever."""
        running = self._process is not None and self._process.poll() is None
        said, times = self.given_up
        return running and self.console.count(said) < times

    def _bricked(self) -> Bricked:
        return Bricked("\n".join(self.console.splitlines()[-40:]))

    async def traffic(self, seconds: float) -> int:
        """So many seconds of a charging car and a BMS; how many polls were answered."""
        polls = 0
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                charge_point = ChargePoint(
                    IDENTITY, self._dial, clock=Clock.real(), traits=Traits(reconnect_s=1.0, call_timeout_s=ANSWER_S),
                    configuration={"MeterValueSampleInterval": "1"},
                )  # fmt: skip
                await nursery.start(charge_point.run)
                charge_point.plug(1, Vehicle())
                charge_point.present_tag_soon("DRIVER1")
                while True:
                    try:
                        async with self._bms() as bms:
                            while True:
                                await bms.heartbeat()
                                polls += 1
                                await trio.sleep(0.2)
                    except TROUBLE:
                        await trio.sleep(LOOK_S)
        return polls

    async def _dial(self) -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", self._ocpp)

    @asynccontextmanager
    async def _bms(self) -> AsyncIterator[Bms]:
        client = await ModbusClient.connect("127.0.0.1", self._modbus, timeout_s=ANSWER_S)
        try:
            yield Bms(client)
        finally:
            await client.close()

    def partition(self, name: str) -> tuple[int, int]:
        """Where it begins on the disk, and its size: both in bytes."""
        table = subprocess.run(
            ["image/tools.sh", "run", "sfdisk", "--dump", self.disk.relative_to(PROJECT)],
            cwd=PROJECT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        row = next(row for row in table.splitlines() if f'name="{name}"' in row)
        begin, size = (int(row.split(f"{key}=")[1].split(",")[0]) * 512 for key in ("start", "size"))
        return begin, size

    @contextmanager
    def data(self) -> Iterator[Path]:
        """Its data partition, mounted here while its power is off."""
        begin, size = self.partition("data")
        place = self._directory / "data"
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", "-o", f"loop,offset={begin},sizelimit={size}", self.disk, place], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True)

    def files(self) -> dict[str, bytes]:
        """All that it wrote."""
        with self.data() as place:
            return {
                str(path.relative_to(place)): path.read_bytes()
                for path in sorted(place.rglob("*"))
                if path.is_file() and not path.is_symlink()
            }

    def configure(self) -> None:
        with self.data() as place:
            (place / "gateway/gateway.toml").write_text(CONFIGURATION)
