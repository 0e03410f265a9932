"""Backup and restore: webd adds what it keeps itself, seals and unseals; stewardd takes the state out and puts it in.

A restore is one step for whoever looks on: gatewayd's state is exchanged by stewardd, and what webd keeps lies ready
beside (`users.restored`) until it sees in the state that the exchange took place (`settle`, also at every start).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec
import trio

from gatewayd import durable
from gatewayd.backup import RESTORED, contents
from gatewayd.backup.container import (
    MODEL,
    NONCE_BYTES,
    SALT_BYTES,
    BadBackup,
    Cause,
    Header,
    passphrase_fault,
    seal,
    unseal,
)
from gatewayd.config_tables import Config, Network
from gatewayd.web import network_trial
from gatewayd.web.differences import Difference, differences
from gatewayd.web.editor import Author
from gatewayd.web.judged_backup import Judged, Ready, judged
from gatewayd.web.steward import NotGranted, StillRunning, is_running, wish_done

if TYPE_CHECKING:
    from gatewayd.web.app import Webd

log = logging.getLogger(__name__)

KEPT_S: Final = 15 * 60.0
"""How long a backup that was looked at waits for its yes."""
SETTLE_EVERY_S: Final = 1.0
_ONE: Final = trio.CapacityLimiter(1)
"""Sealing takes 64 MiB and a second."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A backup that would do, and what would be different with it."""

    backup: Judged
    differences: list[Difference]
    until: float
    """Monotonic seconds."""
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    """Who knows it may apply this one."""


class Backups:
    """Of one webd. At most one backup waits for its yes: the one that was looked at last."""

    def __init__(self, of: Webd) -> None:
        self._of = of
        self._looked: Looked | None = None
        self._turn = trio.Lock()

    # --- make -----------------------------------------------------------------------------------------------

    async def make(self, author: Author, passphrase: str) -> tuple[str, bytes]:
        """A file's name and content. Raises NotGranted, and BadBackup for a passphrase or a state that is too large."""
        if fault := passphrase_fault(passphrase):
            raise BadBackup(Cause.wrong_passphrase, fault)
        async with self._turn:
            state = await self._state()
            users = [contents.User(one.name, one.role, one.hash) for one in self._of.users.all().values()]
            header = Header(MODEL, self._of.firmware, round(time.time(), 3), self._of.gateway.config().gateway.name)
            payload = contents.joined(contents.Kept(users), state)
            chance = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
            file = await trio.to_thread.run_sync(seal, header, payload, passphrase, *chance, limiter=_ONE)
        self._of.audit.note(*author, "backup made", "", f"{len(file)} bytes")
        return file_name(header), file

    async def _state(self) -> bytes:
        with _in_memory("backup") as memory:
            await wish_done(self._of.settings.steward, "back_up", memory.fileno())
            memory.seek(0)
            return memory.read()

    # --- look -----------------------------------------------------------------------------------------------

    async def look(self, file: bytes, passphrase: str) -> Looked:
        """What a backup would change; it waits then for `apply`. Raises BadBackup."""
        self._looked = None
        async with self._turn:
            header, payload = await trio.to_thread.run_sync(unseal, file, passphrase, limiter=_ONE)
            until = trio.current_time() + KEPT_S
            looked = await trio.to_thread.run_sync(self._compared, header, payload, until, limiter=_ONE)
        self._looked = looked
        return looked

    def looked(self, identifier: str) -> Looked | None:
        """The one that waits under this id."""
        found = self._looked
        if found is None or trio.current_time() > found.until:
            self._looked = None
            return None
        return found if secrets.compare_digest(found.id.encode(), identifier.encode("utf-8", "replace")) else None

    def _compared(self, header: Header, payload: bytes, until: float) -> Looked:
        one = judged(header, payload)
        found = [*self._of_configuration(one.config, one.state), *self._of_users(one.kept),
                 *self._of_authority(one.authority)]  # fmt: skip
        return Looked(one, found, until)

    def _of_configuration(self, config: Config, state: contents.State) -> list[Difference]:
        found = differences(self._of.gateway.config(), config)
        same = self._of.settings.config.read_bytes() == state[contents.CONFIGURATION].content
        return found if found or same else [Difference("configuration", "", "other comments, or another order")]

    def _of_authority(self, authority: str) -> list[Difference]:
        """The authority that charge points and browsers know, by its fingerprint, where webd sees the present one."""
        from gatewayd.web import certificate_judge

        try:
            now = certificate_judge.seen((self._of.settings.gateway_files / "authority.pem").read_bytes()).fingerprint
        except (OSError, ValueError):
            now = ""
        return [] if now == authority else [Difference("authority", now or None, authority or None)]

    def _of_users(self, kept: contents.Kept) -> list[Difference]:
        """Users that come, go or change. A password is never said, only that it is another."""
        now = {one.name: one for one in self._of.users.all().values()}
        then = {one.name: one for one in kept.users}
        found = []
        for name in sorted({*now, *then}):
            old, new = now.get(name), then.get(name)
            if old is None or new is None:
                found.append(Difference(f"user {name}", old.role if old else None, new.role if new else None))
            elif (old.role, old.hash) != (new.role, new.hash):
                other = "" if old.hash == new.hash else ", another password"
                found.append(Difference(f"user {name}", old.role, new.role + other))
        return found

    # --- apply ----------------------------------------------------------------------------------------------

    async def apply(self, author: Author, looked: Looked, *, claiming: bool = False) -> None:
        """Puts it in force; everybody signs in again, as the backup's users. Raises NotGranted: nothing changed.

        Network settings that would be others are only tried, as every change of them: whoever does not confirm them
        keeps those of now. Not so when `claiming`: a gateway that takes the place of another takes its address.
        Goes on to its end when whoever asked goes away meanwhile.
        """
        now, then = self._of.gateway.config().network, looked.backup.config.network
        keep = None if claiming or not network_trial.differ(now, then) else now
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._apply(author, looked, keep)
            self._looked = None
            self._of.sessions.end_everybody()
            if keep is not None:
                await self._try_network(author, then)

    async def _try_network(self, author: Author, settings: Network) -> None:
        try:
            wrong = await network_trial.begin(self._of, author, network_trial.settings_of(settings))
            why = "; ".join(f"{each['key']}: {each['what']}" for each in wrong)
        except NotGranted as error:
            why = str(error)
        if why:  # the page says that there is no trial
            log.warning("the backup's network settings are not tried: %s", why)

    async def _apply(self, author: Author, looked: Looked, network: Network | None) -> None:
        archive = await trio.to_thread.run_sync(looked.backup.archive, looked.id, network)
        ready = looked.backup.users_ready(looked.id, author)
        await trio.to_thread.run_sync(durable.write, self._of.settings.users_restored, ready)
        try:
            with _in_memory("restore") as memory:
                memory.write(archive)
                memory.flush()
                memory.seek(0)
                await wish_done(self._of.settings.steward, "restore", memory.fileno())
        except StillRunning:
            raise  # what lies ready waits for it: `keep_settled`
        except BaseException:
            self.settle()
            raise
        if not self.settle():
            raise NotGranted("the state was not exchanged")

    async def keep_settled(self) -> None:
        """At the start: what a former life left ready, as soon as it is known whether it took effect."""
        while True:
            if not is_running(self._of.settings.steward, "restore"):
                break
            await trio.sleep(SETTLE_EVERY_S)
        async with self._turn:
            if self.settle():
                self._of.sessions.end_everybody()

    def settle(self) -> bool:
        """What lies ready takes effect if gatewayd's state is the one that it belongs to, and is thrown away if not.
        True: it took effect."""
        settings = self._of.settings
        try:
            first, _, users = settings.users_restored.read_bytes().partition(b"\n")
            ready = msgspec.json.decode(first, type=Ready)
            came = bool(json.loads((settings.gateway_files / RESTORED).read_bytes())["id"] == ready.id)
        except (OSError, ValueError, KeyError, TypeError):
            came = False
        if came:
            durable.write(settings.users, users)
            self._of.audit.note(ready.user, ready.address, "restored from a backup", "", ready.named)
        settings.users_restored.unlink(missing_ok=True)
        return came


def _in_memory(name: str) -> BinaryIO:
    """A file that stands nowhere: what is in it is not encrypted."""
    return open(os.memfd_create(name, os.MFD_CLOEXEC), "r+b")


def file_name(header: Header) -> str:
    """What a browser calls the file."""
    name = "".join(each if each.isascii() and each.isalnum() else "-" for each in header.name).strip("-") or "gateway"
    return f"{name}-{time.strftime('%Y%m%d-%H%M', time.gmtime(header.made))}.backup"
