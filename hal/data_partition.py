"""The data partition: what condition it is in, and how it is made anew so that a cut anywhere is healed.

The order is everything. First a mark in the partition's last block, flushed; then zeros over all the rest, flushed;
then a fresh file system that ends before the mark, flushed; then zeros over the mark. A boot that finds the mark starts
over, whatever it finds besides. So at no moment is there a partition that mounts and still holds old data, nor one that
mounts and is half made. promises R24; manual 5.2.
"""

from __future__ import annotations

import enum
import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

BLOCK: Final = 4096
"""The mark's size and the file system's block: every card and eMMC writes at least this much at once."""

MARK: Final = b"This partition is being erased by a factory reset.\n".ljust(BLOCK, b"\x00")

TAIL_BYTES: Final = 1024 * 1024
"""What the file system leaves free at the end, so that making it never touches the mark."""

STEP_BYTES: Final = 1024 * 1024
"""Read, and if need be zeroed, between two looks at the lights: 50 ms on a card that writes 20 MB/s."""

FLUSH_STEPS: Final = 8
"""Steps between two flushes, so that no flush stops the lights for long."""

_EXT4_MAGIC_AT: Final = 1024 + 56
_EXT4_MAGIC: Final = b"\x53\xef"


class Condition(enum.Enum):
    """What a look at a few blocks tells."""

    FILE_SYSTEM = "file system"
    ERASING = "an unfinished factory reset"
    BLANK = "blank"
    UNKNOWN = "unknown content"


class Mounted(RuntimeError):
    """Erasing is refused: somebody uses the partition."""


class Device(Protocol):
    """A partition, or a file that stands for one. All of it may raise OSError."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None: ...

    def flush(self) -> None:
        """What was written before survives a power cut after."""


class FileDevice:
    """A block device or a plain file."""

    def __init__(self, path: Path, *, mountinfo: Path = Path("/proc/self/mountinfo")) -> None:
        """Raises Mounted, and OSError when the path cannot be opened for writing."""
        status = path.stat()
        if stat.S_ISBLK(status.st_mode):
            where = mount_point(os.major(status.st_rdev), os.minor(status.st_rdev), mountinfo.read_text())
            if where is not None:
                raise Mounted(f"{path} is mounted at {where}")
            _refuse_used(path)
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.lseek(self._fd, 0, os.SEEK_END)

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        while data:
            written = os.pwrite(self._fd, data, offset)
            data, offset = data[written:], offset + written

    def flush(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        """Lets the partition go."""
        os.close(self._fd)


def _refuse_used(path: Path) -> None:
    """An exclusive opening fails while anybody has the device: mounted in another namespace, part of a larger one.

    Not kept, or mkfs could not have the device: who could mount it meanwhile is ordered after us.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC))
    except OSError as why:
        if why.errno == errno.EBUSY:
            raise Mounted(f"{path}: {why.strerror}") from why
        raise


def mount_point(major: int, minor: int, mountinfo: str) -> str | None:
    """Where a block device is mounted, by the text of /proc/self/mountinfo; None if nowhere."""
    for row in mountinfo.splitlines():
        fields = row.split(" ")
        if len(fields) > 4 and fields[2] == f"{major}:{minor}":
            return fields[4]
    return None


def condition(device: Device) -> Condition:
    """What the partition holds, from three small reads. The mark outweighs everything else."""
    if device.read(device.size - BLOCK, BLOCK) == MARK:
        return Condition.ERASING
    if device.read(_EXT4_MAGIC_AT, 2) == _EXT4_MAGIC:
        return Condition.FILE_SYSTEM
    return Condition.UNKNOWN if any(device.read(0, 16 * BLOCK)) else Condition.BLANK


def make_anew(
    device: Device, make_file_system: Callable[[int], Iterator[None]], *, erase: bool = True
) -> Iterator[float]:
    """Erases the partition and makes an empty file system; yields now and then how much is erased, 0 to 1.

    `make_file_system` is given the file system's size in bytes and yields while it works; it ends with the file system
    safely on the device. `erase=False` leaves the zeros out: for a partition that holds nothing of ours. A cut between
    any two steps is healed by starting over. Raises OSError when the device fails, ValueError when it is too small.
    """
    end = device.size - BLOCK
    if end < 2 * TAIL_BYTES:
        raise ValueError(f"{device.size} bytes are no data partition")
    device.write(end, MARK)
    device.flush()
    if erase:
        yield from _zero(device, end)
    for _ in make_file_system((device.size - TAIL_BYTES) // BLOCK * BLOCK):
        yield 1.0
    device.write(end, bytes(BLOCK))
    device.flush()


def _zero(device: Device, end: int) -> Iterator[float]:
    for step, offset in enumerate(range(0, end, STEP_BYTES)):
        length = min(STEP_BYTES, end - offset)
        if device.read(offset, length) != bytes(length):  # zeros already: spares the card and time
            device.write(offset, bytes(length))
        if step % FLUSH_STEPS == FLUSH_STEPS - 1:
            device.flush()
        yield offset / end
    device.flush()


def mkfs(path: Path) -> Callable[[int], Iterator[None]]:
    """`make_file_system` by mkfs.ext4, which syncs before it ends. Raises OSError when it fails."""

    def make(size: int) -> Iterator[None]:
        options = [
            "-F",
            "-q",
            "-b",
            str(BLOCK),
            "-L",
            "data",
            "-m",
            "0",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
        ]
        with subprocess.Popen(
            ["mkfs.ext4", *options, str(path), str(size // BLOCK)],
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        ) as process:
            while True:
                try:
                    code = process.wait(timeout=0.05)
                    break
                except subprocess.TimeoutExpired:
                    yield
        if code != 0:
            raise OSError(f"mkfs.ext4 ended with {code}")

    return make
