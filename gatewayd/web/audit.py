"""Who changed what, when, from what to what: a line of JSON each, in a file that stays small (experience.md, roles).

Secrets are never in it: whoever notes a change of one says only that it changed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

log = logging.getLogger(__name__)

KEPT_BYTES: Final = 256 * 1024
"""Of each of two files: some two thousand changes at least, years of a site."""
TEXT_MOST: Final = 400
"""Characters of one value; a certificate is longer, and nobody reads it here."""
SECRET: Final = "•••"


class Change(msgspec.Struct, frozen=True):
    """One line. `time`: seconds since 1970; `what`: a key of the configuration, or a deed."""

    time: float
    user: str
    address: str
    what: str
    old: str = ""
    new: str = ""


class Audit:
    """The trail. A disk that takes nothing does not stop the change: it is logged instead."""

    def __init__(self, path: Path, wall: Callable[[], float] = time.time) -> None:
        self._path, self._wall = path, wall

    @property
    def _older(self) -> Path:
        return self._path.with_name(self._path.stem + ".1.jsonl")

    def note(self, user: str, address: str, what: str, old: str = "", new: str = "") -> None:
        """One change, after it was done."""
        change = Change(round(self._wall(), 3), user, address, what, _cut(old), _cut(new))
        log.info("%s from %s: %s", user, address, what)
        try:
            if self._path.exists() and self._path.stat().st_size > KEPT_BYTES:
                os.replace(self._path, self._older)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with open(descriptor, "ab") as file:
                file.write(msgspec.json.encode(change) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.error("the audit trail cannot be written: %s", error.strerror)

    def newest(self, most: int = 500) -> list[Change]:
        """What was noted, newest first. A line that a power cut tore is passed over."""
        found: list[Change] = []
        for path in (self._path, self._older):
            try:
                lines = path.read_bytes().splitlines()
            except OSError:
                continue
            for line in reversed(lines):
                if len(found) == most:
                    return found
                try:
                    found.append(msgspec.json.decode(line, type=Change))
                except (msgspec.DecodeError, msgspec.ValidationError):
                    continue
        return found


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MOST else text[:TEXT_MOST] + "…"
