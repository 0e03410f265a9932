"""Where programs on this machine find the daemon: its UNIX sockets (docs/interfaces.md)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

POINTS, EVENTS = "points.sock", "events.sock"
MODE = 0o660
"""The daemon's user and its group; who may open one may do all that it can."""
BACKLOG = 128
"""Connections that the kernel may keep for us between two wake-ups: more than may be there at all. A non-blocking
connect beyond it fails with EAGAIN, which some libraries take for success."""


def listen(directory: Path, name: str) -> socket.socket:
    """A listening socket of this name, in the place of one that a former life left. Raises OSError.

    It gets its name when it is ready: nobody ever finds one that is not, or that is open to others.
    """
    directory.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        # Named from the directory's descriptor: a socket's path has 107 bytes, whatever a file's may have.
        here = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            new = f"/proc/self/fd/{here}/{name}.new"
            Path(new).unlink(missing_ok=True)
            listener.bind(new)
            os.chmod(new, MODE)
            listener.listen(BACKLOG)
            os.rename(f"{name}.new", name, src_dir_fd=here, dst_dir_fd=here)
        finally:
            os.close(here)
    except OSError:
        listener.close()
        raise
    return listener
