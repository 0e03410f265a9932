"""What waits for keys and certificates when the real daemon starts, and what does not (interface.md, Commands)."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gatewayd.points.gateway import MAP_MAGIC
from tests.process.daemon import READY_TIMEOUT_S, Daemon, charge_points
from tests.simulator.bms import ModbusClient

TLS = "[ocpp.tls]\nport = 0\n[ocpp]\n"
ASK_BMS = '[ocpp]\nask_bms = ["SignCertificate"]\n'


class Systemd:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        """All its words until now."""
        while True:
            try:
                self._heard += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._heard


@asynccontextmanager
async def making_keys(daemon: Daemon) -> AsyncIterator[None]:
    """While it makes keys and certificates, which takes as long as nobody writes into a pipe that stands where one of
    them should. Ready afterwards."""
    pipe = daemon.state / "authority.pem"
    daemon.state.mkdir()
    (daemon.state / "authority.key").touch()
    os.mkfifo(pipe)
    await daemon.launch()
    try:
        with trio.fail_after(READY_TIMEOUT_S):
            writing: io.BufferedWriter = await trio.to_thread.run_sync(pipe.open, "wb", abandon_on_cancel=True)
        with writing:
            yield
            writing.write(b"no certificate")
        await daemon.until_ready()
        assert "the gateway's own authority cannot be used" in daemon.logged()
    finally:
        await daemon.kill()


@pytest.fixture
def systemd(tmp_path: Path) -> Systemd:
    return Systemd(tmp_path / "notify")


def supervised(folder: Path, ocpp: str = "[ocpp]\n", modbus: int = 0) -> Daemon:
    daemon = Daemon(folder, charge_points("CP001"), modbus=modbus)
    daemon.config.write_text(daemon.config.read_text().replace("[ocpp]\n", ocpp))
    daemon.environment["NOTIFY_SOCKET"] = str(folder / "notify")
    return daemon


async def test_a_supervisor_a_bms_and_charge_points_do_not_wait_for_keys(tmp_path: Path, systemd: Systemd) -> None:
    daemon = supervised(tmp_path)
    async with making_keys(daemon), trio.open_nursery() as nursery:
        assert "READY=1" in systemd.heard()
        daemon.look_where()
        assert await (await daemon.bms()).number("state") == 1  # running
        charge_point = daemon.charge_point()
        await nursery.start(charge_point.run)
        with trio.fail_after(READY_TIMEOUT_S):
            await charge_point.until(lambda: charge_point.registered)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ocpp", [TLS, ASK_BMS], ids=["TLS", "requests that the BMS decides"])
async def test_where_charge_points_need_them_only_the_bms_does_not_wait(
    ocpp: str, tmp_path: Path, systemd: Systemd
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = supervised(tmp_path, ocpp, port)
    async with making_keys(daemon):
        client = await ModbusClient.connect("127.0.0.1", port)
        assert (await client.read_registers(0, 1))[0] == MAP_MAGIC
        assert systemd.heard() == []
        assert not (daemon.state / "ports.json").exists()
    assert "READY=1" in systemd.heard()
