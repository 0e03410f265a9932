"""The gateway's state as one archive, and back: the only files that stewardd takes out of the house or lets in.

A backup is a plain tar of regular files and, last, a list of them with their digests, so that a copy cut short is not
taken for a smaller state; whoever keeps it encrypts it (webd). A restore is unpacked beside the state, flushed, and
exchanged with it in one step of the file system: whenever the power goes, the state is wholly old or wholly new, and
there always is one, also for those who start before us. promises R1.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final

MAX_FILES: Final = 1000
"""The state has a dozen files; a thousand leaves room and bounds the work."""

MAX_BYTES: Final = 128 * 1024 * 1024
"""All files together, unpacked: an eighth of the data partition."""

MAX_DEPTH: Final = 4
"""Folders in folders; the state has two."""

CHUNK_BYTES: Final = 1024 * 1024

MANIFEST: Final = "MANIFEST"
"""The archive's last member: every other one's name and SHA-256."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NOT_KEPT: Final = re.compile(r"MANIFEST|ports\.json|.*\.(tmp|new|sock)|.*-(wal|shm|journal)|.*\.(broken|newer)-\d+")
_SQLITE: Final = b"SQLite format 3\x00"

CONFIGURATION: Final = "gateway.toml"
"""The configuration's name in an archive. On the appliance it stands in the state; elsewhere it may stand beside it."""

_MODES: Final = 0o660
"""What owner and group may of a file is kept: keys are their owner's alone."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class BadArchive(Exception):
    """The archive is not one of ours; nothing was changed."""


def back_up(state: Path, to: BinaryIO, configuration: Path | None = None) -> int:
    """Writes the archive; returns how many files it holds. Databases are copied as of one moment, not read as files.

    `configuration`: where it is, if it does not stand in the state.
    """
    digests: dict[str, str] = {}
    named = {str(path.relative_to(state)): path for path in _files(state)}
    if configuration is not None and configuration.parent != state:
        named[CONFIGURATION] = configuration
    with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in named.items():
            content, facts = _content(path), path.stat()
            _add(archive, name, content, int(facts.st_mtime), facts.st_mode & _MODES)
            digests[name] = hashlib.sha256(content).hexdigest()
        _add(archive, MANIFEST, json.dumps(digests).encode(), 0, 0o600)
    return len(digests)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mtime: int, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), mode, mtime
    archive.addfile(member, io.BytesIO(content))


def restore(
    state: Path,
    archive: BinaryIO,
    stopped: Callable[[], contextlib.AbstractContextManager[None]],
    configuration: Path | None = None,
) -> int:
    """Puts the archive's files in place of the state; returns how many. `stopped` holds the gateway meanwhile.

    `configuration`: where it is to stand, if not in the state (on no appliance: there it is a second step).
    Raises BadArchive before anything was changed; OSError when the disk is full, likewise.
    """
    heal(state)
    fresh = _beside(state)
    try:
        count = _unpack(archive, fresh, state)
        _flush(fresh)
        with stopped():
            exchange(fresh, state)
            _flush_directory(state.parent)
            if configuration is not None and configuration.parent != state:
                _move_out(state / CONFIGURATION, configuration)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return count


def heal(state: Path) -> str:
    """At every start: takes away what a restore left that was cut short. Says what was done, or nothing."""
    fresh = _beside(state)
    if not fresh.exists():
        return ""
    shutil.rmtree(fresh, ignore_errors=True)
    return "a restore was cut short: what it left beside the state is gone"


def _beside(state: Path) -> Path:
    return state.with_name(state.name + ".new")


def exchange(one: Path, other: Path) -> None:
    """Each gets the other's name, in one step that no power cut divides. Raises OSError, and then nothing changed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot be exchanged with {other.name}: {os.strerror(number)}", str(one))


def _move_out(inside: Path, configuration: Path) -> None:
    if not inside.exists():
        return
    beside = configuration.with_name(configuration.name + ".new")
    shutil.copyfile(inside, beside)
    _flush_file(beside)
    beside.replace(configuration)
    _flush_directory(configuration.parent)
    inside.unlink()


def _files(state: Path) -> Iterator[Path]:
    for path in sorted(state.rglob("*")):
        inner = path.relative_to(state)
        regular = path.is_file() and not path.is_symlink()
        if regular and not _NOT_KEPT.fullmatch(path.name) and all(_NAME.fullmatch(part) for part in inner.parts):
            yield path


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(_SQLITE):
        return content
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(Path(scratch) / "copy")) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        return (Path(scratch) / "copy").read_bytes()


def _make_like(state: Path, fresh: Path) -> os.stat_result:
    """An empty directory with the state's owner, group and mode. Its group sets that of new files (the page writes
    the configuration, netd reads it), and that bit may not be given, only inherited: so it is made inside."""
    owner = state.stat()
    inside = state / ".restore"
    shutil.rmtree(inside, ignore_errors=True)
    before = os.umask(0)
    try:
        inside.mkdir(mode=stat.S_IMODE(owner.st_mode) & 0o777)
    finally:
        os.umask(before)
    os.chown(inside, owner.st_uid, owner.st_gid)
    inside.rename(fresh)
    return owner


def _unpack(archive: BinaryIO, fresh: Path, state: Path) -> int:
    owner = _make_like(state, fresh)
    digests: dict[str, str] = {}
    manifest: object = None
    total = 0
    try:
        with tarfile.open(fileobj=archive, mode="r:") as opened:
            for member in opened:
                parts = member.name.split("/")
                if not member.isreg() or len(parts) > MAX_DEPTH or not all(_NAME.fullmatch(part) for part in parts):
                    raise BadArchive(f"{member.name[:100]!r} does not belong into a backup")
                total += member.size
                if len(digests) > MAX_FILES or total > MAX_BYTES:
                    raise BadArchive("larger than any backup of ours")
                content = opened.extractfile(member)
                if content is None or member.name in digests:
                    raise BadArchive(f"{member.name!r} is there twice")
                if member.name == MANIFEST:
                    manifest = json.loads(content.read())
                else:
                    digests[member.name] = _write(fresh, parts, content, member.mode, owner)
    except (tarfile.TarError, ValueError, RecursionError) as wrong:
        raise BadArchive(f"not a backup: {wrong}") from wrong
    if not digests or manifest != digests:
        raise BadArchive("not a whole backup: its list and its files differ")
    return len(digests)


def _write(fresh: Path, parts: list[str], content: IO[bytes], mode: int, owner: os.stat_result) -> str:
    directory = fresh
    for part in parts[:-1]:
        directory /= part
        if not directory.exists():
            directory.mkdir(mode=0o750)
            os.chown(directory, owner.st_uid, owner.st_gid)
    digest = hashlib.sha256()
    with open(directory / parts[-1], "xb") as file:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        os.fchmod(file.fileno(), 0o600 | mode & _MODES)
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _flush(tree: Path) -> None:
    for directory in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
        _flush_directory(directory)


def _flush_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
