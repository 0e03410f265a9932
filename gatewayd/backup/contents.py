"""What is inside a backup: what the page keeps, as JSON, and gatewayd's state, as stewardd packs it. Pure.

The state is a tar of regular files with, last, their list `MANIFEST`: name to SHA-256 (hal/backup.py).
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from gatewayd.backup.container import BadBackup, Cause

MANIFEST: Final = "MANIFEST"
CONFIGURATION: Final = "gateway.toml"
LEDGER: Final = "ledger.sqlite"

_LENGTH: Final = struct.Struct(">I")


class User(msgspec.Struct, frozen=True):
    """One who may sign in, as the page keeps it; `hash` is argon2id's."""

    name: str
    role: str
    hash: str


class Kept(msgspec.Struct, frozen=True):
    """What is not in gatewayd's state."""

    users: list[User]


@dataclass(frozen=True, slots=True)
class File:
    """One file of the state."""

    content: bytes
    mode: int = 0o640
    changed: int = 0
    """Seconds since 1970."""


State = Mapping[str, File]
"""By name; `/` parts folders."""


def joined(kept: Kept, state: bytes) -> bytes:
    """The payload of a backup."""
    told = msgspec.json.encode(kept)
    return _LENGTH.pack(len(told)) + told + state


def parted(payload: bytes) -> tuple[Kept, State]:
    """What `joined` joined. Raises BadBackup."""
    try:
        length: int = _LENGTH.unpack_from(payload)[0]
        kept = msgspec.json.decode(payload[_LENGTH.size : _LENGTH.size + length], type=Kept)
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise BadBackup(Cause.unusable, f"its contents make no sense: {wrong}") from None
    return kept, unpacked(payload[_LENGTH.size + length :])


def unpacked(archive: bytes) -> State:
    """The files of a state. Raises BadBackup for what is none, or not whole."""
    found: dict[str, File] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            for member in opened:
                content = opened.extractfile(member) if member.isreg() else None
                if content is None or member.name in found:
                    raise BadBackup(Cause.unusable, f"{member.name[:100]!r} does not belong into a backup")
                found[member.name] = File(content.read(), member.mode, int(member.mtime))
        digests = msgspec.json.decode(found.pop(MANIFEST, File(b"{}")).content, type=dict[str, str])
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as wrong:
        raise wrong if isinstance(wrong, BadBackup) else _incomplete() from wrong
    if not found or digests != {name: hashlib.sha256(file.content).hexdigest() for name, file in found.items()}:
        raise _incomplete()
    return found


def _incomplete() -> BadBackup:
    return BadBackup(Cause.unusable, "the state in it is not whole")


def packed(state: State) -> bytes:
    """The archive of these files, as stewardd takes it."""
    made = io.BytesIO()
    digests = {name: hashlib.sha256(file.content).hexdigest() for name, file in state.items()}
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, file in {**state, MANIFEST: File(msgspec.json.encode(digests), 0o600)}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(file.content), file.mode, file.changed
            archive.addfile(member, io.BytesIO(file.content))
    return made.getvalue()
