"""The configuration file, edited: comments stay, what is wrong is not saved, what gatewayd refuses is taken back.

The file is wholly old or wholly new (promises, R1). The one before stays as `last_good.toml`. Every key that changed is
noted in the trail, secrets without their value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import argon2
import tomlkit
import tomlkit.exceptions
import trio
from tomlkit.items import AoT, Table

from gatewayd import config as configuration
from gatewayd import durable
from gatewayd.config_tables import Config
from gatewayd.web.audit import Audit
from gatewayd.web.differences import differences
from gatewayd.web.gateway import Gateway, GatewayAway
from gatewayd.web.settings import Settings

Fault = dict[str, str]
"""`key` and `what`, as gatewayd says them."""
Author = tuple[str, str]
"""The user, and the address that the change comes from."""

HASHED: Final = "$argon2id$"
_HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""As for users; gatewayd verifies one of these for each connection of the charge point."""


class Editor:
    """One edit after the other."""

    def __init__(self, settings: Settings, gateway: Gateway, audit: Audit) -> None:
        self._settings, self._gateway, self._audit = settings, gateway, audit
        self._turn = trio.Lock()

    async def set(self, author: Author, wanted: Mapping[str, Any]) -> list[Fault]:
        """Sets keys by their path, as `modbus.tcp.port`. What is wrong; nothing: it is saved and in force."""

        return await self._edited(author, lambda document: _set_keys(document, wanted))

    def judged(self, wanted: Mapping[str, Any]) -> list[Fault]:
        """What would be wrong with these keys; nothing is saved."""
        try:
            document = tomlkit.parse(self._settings.config.read_bytes())
        except (tomlkit.exceptions.ParseError, UnicodeDecodeError) as error:
            return [{"key": self._settings.config.name, "what": str(error)}]
        _set_keys(document, wanted)
        parsed = self._parsed(tomlkit.dumps(document).encode())
        return [] if isinstance(parsed, Config) else parsed

    async def set_charge_point(self, author: Author, number: int | None, wanted: Mapping[str, Any]) -> list[Fault]:
        """Sets keys of the charge point of this number; None adds one. A plain password is kept as a hash."""
        kept = dict(wanted)
        password = kept.get("password", "")
        if password and not password.startswith(HASHED):
            kept["password"] = await trio.to_thread.run_sync(_HASHER.hash, password)

        def edit(document: tomlkit.TOMLDocument) -> None:
            entries = _entries(document)
            if number is None:
                entry: Table = tomlkit.table()
                entries.append(entry)
            else:
                entry = next(one for one in entries if one.get("number") == number)
            for key, value in kept.items():
                _set(entry, key, value, fresh=number is None)

        return await self._edited(author, edit)

    async def remove_charge_point(self, author: Author, number: int) -> list[Fault]:
        """Takes one away."""

        def edit(document: tomlkit.TOMLDocument) -> None:
            entries = _entries(document)
            index = next(at for at, one in enumerate(entries) if one.get("number") == number)
            del entries[index]

        return await self._edited(author, edit)

    async def replace(self, author: Author, text: bytes) -> list[Fault]:
        """A whole other file, as a backup brings it; also where only comments differ."""
        async with self._turn:
            return await self._take(author, self._settings.config.read_bytes(), text, whole=True)

    async def _edited(self, author: Author, edit: Callable[[tomlkit.TOMLDocument], None]) -> list[Fault]:
        async with self._turn:
            old = self._settings.config.read_bytes()
            try:
                document = tomlkit.parse(old)
            except (tomlkit.exceptions.ParseError, UnicodeDecodeError) as error:
                return [{"key": self._settings.config.name, "what": str(error)}]
            try:
                edit(document)
            except StopIteration:
                return [{"key": "charge_point", "what": "is not in the file any more"}]
            return await self._take(author, old, tomlkit.dumps(document).encode())

    async def _take(self, author: Author, old: bytes, new: bytes, *, whole: bool = False) -> list[Fault]:
        parsed = self._parsed(new)
        if not isinstance(parsed, Config):
            return parsed
        before = self._parsed(old)
        if before == parsed and (new == old or not whole):
            return []
        mode = 0o640
        await trio.to_thread.run_sync(durable.write, self._settings.config, new, mode)
        faults = await self._reloaded()
        if faults:
            await trio.to_thread.run_sync(durable.write, self._settings.config, old, mode)
            await self._reloaded()
            return faults
        if isinstance(before, Config):
            await trio.to_thread.run_sync(durable.write, self._settings.last_good, old)
            for one in differences(before, parsed):
                self._audit.note(*author, one.key, one.old or "", one.new or "")
        return []

    def _parsed(self, text: bytes) -> Config | list[Fault]:
        try:
            return configuration.parse(text, self._settings.config.name)
        except configuration.ConfigError as error:
            return [{"key": fault.key, "what": fault.what} for fault in error.faults]

    async def _reloaded(self) -> list[Fault]:
        """What gatewayd has against the file; one that is away reads it when it comes."""
        try:
            answer = await self._gateway.reload()
        except GatewayAway:
            return []
        if answer.get("ok", False):
            return []
        faults: list[Fault] = answer.get("faults") or [{"key": "", "what": str(answer.get("error", "was refused"))}]
        return faults


def with_keys(text: bytes, wanted: Mapping[str, Any]) -> bytes:
    """The configuration with these keys, and its comments. For a text that was read as a configuration already."""
    document = tomlkit.parse(text)
    _set_keys(document, wanted)
    return tomlkit.dumps(document).encode()


def _set_keys(document: tomlkit.TOMLDocument, wanted: Mapping[str, Any]) -> None:
    for key, value in wanted.items():
        *path, last = key.split(".")
        table: Any = document
        for name in path:
            table = table.setdefault(name, tomlkit.table())
        table[last] = value


def _entries(document: tomlkit.TOMLDocument) -> AoT:
    entries = document.setdefault("charge_point", tomlkit.aot())
    if not isinstance(entries, AoT):
        raise StopIteration  # written inline, as no document shows it
    return entries


DEFAULTS: Final[dict[str, Any]] = {
    "password": "",
    "simulated": False,
    "default_id_tag": "GATEWAY",
    "profile": "standard",
}
"""What need not be written into a new entry: the file stays as small as a person would write it."""


def _set(entry: Table, key: str, value: Any, *, fresh: bool) -> None:
    if key in DEFAULTS and value == DEFAULTS[key] and (fresh or key not in entry):
        return
    entry[key] = value
