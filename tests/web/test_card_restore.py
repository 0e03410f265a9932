"""A backup in a folder that stands for the card's partition, restored before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.backup.container import unseal
from gatewayd.card_restore import main
from gatewayd.web.routes import Role
from tests.hal.test_stewardd import Steward
from tests.web.door import Door
from tests.web.test_backup import PASSPHRASE, WITH_COMMENT, door_of, furnish, made, tree

NAME = "plant-room-1-20261128-1200.backup"


class Card:
    """The partition, a data partition as a first start leaves it, and a start of the gateway."""

    def __init__(self, folder: Path, file: bytes) -> None:
        self.card, self.data, self.told = folder / "card", folder / "fresh", folder / "told.txt"
        for each in (self.card, self.data / "gateway", self.data / "webd"):
            each.mkdir(parents=True)
        self.configuration = self.data / "gateway" / "gateway.toml"
        self.configuration.write_text("")
        (self.card / "boot.scr").write_bytes(b"U-Boot's")
        (self.card / NAME).write_bytes(file)
        (self.card / "passphrase.txt").write_text(PASSPHRASE + "\r\n")

    def start(self) -> str:
        """What the card says afterwards."""
        arguments = [str(self.card), "--data", str(self.data), "--told", str(self.told), "--writable"]
        assert main(arguments) == 0
        said = self.card / "restore.txt"
        return said.read_text() if said.exists() else ""

    def files(self) -> list[str]:
        return sorted(each.name for each in self.card.iterdir())


@pytest.fixture
async def card(tmp_path: Path, steward: Steward) -> Card:
    """With a backup that another gateway made."""
    furnish(steward.state)
    door = door_of(tmp_path, steward)
    return Card(tmp_path, await made(door, (await door.tokens())[Role.admin]))


def page(card: Card) -> Door:
    """The page that starts after it."""
    settings = Door(card.data).webd.settings
    own = replace(settings, config=card.configuration, state=card.data / "webd", card_outcome=card.told)
    return Door.onto(replace(own, gateway_state=None))


async def test_restored_once_and_the_card_is_tidy(card: Card) -> None:
    said = card.start()
    assert said.startswith("Restored.")
    assert "plant-room-1" in said
    assert card.files() == ["boot.scr", NAME + ".restored", "restore.txt"]
    assert card.configuration.read_text() == WITH_COMMENT
    assert card.told.read_text() == said
    door = page(card)
    await door.webd.backups.keep_settled()
    assert sorted(door.webd.users.all()) == ["admin", "fitter", "looker"]
    trail = [(one.address, one.what, "plant-room-1" in one.new) for one in door.webd.audit.newest()]
    assert trail == [("the card", "restored from a backup", True)]
    card.configuration.write_text("# changed since\n")
    card.start()
    assert card.configuration.read_text() == "# changed since\n"


async def test_a_card_that_could_not_be_written_is_not_restored_twice(card: Card) -> None:
    """The file is where it was; what tells is in the state."""
    file = (card.card / NAME).read_bytes()
    card.start()
    (card.card / NAME).write_bytes(file)
    card.configuration.write_text("# changed since\n")
    assert card.start().startswith("Restored already.")
    assert card.configuration.read_text() == "# changed since\n"
    assert NAME not in card.files()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda card: (card / "passphrase.txt").unlink(), "The passphrase of plant-room-1"),
        (lambda card: (card / "passphrase.txt").write_text("another one than that"), "The passphrase is not the one"),
        (lambda card: (card / NAME).write_bytes((card / NAME).read_bytes()[:-40]), "The file is cut short"),
        (lambda card: (card / NAME).write_bytes(b"PK\3\4" + bytes(500)), "no backup of a gateway"),
        (lambda card: (card / NAME).write_bytes(bytes(17 << 20)), "larger than any backup"),
        (lambda card: (card / "b.backup").write_bytes(b""), "several backups"),
    ],
    ids=["no passphrase", "wrong passphrase", "cut", "no backup", "too large", "two"],
)
async def test_a_bad_file_changes_nothing_and_says_why(card: Card, harm: Callable[[Path], object], says: str) -> None:
    harm(card.card)
    before, data = tree(card.card), tree(card.data)
    said = card.start()
    assert (said.startswith("Not restored. Nothing has changed."), says in said) == (True, True), said
    assert tree(card.data) == data
    left = tree(card.card)
    del left["restore.txt"]
    assert left == before
    written = (card.card / "restore.txt").stat()
    card.start()
    assert (card.card / "restore.txt").stat() == written  # a bad file that stays there wears no card


async def test_the_first_visit_says_what_came_of_it(card: Card) -> None:
    (card.card / NAME).write_bytes(b"PK\3\4")
    card.start()
    door = page(card)
    shown = (await door.knock("GET", "/claim")).text
    assert "This file is no backup of a gateway." in shown
    token = (await door.tokens())[Role.admin]
    assert "This file is no backup of a gateway." in (await door.knock("GET", "/backup", token=token)).text


async def test_put_right_it_is_restored(card: Card) -> None:
    (card.card / "passphrase.txt").write_text("another one than that")
    assert card.start().startswith("Not restored.")
    (card.card / "passphrase.txt").write_bytes((PASSPHRASE + "\n").encode("utf-16"))
    assert card.start().startswith("Restored.")


async def test_a_disk_that_fails_leaves_all_as_it_was(card: Card) -> None:
    (card.data / "gateway.new").write_text("in the way of the new state")
    assert "disk failed" in card.start()
    assert (card.data / "gateway" / "gateway.toml").read_text() == ""
    assert list((card.data / "webd").iterdir()) == []
    assert NAME in card.files()


async def test_without_a_backup_nothing_is_written(card: Card) -> None:
    (card.card / NAME).unlink()
    before = card.files()
    assert card.start() == ""
    assert card.files() == before
    assert not card.told.exists()


async def test_what_it_takes_is_what_the_page_makes(card: Card) -> None:
    header, _ = unseal((card.card / NAME).read_bytes(), PASSPHRASE)
    assert header.name == "plant-room-1"
    card.start()
    marker = json.loads((card.data / "gateway" / "restored.json").read_text())
    assert len(marker["id"]) == 64
