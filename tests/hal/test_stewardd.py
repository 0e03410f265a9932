"""stewardd as the program it is. Its commands are small programs of the test that write down how they were called."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatewayd.services.steward import set_clock
from hal.network_files import parse_trial
from hal.stewardd import Job
from hal.wishes import Rates

COMMAND = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
[ -f {directory}/fails ] && {{ echo "$(basename "$0") is out of order"; exit 1; }}
case "$*" in *tracking) cat {directory}/tracking ;; esac
exit 0
"""
UNSYNCHRONISED = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"
SYNCHRONISED = "C0000201,192.0.2.1,3,1763800000.1,0.0,0.0,0.0,0.0,0.0,0.0,0.1,0.1,64.0,Normal\n"


class Steward:
    """The program, its fake commands, and a caller."""

    def __init__(self, directory: Path, caller: str = "webd", *more: str) -> None:
        self.directory = directory
        self.state = directory / "data" / "gateway"
        self.state.mkdir(parents=True)
        (self.state / "gateway.toml").write_text("")
        (directory / "tracking").write_text(UNSYNCHRONISED)
        commands = directory / "bin"
        commands.mkdir()
        for name in ("chronyc", "systemctl", "rauc"):
            (commands / name).write_text(COMMAND.format(log=directory / "log", directory=directory))
            (commands / name).chmod(0o755)
        self.run = directory / "run"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "hal.stewardd", "--data", str(directory / "data"), "--run", str(self.run)),
                *("--path", f"{commands}:/usr/bin:/bin", "--caller", f"{os.getuid()}={caller}"),
                *more,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.socket = self.run / "wishes"
        deadline = time.monotonic() + 20
        while not self._listens():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as caller:
            try:
                caller.connect(str(self.socket))
            except OSError:
                return False
        return True

    def raw(self, data: bytes, *files: int) -> bytes:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(20)
            caller.connect(str(self.socket))
            if data:
                socket.send_fds(caller, [data], list(files))
            answer = b""
            while chunk := caller.recv(4096):
                answer += chunk
            return answer

    def wish(self, name: str, *files: int, **fields: object) -> tuple[str, str]:
        answer = json.loads(self.raw(json.dumps({"wish": name, **fields}).encode() + b"\n", *files))
        return answer["answer"], answer["text"]

    def job(self) -> dict[str, Any]:
        """The long wish's end."""
        deadline = time.monotonic() + 20
        while True:
            facts: dict[str, Any] = json.loads((self.run / "job.json").read_text())
            if facts["state"] != "running":
                return facts
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def called(self) -> list[str]:
        log = self.directory / "log"
        return log.read_text().splitlines() if log.exists() else []

    def stop(self) -> str:
        self.process.terminate()
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        assert self.process.wait(timeout=20) == 0
        return said


@pytest.fixture
def steward(tmp_path: Path) -> Iterator[Steward]:
    steward = Steward(tmp_path)
    yield steward
    steward.process.kill()
    steward.process.wait()
    assert steward.process.stderr is not None
    steward.process.stderr.close()


def test_set_clock_goes_to_chrony_in_order(steward: Steward) -> None:
    assert steward.wish("set_clock", epoch_s=1_800_000_000) == ("done", "")
    assert steward.called() == [
        "chronyc -n -c tracking",
        "chronyc -n manual on",
        "chronyc -n manual reset",
        "chronyc -n settime 2027-01-15 08:00:00",
        "chronyc -n makestep",
    ]


def test_a_time_server_wins(steward: Steward) -> None:
    (steward.directory / "tracking").write_text(SYNCHRONISED)
    answer, text = steward.wish("set_clock", epoch_s=1_800_000_000)
    assert answer == "refused"
    assert "time server" in text
    assert steward.called() == ["chronyc -n -c tracking"]


def test_too_often_is_refused_and_not_done(steward: Steward) -> None:
    steward.wish("reboot")
    answer, text = steward.wish("reboot")
    assert (answer, text.split(":")[0]) == ("refused", "too often")
    assert steward.called() == ["systemctl --no-block reboot"]


def test_factory_reset_starts_its_unit(steward: Steward) -> None:
    assert steward.wish("factory_reset")[0] == "done"
    assert steward.called() == ["systemctl --no-block start factory-reset-now.service"]


def test_a_command_that_fails_says_why(steward: Steward) -> None:
    (steward.directory / "fails").touch()
    assert steward.wish("reboot") == ("failed", "systemctl --no-block reboot: systemctl is out of order")


def test_network_is_tried_confirmed_and_taken_back(steward: Steward) -> None:
    network = {"mode": "static", "address": "10.0.0.5/24"}
    assert steward.wish("apply_network", network=network) == ("done", "")
    trial = parse_trial((steward.run / "network.json").read_text())
    assert str(trial.settings.address) == "10.0.0.5/24"
    assert 55 < trial.until - time.clock_gettime(time.CLOCK_BOOTTIME) <= 60
    assert steward.wish("confirm_network") == ("refused", "the configuration does not say so yet: save it first")
    (steward.state / "gateway.toml").write_text('[network]\nmode = "static"\naddress = "10.0.0.5/24"\n')
    time.sleep(1.0)  # one confirmation a second
    assert steward.wish("confirm_network") == ("done", "")
    assert not (steward.run / "network.json").exists()
    assert steward.wish("revert_network") == ("done", "")
    time.sleep(1.0)
    assert steward.wish("confirm_network") == ("refused", "no settings are on trial")


def test_update_is_copied_to_where_only_root_writes_and_removed(steward: Steward, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_bytes(b"bundle" * 1000)
    with open(tmp_path / "bundle", "rb") as bundle:
        assert steward.wish("install_update", bundle.fileno()) == ("started", "")
    assert steward.job() == {"wish": "install_update", "state": "done", "text": ""}
    assert steward.called() == [f"rauc install {steward.directory}/data/update.raucb"]
    assert not (steward.directory / "data" / "update.raucb").exists()


def test_backup_and_restore(steward: Steward, tmp_path: Path) -> None:
    (steward.state / "authority.key").write_text("secret")
    with open(tmp_path / "backup", "wb") as place:
        assert steward.wish("back_up", place.fileno())[0] == "started"
    assert steward.job() == {"wish": "back_up", "state": "done", "text": "2 files"}
    (steward.state / "authority.key").write_text("another")
    with open(tmp_path / "backup", "rb") as kept:
        assert steward.wish("restore", kept.fileno())[0] == "started"
    assert steward.job() == {"wish": "restore", "state": "done", "text": "2 files"}
    assert (steward.state / "authority.key").read_text() == "secret"
    assert steward.called() == ["systemctl stop gatewayd.service", "systemctl --no-block start gatewayd.service"]


@pytest.mark.parametrize(("state", "stays"), [("running", False), ("done", True), ("", False)])
def test_how_a_long_wish_ended_is_still_told_by_its_next_life(state: str, stays: bool, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    told = tmp_path / "run" / "job.json"
    told.write_text(json.dumps({"wish": "restore", "state": state, "text": ""}) if state else "half")
    Job(told)
    assert told.exists() is stays


def test_it_may_end_once_nothing_would_be_refused_for_what_it_remembers() -> None:
    rates = Rates()
    assert rates.forgettable(0.0)
    rates.take("set_clock", 100.0)
    assert not rates.forgettable(109.0)
    assert rates.forgettable(110.0)


def test_a_bad_backup_stops_nobody(steward: Steward, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"not an archive" * 100)
    with open(tmp_path / "bad", "rb") as bad:
        steward.wish("restore", bad.fileno())
    assert steward.job()["state"] == "refused"
    assert steward.called() == []


def test_two_files_or_a_device_are_no_wish(steward: Steward, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")
    with open(tmp_path / "one", "rb") as one, open("/dev/null", "rb") as null:
        wish = b'{"wish": "restore"}\n'
        assert steward.raw(wish, null.fileno()) == b""
        assert steward.raw(wish, one.fileno(), one.fileno()) == b""
    assert steward.wish("revert_network") == ("done", "")


def test_rude_callers_are_let_go_and_others_served(steward: Steward) -> None:
    assert steward.raw(b"x" * 5000 + b"\n") == b""
    assert json.loads(steward.raw(b"nonsense\n"))["answer"] == "refused"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(steward.socket))
        begun = time.monotonic()
        assert steward.wish("revert_network") == ("done", "")
        assert time.monotonic() - begun < 5


def test_every_wish_and_refusal_is_logged(steward: Steward) -> None:
    steward.wish("reboot")
    steward.wish("reboot", extra=1)
    said = steward.stop()
    assert "webd wished reboot: done" in said
    assert "webd: refused: its fields are wish" in said


def test_gatewayd_may_set_the_clock_and_nothing_else(tmp_path: Path) -> None:
    steward = Steward(tmp_path, caller="gatewayd")
    try:
        assert steward.wish("set_clock", epoch_s=1_800_000_000)[0] == "done"
        assert steward.wish("reboot") == ("refused", "gatewayd may not wish that")
    finally:
        steward.stop()


def test_a_development_machine_grants_what_it_can_do(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "fact").write_text("mine")
    (tmp_path / "site.toml").write_text("")
    steward = Steward(
        tmp_path, "webd", *("--state", str(own), "--config", str(tmp_path / "site.toml"), "--grant", "back_up")
    )
    try:
        assert steward.wish("reboot") == ("refused", "only the appliance can do that")
        with open(tmp_path / "backup", "wb") as place:
            assert steward.wish("back_up", place.fileno())[0] == "started"
        assert steward.job() == {"wish": "back_up", "state": "done", "text": "2 files"}
    finally:
        steward.stop()


# --- gatewayd's side


async def test_client_set_clock(steward: Steward) -> None:
    assert await set_clock(1_800_000_000, str(steward.socket)) == ""
    assert (await set_clock(1_800_000_000, str(steward.socket))).startswith("refused: too often")


async def test_client_without_a_steward(tmp_path: Path) -> None:
    assert (await set_clock(1_800_000_000, str(tmp_path / "nobody"))).startswith("stewardd cannot be asked")
