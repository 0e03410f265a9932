"""The card for development, as `make image DEV=1` left it in build/card-development, and the ordinary one beside it.

What ssh takes is on the one and not on the other, and neither has a key or a password that another card has too.
"""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.contract import IMAGE_PORTS, open_ports
from tests.card.card import CARD, HERE, needs_card, needs_tools
from tests.card.flashed import unpacked
from tests.powercut.secrets import baked_in_card

pytestmark = [needs_tools, pytest.mark.limit(600)]

DEVELOPMENT = HERE / "build/card-development"
needs_development = pytest.mark.skipif(
    not (DEVELOPMENT / "card.img").exists(),
    reason="no build/card-development here: make image DEV=1 DEV_KEY=..., as root",
)
SERVERS = {"sshd", "dropbear", "dropbearmulti"}
UNIT = "usr/lib/systemd/system/ssh.service"


@pytest.fixture(scope="module")
def development() -> Iterator[Path]:
    yield from files(DEVELOPMENT)


@pytest.fixture(scope="module")
def ordinary() -> Iterator[Path]:
    yield from files(CARD)


def files(card: Path) -> Iterator[Path]:
    """Every file on that card; its root is in `root`."""
    folder = HERE / "build/tests" / card.name
    yield unpacked(folder, card)
    subprocess.run(["rm", "-rf", folder], check=True)


def servers(root: Path) -> set[str]:
    return SERVERS & {path.name for folder in ("bin", "sbin") for path in (root / "usr" / folder).iterdir()}


def ports(root: Path) -> set[int]:
    """Those that the image itself has open, whatever is configured."""
    return set(open_ports((root / IMAGE_PORTS.lstrip("/")).read_text()).values())


def keys(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.name in ("authorized_keys", "host_key", "known_hosts")) + [
        path for path in root.rglob("*host*key*") if "ssh" in str(path) or "dropbear" in str(path)
    ]


@needs_development
def test_ssh_is_there_enabled_and_let_through(development: Path) -> None:
    root = development / "root"
    assert servers(root) == {"dropbear"}
    assert (root / "etc/systemd/system/multi-user.target.wants/ssh.service").readlink() == Path("/" + UNIT)
    assert 22 in ports(root)
    assert list(DEVELOPMENT.glob("gateway-*-development.img.xz")), "nobody takes it for a release"


@needs_development
def test_its_own_key_is_made_at_the_first_start(development: Path) -> None:
    """On the data partition, which is empty on the card: the root is read-only."""
    said = (development / "root" / UNIT).read_text()
    made = "[ -e /data/development/host_key ] || dropbearkey -t ed25519 -f /data/development/host_key"
    assert f"ExecStartPre=/bin/sh -c '{made}'" in said
    (start,) = (row for row in said.splitlines() if row.startswith("ExecStart="))
    assert " -r /data/development/host_key " in start
    assert (development / "root/usr/bin/dropbearkey").exists()
    assert not list((development / "root/data").iterdir())


@needs_development
def test_who_built_it_gets_in_by_a_key_and_nobody_by_a_password(development: Path) -> None:
    root = development / "root"
    (key,) = keys(root)
    assert key == root / "root/.ssh/authorized_keys"
    assert (stat.S_IMODE(key.stat().st_mode), key.stat().st_uid) == (0o600, 0)
    assert len(key.read_text().splitlines()) == 1
    said = (root / UNIT).read_text()
    assert " -s " in said, "dropbear takes keys only"
    passwords = {row.split(":")[1] for row in (root / "etc/shadow").read_text().splitlines()}
    assert passwords <= {"*", "!*", "!"}
    assert baked_in_card(development) == []


@needs_card
def test_the_ordinary_card_has_no_ssh(ordinary: Path) -> None:
    root = ordinary / "root"
    assert servers(root) == set()
    assert not list(root.rglob("ssh*.service"))
    assert not (root / "usr/lib/gateway/development").exists()
    assert ports(root) == {443}
    assert keys(root) == []
    assert not (root / "root/.ssh").exists()


@needs_card
def test_no_secret_is_anywhere_on_the_ordinary_card(ordinary: Path) -> None:
    """promises R25: firmware, boot set, what is in the initrd, root."""
    assert {path.name for path in ordinary.iterdir()} == {"firmware", "boot-a", "initrd", "root"}
    assert baked_in_card(ordinary) == []
