"""boot_state: which slot U-Boot tries, and how often still; a slot that started well gets its tries back. promises R7.

One sector of the partition `bootstate`, in the form of U-Boot's environment: a CRC and `name=value` strings. The names
are those of RAUC's "uboot" boot loader. U-Boot (image/boot/boot.cmd) takes one try from a slot before it starts it;
this program gives them back when the gateway runs (`good`), and asks for a new start when it does not (`deadline`).
The second copy is for a sector that went bad.

A sector is written wholly or not at all, so a cut leaves the old or the new. Even with both copies lost the gateway
starts: U-Boot then takes the card for a new one.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

log = logging.getLogger("boot_state")

PARTITION: Final = Path("/dev/disk/by-partlabel/bootstate")
COMMAND_LINE: Final = Path("/proc/cmdline")

SECTOR: Final = 512
"""Bytes of the state. U-Boot and fw_setenv must be told the same: boot.cmd, etc/fw_env.config."""

COPIES: Final = (0, 8 * SECTOR)
"""Where the state and its copy stand. Not in one block of 4,096 bytes, which a kernel writes at once."""

SLOTS: Final = ("A", "B")
TRIES: Final = 3
"""Starts that a slot has before the other one is taken: one may be a power cut, two may be bad luck."""

UNITS: Final = ("gatewayd.service", "netd.service")
"""What must run for a slot to be a good one: Modbus and OCPP, and an address."""

NEW: Final[Mapping[str, str]] = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": str(TRIES), "BOOT_B_LEFT": str(TRIES)}
"""What U-Boot takes when there is no state."""


def decode(sector: bytes) -> dict[str, str] | None:
    """The variables of a sector, or None if its checksum or its text is wrong."""
    data = sector[4:SECTOR]
    if len(sector) < SECTOR or zlib.crc32(data) != int.from_bytes(sector[:4], "little"):
        return None
    try:
        strings = data.partition(b"\0\0")[0].decode("ascii").split("\0")
    except UnicodeDecodeError:
        return None
    return {name: value for name, equals, value in (each.partition("=") for each in strings) if equals}


def encode(state: Mapping[str, str]) -> bytes:
    """The sector of these variables. Raises ValueError when they do not fit."""
    text = "".join(f"{name}={value}\0" for name, value in sorted(state.items())).encode("ascii") + b"\0"
    if len(text) > SECTOR - 4:
        raise ValueError(f"{len(text)} bytes of boot state do not fit into a sector")
    data = text.ljust(SECTOR - 4, b"\0")
    return zlib.crc32(data).to_bytes(4, "little") + data


def good(state: Mapping[str, str], slot: str) -> dict[str, str]:
    """The state after `slot` started well: it has all its tries. Who comes first in the order is an update's matter."""
    return {**state, f"BOOT_{slot}_LEFT": str(TRIES)}


def tries_left(state: Mapping[str, str]) -> bool:
    """A new start would start something: U-Boot passes over slots without a try. What is no number counts as 0."""
    return any(_number(state.get(f"BOOT_{slot}_LEFT", "")) > 0 for slot in SLOTS)


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def slot_of(command_line: str) -> str | None:
    """The slot that U-Boot chose, by the kernel's command line; None if it was not started that way."""
    said = [word.removeprefix("rauc.slot=") for word in command_line.split() if word.startswith("rauc.slot=")]
    return said[-1] if said and said[-1] in SLOTS else None


def read(descriptor: int) -> dict[str, str]:
    """The state as U-Boot would see it: the first copy that is whole, or a new card's. Raises OSError."""
    found = (decode(os.pread(descriptor, SECTOR, offset)) for offset in COPIES)
    return next((state for state in found if state is not None), dict(NEW))


def write(descriptor: int, state: Mapping[str, str]) -> None:
    """Both copies, one safely on the card before the other is touched. Raises OSError."""
    sector = encode(state)
    for offset in COPIES:
        os.pwrite(descriptor, sector, offset)
        os.fsync(descriptor)


def mark_good(partition: Path, slot: str) -> bool:
    """Gives a slot its tries back; False if it has them all, and nothing was written. Raises OSError."""
    descriptor = os.open(partition, os.O_RDWR | os.O_CLOEXEC)
    try:
        state = read(descriptor)
        if good(state, slot) == state:
            return False
        write(descriptor, good(state, slot))
        return True
    finally:
        os.close(descriptor)


def deadline(partition: Path, slot: str, well: bool) -> int:
    """The exit code, some minutes after the start: 1 asks systemd for a new one, by which a try is lost.

    A slot that runs by now is good, even if it did not at first. One that does not is started anew while U-Boot has
    anything to try; after that the machine stays up, so that it can be mended by the page. Raises OSError.
    """
    if well:
        mark_good(partition, slot)
        return 0
    descriptor = os.open(partition, os.O_RDONLY | os.O_CLOEXEC)
    try:
        again = tries_left(read(descriptor))
    finally:
        os.close(descriptor)
    log.error("slot %s does not run: %s", slot, "starting anew" if again else "nothing else is left to try")
    return 1 if again else 0


def running(units: Sequence[str]) -> bool:
    """All of these are active, as systemd says."""
    return all(
        subprocess.run(["systemctl", "is-active", "--quiet", unit], stdin=subprocess.DEVNULL, check=False).returncode
        == 0
        for unit in units
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or nothing to do. 1: the state cannot be read or written; at the deadline only: start anew."""
    parser = argparse.ArgumentParser(prog="boot_state", description="which slot U-Boot tries, and how often still")
    parser.add_argument("what", choices=["good", "deadline", "show"])
    parser.add_argument("--partition", type=Path, default=PARTITION)
    parser.add_argument("--slot", choices=SLOTS, help="otherwise the one that runs")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        if options.what == "show":
            descriptor = os.open(options.partition, os.O_RDONLY | os.O_CLOEXEC)
            try:
                print(*(f"{name}={value}" for name, value in sorted(read(descriptor).items())), sep="\n")
            finally:
                os.close(descriptor)
            return 0
        slot = options.slot or slot_of(COMMAND_LINE.read_text(encoding="ascii", errors="replace"))
        if slot is None:
            log.info("not started from a slot")
        elif options.what == "deadline":
            return deadline(options.partition, slot, running(UNITS))
        elif mark_good(options.partition, slot):
            log.info("slot %s is good", slot)
    except OSError as why:
        log.error("%s", why)
        return 0 if options.what == "deadline" else 1  # a new start would not mend the card
    return 0


if __name__ == "__main__":
    sys.exit(main())
