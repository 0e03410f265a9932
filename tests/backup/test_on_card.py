"""Which files on the card are meant, and how a passphrase is read that a PC's editor wrote."""

import pytest

from gatewayd.backup.on_card import (
    Brought,
    NotTaken,
    brought,
    passphrase_file,
    passphrases,
    told_refused,
    told_restored,
)

FIRMWARE = ["start4.elf", "u-boot.bin", "boot.scr", "System Volume Information", "LICENCE.firmware"]


def test_a_card_without_a_backup_is_the_rule() -> None:
    assert brought(FIRMWARE) is None
    assert brought([*FIRMWARE, "passphrase.txt", "site.backup.restored", "restore.txt"]) is None


@pytest.mark.parametrize("secret", ["passphrase.txt", "Passphrase.TXT", "passphrase", "passphrase.txt.txt"])
@pytest.mark.parametrize("backup", ["site-20261128-1200.backup", "SITE.BACKUP", "a site (1).backup"])
def test_the_two_files_are_found(backup: str, secret: str) -> None:
    assert brought([*FIRMWARE, backup, secret, f"._{backup}", ".Trashes"]) == Brought(backup, secret)


@pytest.mark.parametrize(
    ("names", "says"),
    [(["a.backup"], "passphrase.txt"), (["a.backup", "b.backup", "passphrase.txt"], "a.backup, b.backup"),
     (["a.backup", "passphrases.txt"], "is missing"), (["a.backup", "._passphrase.txt"], "is missing")],
)  # fmt: skip
def test_what_is_missing_is_said(names: list[str], says: str) -> None:
    with pytest.raises(NotTaken, match=says):
        passphrase_file(brought([*FIRMWARE, *names]) or Brought("", "none"))


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (b"a boiler room", ["a boiler room"]),
        (b"a boiler room\r\n", ["a boiler room"]),
        (b"\r\na boiler room\r\nsecond line", ["a boiler room"]),
        (b" a boiler room \n", [" a boiler room ", "a boiler room"]),
        (b"\xef\xbb\xbfk\xc3\xbchl", ["kühl"]),
        ("kühl\r\n".encode("utf-16"), ["kühl"]),
        (b"\xfe\xff" + "kühl".encode("utf-16-be"), ["kühl"]),
        ("kühl".encode("cp1252"), ["kühl"]),
        (b"\x81\x00", ["\ufffd\x00"]),
    ],
)
def test_an_editors_passphrase(content: bytes, read: list[str]) -> None:
    assert passphrases(content) == read


@pytest.mark.parametrize("content", [b"", b"\r\n \r\n", b"\xef\xbb\xbf", b"x" * 5000])
def test_what_is_no_passphrase(content: bytes) -> None:
    with pytest.raises(NotTaken):
        passphrases(content)


def test_the_outcome_begins_with_what_counts_and_suits_a_pcs_editor() -> None:
    files = Brought("site.backup", "passphrase.txt")
    assert told_refused("the file is cut short").startswith(
        "Not restored. Nothing has changed.\r\nThe file is cut short."
    )
    assert told_restored(files, "plant-room-1").startswith("Restored.\r\n")
