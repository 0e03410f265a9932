"""The RS485 bus of the emulated machine as a serial port of this one: a pty joined to the emulator's socket."""

from __future__ import annotations

import os
import pty
import select
import socket
import threading
import tty
from pathlib import Path


class Bus:
    """`path` is the port. Use `with`."""

    def __init__(self, socket_path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(socket_path))
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._end_read, self._end_write = os.pipe()
        self._thread = threading.Thread(target=self._join, daemon=True)

    def __enter__(self) -> Bus:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._end_write, b".")
        self._thread.join()
        self._socket.close()
        for each in (self._master, self._slave, self._end_read, self._end_write):
            os.close(each)

    def _join(self) -> None:
        guest = self._socket.fileno()
        while True:
            ready, _, _ = select.select([self._master, guest, self._end_read], [], [])
            if self._end_read in ready:
                return
            if self._master in ready:
                self._socket.sendall(os.read(self._master, 4096))
            if guest in ready:
                os.write(self._master, self._socket.recv(4096))
