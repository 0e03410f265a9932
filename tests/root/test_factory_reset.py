"""The erasing on a real block device: refused while it is used, nothing left on the raw partition (promises R24)."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CANARY = b"canary-7f1c: the authority's key and the plant room's password"
SIZE = 96 * 1024 * 1024
KILLS = 5


def reset(when: str, device: str, board: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hal.factory_reset", when, "--board", f"sim:{board}", "--data", device]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finished(run: subprocess.Popen[str]) -> tuple[int, str]:
    said = run.communicate(timeout=60)[1]
    return run.returncode, said


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A loop device with a file system on it that has seen secrets come and go."""
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    done = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=True)
    name = done.stdout.strip()
    mounted = tmp_path / "data"
    mounted.mkdir()
    subprocess.run(["mount", name, mounted], check=True)
    try:
        for n in range(30):
            (mounted / f"{CANARY.decode()[:40]} {n}").write_bytes(CANARY * 5000)
        for n in range(0, 30, 2):
            (mounted / f"{CANARY.decode()[:40]} {n}").unlink()  # deleted is not erased
        yield name
    finally:
        subprocess.run(["umount", mounted], check=False, capture_output=True)
        subprocess.run(["losetup", "-d", name], check=True)


def mount_point(device: str) -> str:
    return subprocess.run(
        ["findmnt", "-n", "-o", "TARGET", device], capture_output=True, text=True, check=True
    ).stdout.strip()


def raw(device: str) -> bytes:
    subprocess.run(["blockdev", "--flushbufs", device], check=True)
    return Path(device).read_bytes()


def test_refused_while_mounted_here_or_in_another_namespace(device: str, tmp_path: Path) -> None:
    code, said = finished(reset("now", device, tmp_path / "board"))
    assert (code, "is mounted at" in said) == (1, True)
    hidden = (
        f"umount {mount_point(device)}; exec {sys.executable} -m hal.factory_reset now --board sim:{tmp_path / 'board'}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{hidden} --data {device}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "busy" in done.stderr) == (1, True)
    assert CANARY in raw(device)


def test_nothing_is_left_on_the_raw_partition(device: str, tmp_path: Path) -> None:
    where = mount_point(device)
    subprocess.run(["umount", where], check=True)
    assert CANARY in raw(device)
    assert finished(reset("now", device, tmp_path / "board"))[0] == 0
    assert CANARY not in raw(device)
    assert CANARY[:20] not in raw(device)
    subprocess.run(["mount", device, where], check=True)
    assert [path.name for path in Path(where).iterdir()] == ["lost+found"]


def test_killed_at_any_moment_the_next_boot_finishes(device: str, tmp_path: Path) -> None:
    where = mount_point(device)
    subprocess.run(["umount", where], check=True)
    moments = random.Random(24)
    for _ in range(KILLS):
        run = reset("now", device, tmp_path / "board")
        time.sleep(0.1 + moments.random() * 0.3)
        run.kill()
        finished(run)
        code, said = finished(reset("heal", device, tmp_path / "board"))
        assert code == 0
        if CANARY in raw(device):
            assert "file system: kept" in said, "the kill came before the mark, or something is left"
        assert subprocess.run(["e2fsck", "-f", "-n", device], capture_output=True, check=False).returncode == 0
    assert finished(reset("now", device, tmp_path / "board"))[0] == 0
    assert CANARY not in raw(device)
