"""The card's own kernel and initrd under U-Boot, with one bit of slot A's root flipped: dm-verity refuses it, the
machine starts anew, and with A's tries used up slot B has its turn. promises R3.

Only as far as the initrd: systemd takes minutes in an emulated machine (test_started.py).
"""

from __future__ import annotations

import re
import subprocess

import pytest

from hal import boot_state
from tests.card.card import CARD, HERE, needs_card, needs_tools
from tests.card.emulated import said
from tests.card.flashed import flip, set_state

pytestmark = [needs_tools, needs_card, pytest.mark.limit(600)]

PATIENCE_S = 400.0
"""Two starts of Debian's kernel: a minute on an idle machine."""
TOLD = re.compile(
    r"^slot ([AB]), \d more tries|data block (\d+) is corrupted|^initrd: .* holds no root; (restarting)", re.M
)


def test_a_root_that_is_not_what_was_built_gives_way() -> None:
    folder = HERE / "build/tests/flipped"
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / "card.img"
    try:
        subprocess.run(["cp", "--sparse=always", CARD / "card.img", card], check=True)
        flip(card, "root-a")
        set_state(card, {**boot_state.NEW, "BOOT_A_LEFT": "1"})
        found = said(card, TOLD, 4, PATIENCE_S)
        assert found[0] == "A"
        assert found[-2:] == ["restarting", "B"]
        assert "0" in found[1:-2], "it was dm-verity that refused"
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)
