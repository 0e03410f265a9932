"""stewardd beside `make run`, as far as a machine that is no appliance can have it: backup and restore.

What systemd does on the appliance, stopping and starting the gateway, a small script does here. It stands where
stewardd looks for `systemctl`, and leaves a word in files for whoever runs the gateway (`Attendant`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import trio

READY_TIMEOUT_S = 20.0
LOOK_S = 0.05

SYSTEMCTL = """#!/bin/sh
# Stands in for systemd: the gateway is stopped, and started again by whoever runs it.
set -eu
cd "$(dirname "$0")/.."
case "$*" in
"stop gatewayd.service")
    rm -f stopped
    : >held
    kill "$(cat pid)"
    tries=0
    until [ -e stopped ]; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || { echo "the gateway does not stop"; exit 1; }
        sleep 0.1
    done
    ;;
"--no-block start gatewayd.service") rm -f held ;;
*)
    echo "only the gateway can be stopped and started here"
    exit 1
    ;;
esac
"""


class Attendant:
    """Between the script and whoever runs the gateway."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder, which is stewardd's own."""
        self.folder = folder
        script = folder / "bin" / "systemctl"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(SYSTEMCTL)
        script.chmod(0o755)
        for left in ("held", "stopped", "pid"):
            (folder / left).unlink(missing_ok=True)

    @property
    def socket(self) -> Path:
        return self.folder / "wishes"

    def began(self, pid: int) -> None:
        """The gateway runs."""
        (self.folder / "pid").write_text(str(pid))

    @property
    def held(self) -> bool:
        """It ended because it was asked to, and is to be started again."""
        return (self.folder / "held").exists()

    async def released(self) -> None:
        """It has ended; until it may be started again."""
        (self.folder / "stopped").touch()
        while self.held:  # noqa: ASYNC110  the script is another process
            await trio.sleep(LOOK_S)


async def steward(
    attendant: Attendant,
    configuration: Path,
    state: Path,
    log: Path,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until cancelled. Where it does not come up, the page says that there is no backup."""
    options = ["--run", str(attendant.folder), "--state", str(state), "--config", str(configuration)]
    options += ["--path", f"{attendant.folder.absolute() / 'bin'}:/usr/bin:/bin", "--caller", f"{os.getuid()}=webd"]
    with log.open("wb") as logged:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "hal.stewardd", *options, "--grant", "back_up", "--grant", "restore"],
            stdin=subprocess.DEVNULL,
            stdout=logged,
            stderr=logged,
            start_new_session=True,
        )
    try:
        with trio.move_on_after(READY_TIMEOUT_S):
            while not attendant.socket.exists() and process.poll() is None:  # noqa: ASYNC110  another process
                await trio.sleep(LOOK_S)
        task_status.started()
        await process.wait()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
