"""The page beside the gateway of `make run`: webd, a program of its own, started with it and ended with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import trio

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0


def program() -> list[str]:
    """How webd is started: beside this Python, or as its module."""
    beside = Path(sys.executable).with_name("webd")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "gatewayd.web"]


async def page(
    configuration: Path, state: Path, steward: Path, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Until cancelled. Started with the page's address, or "" where it is off or does not come up: the gateway works
    without it, and `STATE.web.log` says why."""
    own = state.with_name(state.name + ".web")
    options = ["--config", str(configuration), "--state", str(own), "--run", str(state), "--gateway-state", str(state)]
    options += ["--steward", str(steward)]
    with state.with_name(state.name + ".web.log").open("wb") as log:
        process = await trio.lowlevel.open_process(
            [*program(), *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    assert process.stdout is not None
    try:
        said = b""
        with trio.move_on_after(READY_TIMEOUT_S):
            while b"ready\n" not in said:
                some = await process.stdout.receive_some()
                if not some:
                    break
                said += some
        address = json.loads((own / "web.json").read_text(encoding="utf-8"))["url"] if b"ready\n" in said else ""
        task_status.started(address)
        await process.wait()
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(STOP_TIMEOUT_S):
                await process.wait()
            if process.poll() is None:
                process.kill()
                await process.wait()
