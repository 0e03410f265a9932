"""What systemd does for one of our services, as far as its unit file says so: start, watch, abort, start again.

A service of Type=notify says READY=1 within TimeoutStartSec, and WATCHDOG=1 within every WatchdogSec. Where it does
not, systemd sends SIGABRT (and SIGCONT, so that one who was stopped hears it), after TimeoutStopSec SIGKILL, and
RestartSec later it starts anew.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import trio

from tests.rootfs.test_units import UNITS, Unit

START_S = 90.0
"""TimeoutStartSec where a unit file names none (systemd-system.conf, DefaultTimeoutStartSec)."""
AS_SYSTEMD_STARTS_IT = 'WATCHDOG_PID=$$ exec "$@"'


class Supervisor:
    """Of one service. `started` counts; `aborted` are those that were not fed."""

    def __init__(self, unit: str, program: Sequence[str], folder: Path) -> None:
        settings = Unit(UNITS / f"{unit}.service")
        assert settings["Type"] == ["notify"]
        assert settings["Restart"] == ["always"]
        assert "TimeoutStartSec" not in settings
        self.watchdog_s, self.restart_s, self.stop_s = (
            float(settings[name][0]) for name in ("WatchdogSec", "RestartSec", "TimeoutStopSec")
        )
        self._program = ["bash", "-c", AS_SYSTEMD_STARTS_IT, "bash", *program]
        self._log = folder / f"{unit}.log"
        self._address = folder / f"{unit}.notify"
        self.process: trio.Process | None = None
        self.started = self.aborted = 0
        self.ready = trio.Event()
        """That the present one is; it may serve some while before."""

    def logged(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service is ready; it is killed at the end."""
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as words:
            await words.bind(os.fspath(self._address))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep, words)
                with trio.fail_after(60):
                    await self.ready.wait()
                yield
                nursery.cancel_scope.cancel()

    async def _keep(self, words: trio.socket.SocketType) -> None:
        environment = os.environ | {
            "NOTIFY_SOCKET": os.fspath(self._address), "WATCHDOG_USEC": str(int(self.watchdog_s * 1e6)),
        }  # fmt: skip
        while True:
            with self._log.open("ab") as log:
                self.process = await trio.lowlevel.open_process(
                    self._program, stdout=DEVNULL, stderr=log, env=environment
                )
            self.started += 1
            try:
                await self._watch(self.process, words)
            finally:
                with trio.CancelScope(shield=True):
                    self.process.kill()
                    await self.process.wait()
            self.ready = trio.Event()
            await trio.sleep(self.restart_s)

    async def _watch(self, process: trio.Process, words: trio.socket.SocketType) -> None:
        """Until it has ended, by itself or because it was not heard."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear, process, words)
            await process.wait()
            nursery.cancel_scope.cancel()

    async def _hear(self, process: trio.Process, words: trio.socket.SocketType) -> None:
        fed = trio.CancelScope(deadline=trio.current_time() + START_S)
        with fed:
            while True:
                said = (await words.recv(4096)).decode().splitlines()
                if "READY=1" in said:
                    self.ready.set()
                if {"READY=1", "WATCHDOG=1"} & {*said}:
                    fed.deadline = trio.current_time() + self.watchdog_s
        self.aborted += 1
        process.send_signal(signal.SIGABRT)
        process.send_signal(signal.SIGCONT)
        await trio.sleep(self.stop_s)
        process.kill()
