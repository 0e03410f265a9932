"""What programs beside the real daemon find: registers, events, metrics (docs/interfaces.md)."""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
from pathlib import Path

import pytest
import trio

from gatewayd.config_tables import Config, Metrics
from gatewayd.served import nobody_asked_for
from tests.process.daemon import Daemon, charge_points, run_to_its_end, running
from tests.process.local import Events, connected, modbus
from tests.simulator.charge_point import Vehicle

MAGIC = bytes.fromhex("03024f43")
READ_MAGIC = struct.pack(">BHH", 3, 0, 1)
WRITE_HEARTBEAT = struct.pack(">BHH", 6, 9, 4711)


REFUSED = "[gateway]\nrole = 'referee'\n"


class LastGood(Daemon):
    @property
    def arguments(self) -> list[str]:
        return [*super().arguments, "--last-good"]


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path, charge_points("CP001", "CP002"))


async def test_the_sockets_are_there_when_it_says_ready(daemon: Daemon) -> None:
    async with running(daemon):
        for name in ("points.sock", "events.sock"):
            found = os.stat(daemon.state / name)
            assert stat.S_ISSOCK(found.st_mode)
            assert stat.S_IMODE(found.st_mode) == 0o660
        await daemon.kill()
        await daemon.start()  # in the place of what the killed one left
        async with connected(daemon.state / "points.sock") as points:
            assert await modbus(points, READ_MAGIC) == MAGIC


async def test_they_lie_where_run_says_or_systemd(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{daemon.folder / 'run'}:/nowhere")
    async with running(daemon):
        async with connected(daemon.folder / "run" / "points.sock") as points:
            assert await modbus(points, READ_MAGIC) == MAGIC
        assert not (daemon.state / "points.sock").exists()


async def test_the_fence_of_the_network_is_none_of_the_pages(daemon: Daemon) -> None:
    daemon.configure("[modbus]\nwrites = false\n" + charge_points("CP001"))
    async with running(daemon), connected(daemon.state / "points.sock") as points:
        bms = await daemon.client()
        assert await modbus(points, WRITE_HEARTBEAT) == WRITE_HEARTBEAT
        assert await modbus(points, struct.pack(">BHH", 3, 9, 1)) == struct.pack(">BBH", 3, 2, 4711)
        assert await bms.read_registers(7, 1) is not None  # the network still reads
        async with connected(daemon.state / "events.sock") as stream:
            snapshot = await Events(stream).line()
        assert [client["requests"] for client in snapshot["modbus_clients"]] == [1]  # the page is none of them
        assert [each["client"] for each in snapshot["written"]] == ["page"]


async def test_the_life_of_a_charge_point_as_the_page_sees_it(daemon: Daemon) -> None:
    async with running(daemon), connected(daemon.state / "events.sock") as stream, trio.open_nursery() as nursery:
        events = Events(stream)
        before = await events.line()
        assert [each["link"] for each in before["charge_points"]] == ["never", "never"]
        await events.subscribe("events", "frames")
        bms = await daemon.bms()
        await bms.write("decision_timeout", 10)
        await bms.write("decision_default", 1)

        charge_point = daemon.charge_point("CP001")
        await nursery.start(charge_point.run)
        assert (await events.until(event="connected"))["charge_point"] == 1
        assert "BootNotification" in (await events.until(type="frame", direction="in"))["text"]
        charge_point.plug(1, Vehicle())
        await charge_point.until(lambda: charge_point.registered)
        await charge_point.present_tag("CARD1")
        started = await events.until(event="transaction_started")
        assert started["transaction"]["id_tag"] == "CARD1"
        charge_point.unplug(1)
        stopped = await events.until(event="transaction_stopped")
        assert stopped["transaction"]["id"] == started["transaction"]["id"]

        assert (await events.ask("disconnect", charge_point=1))["ok"]
        assert (await events.until(event="disconnected"))["code"] == 1012
        assert (await events.until(event="connected"))["identity"] == "CP001"  # it dialled again
        nursery.cancel_scope.cancel()


async def test_a_stranger_knocks_and_is_let_in(daemon: Daemon) -> None:
    async with running(daemon), connected(daemon.state / "events.sock") as stream, trio.open_nursery() as nursery:
        events = Events(stream)
        await events.line()
        await events.subscribe("events")
        stranger = daemon.charge_point("CP009")
        await nursery.start(stranger.run)
        refused = await events.until(event="refused")
        assert (refused["cause"], refused["identity"], refused["status"]) == ("unknown_identity", "CP009", 404)
        assert "[[charge_point]]" in refused["remedy"]
        knocking = (await events.ask("snapshot"))["knocking"]
        assert [each["identity"] for each in knocking] == ["CP009"]

        daemon.configure(charge_points("CP001", "CP002", "CP009"))
        answer = await events.ask("reload", id="adopt")
        assert (answer["ok"], answer["charge_points"], answer["id"]) == (True, [3], "adopt")
        assert (await events.until(event="connected"))["charge_point"] == 3
        assert (await events.ask("snapshot"))["knocking"] == []
        nursery.cancel_scope.cancel()


async def test_a_bad_configuration_is_answered_with_its_faults(daemon: Daemon) -> None:
    async with running(daemon), connected(daemon.state / "events.sock") as stream:
        events = Events(stream)
        await events.line()
        daemon.configure("[gateway]\nrole = 'referee'\n" + charge_points("CP001"))
        answer = await events.ask("reload")
        assert not answer["ok"]
        assert [fault["key"] for fault in answer["faults"]] == ["gateway.role"]
        snapshot = await events.ask("snapshot")
        assert snapshot["gateway"]["state"] == "configuration_error"
        assert snapshot["configuration"]["faults"] == answer["faults"]
        assert len(snapshot["charge_points"]) == 2  # the one before is in force


async def test_prometheus_scrapes(daemon: Daemon) -> None:
    daemon.configure(charge_points("CP001"))
    text = daemon.config.read_text().replace("[metrics]\nport = -1", "[metrics]\nport = 0")
    daemon.config.write_text(text)
    async with running(daemon):
        port = daemon.ports["metrics"]
        assert port
        async with await trio.open_tcp_stream("127.0.0.1", port) as scraper:
            await scraper.send_all(b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n")
            received = b""
            with trio.fail_after(20):
                async for data in scraper:
                    received += data
        head, _, body = received.decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
        for sample in (
            r"gateway_state 1",
            r'gateway_charge_point_connected\{charge_point="1",identity="CP001"\} 0',
            r"process_resident_memory_bytes \d{7,9}",
            r"process_open_fds \d+",
        ):
            assert re.search(f"^{sample}$", body, re.MULTILINE), sample


async def test_check_says_nothing_of_metrics(daemon: Daemon) -> None:
    daemon.config.write_text("[metrics]\nport = 9200\n")
    done = await trio.to_thread.run_sync(lambda: run_to_its_end("--config", daemon.config, "--check"))
    assert (done.returncode, done.stderr) == (0, "")


async def test_the_last_good_configuration_is_kept(daemon: Daemon) -> None:
    async with running(daemon), connected(daemon.state / "events.sock") as stream:
        events, kept, good = Events(stream), daemon.state / "last_good.toml", daemon.config.read_bytes()
        assert kept.read_bytes() == good
        assert stat.S_IMODE(os.stat(kept).st_mode) & 0o007 == 0  # it holds passwords
        daemon.configure("[gateway]\nrole = 'referee'\n")
        assert not (await events.ask("reload"))["ok"]
        assert kept.read_bytes() == good
        daemon.configure("# a comment\n" + charge_points("CP001"))
        assert (await events.ask("reload"))["ok"]
        assert kept.read_bytes() == daemon.config.read_bytes()


async def test_a_port_of_metrics_that_is_taken(daemon: Daemon) -> None:
    """Chosen, it ends the start as any other; when the configuration is read again it is a fault; by default it is
    a guess."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        chosen = f"[metrics]\nport = {other.getsockname()[1]}"
        good = daemon.config.read_text()
        daemon.config.write_text(good.replace("[metrics]\nport = -1", chosen))
        await daemon.launch()
        assert daemon.process is not None
        assert await daemon.process.wait() == 3
        assert "metrics: 127.0.0.1" in daemon.logged()

        daemon.config.write_text(good)
        async with running(daemon), connected(daemon.state / "events.sock") as stream:
            events = Events(stream)
            daemon.config.write_text(good.replace("[metrics]\nport = -1", chosen))
            answer = await events.ask("reload")
            assert not answer["ok"]
            assert [fault["key"] for fault in answer["faults"]] == ["metrics"]
            assert (await events.ask("snapshot"))["gateway"]["faults"] == ["metrics"]
            daemon.config.write_text(good)
            assert (await events.ask("reload"))["ok"]
            assert (await events.ask("snapshot"))["gateway"]["faults"] == []


def test_only_the_metrics_own_default_is_a_guess() -> None:
    assert nobody_asked_for("metrics", Config())
    assert not nobody_asked_for("metrics", Config(metrics=Metrics(port=9101)))
    assert not nobody_asked_for("modbus_tcp", Config())


async def test_with_last_good_a_refused_file_does_not_keep_the_gateway_from_starting(daemon: Daemon) -> None:
    async with running(daemon):
        assert await daemon.stop() == 0
    good = daemon.config.read_text()
    daemon.config.write_text(REFUSED)
    await daemon.launch()
    assert daemon.process is not None
    assert await daemon.process.wait() == 2  # as ever without it
    careful = LastGood(daemon.folder)
    daemon.config.write_text(REFUSED)
    async with running(careful), connected(daemon.state / "events.sock") as stream:
        events, bms = Events(stream), await careful.bms()
        assert await bms.number("state") == 2  # configuration_error
        assert await bms.number("charge_point_count") == 2
        snapshot = await events.line()
        assert [fault["key"] for fault in snapshot["configuration"]["faults"]] == ["gateway.role"]
        daemon.config.write_text(good)
        assert (await events.ask("reload"))["ok"]
        assert await bms.number("state") == 1
        (daemon.state / "last_good.toml").unlink()
    daemon.config.write_text(REFUSED)
    await careful.launch()
    assert careful.process is not None
    assert await careful.process.wait() == 2  # there is none
