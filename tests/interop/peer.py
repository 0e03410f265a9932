"""Somebody else's OCPP as a process: it says JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

HERE = Path(__file__).parent / "peers"
INSTALLED = Path(__file__).parents[2] / "build" / "interop"
PYTHON = INSTALLED / "python" / "bin" / "python"
NODE_MODULES = INSTALLED / "node" / "node_modules"
PATIENCE_S = 120.0
"""Against hangs only: how long somebody else's interpreter takes to start on a busy machine is not judged here."""


def versions() -> dict[str, str]:
    """What is installed: package → version. AssertionError where nothing is."""
    assert PYTHON.exists(), "the peers are not installed: make test-interop"
    listed = subprocess.run(
        [str(PYTHON), "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    found = {each["name"]: each["version"] for each in json.loads(listed.stdout)}
    for package in NODE_MODULES.glob("ocpp-*/package.json"):
        about = json.loads(package.read_text(encoding="utf-8"))
        found[about["name"]] = about["version"]
    return found


class Peer:
    """`said` is every line so far."""

    def __init__(self, script: str, *arguments: str) -> None:
        self.script, self.arguments = script, arguments
        self.said: list[dict[str, Any]] = []
        self.process: trio.Process | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until it ends by itself, or cancelled."""
        program = "node" if self.script.endswith(".js") else str(PYTHON)
        environment = os.environ | {"NODE_PATH": str(NODE_MODULES), "PYTHONUNBUFFERED": "1"}
        self.process = await trio.lowlevel.open_process(
            [program, str(HERE / self.script), *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        task_status.started()
        try:
            assert self.process.stdout is not None
            rest = b""
            async for some in self.process.stdout:
                *lines, rest = (rest + bytes(some)).split(b"\n")
                self.said += [json.loads(line) for line in lines if line.startswith(b"{")]
        finally:
            with trio.CancelScope(shield=True):
                if self.process.returncode is None:
                    self.process.kill()
                await self.process.wait()

    async def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line of which this is true; trio.TooSlowError with all that it said."""
        with trio.move_on_after(PATIENCE_S):
            while True:
                for line in self.said:
                    if true(line):
                        return line
                await trio.sleep(0.02)
        raise trio.TooSlowError(f"{self.script} said {self.said}")

    async def tell(self) -> None:
        """Go on with the story."""
        assert self.process is not None
        assert self.process.stdin is not None
        await self.process.stdin.send_all(b"\n")
