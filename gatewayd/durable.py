"""Files that are wholly old or wholly new, whenever the power goes (promises, R1)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Puts `content` in the place of the file: written beside it, flushed, renamed, the directory flushed.

    An existing file keeps its mode. Raises OSError and then leaves the old file as it was.
    """
    beside = path.with_name(path.name + ".new")
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode & 0o777
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
