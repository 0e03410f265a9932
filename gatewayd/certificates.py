"""The certificates of this gateway: its own authority, what it shows on its TLS listener, and whom it believes there.

Made on the first start, renewed before they expire, replaced by the user's own where those are configured
(interface.md, [ocpp.tls]; ocpp.md, Security). Files and arithmetic, so in a thread.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import trio
from cryptography import x509

from gatewayd.config_tables import Config, OcppTls, OcppUpstream
from gatewayd.services import tls
from gatewayd.services.authority import Authority, write_atomically
from gatewayd.services.own_names import own_names, usable
from gatewayd.services.tls import UnusableCertificate
from gatewayd.site.certificate import Signed, UnusableRequest
from gatewayd.site.model import Site

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0
"""How often names, dates and the user's files are looked at: a new address is in the certificate a minute later."""
CERTIFIED = 3
"""The security profile that is shown by a certificate."""
AUTHORITY, CERTIFICATE, PAGE, EXPIRES = "authority", "certificate", "page_certificate", "certificate_expires"
"""What may be missing, or soon will be, by its name among the site's troubles."""
WARNED_BEFORE = timedelta(days=30)
"""The user's own certificate is renewed by people: an authority of a site may take weeks."""


PAGE_FILE, PAGE_MODE = "page.pem", 0o640
"""Key and chain for the page's HTTPS, beside the sockets: for the page's group, and gone with the power."""
SITE_FILE = "page-site.pem"
"""The same of the user's own authority, where there is one: for browsers that call the page by a name in it."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the TLS listener works with, as PEM."""

    certificate: str
    key: str = field(repr=False)
    client_roots: str
    required: bool


class Certificates:
    """Of one gateway; its files stand in the state directory. Signs for charge points, too."""

    def __init__(
        self,
        directory: Path,
        site: Site,
        show: Callable[[ssl.SSLContext | None], None],
        run: Path | None = None,
    ) -> None:
        """`show` hears what the TLS listener is to use; None: there is nothing that it could. `run`: where the page
        finds its own; None: it has none."""
        self._directory, self._site, self._show, self._run = directory, site, show, run
        self._authority: Authority | None = None
        self._made_as: tuple[str, str] | None = None
        self._shown: _Shown | None = None
        self.context: ssl.SSLContext | None = None
        """For the TLS listener; None while there is none, or nothing that it could show."""
        self.troubles: dict[str, str] = {}
        """What is missing → why."""
        self.until: float | None = None
        """When the user's own certificate ends, seconds since 1970; None: there is none."""
        self._one_at_a_time = trio.Lock()
        self._changed = trio.Event()

    async def keep(self, config: Callable[[], Config]) -> None:
        """Look again every minute, and when a charge point got a certificate."""
        while True:
            with trio.move_on_after(LOOK_AGAIN_S):
                await self._changed.wait()
            self._changed = trio.Event()
            await self.look(config())

    async def look(self, config: Config) -> None:
        """`refresh`, and tell everybody."""
        site = self._site
        async with self._one_at_a_time:
            ask = any(charge_point.certificate_until for charge_point in site.charge_points.values())
            await trio.to_thread.run_sync(partial(self.refresh, config, site.epoch, ask=ask))
            self._show(self.context)
            for name in (AUTHORITY, CERTIFICATE, PAGE, EXPIRES):
                site.trouble(name, there=name in self.troubles)
            site.certificate_until = self.until
            site.signer = self if self._authority is not None else None

    def refresh(self, config: Config, epoch: float, *, ask: bool = False) -> None:
        """Make what is missing, renew what is due, read what changed. What cannot be had is logged once and stands in
        `troubles`; what served until then goes on serving. `ask`: charge points have certificates of our authority, so
        they are asked for them even where nothing requires it."""
        now = datetime.fromtimestamp(epoch, UTC)
        try:
            self._open_authority(config, now)
            self._trouble(AUTHORITY, "")
        except (OSError, ValueError) as error:
            self._trouble(AUTHORITY, f"the gateway's own authority cannot be used: {error}")
        try:
            shown = self._to_show(config, now, ask) if config.ocpp.tls.port >= 0 else None
            if shown != self._shown:
                self.context = None if shown is None else _context(shown)
                self._shown = shown
            self._trouble(CERTIFICATE, "")
        except (OSError, UnusableCertificate) as error:
            self._trouble(CERTIFICATE, str(error))
        try:
            self._publish_page(config, now)
            self._publish_brought(config, now)
            self._trouble(PAGE, "")
        except OSError as error:
            self._trouble(PAGE, f"the page's certificate cannot be published: {error}")

    def _publish_page(self, config: Config, now: datetime) -> None:
        """Written only when it is another: the page looks at the file to notice."""
        if self._run is None or self._authority is None or config.web.port < 0:
            return
        called = [*_names(config, config.web.host), *config.web.names]
        issued = self._authority.server(called, now=now, who="page")
        self._publish(self._run / PAGE_FILE, issued.key + issued.certificate)

    def _publish_brought(self, config: Config, now: datetime) -> None:
        """The user's own certificate: for the page while it is good, and said in time that it ends."""
        try:
            brought = _configured(config.ocpp.tls)
        except UnusableCertificate:  # said where charge points should see it
            return
        ends = _ends(brought.certificate)
        self.until = None if ends is None else ends.timestamp()
        soon = ends is not None and now > ends - WARNED_BEFORE
        self._trouble(EXPIRES, f"the certificate of your own authority ends on {ends:%Y-%m-%d}" if soon else "")
        if self._run is not None and config.web.port >= 0:
            good = ends is not None and now < ends
            self._publish(self._run / SITE_FILE, f"{brought.key}\n{brought.certificate}" if good else "")

    def _publish(self, file: Path, text: str) -> None:
        if not text:
            file.unlink(missing_ok=True)
        elif not file.exists() or file.read_text(encoding="ascii") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, text, PAGE_MODE)

    def _open_authority(self, config: Config, now: datetime) -> None:
        wanted = config.gateway.name, config.ocpp.tls.key_type
        if wanted != self._made_as:
            self._authority = Authority(self._directory, *wanted, now=now)
            self._made_as = wanted

    def _to_show(self, config: Config, now: datetime, ask: bool) -> _Shown:
        shown, own = _configured(config.ocpp.tls), self._authority
        ask |= shown.required or any(entry.min_security_profile == CERTIFIED for entry in config.charge_points)
        if own is not None and ask:
            shown = replace(shown, client_roots=f"{shown.client_roots}\n{own.certificate}".strip())
        if shown.certificate:
            return shown
        if own is None:
            raise UnusableCertificate("ocpp.tls.certificate", "without an authority the gateway has none to show")
        issued = own.server(_names(config, config.ocpp.host), now=now)
        return replace(shown, certificate=issued.certificate, key=issued.key)

    def _trouble(self, name: str, why: str) -> None:
        if why and why != self.troubles.get(name):
            log.error("%s", why)
        if why:
            self.troubles[name] = why
        else:
            self.troubles.pop(name, None)

    async def signing_request(self, config: Config, name: str) -> dict[str, Any]:
        """For somebody else's authority: `request` (PEM) for the server's key, for all `names` of this gateway and for
        `name`, and where the `key` lies, as the configuration may name it. Raises OSError, ValueError."""
        if self._authority is None:
            raise ValueError("the gateway's own authority cannot be used")
        known, more = _names(config, config.ocpp.host), usable([name.lower()] if name else [])
        if name and not more:
            raise ValueError(f"{name} is no name of a host")
        async with self._one_at_a_time:
            request = await trio.to_thread.run_sync(self._authority.request, {*known, *more})
        key = self._directory.absolute() / "server.key"
        return {"request": request, "names": sorted(known), "key": str(key)}

    # --- for charge points ------------------------------------------------------------------------------------

    def check(self, request: str, identity: str) -> None:
        """Raises UnusableRequest for a request (PEM) that cannot be signed for this identity."""
        self._present_authority().check(request, identity)

    def sign(self, request: str, identity: str, epoch: float) -> Signed:
        """Raises UnusableRequest."""
        signed = self._present_authority().sign(request, identity, now=datetime.fromtimestamp(epoch, UTC))
        self._changed.set()
        return signed

    def _present_authority(self) -> Authority:
        if self._authority is None:
            raise UnusableRequest("the gateway's own authority cannot be used")
        return self._authority


def _names(config: Config, host: str) -> list[str]:
    """What somebody may call this gateway who dials a listener at `host`."""
    fixed = config.network.address.partition("/")[0] if config.network.mode == "static" else ""
    return list(own_names(config.gateway.name, host, fixed))


def _configured(table: OcppTls) -> _Shown:
    """What of it the user brings."""
    certificate, key, roots = (_read(f"ocpp.tls.{name}", getattr(table, name)) for name in PLACES["ocpp.tls"].values())
    return _Shown(certificate, key, roots, bool(table.client_ca))


def _ends(chain: str) -> datetime | None:
    """When the first of its certificates ends; None where none can be read."""
    try:
        return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(chain.encode("ascii")))
    except ValueError:
        return None


def _context(shown: _Shown) -> ssl.SSLContext:
    with _located("ocpp.tls"):
        return tls.server_context(shown.certificate, shown.key, shown.client_roots, required=shown.required)


def upstream_context(table: OcppUpstream) -> ssl.SSLContext:
    """For dialling a central system by wss: whose authority is believed, and which certificate is shown. Reads files.
    Raises UnusableCertificate."""
    names = PLACES["ocpp.upstream"].values()
    certificate, key, roots = (_read(f"ocpp.upstream.{name}", getattr(table, name)) for name in names)
    with _located("ocpp.upstream"):
        return _client_context(roots, certificate, key)


@lru_cache(maxsize=4)
def _client_context(roots: str, certificate: str, key: str) -> ssl.SSLContext:
    """Remembered: twenty charge points dial with the same, and to read the system's authorities takes a while."""
    return tls.client_context(roots, certificate, key)


def faults(config: Config) -> Iterator[tuple[str, str]]:
    """What only reading and trying shows of configured certificates and keys: (key path, what is wrong)."""
    try:
        shown = _configured(config.ocpp.tls)
        if shown.certificate:
            _context(shown)
        elif shown.client_roots:
            with _located("ocpp.tls"):
                tls.client_context(shown.client_roots)
    except UnusableCertificate as error:
        yield error.part, error.why
    try:
        upstream_context(config.ocpp.upstream)
    except UnusableCertificate as error:
        yield error.part, error.why


def _read(key: str, value: str) -> str:
    """A PEM text, which stands in the configuration inline or as a path. Raises UnusableCertificate."""
    if not value or "-----BEGIN" in value:
        return value
    try:
        return Path(value).read_text(encoding="ascii")
    except OSError as error:
        raise UnusableCertificate(key, f"{value} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnusableCertificate(key, f"{value} is no PEM text") from None


PLACES = {
    "ocpp.tls": {tls.CERTIFICATE: "certificate", tls.KEY: "key", tls.AUTHORITIES: "client_ca"},
    "ocpp.upstream": {tls.CERTIFICATE: "certificate", tls.KEY: "key", tls.AUTHORITIES: "ca"},
}
"""Table of the configuration → which of its keys holds what."""


@contextmanager
def _located(table: str) -> Iterator[None]:
    """What is unusable is named by its key in this table."""
    try:
        yield
    except UnusableCertificate as error:
        raise UnusableCertificate(f"{table}.{PLACES[table][error.part]}", error.why) from None
