"""What the page's HTTPS shows: key and chain that gatewayd's authority made, `page.pem` beside its sockets.

gatewayd writes the file anew when the names change or it is to be renewed; connections that begin then see the new one.
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

log = logging.getLogger(__name__)


class Papers:
    """Call it for the TLS context of now. Before there is a file nobody is served: never plain HTTP instead."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._context: ssl.SSLContext | None = None
        self._read: tuple[int, int] | None = None
        """Inode and time of change of what was read last, or tried."""

    def __call__(self) -> ssl.SSLContext:
        """Raises OSError while there is none that can be used."""
        try:
            found = os.stat(self._file)
            if self._read != (found.st_ino, found.st_mtime_ns):
                self._read = found.st_ino, found.st_mtime_ns
                self._context = _context(self._file)
                log.info("%s: read", self._file)
        except OSError as error:  # an SSLError is one
            if self._context is None:
                raise
            log.debug("%s: %s", self._file, error)
        if self._context is None:
            raise OSError(f"{self._file} cannot be used")
        return self._context


def _context(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    context.set_alpn_protocols(["http/1.1"])
    return context
