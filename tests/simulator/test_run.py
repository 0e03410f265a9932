"""What `make run` starts, as a whole: real processes on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import run
from .own_configuration import DEFAULT_CONFIGURATION, free_port

CONFIGURATION = DEFAULT_CONFIGURATION.format(modbus=0, ocpp=0, web=-1, metrics=-1)
START_TIMEOUT_S = 40.0


class Running:
    """`make run` without make. `lines` is what it has printed so far."""

    def __init__(self, directory: Path, **environment: str) -> None:
        configuration = directory / "site.toml"
        configuration.write_text(environment.pop("text", CONFIGURATION))
        self.state = directory / "state"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulator.run"],
            env=os.environ | {"CONFIG": str(configuration), "STATE": str(self.state)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def until(self, pattern: str) -> str:
        """Read on until a line matches; the line."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                return line
            if time.monotonic() > deadline:
                break
        raise AssertionError(f"no line like {pattern}:\n{''.join(self.lines)}")

    def end(self, how: int) -> tuple[int, float, str]:
        """(exit code, seconds it took, the rest of what it printed)."""
        began = time.monotonic()
        self.process.send_signal(how)
        rest = self.process.communicate(timeout=10)[0]
        return self.process.returncode, time.monotonic() - began, rest


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Running]]:
    made: list[Running] = []

    class Started(Running):
        def __init__(self, **environment: str) -> None:
            super().__init__(tmp_path, **environment)
            made.append(self)

    yield Started
    for running in made:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate(timeout=10)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_things_are_and_stops_when_told(start: type[Running], how: int) -> None:
    running = start(PEERS="0")  # type: ignore[call-arg]
    running.until("The gateway is running")
    line = running.until("mbpoll -m tcp").split()
    running.until("it prints")
    expected = [running.until(rf"\[{register}\]").strip() for register in range(6)]
    assert expected[0] == "[0]: \t20291"
    if shutil.which("mbpoll") is None:
        pytest.skip("mbpoll is not installed: `make setup` does it")
    printed = subprocess.run(line, capture_output=True, text=True, timeout=10, check=True).stdout
    assert [row.strip() for row in printed.splitlines() if row.startswith("[")] == expected
    assert str(running.state) + ".board/button" in "".join(running.lines)
    os.kill(_gateway(running), 0)  # it is there
    code, seconds, rest = running.end(how)
    assert (code, "stopped" in rest) == (0, True)
    assert seconds < 5
    with pytest.raises(ProcessLookupError):
        os.kill(_gateway(running), 0)


def _gateway(running: Running) -> int:
    """The daemon's process, or one that is none when it is gone."""
    found = subprocess.run(
        ["ps", "-eww", "-o", "pid,args", "--no-headers"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    daemons = [line.split() for line in found if f"--state {running.state} " in line]
    return int(daemons[0][0]) if daemons else 2**22 + 1


def test_the_peers_move_the_registers(start: type[Running]) -> None:
    running = start()  # type: ignore[call-arg]
    running.until("CP001: BootNotification: Accepted")
    running.until("cable plugged in")
    running.until("BMS: charge point 1: Authorize of DRIVER002 accepted")
    running.until("BMS: charge point 2, connector 1: start")
    running.until(r"heartbeat \d+, [1-9][\d.]+ kW .*Charging")
    code, seconds, rest = running.end(signal.SIGINT)
    assert code == 0
    assert seconds < 5
    ends = [line for line in rest.splitlines() if "transaction ends" in line and "EVDisconnected" in line]
    assert len(ends) == 2  # the cars leave before the lights go out; the BMS may still note it, or not


def test_it_says_so_when_the_gateway_dies(start: type[Running]) -> None:
    running = start(PEERS="0")  # type: ignore[call-arg]
    running.until("it prints")
    os.kill(_gateway(running), signal.SIGKILL)
    running.until("the gateway ended by itself")
    assert running.process.wait(10) != 0


def test_a_configuration_that_is_refused(start: type[Running]) -> None:
    running = start(text="[gateway]\nnonsense = 1\n")  # type: ignore[call-arg]
    running.until("the gateway ended by itself with exit code 2")
    running.until("nonsense")
    assert running.process.wait(10) == 2


def test_taken_ports_are_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("modbus", port, print) == 0
    assert f"port {port} (modbus) is taken" in capsys.readouterr().out
    assert free_port("modbus", port, print) == port


def test_the_configuration_it_writes(tmp_path: Path) -> None:
    places = run.prepare({"STATE": str(tmp_path / "deep" / "state")})
    assert places.configuration == tmp_path / "deep" / "state.toml"
    assert places.board == tmp_path / "deep" / "state.board"
    places.state.mkdir()
    places.ports.write_text(json.dumps({"modbus_tcp": 1, "ocpp": 2, "ocpp_tls": None, "web": 3, "metrics": 4}))
    site = run.Site.read(places)
    assert [entry["identity"] for entry in site.charge_points] == ["CP001", "CP002"]
    assert site.connectors == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (site.unit, site.modbus_host, site.coding.word_order) == (1, "127.0.0.1", "big")
    named = run.prepare({"STATE": str(tmp_path / "other"), "CONFIG": "mine.toml"})
    assert named.configuration == Path("mine.toml")
    assert not (tmp_path / "other.toml").exists()


def test_what_was_adopted_stays_at_the_next_start(tmp_path: Path) -> None:
    state = str(tmp_path / "gateway")
    places = run.prepare({"STATE": state})
    adopted = places.configuration.read_text() + '# the new one\n[[charge_point]]\nnumber = 3\nidentity = "CP003"\n'
    places.configuration.write_text(adopted)
    assert run.prepare({"STATE": state}).configuration.read_text() == adopted


def test_a_port_that_is_taken_now_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    state = str(tmp_path / "gateway")
    places = run.prepare({"STATE": state})
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        text = re.sub(r"port = \d+", f"port = {taken}", places.configuration.read_text(), count=1)
        places.configuration.write_text(text)
        run.prepare({"STATE": state})
        assert places.configuration.read_text() == text.replace(f"port = {taken}", "port = 0", 1)
    places.configuration.write_text("[half")
    run.prepare({"STATE": state})
    assert places.configuration.read_text() == "[half"
