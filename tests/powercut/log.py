"""The log of a disk's writes and flushes that QEMU's `blklogwrites` keeps (its format is that of Linux' dm-log-writes).

Pure but for reading the file. Only what reached the disk is in it, in the order in which it was asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

SECTOR: Final = 512
"""The guest's disk has sectors of this size, and so has the log."""

MAGIC: Final = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4

_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")


class BadLog(ValueError):
    """Not such a log."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of the guest. Offsets in bytes of the disk."""

    offset: int
    length: int
    flags: int
    data: bytes

    @property
    def is_flush(self) -> bool:
        """Everything before it is safe."""
        return bool(self.flags & FLUSH)


def entries(path: Path) -> Iterator[Entry]:
    """All of them. Raises BadLog."""
    with open(path, "rb") as file:
        magic, version, count, sector = _SUPER.unpack(file.read(_SUPER.size))
        if (magic, version, sector) != (MAGIC, 1, SECTOR):
            raise BadLog(f"{path}: not a log of writes with sectors of {SECTOR} bytes")
        file.seek(SECTOR)
        for _ in range(count):
            yield _entry(file)


def _entry(file: BinaryIO) -> Entry:
    head = file.read(SECTOR)
    if len(head) < SECTOR:
        raise BadLog("the log ends in the middle")
    sector, sectors, flags, _ = _ENTRY.unpack_from(head)
    data = b"" if flags & DISCARD else file.read(sectors * SECTOR)
    return Entry(sector * SECTOR, sectors * SECTOR, flags, data)
