"""What the page's HTTPS shows: key and chain that gatewayd's authority made, `page.pem` beside its sockets; and to
browsers that call the page by a name of the site's own certificate that one, `page-site.pem`.

gatewayd writes the files anew when names change or one is to be renewed; connections that begin then see the new one.
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from gatewayd.web.brought_certificate import covers

log = logging.getLogger(__name__)


class Papers:
    """Call it for the TLS context of now. Before there is a file nobody is served: never plain HTTP instead."""

    def __init__(self, file: Path, site: Path | None = None) -> None:
        self._own, self._site = _Paper(file), None if site is None else _Paper(site)

    def __call__(self) -> ssl.SSLContext:
        """Raises OSError while there is none that can be used."""
        context = self._own.look()
        if context is None:
            raise OSError(f"{self._own.file} cannot be used")
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        """A browser says by which name it calls; none by which address."""
        site = self._site
        if name and site is not None and site.file.exists():  # once it is withdrawn, nobody is shown it any more
            context = site.look()
            if context is not None and covers(site.names(), name.lower()):
                connection.context = context


class _Paper:
    """One file, read again when it is another. One that cannot be used leaves the one before in use."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._names: tuple[str, ...] | None = None
        self._context: ssl.SSLContext | None = None
        self._read: tuple[int, int] | None = None
        """Inode and time of change of what was read last, or tried."""

    def look(self) -> ssl.SSLContext | None:
        """The context of now; None while there was never one."""
        try:
            found = os.stat(self.file)
            if self._read != (found.st_ino, found.st_mtime_ns):
                self._read = found.st_ino, found.st_mtime_ns
                self._context = _context(self.file)
                self._names = None
                log.info("%s: read", self.file)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            log.debug("%s: %s", self.file, error)
        return self._context

    def names(self) -> tuple[str, ...]:
        """Whom it is for."""
        if self._names is None:
            from gatewayd.web import certificate_judge  # few sites have one, and its library is large

            try:
                self._names = certificate_judge.seen(self.file.read_bytes()).names
            except (OSError, ValueError) as error:
                log.debug("%s: %s", self.file, error)
        return self._names or ()


def _context(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    context.set_alpn_protocols(["http/1.1"])
    return context
