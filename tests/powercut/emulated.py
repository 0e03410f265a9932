"""The guest whose disk is logged: the appliance's kernel, initrd and root, and a program of ours instead of systemd."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Final

from tests.powercut.deeds import DATA_AT, DATA_BYTES, MARKS_AT, MARKS_BYTES
from tests.powercut.log import SECTOR
from tests.vm.machine import PROJECT, free_port

PATIENCE_S: Final = 1800.0
"""Two minutes of a machine that has nothing else to do."""

LOG_BYTES: Final = 8 << 30
"""Sparse; a deed takes half a megabyte, a factory reset fifteen."""


class GuestFailed(Exception):
    """It did not come to its end; says what was last on its console."""


def ready(parts: Collection[str]) -> str:
    """Why there can be no guest here for these parts; empty: there can."""
    if os.geteuid() != 0:
        return "this needs root"
    wanted = {"build/tools/made-from": "tools"}
    if {"replay", "short"} & set(parts):
        wanted["build/root/root.squashfs"] = "root"
    if {"fresh", "kills"} & set(parts):
        wanted["build/card/card.img"] = "image"
    return ", ".join(f"no {path} here: make {made}" for path, made in wanted.items() if not (PROJECT / path).exists())


def live(directory: Path, seed: str, plan: str) -> Path:
    """Lets a partition live by this plan (guest/life.py); the log of its disk. Raises GuestFailed."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    here = directory.relative_to(PROJECT)
    root, disk, log, initrd = (here / name for name in ("root.img", "disk.img", "log", "initrd"))
    subprocess.run(["image/vm.sh", "disk", root], cwd=PROJECT, check=True)
    subprocess.run(["tests/powercut/guest/build.sh", initrd], cwd=PROJECT, check=True)
    _partitioned(PROJECT / disk)
    with open(PROJECT / log, "wb") as file:
        file.truncate(LOG_BYTES)
    environment = os.environ | {
        "VM_DIRECTORY": str(here),
        "VM_PORTS": f"modbus={free_port()}:502",
        "VM_INITRD": str(initrd),
        "VM_APPEND": f"rdinit=/test/init life={seed} life.plan={plan.replace(' ', '_')}",
        "VM_ARGS": "-no-reboot -device virtio-blk-device,drive=cut,serial=cut "
        "-blockdev driver=blklogwrites,node-name=cut,"
        f"file.driver=file,file.filename={disk},log.driver=file,log.filename={log}",
    }
    try:
        with open(directory / "emulator.log", "wb") as said:
            subprocess.run(
                ["image/vm.sh", "run", root],
                cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                timeout=PATIENCE_S, check=False,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise GuestFailed(f"no end after {PATIENCE_S:.0f} s:\n{_last(directory)}") from None
    if not re.search(r"^life: done", _last(directory), re.MULTILINE):
        raise GuestFailed(_last(directory))
    (directory / "root.img").unlink()
    return PROJECT / log


def _last(directory: Path) -> str:
    console = directory / "console.log"
    return (console if console.exists() else directory / "emulator.log").read_text(errors="replace")[-3000:]


def _partitioned(disk: Path) -> None:
    """A disk with two partitions, in the oldest of tables: it is two lines."""
    table = bytearray(SECTOR)
    for number, (begin, size) in enumerate(((DATA_AT, DATA_BYTES), (MARKS_AT, MARKS_BYTES))):
        linux = 0x83
        struct.pack_into("<4xB3xII", table, 446 + 16 * number, linux, begin // SECTOR, size // SECTOR)
    table[510:] = b"\x55\xaa"
    with open(disk, "wb") as file:
        file.write(table)
        file.truncate(MARKS_AT + MARKS_BYTES)
