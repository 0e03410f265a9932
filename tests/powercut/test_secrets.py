"""What is taken for a secret of a root, and of two started gateways (promises, R25)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewayd.services.authority import key_pem, new_key
from gatewayd.web.users import _HASHER
from tests.powercut.secrets import baked_in, baked_in_card, shared
from tests.powercut.trials import in_common, kept_from_start_to_start

KEY = key_pem(new_key("ec"))
HASH = _HASHER.hash("swordfish")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As `make root` leaves one: no identity, nobody with a password."""
    for name, text in {
        "etc/machine-id": "",
        "etc/shadow": "root:*:20000:0:99999:7:::\ngatewayd:!*:20000::::::\n",
        "usr/lib/python/authority.py": 'MARK = "-----BEGIN PRIVATE KEY-----"\n',
        "usr/lib/libgnutls.so.30": KEY,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "data").mkdir()
    return tmp_path


def test_a_root_that_holds_no_secret(root: Path) -> None:
    assert baked_in(root) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("usr/share/default.pem", KEY, "usr/share/default.pem holds a private key"),
        ("etc/shadow", f"root:{HASH}:20000::::::\n", "etc/shadow holds the hash of a password"),
        ("etc/shadow", "root:$y$j9T$abcdefghijklmnop$qrstuvwxyz0123456789:1::::::\n",
         "etc/shadow holds the hash of a password"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n", "etc/machine-id should not be there"),
        ("etc/ssh/ssh_host_rsa_key", "x", "etc/ssh/ssh_host_rsa_key should not be there"),
        ("data/gateway.toml", "x", "data/gateway.toml should not be there"),
    ],
)  # fmt: skip
def test_the_twin_with_a_secret_baked_in_is_caught(root: Path, name: str, text: str, fault: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    assert baked_in(root) == [fault]


def test_every_part_of_a_card_is_looked_through(root: Path) -> None:
    card = root.parent / f"{root.name}-card"
    (card / "firmware").mkdir(parents=True)
    root.rename(card / "root")
    assert baked_in_card(card) == []
    (card / "firmware/wpa.conf").write_text(KEY)
    (card / "root/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    assert baked_in_card(card) == [
        "firmware: wpa.conf holds a private key",
        "root: etc/machine-id should not be there",
    ]


def test_what_two_gateways_share_is_found_wherever_it_stands() -> None:
    one = {"gateway/authority.key": KEY.encode(), "gateway/gateway.toml": b"", "webd/users.json": b"{}"}
    other = {"elsewhere": b"x" + KEY.encode(), "gateway/gateway.toml": b"", "webd/users.json": b"{}"}
    assert {row.split(":")[0] for row in shared(one, other)} == {"gateway/authority.key"}
    fresh = {"gateway/authority.key": key_pem(new_key("ec")).encode(), "gateway/gateway.toml": b""}
    assert shared(one, fresh) == []


def test_what_a_gateway_is_called_is_its_own_and_its_machine_id_is_each_starts() -> None:
    """A machine-id that is made anew at each start differs on any two, and would never tell that a card was copied."""
    one = {"serial": "676174", "host-name": "gateway-676174", "machine-id": "0a"}, {"webd/key": KEY.encode()}
    same_module = {**one[0], "machine-id": "0b"}, {"webd/key": b""}
    assert in_common(one, same_module) == ["serial is 676174 on both", "host-name is gateway-676174 on both"]
    assert kept_from_start_to_start(one, same_module) == []
    kept = {"serial": "657761", "host-name": "gateway-657761", "machine-id": "0a"}, {"webd/key": b""}
    assert in_common(one, kept) == []
    assert kept_from_start_to_start(one, kept) == ["machine-id is kept on the card"]
