"""Where tests that write a lot put their files."""

from __future__ import annotations

import tempfile
from pathlib import Path

FASTEST_DISK = Path("/dev/shm")


def fast_folder() -> tempfile.TemporaryDirectory[str]:
    """In memory, where the system has a place for that; else wherever temporary files are."""
    return tempfile.TemporaryDirectory(dir=FASTEST_DISK if FASTEST_DISK.is_dir() else None)
