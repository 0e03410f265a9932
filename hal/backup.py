"""The gateway's state as one archive, and back: the only files that stewardd takes out of the house or lets in.

A backup is a plain tar of regular files and, last, a list of them with their digests, so that a copy cut short is not
taken for a smaller state; whoever keeps it encrypts it. A restore is unpacked beside the state, flushed,
and put in its place by two renames; `heal` finishes what a power cut between the two left. promises R1.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
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
_NOT_KEPT: Final = re.compile(r"MANIFEST|ports\.json|.*\.(tmp|new|sock)|.*-(wal|shm|journal)")
_SQLITE: Final = b"SQLite format 3\x00"


class BadArchive(Exception):
    """The archive is not one of ours; nothing was changed."""


def back_up(state: Path, to: BinaryIO) -> int:
    """Writes the archive; returns how many files it holds. Databases are copied as of one moment, not read as files."""
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(state):
            name, content = str(path.relative_to(state)), _content(path)
            _add(archive, name, content, int(path.stat().st_mtime))
            digests[name] = hashlib.sha256(content).hexdigest()
        _add(archive, MANIFEST, json.dumps(digests).encode(), 0)
    return len(digests)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mtime: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o600, mtime
    archive.addfile(member, io.BytesIO(content))


def restore(state: Path, archive: BinaryIO, stopped: Callable[[], contextlib.AbstractContextManager[None]]) -> int:
    """Puts the archive's files in place of the state; returns how many. `stopped` holds the gateway meanwhile.

    Raises BadArchive before anything was changed; OSError when the disk is full, likewise.
    """
    fresh, old = _beside(state)
    heal(state)
    shutil.rmtree(fresh, ignore_errors=True)
    owner = state.stat()
    try:
        count = _unpack(archive, fresh, owner)
        _flush(fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    with stopped():
        state.rename(old)
        fresh.rename(state)
        _flush_directory(state.parent)
    shutil.rmtree(old, ignore_errors=True)
    return count


def heal(state: Path) -> str:
    """At every start: after a cut between the two renames the old state comes back. Says what was done, or nothing."""
    fresh, old = _beside(state)
    done = ""
    if not state.exists() and old.exists():
        old.rename(state)
        _flush_directory(state.parent)
        done = "a restore was cut short: the state before it is back"
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    return done


def _beside(state: Path) -> tuple[Path, Path]:
    return state.with_name(state.name + ".new"), state.with_name(state.name + ".old")


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


def _unpack(archive: BinaryIO, fresh: Path, owner: os.stat_result) -> int:
    fresh.mkdir(mode=0o750)
    os.chown(fresh, owner.st_uid, owner.st_gid)
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
                    digests[member.name] = _write(fresh, parts, content, owner)
    except (tarfile.TarError, ValueError, RecursionError) as wrong:
        raise BadArchive(f"not a backup: {wrong}") from wrong
    if not digests or manifest != digests:
        raise BadArchive("not a whole backup: its list and its files differ")
    return len(digests)


def _write(fresh: Path, parts: list[str], content: IO[bytes], owner: os.stat_result) -> str:
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
        os.fchmod(file.fileno(), 0o640)
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _flush(tree: Path) -> None:
    for directory in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
        _flush_directory(directory)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
