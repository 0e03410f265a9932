"""R19: a hang is healed. gatewayd and webd, the real programs, under a supervisor that does what systemd does by their
unit files (supervisor.py): stopped by SIGSTOP, and in a loop that never yields. Within 20 s they answer again.

The best of up to three counts where the machine is busy. Not here: the whole machine, whose watchdog is hardware.

Twin: a gatewayd whose watchdog is fed by a thread, whatever the loop does.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from tests.process.daemon import LOOPBACK, Daemon, charge_points, executable
from tests.process.page_client import ask
from tests.promises.report import seen
from tests.promises.supervisor import Supervisor
from tests.simulator.bms import ConnectionLost, ModbusClient

pytestmark = pytest.mark.alone

HEALED_S, PATIENCE_S = 20.0, 30.0
TRIES = 3
SPINS = """
import signal, sys
from {module} import main
def spin(*_):
    while True:
        pass
signal.signal(signal.SIGUSR1, spin)
sys.exit(main())
"""
FED_BY_A_THREAD = """
import threading, time
from gatewayd.services import watchdog
def feed(notifier):
    while True:
        notifier.notify("WATCHDOG=1")
        time.sleep(0.5)
ready = watchdog.Watchdog.ready
def fed(self):
    threading.Thread(target=feed, args=(self._notifier,), daemon=True).start()
    ready(self)
watchdog.Watchdog.ready = fed
"""
HANGS = {"SIGSTOP": signal.SIGSTOP, "busy loop": signal.SIGUSR1}


async def free_port() -> int:
    """One that nobody has now; the service comes back on the same."""
    with trio.socket.socket() as own:
        await own.bind(("127.0.0.1", 0))
        port: int = own.getsockname()[1]
        return port


async def modbus_answers(port: int) -> None:
    """Raises OSError, ConnectionLost or TooSlowError where it does not."""
    with trio.fail_after(1.0):
        client = await ModbusClient.connect("127.0.0.1", port)
        try:
            await client.read_registers(0, 1)
        finally:
            await client.close()


async def page_answers(port: int) -> None:
    """The same of webd."""
    with trio.fail_after(1.0):
        assert (await ask(port, "GET", "/claim")).status in (200, 303, 403)


async def back_after_s(service: Supervisor, hang: signal.Signals, answers: Callable[[], Awaitable[None]]) -> float:
    """Seconds from the hang to the first answer; inf where there is none within patience."""
    await service.ready.wait()  # one that starts may answer already, but only its TimeoutStartSec looks after it
    assert service.process is not None
    await answers()
    process, began = service.process, trio.current_time()
    process.send_signal(hang)
    with trio.move_on_after(PATIENCE_S):
        while True:
            try:
                await answers()
            except (OSError, trio.TooSlowError, trio.BrokenResourceError, ConnectionLost, EOFError, IndexError):
                await trio.sleep(0.1)
                continue
            if service.process is not process:  # an answer on its way, or one before the signal came, is no healing
                return trio.current_time() - began
            await trio.sleep(0.1)
    return float("inf")


async def gatewayd(folder: Path, before: str = "") -> tuple[Supervisor, Callable[[], Awaitable[None]]]:
    port = await free_port()
    daemon = Daemon(folder, charge_points("CP001"), modbus=port)
    program = [
        sys.executable,
        "-c",
        before + SPINS.format(module="gatewayd.__main__"),
        *daemon.arguments[len(executable()) :],
    ]
    return Supervisor("gatewayd", program, folder), lambda: modbus_answers(port)


async def webd(folder: Path, _before: str = "") -> tuple[Supervisor, Callable[[], Awaitable[None]]]:
    port, config = await free_port(), folder / "gateway.toml"
    config.write_text(LOOPBACK.format(modbus=0, ocpp=0).replace("[web]\nport = -1", f"[web]\nport = {port}"))
    options = ["--config", str(config), "--state", str(folder / "web"), "--run", str(folder / "run")]
    program = [sys.executable, "-c", SPINS.format(module="gatewayd.web.__main__"), *options]
    return Supervisor("webd", program, folder), lambda: page_answers(port)


@pytest.mark.parametrize("program", [gatewayd, webd], ids=["gatewayd", "webd"])
async def test_a_hang_is_healed(
    program: Callable[[Path], Awaitable[tuple[Supervisor, Callable[[], Awaitable[None]]]]], tmp_path: Path
) -> None:
    service, answers = await program(tmp_path)
    said = []
    async with service.running():
        for name, hang in HANGS.items():
            took: list[float] = []
            while len(took) < TRIES and min(took, default=PATIENCE_S) > HEALED_S:
                took.append(await back_after_s(service, hang, answers))
            said.append(f"{name}: back after {min(took):.1f} s")
            assert min(took) <= HEALED_S, service.logged()[-3000:]
    assert service.aborted >= len(HANGS)
    seen("R19", f"{program.__name__}: {', '.join(said)}")


@pytest.mark.twin("R19")
async def test_a_daemon_that_is_fed_by_a_thread_is_found(tmp_path: Path) -> None:
    service, answers = await gatewayd(tmp_path, FED_BY_A_THREAD)
    async with service.running():
        assert await back_after_s(service, signal.SIGUSR1, answers) > HEALED_S
    assert service.aborted == 0
