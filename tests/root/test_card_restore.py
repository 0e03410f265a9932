"""The card's partition as the appliance mounts it: only for as long as it takes, and only read where nothing is done.

This kernel may know no FAT, so that another file system stands for it here; the FAT itself is tried under emulation
(tests/vm).
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "rootfs/usr/lib/gateway/card-restore"
LOOK = SCRIPT.with_name("card-look")
PROGRAM = "/usr/lib/gateway/bin/card_restore"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A loop device, and where a PC has it mounted."""
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(48 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    done = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=True)
    name = done.stdout.strip()
    at = tmp_path / "pc"
    at.mkdir()
    try:
        yield name, at
    finally:
        subprocess.run(["losetup", "-d", name], check=True)


def put(partition: tuple[str, Path], **files: bytes) -> None:
    device, at = partition
    subprocess.run(["mount", device, at], check=True)
    for name, content in files.items():
        (at / name.replace("_", ".")).write_bytes(content)
    subprocess.run(["umount", at], check=True)


def seen(partition: tuple[str, Path]) -> dict[str, bytes]:
    device, at = partition
    subprocess.run(["mount", "-o", "ro", device, at], check=True)
    found = {each.name: each.read_bytes() for each in at.iterdir() if each.is_file()}
    subprocess.run(["umount", at], check=True)
    return found


def started(device: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The script in a mount namespace of its own, as its unit gives it, with the program where the image has it."""
    for name in ("gateway", "webd"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
    program = folder / "card_restore"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gatewayd.card_restore "$@" --data {folder}/data\n')
    program.chmod(0o755)
    within = (
        "mount -t tmpfs tmpfs /run && mkdir /run/card-restore && mount -t tmpfs tmpfs /usr/lib/gateway && "
        f"mkdir /usr/lib/gateway/bin && cp {program} {PROGRAM} && sh {SCRIPT} {device}; code=$?; "
        "cat /run/card-restore/restore.txt 2>/dev/null; grep card-restore/card /proc/mounts; exit $code"
    )
    place = Path(PROGRAM).parents[1]
    place.mkdir()
    try:
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", within], cwd=PROJECT, capture_output=True, text=True, check=False
        )
    finally:
        place.rmdir()


def looked(device: str) -> str:
    """Where card-look saw a backup; empty: nowhere."""
    within = (
        f"mount -t tmpfs tmpfs /run; mkdir /run/card-look; sh {LOOK} {device} || exit 1; "
        "if grep card-look/card /proc/mounts; then exit 1; fi; "  # it is mounted no more
        "if [ -e /run/card-look/partition ]; then cat /run/card-look/partition; fi"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", within], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_backup_is_seen_by_its_ending_and_nothing_else_is(partition: tuple[str, Path]) -> None:
    put(partition, passphrase_txt=b"a boiler room in May")
    assert looked(partition[0]) == ""
    put(partition, Site_BACKUP=b"PK")
    assert looked(partition[0]) == partition[0]


def test_what_is_wrong_is_told_on_the_card_and_the_start_goes_on(partition: tuple[str, Path], tmp_path: Path) -> None:
    put(partition, site_backup=b"PK\3\4", passphrase_txt=b"a boiler room in May")
    done = started(partition[0], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Not restored."), done.stdout
    assert "card-restore/card" not in done.stdout  # it is mounted no more
    assert b"no backup of a gateway" in seen(partition)["restore.txt"]
    assert seen(partition)["site.backup"] == b"PK\3\4"


def test_a_card_without_a_backup_is_left_alone(partition: tuple[str, Path], tmp_path: Path) -> None:
    put(partition, boot_scr=b"U-Boot's")
    before = Path(partition[0]).read_bytes()
    assert started(partition[0], tmp_path).returncode == 0
    assert Path(partition[0]).read_bytes() == before
