"""card_restore: a backup that lies on the card takes effect before the gateway starts, without a browser.

Started by rootfs/usr/lib/gateway/card-restore, which mounts the partition, only where a backup is there. Runs as root:
it writes what gatewayd and the page own. Which file the state comes from stands in the state itself, exchanged with it
in one step, so that a card that cannot be written, or a cut before the file is renamed, makes no second restore that
would lose what came since. Whatever is wrong with the files, nothing is changed, and the gateway starts.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatewayd import durable
from gatewayd.backup import on_card
from gatewayd.backup.container import FILE_MOST_BYTES, BadBackup, Cause, unseal
from gatewayd.state_directory import restored_from
from gatewayd.web.judged_backup import Judged, judged
from hal import backup
from hal.backup import BadArchive

log = logging.getLogger("card_restore")

AUTHOR: Final = "", "the card"
"""Who restores, in the trail of changes: no user, but whoever put the card in."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `done`: the files that have served."""

    text: str
    done: on_card.Brought | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: gatewayd's state, and the page's."""

    state: Path
    page: Path


def attempt(card: Path, places: Places) -> Outcome | None:
    """Restores what is on the card; None: there is no backup. Raises OSError when a disk fails."""
    try:
        files = on_card.brought(each.name for each in card.iterdir() if each.is_file())
        if files is None:
            return None
        content = _read(card / files.backup, FILE_MOST_BYTES)
        if len(content) > FILE_MOST_BYTES:
            raise on_card.NotTaken(f"{files.backup} is larger than any backup")
        identifier = hashlib.sha256(content).hexdigest()
        if restored_from(places.state) == identifier:
            return Outcome(on_card.told_before(files), files)
        secret = _read(card / on_card.passphrase_file(files), on_card.PASSPHRASE_MOST_BYTES)
        found = opened(content, on_card.passphrases(secret))
        exchange(found, identifier, places)
    except (on_card.NotTaken, BadBackup, BadArchive) as why:
        return Outcome(on_card.told_refused(str(why)))
    return Outcome(on_card.told_restored(files, found.named), files)


def _read(path: Path, most: int) -> bytes:
    """All of a file; of one that is too large a byte more than is allowed, which its reader refuses."""
    with open(path, "rb") as file:
        return file.read(most + 1)


def opened(content: bytes, passphrases: Sequence[str]) -> Judged:
    """The backup, by the first passphrase that fits. Raises BadBackup."""
    for passphrase in passphrases:
        try:
            return judged(*unseal(content, passphrase))
        except BadBackup as why:
            if why.cause is not Cause.wrong_passphrase or passphrase == passphrases[-1]:
                raise
    raise AssertionError("no passphrase is no list of them")


def exchange(found: Judged, identifier: str, places: Places) -> None:
    """The users lie ready for the page, as at its own restores; then the state is exchanged, which is the moment that
    counts. Raises OSError and BadArchive; then all is as it was."""
    ready = places.page / "users.restored"
    durable.write(ready, found.users_ready(identifier, AUTHOR))
    owner = places.page.stat()
    os.chown(ready, owner.st_uid, owner.st_gid)
    try:
        backup.restore(places.state, io.BytesIO(found.archive(identifier)), contextlib.nullcontext)
    except BaseException:
        if restored_from(places.state) != identifier:
            ready.unlink(missing_ok=True)
        raise


def tell(card: Path, outcome: Outcome, *, remount: bool) -> None:
    """Leaves the outcome on the card; files that have served are no backup and no passphrase any more. Writes only what
    is not there yet: who leaves a bad file in the card must not wear it. Raises OSError."""
    text, file = outcome.text.encode(), card / on_card.OUTCOME_FILE
    if outcome.done is None and file.is_file() and file.read_bytes() == text:
        return
    with _writable(card) if remount else contextlib.nullcontext():
        if outcome.done is not None:
            if outcome.done.passphrase:
                _erase(card / outcome.done.passphrase)
            served = card / outcome.done.backup
            served.replace(served.with_name(served.name + on_card.DONE_ENDING))
        file.write_bytes(text)
        os.sync()


def _erase(file: Path) -> None:
    """Overwritten before its name goes: a name alone is no secret."""
    with open(file, "r+b") as opened_file:
        opened_file.write(bytes(os.fstat(opened_file.fileno()).st_size))
        opened_file.flush()
        os.fsync(opened_file.fileno())
    file.unlink()


@contextlib.contextmanager
def _writable(card: Path) -> Iterator[None]:
    """For as short as can be: a FAT that is cut while it is written may lose more than what was written."""
    _mount("remount,rw", card)
    try:
        yield
    finally:
        _mount("remount,ro", card)


def _mount(options: str, card: Path) -> None:
    done = subprocess.run(["mount", "-o", options, str(card)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{card}: {options}: {done.stderr.strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """0: restored, refused, or nothing to do. 1: a disk failed; the log says which and when."""
    parser = argparse.ArgumentParser(prog="card_restore", description="restores a backup that lies on the card")
    parser.add_argument("card", type=Path, metavar="DIR", help="where the card's FAT partition is mounted, read-only")
    parser.add_argument("--data", type=Path, default=Path("/data"), help="where gateway/ and webd/ are")
    parser.add_argument("--told", type=Path, metavar="FILE", help="where the page finds the outcome")
    parser.add_argument("--writable", action="store_true", help="the partition need not be mounted anew to be written")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        outcome = attempt(options.card, Places(options.data / "gateway", options.data / "webd"))
    except OSError as why:
        log.error("not restored, nothing has changed: %s", why)
        outcome = Outcome(on_card.told_refused(f"a disk failed: {why.strerror or why}"))
    if outcome is None:
        return 0
    log.warning("%s", " ".join(outcome.text.split()))
    code = 0
    try:
        if options.told is not None:
            options.told.write_text(outcome.text, encoding="utf-8")
        tell(options.card, outcome, remount=not options.writable)
    except OSError as why:
        log.error("the outcome cannot be told: %s", why)
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
