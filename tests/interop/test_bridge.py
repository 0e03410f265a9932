"""The bridge between charge points and central systems that nobody here wrote (ocpp.md, Bridge)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from gatewayd.site import upstream_ids
from tests.interop.peer import PATIENCE_S, Peer, versions
from tests.process.daemon import Daemon, charge_points, running
from tests.process.test_daemon import accepting
from tests.simulator.bms import Bms

CENTRAL_SYSTEMS = {
    "ocpp": "central_ocpp.py", "ocpp-csms": "central_csms.py", "ocpp-rpc": "central_rpc.js", "ocpp-ts": "central_ts.js",
}  # fmt: skip
CHARGE_POINTS = {"ocpp": "charge_point_ocpp.py", "ocpp-rpc": "charge_point_rpc.js", "ocpp-ts": "charge_point_ts.js"}
ENERGY_WH, UPSTREAM_LIMIT = 1500, 100


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_who_takes_part(capsys: pytest.CaptureFixture[str]) -> None:
    """At least two of each side: fewer would prove little."""
    installed = versions()
    with capsys.disabled():
        names = ("ocpp", "websockets", "ocpp-csms", "ocpp-rpc", "ocpp-ts")
        print("\npeers: " + ", ".join(f"{name} {installed.get(name, 'missing')}" for name in names))
    assert len(CENTRAL_SYSTEMS.keys() & installed.keys()) >= 2
    assert len(CHARGE_POINTS.keys() & installed.keys()) >= 2


def said(make: str, what: str, value: object) -> Callable[[dict[str, Any]], bool]:
    """Whether a central system said this of a charge point."""
    return lambda line: line.get("at") == make and line.get(what) == value


async def reads(bms: Bms, name: str, number: int, wanted: int) -> None:
    """Wait for a point of connector 1."""
    with trio.fail_after(PATIENCE_S):
        while (found := await bms.read(name, number, 1)) != wanted:
            assert found is None or isinstance(found, int)
            await trio.sleep(0.05)


def bridge(port: int, offline: str) -> str:
    upstream = f'url = "ws://127.0.0.1:{port}"\noffline = "{offline}"'
    return f'[gateway]\nrole = "bridge"\n[ocpp.upstream]\n{upstream}\n'


@pytest.mark.parametrize("offline", ["disconnect", "buffer"])
@pytest.mark.parametrize("name", CENTRAL_SYSTEMS)
async def test_everybody_with(name: str, offline: str, nursery: trio.Nursery, tmp_path: Path) -> None:
    """Three makes of charge points at one central system, each through a whole session, seen from Modbus."""
    port = free_port()
    central = Peer(CENTRAL_SYSTEMS[name], str(port))
    await nursery.start(central.run)
    await central.until(lambda line: "ready" in line)
    toml = bridge(port, offline)
    makes = list(CHARGE_POINTS)
    async with running(Daemon(tmp_path, toml + charge_points(*makes))) as daemon:
        bms = await daemon.bms()
        url = f"ws://127.0.0.1:{daemon.ports['ocpp']}/ocpp"
        for number, make in enumerate(makes, 1):
            peer = Peer(CHARGE_POINTS[make], url, make)
            await nursery.start(peer.run)
            booted = await peer.until(lambda line: "booted" in line or "error" in line)
            assert booted == {"booted": "Accepted"}
            started = await peer.until(lambda line: "started" in line)
            there = await central.until(said(make, "got", "StartTransaction"))
            assert there["transaction"] == started["started"]
            await peer.until(lambda line: line.get("profile") == UPSTREAM_LIMIT / 10)
            await central.until(said(make, "limit", "Accepted"))
            await peer.until(lambda line: "metered" in line)
            await reads(bms, "transaction_id", number, started["started"])
            await reads(bms, "limit_upstream", number, UPSTREAM_LIMIT)
            assert await bms.read("transaction_active", number, 1) == 1
            assert await bms.read("session_energy_wh", number, 1) == 700
            await peer.tell()
            await peer.until(lambda line: "stopped" in line)
            stopped = await central.until(said(make, "got", "StopTransaction"))
            assert (stopped["transaction"], stopped["meter"]) == (started["started"], 2500)
            await reads(bms, "transaction_active", number, 0)
            assert await bms.read("session_energy_wh", number, 1) == ENERGY_WH
        assert [line for line in central.said if "failure" in line or "error" in line] == []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", CENTRAL_SYSTEMS)
async def test_one_that_comes_late(name: str, nursery: trio.Nursery, tmp_path: Path) -> None:
    """A session begins without the central system, which hears of it, limits it and sees it end."""
    port, make = free_port(), "ocpp"
    async with running(Daemon(tmp_path, bridge(port, "buffer") + charge_points(make))) as daemon:
        bms = await daemon.bms()
        await accepting(bms)
        peer = Peer(CHARGE_POINTS[make], f"ws://127.0.0.1:{daemon.ports['ocpp']}/ocpp", make)
        await nursery.start(peer.run)
        started = await peer.until(lambda line: "started" in line)
        assert started["started"] >= upstream_ids.FIRST
        await peer.until(lambda line: "metered" in line)
        central = Peer(CENTRAL_SYSTEMS[name], str(port))
        await nursery.start(central.run)
        there = await central.until(said(make, "got", "StartTransaction"))
        await central.until(said(make, "limit", "Accepted"))
        await peer.until(lambda line: line.get("profile") == UPSTREAM_LIMIT / 10)
        await reads(bms, "transaction_id", 1, there["transaction"])
        await peer.tell()
        await peer.until(lambda line: "stopped" in line)
        stopped = await central.until(said(make, "got", "StopTransaction"))
        assert (stopped["transaction"], stopped["meter"]) == (there["transaction"], 2500)
        assert [line for line in central.said if "failure" in line or "error" in line] == []
        nursery.cancel_scope.cancel()
