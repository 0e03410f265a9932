"""`gatewayd --check` and the ways it refuses to start: exact lines, exact codes (interface.md, Exit codes)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.process.daemon import run_to_its_end

GOOD = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.toml"


@pytest.mark.parametrize("toml", ["", GOOD], ids=["nothing at all", "the smallest useful"])
def test_a_good_file_is_0_and_silent(file: Path, toml: str) -> None:
    file.write_text(toml)
    done = run_to_its_end("--config", file, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_not_active_yet_is_a_warning_and_0(file: Path) -> None:
    file.write_text(GOOD + '[ocpp.upstream]\nurl = "ws://central/ocpp"\n')
    done = run_to_its_end("--config", file, "--check")
    assert (done.returncode, done.stdout) == (0, "")
    for line in done.stderr.splitlines():
        assert line.startswith(f"{file}: ")


def test_a_certificate_that_is_not_here_is_a_warning_and_0(file: Path) -> None:
    file.write_text('[ocpp.tls]\nport = 8888\ncertificate = "/not/here.pem"\nkey = "/not/here.key"\n')
    done = run_to_its_end("--config", file, "--check")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{file}: ocpp.tls.certificate: /not/here.pem cannot be read: ")


def test_every_fault_is_one_line_and_2(file: Path) -> None:
    file.write_text(
        """
        [modbus]
        unit_id = 0
        word_ordre = "big"
        [modbus.tcp]
        port = "502"
        [[charge_point]]
        number = 1
        identity = "CP001"
        [[charge_point]]
        number = 1
        identity = "CP001"
        """
    )
    done = run_to_its_end("--config", file, "--check")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    keys = [line.removeprefix(f"{file}: ").partition(": ")[0] for line in lines]
    assert sorted(keys) == [
        "charge_point[2].identity",
        "charge_point[2].number",
        "modbus.tcp.port",
        "modbus.unit_id",
        "modbus.word_ordre",
    ]


def test_a_fault_of_the_toml_names_its_line(file: Path) -> None:
    file.write_text('[gateway]\nname = "one"\nname = \n')
    done = run_to_its_end("--config", file, "--check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{file}: line 3: ")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there(file: Path) -> None:
    done = run_to_its_end("--config", file, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{file}: No such file or directory\n")


def test_a_bad_file_keeps_the_daemon_from_starting(file: Path, tmp_path: Path) -> None:
    file.write_text("[gateway]\nrole = 'queen'\n")
    done = run_to_its_end("--config", file, "--state", tmp_path / "state")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{file}: gateway.role: ")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("table", ["modbus.tcp", "ocpp"])
def test_a_port_that_cannot_be_had_is_3(file: Path, tmp_path: Path, table: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = {"modbus.tcp": "ocpp", "ocpp": "modbus.tcp"}[table]
        file.write_text(f'[{table}]\nhost = "127.0.0.1"\nport = {port}\n[{other}]\nhost = "127.0.0.1"\nport = 0\n')
        done = run_to_its_end("--config", file, "--state", tmp_path / "state")
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = [line for line in done.stderr.splitlines() if "cannot be had" in line]
    assert f"127.0.0.1:{port} cannot be had: Address already in use" in line
    assert "Traceback" not in done.stderr


def test_a_state_that_cannot_be_a_folder_is_2(file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD)
    (tmp_path / "state").write_text("a file")
    done = run_to_its_end("--config", file, "--state", tmp_path / "state")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path / 'state'}: File exists\n"


def test_without_a_state_it_says_what_is_missing(file: Path) -> None:
    file.write_text(GOOD)
    done = run_to_its_end("--config", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith("--state is required")


@pytest.mark.parametrize(
    ("board", "why"),
    [
        ("panel", "write sim:DIR or gpio:CHIP"),
        ("gpio:/dev/gpiochip99", "No such file or directory"),
        ("sim:/dev/null/board", "Not a directory"),
    ],
)
def test_a_board_that_is_not_there_is_one_line_and_2(file: Path, tmp_path: Path, board: str, why: str) -> None:
    file.write_text(GOOD)
    done = run_to_its_end("--config", file, "--state", tmp_path / "state", "--board", board)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"--board {board}: {why}\n")
