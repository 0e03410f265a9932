"""A card as `make image` left it, written onto a larger one, for the emulated machine: by its own U-Boot, boot script,
kernel, initrd and root. What is added says on the console what no port tells (tests/powercut/guest).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hal import boot_state
from tests.card.card import CARD, HERE, partition, tool

SIZE: Final = 2 << 30
"""Bytes of the larger card: the data partition grows, as on a real one."""

QUIET: Final = " ro quiet "
ADDED: Final = " ro quiet mitigations=off nokaslr rdinit=/test/init "
"""What the boot script tells the kernel besides: nothing that takes the emulator minutes (image/vm.sh), and the
program that comes before the appliance's own init."""


def flash(disk: Path, services: Sequence[Path] = ()) -> None:
    """Writes the card to `disk`, below the repository, with these files besides in its initrds' /test."""
    disk.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--sparse=always", CARD / "card.img", disk], check=True)
    with disk.open("r+b") as file:
        file.truncate(SIZE)
    own, told = disk.with_name("initrd.card"), disk.with_name("initrd")
    tool("mcopy", "-o", "-i", _inside(disk, "boot-a"), "::/initrd", own.relative_to(HERE))
    subprocess.run(
        ["tests/powercut/guest/build.sh", told.relative_to(HERE), own.relative_to(HERE), *services],
        cwd=HERE,
        check=True,
    )
    for name in ("boot-a", "boot-b"):
        tool("mcopy", "-o", "-i", _inside(disk, name), told.relative_to(HERE), "::/initrd")
    words = (CARD / "boot.cmd").read_text()
    assert words.count(QUIET) == 1, "the boot script tells the kernel something else now"
    script, compiled = disk.with_name("boot.cmd"), disk.with_name("boot.scr")
    script.write_text(words.replace(QUIET, ADDED))
    here = (script.relative_to(HERE), compiled.relative_to(HERE))
    tool("mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-d", *here)
    tool("mcopy", "-o", "-i", _inside(disk, "firmware"), here[1], "::/boot.scr")


def flip(disk: Path, name: str) -> None:
    """One bit of the partition's first byte is another."""
    flip_at(disk, partition(name)[0])


def flip_at(disk: Path, offset: int) -> None:
    with disk.open("r+b") as file:
        file.seek(offset)
        (first,) = file.read(1)
        file.seek(offset)
        file.write(bytes([first ^ 4]))


def state(disk: Path) -> list[dict[str, str] | None]:
    """Both copies of the boot state; None for one that is not whole."""
    with disk.open("rb") as file:
        found = []
        for offset in boot_state.COPIES:
            file.seek(partition("bootstate")[0] + offset)
            found.append(boot_state.decode(file.read(boot_state.SECTOR)))
        return found


def set_state(disk: Path, wanted: Mapping[str, str]) -> None:
    """Both copies."""
    with disk.open("r+b") as file:
        for offset in boot_state.COPIES:
            file.seek(partition("bootstate")[0] + offset)
            file.write(boot_state.encode(wanted))


def unpacked(directory: Path, card: Path = CARD) -> Path:
    """Every file of a card as `make image` left it: firmware, a boot set, its initrd, a root; in a new directory."""
    place = directory.relative_to(HERE)
    subprocess.run(["rm", "-rf", directory], check=True)
    directory.mkdir(parents=True)
    at, size = partition("root-a")
    for name in ("firmware", "boot-a"):
        tool("mcopy", "-s", "-i", _inside(card / "card.img", name), "::/", place / name)
    tool(
        "sh", "-euc",
        f"mkdir {place}/initrd && (zstd -dcq | (cd {place}/initrd && cpio -idm --quiet)) <{place}/boot-a/initrd && "
        f"dd if={card.relative_to(HERE)}/card.img of=/tmp/root bs=1M skip={at >> 20} count={size >> 20} status=none && "
        f"unsquashfs -quiet -no-progress -d {place}/root /tmp/root",
    )  # fmt: skip
    return directory


def _inside(disk: Path, name: str) -> str:
    """How mtools are told of a partition of this disk."""
    return f"{disk.relative_to(HERE)}@@{partition(name)[0]}"
