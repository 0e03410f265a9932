"""A partition made anew, cut at any point and by any loss of writes that were not flushed yet (promises R24).

The disk is a small file image in memory; what was written since the last flush survives a cut block by block as the
seed decides, as on a real card. GATEWAY_CUT_STATES=500 is the release's count.
"""

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hal.data_partition import (
    BLOCK,
    MARK,
    Condition,
    Device,
    FileDevice,
    Mounted,
    condition,
    make_anew,
    mkfs,
    mount_point,
)

SIZE = 10 * 1024 * 1024
CANARY = b"canary: the password of the plant room is 'swordfish'"
CUT_STATES = int(os.environ.get("GATEWAY_CUT_STATES", "30"))


class PowerCut(Exception):
    pass


class FragileDisk:
    """Remembers what is durable and what is not; `cut` loses a random part of the latter."""

    def __init__(self, content: bytes, seed: int = 0, cut_after: int | None = None) -> None:
        self.durable = bytearray(content)
        self._pending: dict[int, bytes] = {}
        self._random = random.Random(seed)
        self._writes_left = cut_after

    @property
    def size(self) -> int:
        return len(self.durable)

    def read(self, offset: int, length: int) -> bytes:
        seen = bytearray(self.durable[offset : offset + length])
        for at, block in self._pending.items():
            if offset - BLOCK < at < offset + length:
                for n in range(max(at, offset), min(at + BLOCK, offset + length)):
                    seen[n - offset] = block[n - at]
        return bytes(seen)

    def write(self, offset: int, data: bytes) -> None:
        assert offset % BLOCK == 0
        assert len(data) % BLOCK == 0
        for at in range(0, len(data), BLOCK):
            if self._writes_left == 0:
                raise PowerCut
            if self._writes_left is not None:
                self._writes_left -= 1
            self._pending[offset + at] = data[at : at + BLOCK]

    def flush(self) -> None:
        for at, block in self._pending.items():
            self.durable[at : at + BLOCK] = block
        self._pending.clear()

    def cut(self) -> bytes:
        """What a reader finds after power came back."""
        found = bytearray(self.durable)
        for at, block in self._pending.items():
            if self._random.random() < 0.5:
                found[at : at + BLOCK] = block
        return bytes(found)


def real_mkfs(disk: Device, scratch: Path) -> Callable[[int], Iterator[None]]:
    """The real mkfs.ext4 on a file with the disk's content; the blocks it changed are written in a shuffled order."""

    def make(size: int) -> Iterator[None]:
        before = disk.read(0, disk.size)
        scratch.write_bytes(before)
        yield from mkfs(scratch)(size)
        after = scratch.read_bytes()
        changed = [at for at in range(0, len(before), BLOCK) if before[at : at + BLOCK] != after[at : at + BLOCK]]
        random.Random(1).shuffle(changed)
        for at in changed:
            disk.write(at, after[at : at + BLOCK])
        disk.flush()

    return make


def used_disk(scratch: Path) -> bytes:
    """A file system with secrets in it, and secrets in what was deleted, too."""
    scratch.write_bytes(bytes(SIZE))
    for _ in mkfs(scratch)(SIZE):
        pass
    content = bytearray(scratch.read_bytes())
    for at in range(1024 * 1024, SIZE, 97 * BLOCK):
        content[at : at + len(CANARY)] = CANARY
    content[-len(CANARY) :] = CANARY
    return bytes(content)


def healed(content: bytes, scratch: Path) -> bytes:
    """What the boot after a cut does, without another cut."""
    disk = FragileDisk(content)
    found = condition(disk)
    if found is not Condition.FILE_SYSTEM:
        for _ in make_anew(disk, real_mkfs(disk, scratch), erase=found is Condition.ERASING):
            pass
    return disk.cut()


def clean_file_system(content: bytes, scratch: Path) -> bool:
    scratch.write_bytes(content)
    check = subprocess.run(["/sbin/e2fsck", "-f", "-n", str(scratch)], capture_output=True, check=False)
    return check.returncode == 0


def writes_of_a_reset(content: bytes, scratch: Path) -> int:
    disk = FragileDisk(content, cut_after=10**9)
    for _ in make_anew(disk, real_mkfs(disk, scratch)):
        pass
    assert disk._writes_left is not None
    return 10**9 - disk._writes_left


def test_a_whole_reset_leaves_an_empty_file_system_and_no_secret(tmp_path: Path) -> None:
    disk = FragileDisk(used_disk(tmp_path / "a"))
    assert CANARY in disk.cut()
    progress = list(make_anew(disk, real_mkfs(disk, tmp_path / "b")))
    assert progress == sorted(progress)
    assert CANARY not in disk.cut()
    assert condition(disk) is Condition.FILE_SYSTEM
    assert clean_file_system(disk.cut(), tmp_path / "c")


def test_every_cut_ends_untouched_or_erased_and_never_half(tmp_path: Path) -> None:
    content = used_disk(tmp_path / "a")
    total = writes_of_a_reset(content, tmp_path / "b")
    chooser = random.Random(4711)
    at_the_edges = [0, 1, 2, total - 2, total - 1]
    cuts = at_the_edges + [chooser.randrange(total) for _ in range(max(0, CUT_STATES - len(at_the_edges)))]
    for seed, cut_after in enumerate(cuts):
        disk = FragileDisk(content, seed, cut_after)
        with pytest.raises(PowerCut):
            for _ in make_anew(disk, real_mkfs(disk, tmp_path / "b")):
                pass
        after = healed(disk.cut(), tmp_path / "b")
        where = f"seed {seed}, cut after {cut_after} of {total} blocks"
        if CANARY in after:
            assert condition(disk) is not Condition.ERASING, where
            assert after[:-BLOCK] == content[:-BLOCK], f"{where}: half erased, and not healed"
        else:
            assert clean_file_system(after, tmp_path / "c"), where
        assert condition(FragileDisk(after)) is Condition.FILE_SYSTEM, where


class MarklessDisk(FragileDisk):
    """The broken twin: a reset that does not mark what it has begun."""

    def write(self, offset: int, data: bytes) -> None:
        if offset != self.size - BLOCK:
            super().write(offset, data)


def test_the_twin_without_the_mark_leaves_secrets(tmp_path: Path) -> None:
    content = used_disk(tmp_path / "a")
    left = 0
    for seed in range(4):
        disk = MarklessDisk(content, seed, cut_after=300)
        with pytest.raises(PowerCut):
            for _ in make_anew(disk, real_mkfs(disk, tmp_path / "b")):
                pass
        left += CANARY in healed(disk.cut(), tmp_path / "b")
    assert left == 4


def test_conditions(tmp_path: Path) -> None:
    assert condition(FragileDisk(bytes(SIZE))) is Condition.BLANK
    assert condition(FragileDisk(b"x" * SIZE)) is Condition.UNKNOWN
    fresh = used_disk(tmp_path / "a")
    assert condition(FragileDisk(fresh)) is Condition.FILE_SYSTEM
    assert condition(FragileDisk(fresh[:-BLOCK] + MARK)) is Condition.ERASING


def test_a_partition_of_no_size_is_refused_untouched() -> None:
    disk = FragileDisk(bytes(1024 * 1024))
    with pytest.raises(ValueError, match="no data partition"):
        next(make_anew(disk, lambda size: iter(())))
    assert disk.cut() == bytes(1024 * 1024)


def test_zeros_are_not_written_again() -> None:
    disk = FragileDisk(bytes(SIZE), cut_after=10**6)
    for _ in make_anew(disk, lambda size: iter(())):
        pass
    assert disk._writes_left == 10**6 - 2  # the mark, and its removal


MOUNTS = """\
22 1 179:4 / / ro,relatime shared:1 - squashfs /dev/mmcblk0p4 ro
31 22 179:6 / /data rw,nosuid,nodev,noexec - ext4 /dev/mmcblk0p6 rw
32 22 0:25 / /run rw,nosuid,nodev - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("number", "where"), [((179, 6), "/data"), ((179, 4), "/"), ((179, 16), None), ((17, 96), None)]
)
def test_mount_point_by_device_number(number: tuple[int, int], where: str | None) -> None:
    assert mount_point(*number, MOUNTS) == where


def test_file_device_reads_what_it_wrote(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(3 * BLOCK))
    device = FileDevice(tmp_path / "image")
    device.write(BLOCK, MARK)
    device.flush()
    assert device.size == 3 * BLOCK
    assert device.read(BLOCK, BLOCK) == MARK
    assert device.read(2 * BLOCK, BLOCK) == bytes(BLOCK)
    device.close()


def test_mkfs_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"mkfs\.ext4"):
        list(mkfs(tmp_path / "nothing here" / "image")(SIZE))


def test_mounted_is_no_os_error() -> None:
    assert not issubclass(Mounted, OSError)
