"""The certificates of this gateway: its own authority, what it shows on its TLS listener, and whom it believes there.

Made on the first start, renewed before they expire, replaced by the user's own where those are configured
(interface.md, [ocpp.tls]; ocpp.md, Security). What needs the authority's key or a look into a certificate is done by a
program of its own (certify.py), and only when something is due or asked: the rest are files, looked at in a thread.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import trio

from gatewayd import certify, durable
from gatewayd.certify import UNUSABLE
from gatewayd.config_tables import Config, OcppTls, OcppUpstream
from gatewayd.services import tls
from gatewayd.services.own_names import own_names, usable
from gatewayd.services.tls import UnusableCertificate
from gatewayd.site.certificate import Signed
from gatewayd.site.model import Site

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0
"""How often names, dates and the user's files are looked at: a new address is in the certificate a minute later."""
CERTIFIED = 3
"""The security profile that is shown by a certificate."""
AUTHORITY, CERTIFICATE, PAGE, EXPIRES = "authority", "certificate", "page_certificate", "certificate_expires"
"""What may be missing, or soon will be, by its name among the site's troubles."""
WARNED_BEFORE_S = 30 * 86400.0
"""The user's own certificate is renewed by people: an authority of a site may take weeks."""


PAGE_FILE, PAGE_MODE = "page.pem", 0o640
"""Key and chain for the page's HTTPS, beside the sockets: for the page's group, and gone with the power."""
SITE_FILE = "page-site.pem"
"""The same of the user's own authority, where there is one: for browsers that call the page by a name in it."""

NONE_WANTED = certify.Standing()
OWN_FILES = tuple(f"{who}.{kind}" for who in ("authority", "server", "page") for kind in ("pem", "key"))
"""Where one of them changes, somebody looks whether they still belong together."""


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
        certify_by: Callable[[certify.Wish], certify.Answer] = certify.in_a_process,
    ) -> None:
        """`show` hears what the TLS listener is to use; None: there is nothing that it could. `run`: where the page
        finds its own; None: it has none. `certify_by`: who does the work, certify.done or in a process of its own."""
        self._directory, self._site, self._show, self._run = directory, site, show, run
        self._certify = certify_by
        self._made_as: tuple[str, str] | None = None
        """The gateway's name and the authority's kind of key, while there is one that can be used."""
        self._stood: object = None
        self._standing = NONE_WANTED
        """What the last look at them gave, and at what it looked; None: it is to look again."""
        self._asked: list[tuple[certify.Check | certify.Sign, Callable[[Signed | str], None]]] = []
        self._shown: _Shown | None = None
        self.context: ssl.SSLContext | None = None
        """For the TLS listener; None while there is none, or nothing that it could show."""
        self.troubles: dict[str, str] = {}
        """What is missing → why."""
        self.until: float | None = None
        """When the user's own certificate ends, seconds since 1970; None: there is none."""
        self._looked = False
        self._one_at_a_time = trio.Lock()
        self._bell = trio.Event()
        """Somebody asked."""

    async def begin(self, config: Config) -> None:
        """Look, where a charge point may need them from its first call on: it comes over TLS, or may ask for its own.
        Elsewhere that can wait for what is more urgent; `keep` does it."""
        if config.ocpp.tls.port >= 0 or "SignCertificate" in config.ocpp.ask_bms:
            await self.look(config)

    async def keep(
        self, config: Callable[[], Config], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer charge points; look again every minute, and when one of them got a certificate. Started once somebody
        has looked."""
        if not self._looked:
            await self.look(config())
        task_status.started()
        while True:
            with trio.move_on_after(LOOK_AGAIN_S) as waiting:
                await self._bell.wait()
            self._bell = trio.Event()
            if waiting.cancelled_caught or await self._answer():
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
            site.signer = self if self._made_as is not None else None
            self._looked = True

    def refresh(self, config: Config, epoch: float, *, ask: bool = False) -> None:
        """Make what is missing, renew what is due, read what changed. What cannot be had is logged once and stands in
        `troubles`; what served until then goes on serving. `ask`: charge points have certificates of our authority, so
        they are asked for them even where nothing requires it."""
        self._renew(config, epoch)
        try:
            shown = self._to_show(config, ask) if config.ocpp.tls.port >= 0 else None
            if shown != self._shown:
                self.context = None if shown is None else _context(shown)
                self._shown = shown
            self._trouble(CERTIFICATE, "")
        except (OSError, UnusableCertificate) as error:
            self._trouble(CERTIFICATE, str(error))
        try:
            self._publish_page(config)
            self._publish_brought(config, epoch)
            self._trouble(PAGE, "")
        except OSError as error:
            self._trouble(PAGE, f"the page's certificate cannot be published: {error}")

    def _renew(self, config: Config, epoch: float) -> None:
        """Have made what is missing and renewed what is due; nobody is troubled while the last look still stands."""
        wish = self._wish(config, epoch, [_renewal(config, page=self._run is not None)])
        looks_at = wish.name, wish.key_type, wish.tasks, self._files()
        if looks_at == self._stood and self._standing.begins <= epoch < self._standing.ends:
            return
        self._stood = None
        try:
            answer = self._certify(wish)
        except OSError as error:  # nobody knows better than before
            self._trouble(AUTHORITY, f"{UNUSABLE}: {error}")
            return
        self._trouble(AUTHORITY, f"{UNUSABLE}: {answer.fault}" if answer.fault else "")
        self._made_as = None if answer.fault else (wish.name, wish.key_type)
        self._standing = next((each for each in answer.results if isinstance(each, certify.Standing)), NONE_WANTED)
        if not (answer.fault or self._standing.server_fault or self._standing.page_fault):
            self._stood = (*looks_at[:-1], self._files())

    def _wish(self, config: Config, epoch: float, tasks: list[certify.Task]) -> certify.Wish:
        return certify.Wish(str(self._directory), config.gateway.name, config.ocpp.tls.key_type, epoch, tasks)

    def _files(self) -> list[tuple[int, int, int] | None]:
        """What tells that one of them is another than before."""
        return [_mark(self._directory / name) for name in OWN_FILES]

    def _own(self, who: str, fault: str) -> tuple[str, str]:
        """Chain and key of `server` or `page`, PEM. Raises OSError, also with what kept them from being renewed."""
        if fault:
            raise OSError(fault)
        certificate, key = ((self._directory / f"{who}.{kind}").read_text("ascii") for kind in ("pem", "key"))
        return certificate, key

    def _publish_page(self, config: Config) -> None:
        """Written only when it is another: the page looks at the file to notice."""
        if self._run is not None and self._made_as is not None and config.web.port >= 0:
            certificate, key = self._own("page", self._standing.page_fault)
            self._publish(self._run / PAGE_FILE, key + certificate)

    def _publish_brought(self, config: Config, epoch: float) -> None:
        """The user's own certificate: for the page while it is good, and said in time that it ends."""
        try:
            brought = _configured(config.ocpp.tls)
        except UnusableCertificate:  # said where charge points should see it
            return
        self.until = self._standing.brought_ends
        soon = self.until is not None and epoch > self.until - WARNED_BEFORE_S
        day = f"{datetime.fromtimestamp(self.until or 0, UTC):%Y-%m-%d}"
        self._trouble(EXPIRES, f"the certificate of your own authority ends on {day}" if soon else "")
        if self._run is not None and config.web.port >= 0:
            good = self.until is not None and epoch < self.until
            self._publish(self._run / SITE_FILE, f"{brought.key}\n{brought.certificate}" if good else "")

    def _publish(self, file: Path, text: str) -> None:
        if not text:
            file.unlink(missing_ok=True)
        elif not file.exists() or file.read_text(encoding="ascii") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            durable.write(file, text.encode("ascii"), PAGE_MODE)

    def _to_show(self, config: Config, ask: bool) -> _Shown:
        shown, usable_authority = _configured(config.ocpp.tls), self._made_as is not None
        ask |= shown.required or any(entry.min_security_profile == CERTIFIED for entry in config.charge_points)
        if usable_authority and ask:
            own = (self._directory / "authority.pem").read_text("ascii")
            shown = replace(shown, client_roots=f"{shown.client_roots}\n{own}".strip())
        if shown.certificate:
            return shown
        if not usable_authority:
            raise UnusableCertificate("ocpp.tls.certificate", "without an authority the gateway has none to show")
        certificate, key = self._own("server", self._standing.server_fault)
        return replace(shown, certificate=certificate, key=key)

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
        known, more = _names(config, config.ocpp.host), usable([name.lower()] if name else [])
        if name and not more:
            raise ValueError(f"{name} is no name of a host")
        wish = self._wish(config, self._site.epoch, [certify.MakeRequest(sorted({*known, *more}))])
        async with self._one_at_a_time:
            (result,) = (await trio.to_thread.run_sync(self._certify, wish)).results
        if not isinstance(result, certify.Certified):
            raise ValueError(_why(result))
        key = self._directory.absolute() / "server.key"
        return {"request": result.pem, "names": sorted(known), "key": str(key)}

    # --- for charge points ------------------------------------------------------------------------------------

    def check(self, request: str, identity: str, heard: Callable[[str], None]) -> None:
        self._ask(certify.Check(request, identity), lambda came: heard(came if isinstance(came, str) else ""))

    def sign(self, request: str, identity: str, heard: Callable[[Signed | str], None]) -> None:
        self._ask(certify.Sign(request, identity), heard)

    def _ask(self, task: certify.Check | certify.Sign, heard: Callable[[Signed | str], None]) -> None:
        self._asked.append((task, heard))
        self._bell.set()

    async def _answer(self) -> bool:
        """All who asked, with one start of the program; they ask five times a minute at most. Whether one of them got
        a certificate."""
        asked, self._asked = self._asked, []
        results: Sequence[certify.Result] = [certify.Unusable(UNUSABLE)] * len(asked)
        async with self._one_at_a_time:
            if self._made_as is not None:
                tasks: list[certify.Task] = [task for task, _ in asked]
                wish = certify.Wish(str(self._directory), *self._made_as, self._site.epoch, tasks)
                try:
                    results = (await trio.to_thread.run_sync(self._certify, wish)).results
                except OSError as error:
                    log.error("%s: %s", UNUSABLE, error)
        for (_, heard), result in zip(asked, results, strict=True):
            heard(Signed(result.pem, result.until) if isinstance(result, certify.Certified) else _why(result))
        return any(isinstance(result, certify.Certified) and result.pem for result in results)


def _names(config: Config, host: str) -> list[str]:
    """What somebody may call this gateway who dials a listener at `host`."""
    fixed = config.network.address.partition("/")[0] if config.network.mode == "static" else ""
    return list(own_names(config.gateway.name, host, fixed))


def _configured(table: OcppTls) -> _Shown:
    """What of it the user brings."""
    certificate, key, roots = (_read(f"ocpp.tls.{name}", getattr(table, name)) for name in PLACES["ocpp.tls"].values())
    return _Shown(certificate, key, roots, bool(table.client_ca))


def _renewal(config: Config, *, page: bool) -> certify.Renew:
    """What is wanted of our own authority, and what of the user's is to be looked at."""
    try:
        brought = _configured(config.ocpp.tls).certificate
    except UnusableCertificate:
        brought = ""
    ours = config.ocpp.tls.port >= 0 and not config.ocpp.tls.certificate
    called = [*_names(config, config.web.host), *config.web.names]
    return certify.Renew(
        _names(config, config.ocpp.host) if ours else [],
        sorted(set(called)) if page and config.web.port >= 0 else [],
        brought,
    )


def _why(result: certify.Result) -> str:
    return result.why if isinstance(result, certify.Unusable) else UNUSABLE


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


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
