"""What looks like a secret, in files: on a card before it was ever started, and on two that were (promises, R25)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=\r\n]{100}")
_HASH: Final = re.compile(rb"\$(?:1|2[aby]|5|6|y|7|argon2id?)\$[A-Za-z0-9./$=,+-]{20,}")
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_WORD: Final = re.compile(rb"[A-Za-z0-9+/_-]{22,}={0,2}")
"""128 bits and more, however they are written."""

NO_SECRETS: Final = {
    "libgnutls.so": "keys that it tests itself with; everybody has them",
    **dict.fromkeys(
        ("libcrypt.so", "libnettle.so", "python3.13"), "hashes that it tests itself with, or a table of them"
    ),
    "argon2_cffi": "the example of its documentation",
}
"""Beginnings of names, of a file or its directory, whose keys and hashes are none, and why."""


def baked_in(root: Path) -> list[str]:
    """Private keys, password hashes and what should be made at the first start, in a root that is not started yet."""
    found = [f"{path.relative_to(root)} should not be there" for path in _made_at_the_first_start(root)]
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        content, name = path.read_bytes(), path.relative_to(root)
        if any(each.startswith(tuple(NO_SECRETS)) for each in name.parts[-2:]):
            continue
        if _KEY.search(content):
            found.append(f"{name} holds a private key")
        if _HASH.search(content):
            found.append(f"{name} holds the hash of a password")
    return found


def baked_in_card(parts: Path) -> list[str]:
    """The same in everything that stands on a card, whose partitions' files lie in a folder each."""
    return [f"{part.name}: {found}" for part in sorted(parts.iterdir()) for found in baked_in(part)]


def _made_at_the_first_start(root: Path) -> Iterator[Path]:
    yield from root.glob("etc/ssh/ssh_host*")
    yield from root.glob("var/lib/systemd/random-seed")
    yield from root.glob("data/*")
    identity = root / "etc/machine-id"
    if identity.exists() and identity.read_text().strip():
        yield identity


def shared(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """What two started gateways have in common, by file and word; empty: nothing that could be a secret."""
    common = {word for content in other.values() for word in _words(content)}
    return [
        f"{name}: {word[:12].decode()}… is on both"
        for name, content in sorted(one.items())
        for word in sorted(_words(content) & common)
    ]


def _words(content: bytes) -> set[bytes]:
    """Without certificates, which everybody may see, and names of tables: no digit is in them, or a word of SQLite."""
    words = _WORD.findall(_CERTIFICATE.sub(b"", content))
    return {word for word in words if re.search(rb"[0-9]", word) and b"sqlite_autoindex" not in word}
