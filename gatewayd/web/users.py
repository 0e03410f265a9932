"""Who may sign in: names, roles and argon2id hashes, in one small file of webd's own (promises, R25 and R26)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import argon2
import msgspec
import trio

from gatewayd import durable
from gatewayd.web.routes import Role

PASSWORD_SHORTEST: Final = 8
"""What NIST SP 800-63B asks of a password that a person chooses; guessing is slowed to ten a minute besides."""
PASSWORD_LONGEST: Final = 128
"""Longer ones add nothing, and argon2 would read them all."""
USERS_MAX: Final = 32
"""A site has an owner, two electricians and a control room."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,31}")
FIRST_USER: Final = "admin"
"""Who the first visit makes, where it gives no other name."""

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""OWASP's argon2id: 19 MiB, two passes: 30 ms here, and webd stays under its 60 MB."""
_NOBODY = _HASHER.hash("the password of nobody")
"""Compared with where there is no such user, so that the answer comes as late as for one there is."""
_HASHINGS = trio.CapacityLimiter(1)
"""Each takes 19 MiB."""


class BadUser(ValueError):
    """A name, a password or a change that is refused; the text is for whoever asked."""


class User(msgspec.Struct, frozen=True):
    """One who may sign in."""

    name: str
    role: str
    hash: str

    @property
    def rank(self) -> Role:
        return Role[self.role]


class _File(msgspec.Struct):
    users: list[User]


class Users:
    """The file, read again when it changed: a factory reset takes it away under webd."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_as: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}

    def all(self) -> dict[str, User]:
        """Everybody by name. A file that is no list of users is a bug or a broken disk and raises ValueError or
        OSError: it must never look like a gateway that anybody may claim."""
        try:
            seen = self._path.stat()
        except FileNotFoundError:
            self._read_as, self._users = None, {}
            return self._users
        stamp = seen.st_ino, seen.st_mtime_ns, seen.st_size
        if stamp != self._read_as:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
            self._users = {user.name: user for user in found.users}
            self._read_as = stamp
        return self._users

    def claimed(self) -> bool:
        """Whether anybody has a password yet."""
        return bool(self.all())

    async def check(self, name: str, password: str) -> User | None:
        """The user, if this is the password. Takes the same time whether there is one of this name or not."""
        user = self.all().get(name)
        right = await trio.to_thread.run_sync(
            _verify, user.hash if user else _NOBODY, password[: PASSWORD_LONGEST + 1], limiter=_HASHINGS
        )
        return user if right else None

    async def add(self, name: str, password: str, role: Role) -> None:
        """A new user. Raises BadUser."""
        if not NAME.fullmatch(name):
            raise BadUser("a name has 1 to 32 letters, digits and . _ @ -, and begins with a letter or digit")
        if name in self.all():
            raise BadUser(f"there is a user {name} already")
        if len(self.all()) >= USERS_MAX:
            raise BadUser(f"there are {USERS_MAX} users, and no room for more")
        if role not in (Role.viewer, Role.installer, Role.admin):
            raise BadUser("the role is one of viewer, installer, admin")
        hashed = await _hashed(name, password)
        if name in self.all():
            raise BadUser(f"there is a user {name} already")
        self._save({**self.all(), name: User(name, role.name, hashed)})

    async def first(self, name: str, password: str) -> None:
        """The admin of a gateway that nobody has claimed. Raises BadUser, also when somebody was quicker."""
        if not NAME.fullmatch(name):
            raise BadUser("a name has 1 to 32 letters, digits and . _ @ -, and begins with a letter or digit")
        hashed = await _hashed(name, password)
        if self.claimed():
            raise BadUser("somebody has claimed this gateway already")
        self._save({name: User(name, Role.admin.name, hashed)})

    async def set_password(self, name: str, password: str) -> None:
        """Another password. Raises BadUser."""
        self._present(name)
        hashed = await _hashed(name, password)
        self._save({**self.all(), name: msgspec.structs.replace(self._present(name), hash=hashed)})

    def set_role(self, name: str, role: Role) -> None:
        """Another role; the last admin stays one. Raises BadUser."""
        if role not in (Role.viewer, Role.installer, Role.admin):
            raise BadUser("the role is one of viewer, installer, admin")
        user = self._present(name)
        changed = {**self.all(), name: msgspec.structs.replace(user, role=role.name)}
        self._save(_with_admin(changed))

    def remove(self, name: str) -> None:
        """Raises BadUser: nobody of that name, or the last admin."""
        self._present(name)
        self._save(_with_admin({key: user for key, user in self.all().items() if key != name}))

    def _present(self, name: str) -> User:
        user = self.all().get(name)
        if user is None:
            raise BadUser(f"there is no user {name[:40]}")
        return user

    def _save(self, users: dict[str, User]) -> None:
        durable.write(self._path, as_file(users.values()))
        self._read_as = None


def as_file(users: Iterable[User]) -> bytes:
    """The file of these users."""
    return msgspec.json.format(msgspec.json.encode(_File(list(users))))


def _with_admin(users: dict[str, User]) -> dict[str, User]:
    if not any(user.rank is Role.admin for user in users.values()):
        raise BadUser("one admin must stay, or nobody could change anything any more")
    return users


async def _hashed(name: str, password: str) -> str:
    if len(password) < PASSWORD_SHORTEST:
        raise BadUser(f"a password has at least {PASSWORD_SHORTEST} characters")
    if len(password) > PASSWORD_LONGEST:
        raise BadUser(f"a password has at most {PASSWORD_LONGEST} characters")
    if password.casefold() == name.casefold() or len(set(password)) < 3:
        raise BadUser("that password is the first that anybody tries")
    try:
        return await trio.to_thread.run_sync(_HASHER.hash, password, limiter=_HASHINGS)
    except UnicodeEncodeError:
        raise BadUser("a password is made of characters that have an encoding") from None


def _verify(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
        return False
