"""A backup that was opened, judged: whether this gateway could work with it, before anything of it is put to use."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import msgspec

from gatewayd import config as configuration
from gatewayd.backup import RESTORED, contents
from gatewayd.backup.container import BadBackup, Cause, Header
from gatewayd.config_tables import Config, Network
from gatewayd.web.editor import HASHED, Author, with_keys
from gatewayd.web.ledger_look import Look, look
from gatewayd.web.network_trial import settings_of
from gatewayd.web.routes import Role
from gatewayd.web.users import NAME, USERS_MAX, User, as_file


@dataclass(frozen=True, slots=True)
class Judged:
    """A backup that would do."""

    header: Header
    kept: contents.Kept
    state: contents.State
    config: Config
    ledger: Look
    authority: str
    """SHA-256 fingerprint of its certificate; empty: there is none in it."""

    @property
    def named(self) -> str:
        """Which backup it is, as a person knows it."""
        return f"{self.header.name}, made {made(self.header)}"

    def archive(self, identifier: str, network: Network | None = None) -> bytes:
        """Its state with the mark that says which backup it comes from, as it is put in place of the present one.
        `network`: what stands in its configuration instead of its own."""
        marker = contents.File(msgspec.json.encode({"id": identifier, "made": self.header.made}))
        state = {**self.state, RESTORED: marker}
        if network is not None:
            file = state[contents.CONFIGURATION]
            state[contents.CONFIGURATION] = replace(file, content=with_keys(file.content, settings_of(network)))
        return contents.packed(state)

    def users_ready(self, identifier: str, author: Author) -> bytes:
        """Its users, as the page finds them beside its own, and who brought them: `settled`."""
        users = [User(one.name, one.role, one.hash) for one in self.kept.users]
        return msgspec.json.encode(Ready(identifier, *author, self.named)) + b"\n" + as_file(users)


class Ready(msgspec.Struct, frozen=True):
    """The first line of users that lie ready: the backup's id, who restores it from where, which backup it is."""

    id: str
    user: str
    address: str
    named: str


def made(header: Header) -> str:
    """When a backup was made."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(header.made))


def judged(header: Header, payload: bytes) -> Judged:
    """Raises BadBackup for one that this gateway could not work with."""
    kept, state = contents.parted(payload)
    _judge_users(kept)
    config = _config(state)
    ledger = look(state[contents.LEDGER].content) if contents.LEDGER in state else Look()
    return Judged(header, kept, state, config, ledger, _authority(state))


def _judge_users(kept: contents.Kept) -> None:
    """Raises BadBackup for users with whom nobody could go on."""
    roles = {role.name for role in Role if role is not Role.anyone}
    names = [one.name for one in kept.users]
    sound = all(NAME.fullmatch(one.name) and one.role in roles and one.hash.startswith(HASHED) for one in kept.users)
    if not sound or len(set(names)) != len(names) or len(names) > USERS_MAX:
        raise BadBackup(Cause.unusable, "its list of users makes no sense")
    if not any(one.role == Role.admin.name for one in kept.users):
        raise BadBackup(Cause.unusable, "no admin is among its users")


def _config(state: contents.State) -> Config:
    if contents.CONFIGURATION not in state:
        raise BadBackup(Cause.unusable, "no configuration is in it")
    try:
        return configuration.parse(state[contents.CONFIGURATION].content, contents.CONFIGURATION)
    except configuration.ConfigError as error:
        told = "; ".join(f"{fault.key}: {fault.what}" for fault in error.faults[:3])
        raise BadBackup(Cause.unusable, f"this gateway refuses the configuration in it: {told}") from None


def _authority(state: contents.State) -> str:
    """The fingerprint of the authority in it; empty: none. Raises BadBackup for a key that is not the certificate's."""
    pair = [state.get(name) for name in ("authority.pem", "authority.key")]
    if pair == [None, None]:
        return ""
    from gatewayd.web import certificate_judge  # its library is large, and backups are rare

    try:
        text, key = (each.content if each else b"" for each in pair)
        if not certificate_judge.belongs(key, text):
            raise ValueError("the key is another one's")
        return certificate_judge.seen(text).fingerprint
    except ValueError as wrong:
        raise BadBackup(Cause.unusable, f"the authority in it cannot be used: {wrong}") from None
