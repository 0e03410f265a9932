"""The emulated machine with a card and Debian's U-Boot: what it says until it has said enough."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from pathlib import Path

from tests.card.card import HERE, in_tools

MACHINE = (
    *(
        "qemu-system-aarch64",
        "-M",
        "virt,gic-version=2",
        "-cpu",
        "cortex-a72",
        "-m",
        "1024",
        "-nographic",
        "-net",
        "none",
    ),
    *("-global", "virtio-mmio.force-legacy=false", "-device", "virtio-rng-device"),
    *("-bios", "/usr/lib/u-boot/qemu_arm64/u-boot.bin", "-device", "virtio-blk-device,drive=card", "-drive"),
)


def said(card: Path, wanted: re.Pattern[str], count: int, patience_s: float) -> list[str]:
    """Lets the machine run until `wanted` was found `count` times in what it says, then takes its power away.

    Returns the groups that matched, in order. Raises AssertionError with its last words if it takes longer.
    """
    found: list[str] = []
    with subprocess.Popen(
        in_tools(*MACHINE, f"file={card.relative_to(HERE)},if=none,id=card,format=raw"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=HERE,
    ) as machine:
        assert machine.stdout is not None
        text, deadline = "", time.monotonic() + patience_s
        try:
            while len(found) < count:
                ready = select.select([machine.stdout], [], [], max(deadline - time.monotonic(), 0.0))[0]
                new = os.read(machine.stdout.fileno(), 65536) if ready else b""
                assert new, f"it said only {found}, and last: {text[-1500:]}"
                text += new.decode("utf-8", "replace").replace("\r", "")
                found = [
                    next(filter(None, groups)) if isinstance(groups, tuple) else groups
                    for groups in wanted.findall(text)
                ]
        finally:
            machine.kill()
    return found[:count]
