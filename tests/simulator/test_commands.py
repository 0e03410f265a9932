"""What is typed: the commands of the simulators, and what they say to it."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from .bms.__main__ import Place
from .charge_point.__main__ import Moment, arguments, obey
from .charge_point.session import read_url
from .conftest import Plant


@pytest.mark.parametrize("name", ["charge_point", "bms", "central_system"])
def test_help_is_plain(name: str) -> None:
    command = [sys.executable, "-m", f"tests.simulator.{name}", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"python -m tests.simulator.{name}" in text
    assert "simulated" in text


async def test_the_charge_point_obeys_what_is_typed(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    said: list[str] = []
    say = partial(said.append)
    for line, status in (
        ("plug 1", "Preparing"),
        ("tag ABC 1", "Charging"),
        ("fault 1 GroundFailure", "Faulted"),
        ("repair 1", "Charging"),
        ("emergency 1", "Finishing"),
        ("unplug 1", "Available"),
        ("", "Available"),
    ):
        assert await obey(cp, line, say)
        await trio.sleep(1)
        assert cp.status(1) == status
    assert cp.books[0].reason == "EmergencyStop"
    assert await obey(cp, "show", say)
    assert said[-1].startswith("connector 1: Available, 0.0 kW, limit 32.0 A, meter ")
    assert await obey(cp, "call Heartbeat", say)
    assert said[-1].startswith("Heartbeat -> {'currentTime': ")
    assert await obey(cp, "call DataTransfer {}", say)
    assert said[-1] == "DataTransfer -> {'status': 'UnknownVendorId'}"
    plant.judge.faults.clear()  # that was none of OCPP's
    assert await obey(cp, "nonsense", say)
    assert "hold a card" in said[-1]
    for line in ("plug 9", "plug x", "power soon", "call Heartbeat {"):
        with pytest.raises((ValueError, IndexError)):
            await obey(cp, line, say)
    await obey(cp, "away", say)
    await trio.sleep(30)
    assert not cp.connected
    assert await obey(cp, "call Heartbeat", say)
    assert said[-1] == "Heartbeat failed: Offline()"
    await obey(cp, "back", say)
    await cp.until(lambda: cp.registered)
    for line in ("cut", "power 5"):
        await obey(cp, line, say)
        await trio.sleep(1)
        assert not cp.connected
        await cp.until(lambda: cp.registered)
    assert not await obey(cp, "quit", say)


def test_moments() -> None:
    options = arguments().parse_args(["--url", "ws://h/x", "--plug-in-after", "3", "--plug-in-after", "2:4.5"])
    assert options.plug_in_after == [Moment(1, 3.0), Moment(2, 4.5)]


def test_addresses() -> None:
    assert read_url("ws://10.0.0.1:8887/ocpp/CP%20001/")[:3] == ("CP 001", "10.0.0.1:8887", "/ocpp/CP%20001/")
    assert read_url("wss://gateway.local/deep/path/CP1?x=1")[:3] == ("CP1", "gateway.local:443", "/deep/path/CP1?x=1")
    for bad in ("http://h/CP", "ws:///CP", "ws://h/", "CP001"):
        with pytest.raises(ValueError):
            read_url(bad)


def test_points_on_the_command_line() -> None:
    for text, address, kind in (
        ("total_power_w", 44, "i32"),
        ("link_state@1", 3032, "u16"),
        ("power_active_import_w@7.2", 21666, "i32"),
        ("limit_matrix@2", 1808, "u16"),
        ("command_ack@3", 11510, "u16"),
        ("3020", 3020, "u16"),
        ("3366:i32", 3366, "i32"),
        ("5700:str24", 5700, "str24"),
    ):
        found = Place.read(text)
        assert (found.address, found.point.kind) == (address, kind)
    for bad in ("nothing", "status", "70000", "1:float", "plugged@1", "link_state@x"):
        with pytest.raises(ValueError):
            Place.read(bad)
