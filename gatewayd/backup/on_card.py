"""A backup on the card's FAT partition, put there by a PC: which files are meant, and what is told of them. Pure.

A PC's editor adds what nobody sees: a byte order mark, UTF-16, a second ".txt". Finder adds files of its own.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ENDING: Final = ".backup"
"""As the page names a backup; upper or lower case."""
DONE_ENDING: Final = ".restored"
"""Added to the name of a backup that is in force, so that it is not one any more."""
PASSPHRASE_FILE: Final = "passphrase.txt"
OUTCOME_FILE: Final = "restore.txt"
PASSPHRASE_MOST_BYTES: Final = 4096
"""A passphrase of 256 characters in UTF-16, and room for what else stands in the file."""

_PASSPHRASE: Final = re.compile(r"passphrase(\.te?xt)*")
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
NOTHING_CHANGED: Final = "Not restored. Nothing has changed."


class NotTaken(ValueError):
    """The files on the card are not enough; the text is a sentence for whoever put them there."""


@dataclass(frozen=True, slots=True)
class Brought:
    """The names of the two files; the second is empty where there is none."""

    backup: str
    passphrase: str


def brought(names: Iterable[str]) -> Brought | None:
    """What is meant among the files of the partition; None: no backup is there. Raises NotTaken."""
    seen = [name for name in sorted(names) if not name.startswith(".")]
    backups = [name for name in seen if name.casefold().endswith(ENDING)]
    if not backups:
        return None
    if len(backups) > 1:
        raise NotTaken(f"there are several backups: {', '.join(backups)}. Leave the one that is meant")
    secrets = [name for name in seen if _PASSPHRASE.fullmatch(name.casefold())]
    return Brought(backups[0], secrets[0] if secrets else "")


def passphrase_file(files: Brought) -> str:
    """The name of the file with the passphrase. Raises NotTaken where there is none."""
    if not files.passphrase:
        raise NotTaken(
            f"the passphrase of {files.backup} is missing. All of a backup is encrypted: write the passphrase into a "
            f"file {PASSPHRASE_FILE} beside it"
        )
    return files.passphrase


def passphrases(content: bytes) -> list[str]:
    """What the file may mean: its first line that is not empty, and that without blanks around it. Raises NotTaken."""
    if len(content) > PASSPHRASE_MOST_BYTES:
        raise NotTaken("the file with the passphrase is too large to be one")
    coding = next((coding for mark, coding in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(coding)
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # an old editor's idea of an umlaut
    line = next((line for line in text.splitlines() if line.strip()), "")
    if not line:
        raise NotTaken("the file with the passphrase is empty")
    return list(dict.fromkeys([line, line.strip()]))


def told_restored(files: Brought, named: str) -> str:
    """The outcome, of a backup that is in force. `named`: which it is."""
    return _text(
        "Restored.",
        f"The backup of {named}, is in force: settings, users, authority and ledger.",
        f"It is now called {files.backup}{DONE_ENDING}; the file with the passphrase is gone.",
        "Log in as a user of the backup. The gateway is at the address that the backup says.",
    )


def told_before(files: Brought) -> str:
    """The outcome, of a backup that this gateway has taken before."""
    return _text(
        "Restored already. Nothing has changed now.",
        f"This gateway was restored from {files.backup} before. A second time would lose what came since.",
        "To go back to it all the same: on the page, under Backup; or here, after a factory reset.",
    )


def told_refused(why: str) -> str:
    """The outcome, of files that are not taken."""
    sentence = why[:1].upper() + why[1:]
    return _text(
        NOTHING_CHANGED, f"{sentence}.", "Put it right and switch the gateway off and on, or remove the files."
    )


def _text(*lines: str) -> str:
    return "".join(f"{line}\r\n" for line in lines)
