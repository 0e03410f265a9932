"""The appliance under emulation, and what tests can do to it: its network ports, its RS485 bus, its board, its agent.

The agent is put there by tests/vm/guest: nothing of it is in the shipped root. Times are the guest's.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path(__file__).parents[2]
GUEST: Final = Path(__file__).parent / "guest"
BUILT: Final = PROJECT / "build/vm"

BOOT_S: Final = 1500.0
"""Until systemd says that it has started everything: two minutes of one whole core, and the machine may be busy with
ten other things."""

ANSWER_S: Final = 300.0
"""For an answer of a machine that has answered before."""

PORTS: Final = {"modbus": 502, "ocpp": 8887, "page": 443, "metrics": 9100}


class NotThere(AssertionError):
    """The machine ended, or did not come so far in time; says what was last on its console."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Machine:
    """A disk of its own, a copy of `disk`; `start` it as often as you like."""

    def __init__(self, name: str, disk: Path = BUILT / "fresh.img") -> None:
        self.directory = BUILT / name
        self.port = {each: free_port() for each in PORTS}
        self._process: subprocess.Popen[bytes] | None = None
        self._agent: socket.socket | None = None
        self._pending, self._asked, self._heard = b"", 0, False
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        # Sparse, and gone with the machine: 300 MiB of mostly nothing.
        subprocess.run(["cp", "--sparse=always", disk, self.directory / "disk.img"], check=True)

    @property
    def bus(self) -> Path:
        return self.directory / "rs485"

    @property
    def console(self) -> str:
        return (self.directory / "console.log").read_text(errors="replace")

    def start(
        self, *, closed: tuple[str, ...] = (), network: str = "user", prefix: tuple[str, ...] = (), append: str = ""
    ) -> None:
        """Power on, with these contacts of the board closed, in this network: a tap, and what a command must begin
        with to be where the tap is. Returns at once."""
        self._heard = False
        relative = self.directory.relative_to(PROJECT)
        environment = os.environ | {
            "VM_DIRECTORY": str(relative),
            "VM_NET": network,
            "VM_STEADY": "1",
            "VM_PORTS": " ".join(f"{name}={self.port[name]}:{there}" for name, there in PORTS.items()),
            "VM_INITRD": str((BUILT / "initrd-test").relative_to(PROJECT)),
            "VM_APPEND": f"{append} rdinit=/test/init" + (f" board.closed={','.join(closed)}" if closed else ""),
            "VM_ARGS": "-no-reboot -device i6300esb "
            "-device virtio-serial-device -device virtserialport,chardev=agent,name=agent "
            f"-chardev socket,path={relative}/agent,server=on,wait=off,id=agent",
        }
        with open(self.directory / "emulator.log", "ab") as log:
            self._process = subprocess.Popen(
                [*prefix, "image/vm.sh", "run", f"{relative}/disk.img"],
                cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def stop(self) -> None:
        """The plug is pulled."""
        if self._agent is not None:
            self._agent.close()
            self._agent, self._pending = None, b""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop()
        (self.directory / "disk.img").unlink(missing_ok=True)

    def ended(self, limit_s: float = BOOT_S) -> None:
        """Waits until it switched itself off, or restarts, which `-no-reboot` makes the same."""
        assert self._process is not None
        self._process.wait(limit_s)
        self.stop()

    def ask(self, limit_s: float = ANSWER_S, **what: Any) -> Any:
        """One question to the agent. NotThere when there is no answer in time; the first waits for a whole start."""
        deadline = time.monotonic() + (limit_s if self._heard else max(limit_s, BOOT_S))
        self._asked += 1
        try:
            agent = self._connected(deadline)
            agent.settimeout(max(0.1, deadline - time.monotonic()))
            agent.sendall(json.dumps(what | {"id": self._asked}).encode() + b"\n")
            while (answer := self._answer(agent, deadline))["id"] != self._asked:
                pass  # to a question that was given up
        except OSError as why:
            raise self._fault(f"no answer to {what}: {why}") from why
        self._heard = True
        assert "error" not in answer, answer["error"]
        return answer

    def _answer(self, agent: socket.socket, deadline: float) -> Any:
        while b"\n" not in self._pending:
            agent.settimeout(max(0.1, deadline - time.monotonic()))
            some = agent.recv(1 << 16)
            if not some:
                raise ConnectionError("the emulator is gone")
            self._pending += some
        row, self._pending = self._pending.split(b"\n", 1)
        return json.loads(row)

    def run(self, *command: str, limit_s: float = ANSWER_S, code: int | None = 0) -> str:
        """A command in the guest, as root; its output. `code`: what it must end with, None for anything."""
        done = self.ask(limit_s=limit_s, run=list(command))
        assert code is None or done["code"] == code, f"{command} ended with {done['code']}: {done['out']}{done['err']}"
        return str(done["out"])

    def clock(self) -> float:
        """Seconds since the guest started."""
        return float(self.ask()["at"])

    def booted(self) -> str:
        """Waits until systemd has started everything that it will; its word for how that went: running, degraded."""
        return self.run("systemctl", "is-system-running", "--wait", limit_s=BOOT_S, code=None).strip()

    def until_it_ends(self, limit_s: float) -> float:
        """Waits for it to restart by itself, for so many seconds of the guest; when its agent was last heard."""
        last = began = self.clock()
        while True:
            try:
                last = self.clock()
            except NotThere:
                self.ended(60)
                return last
            if last > began + limit_s:
                raise self._fault(f"it goes on after {limit_s:.0f} s")
            time.sleep(0.3)

    def until(self, true: Any, limit_s: float, what: str) -> Any:
        """Asks again and again, for so many seconds of the guest; what was true."""
        end = self.clock() + limit_s
        while not (found := true()):
            if self.clock() > end:
                raise self._fault(f"not within {limit_s:.0f} s: {what}")
            time.sleep(0.3)
        return found

    def _connected(self, deadline: float) -> socket.socket:
        while self._agent is None:
            if self._process is None or self._process.poll() is not None:
                raise self._fault("it is not running")
            opened = socket.socket(socket.AF_UNIX)
            try:
                opened.connect(str(self.directory / "agent"))
            except OSError as why:
                opened.close()
                if time.monotonic() > deadline:
                    raise self._fault("no agent") from why
                time.sleep(0.2)
            else:
                self._agent = opened
        return self._agent

    def _fault(self, what: str) -> NotThere:
        try:
            last = "\n".join(self.console.splitlines()[-40:])
        except OSError:
            last = (self.directory / "emulator.log").read_text(errors="replace")
        return NotThere(f"{what}\n{last}")
