"""What systemd hears of our programs, and the sockets it hands them, with the test in systemd's place."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hal.systemd import Systemd, activated_socket

AS_PID = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.executable, sys.argv[1:])"


class Init:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(20)

    def until(self, word: str) -> list[str]:
        heard: list[str] = []
        while not any(word in said for said in heard):
            heard.append(self._socket.recv(4096).decode())
        return heard

    def close(self) -> None:
        self._socket.close()


def activated(given: socket.socket, module: str, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    """The program, as systemd starts it for a socket."""
    os.set_inheritable(given.fileno(), True)

    def at_three() -> None:
        os.dup2(given.fileno(), 3, inheritable=True)

    return subprocess.Popen(
        [sys.executable, "-c", AS_PID, sys.executable, "-m", module, *arguments],
        env={**os.environ, "LISTEN_FDS": "1", "WATCHDOG_USEC": "300000", **more},
        pass_fds=(3,),
        preexec_fn=at_three,
    )


@pytest.mark.parametrize(
    ("module", "arguments", "kind"),
    [
        ("hal.paneld", ["--board", "sim:{}/board", "--run", "{}/run"], socket.SOCK_DGRAM),
        ("hal.stewardd", ["--data", "{}/data", "--run", "{}/run"], socket.SOCK_STREAM),
    ],
)
def test_ready_watchdog_and_stopping_on_systemds_own_socket(
    module: str, arguments: list[str], kind: socket.SocketKind, tmp_path: Path
) -> None:
    init = Init(tmp_path)
    with socket.socket(socket.AF_UNIX, kind) as given:
        given.bind(str(tmp_path / "door"))
        if kind is socket.SOCK_STREAM:
            given.listen()
        process = activated(given, module, *(word.format(tmp_path) for word in arguments), NOTIFY_SOCKET=init.path)
        try:
            assert "READY=1\nSTATUS=listening" in init.until("READY=1")
            init.until("WATCHDOG=1")
            init.until("WATCHDOG=1")  # SIGTERM now falls into the moment of sending
            assert not any((tmp_path / "run" / name).exists() for name in ("words", "wishes")), "it bound its own"
            process.send_signal(signal.SIGTERM)
            init.until("STOPPING=1")
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            process.wait()
            init.close()


def test_without_systemd_every_word_goes_nowhere() -> None:
    systemd = Systemd({})
    systemd.ready("x")
    systemd.status("x")
    systemd.alive()
    systemd.stopping()
    assert systemd.watchdog_every_s == float("inf")


def test_a_systemd_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    init = Init(tmp_path)
    systemd = Systemd({"NOTIFY_SOCKET": init.path})
    for _ in range(10_000):
        systemd.alive()
    init.close()


def test_a_socket_of_another_kind_is_refused(tmp_path: Path) -> None:
    code = (
        "import os, socket; from hal.systemd import activated_socket;"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); os.dup2(s.fileno(), 3);"
        "activated_socket(socket.SOCK_DGRAM, {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "wanted AF_UNIX SOCK_DGRAM" in run.stderr
    assert activated_socket(socket.SOCK_DGRAM, {}) is None


def test_stewardd_ends_when_nobody_asks_and_comes_again(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(tmp_path / "door"))
        given.listen()
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(tmp_path / "door"))  # nobody is there yet
                caller.sendall(b'{"wish": "dinner"}\n')
                places = "--data", f"{tmp_path}/data", "--run", f"{tmp_path}/run"
                with activated(given, "hal.stewardd", *places, "--rest", "0.1") as process:
                    caller.settimeout(20)
                    assert b"refused" in caller.recv(4096)
                    assert process.wait(timeout=20) == 0
