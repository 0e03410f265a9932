"""The slots under Debian's U-Boot for QEMU: the very layout and boot script of the card, with a kernel of 200 bytes
that says which slot it is in and starts the machine anew, as a system does that cannot start.

A is tried three times, then B; what is marked good stays; with neither good, U-Boot says so and goes on trying.
promises R2, R7. What the module does besides (the feedback light, `mmc` instead of `virtio`) was not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal import boot_state
from tests.card.card import HERE, in_tools, needs_tools, partition, tool
from tests.card.emulated import said

pytestmark = [needs_tools, pytest.mark.limit(300)]

SAID = re.compile(r"^(kernel [AB])|^(no slot is good)|^(slot [AB] does not load)", re.MULTILINE)
PATIENCE_S = 120.0
"""One start takes 3 s on an idle machine."""


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """A fresh card, made by the script that makes the real one."""
    folder = HERE / "build/tests/slots"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(
        in_tools("tests/card/slots/build.sh", folder.relative_to(HERE)),
        check=True,
        cwd=HERE,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
    )
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def card(built: Path) -> Path:
    """A copy that may be written on. Its zeros take no place."""
    copy = built / "tried.img"
    subprocess.run(["cp", "--sparse=always", built / "card.img", copy], check=True)
    return copy


def starts(card: Path, count: int) -> list[str]:
    """Lets the machine start until it has said `count` things, then takes its power away. What it said, in order."""
    return said(card, SAID, count, PATIENCE_S)


def state(card: Path, **changes: str) -> dict[str, str]:
    """The boot state on the card, after these changes to it."""
    at = partition("bootstate")[0]
    with open(card, "r+b") as file:
        file.seek(at)
        found = boot_state.decode(file.read(boot_state.SECTOR))
        file.seek(at + boot_state.COPIES[1])
        assert found == boot_state.decode(file.read(boot_state.SECTOR)), "the copy differs"
        wanted = {**(found or boot_state.NEW), **changes}
        if changes:
            for offset in boot_state.COPIES:
                file.seek(at + offset)
                file.write(boot_state.encode(wanted))
    return wanted


def write_file(card: Path, name: str, inside: str, content: bytes | None) -> None:
    """Replaces a file in one of the card's FAT partitions; None deletes it."""
    at = f"{card.relative_to(HERE)}@@{partition(name)[0]}"
    if content is None:
        tool("mdel", "-i", at, f"::/{inside}")
    else:
        (card.parent / "new").write_bytes(content)
        tool("mcopy", "-o", "-i", at, (card.parent / "new").relative_to(HERE), f"::/{inside}")


def test_three_failed_starts_of_a_then_b_then_it_is_shown_and_tried_again(card: Path) -> None:
    a, b, neither = "kernel A", "kernel B", "no slot is good"
    assert starts(card, 10) == [a, a, a, b, b, b, neither, a, b, neither]


def test_b_that_was_marked_good_stays(card: Path) -> None:
    assert starts(card, 4)[-1] == "kernel B"
    tried = state(card)
    assert tried == {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "0", "BOOT_B_LEFT": "2"}
    for _ in range(4):  # longer than its tries would last
        state(card, **boot_state.good(state(card), "B"))
        assert starts(card, 1) == ["kernel B"]


def test_a_good_a_is_taken_however_often(card: Path) -> None:
    for _ in range(4):
        assert starts(card, 1) == ["kernel A"]
        assert state(card)["BOOT_A_LEFT"] == "2"
        state(card, **boot_state.good(state(card), "A"))


def test_an_update_puts_b_first_by_the_order(card: Path) -> None:
    """As RAUC does: the order changes, and the new slot has its tries."""
    state(card, BOOT_ORDER="B A")
    assert starts(card, 4) == ["kernel B"] * 3 + ["kernel A"]


@pytest.mark.parametrize("missing", ["vmlinuz", "initrd", "slot.env"])
def test_a_slot_that_cannot_be_read_is_passed_over_at_once(card: Path, missing: str) -> None:
    write_file(card, "boot-a", missing, None)
    assert starts(card, 2) == ["slot A does not load", "kernel B"]


def test_a_kernel_that_is_none_is_passed_over(card: Path) -> None:
    write_file(card, "boot-a", "vmlinuz", b"\xff" * 4096)
    assert starts(card, 2) == ["slot A does not load", "kernel B"]


@pytest.mark.parametrize("broken", [0, 1])
def test_one_copy_of_the_state_is_enough(card: Path, broken: int) -> None:
    state(card, BOOT_ORDER="B A")
    with open(card, "r+b") as file:
        file.seek(partition("bootstate")[0] + boot_state.COPIES[broken])
        file.write(b"\xff" * boot_state.SECTOR)
    assert starts(card, 1) == ["kernel B"]


def bootstate(card: Path) -> tuple[Path, Path]:
    """The partition as a file of its own, and the appliance's configuration of fw_printenv and fw_setenv for it."""
    at, size = partition("bootstate")
    with open(card, "rb") as file:
        file.seek(at)
        (card.parent / "bootstate").write_bytes(file.read(size))
    place = card.parent / "bootstate"
    rows = (HERE / "rootfs/etc/fw_env.config").read_text()
    config = card.parent / "fw_env.config"
    config.write_text(rows.replace(str(boot_state.PARTITION), f"/gateway/{place.relative_to(HERE)}"))
    return place, config.relative_to(HERE)


def test_other_programs_read_and_write_the_same_state(card: Path) -> None:
    """fw_printenv and fw_setenv, by which RAUC reads and writes it, with the appliance's own configuration."""
    starts(card, 1)
    place, config = bootstate(card)
    assert tool("fw_printenv", "-c", config, "BOOT_ORDER", "BOOT_A_LEFT").stdout == "BOOT_ORDER=A B\nBOOT_A_LEFT=2\n"
    tool("fw_setenv", "-c", config, "BOOT_ORDER", "B A")
    assert boot_state.decode(place.read_bytes()[: boot_state.SECTOR]) == {
        "BOOT_ORDER": "B A",
        "BOOT_A_LEFT": "2",
        "BOOT_B_LEFT": "3",
    }


def test_their_write_cut_in_the_middle_leaves_what_was_before(card: Path) -> None:
    """fw_setenv writes the first copy and lets the second be; each start has made the second equal to the first."""
    starts(card, 1)
    before = state(card)
    place, config = bootstate(card)
    old = place.read_bytes()
    tool("fw_setenv", "-c", config, "BOOT_ORDER", "B A")
    new = place.read_bytes()
    assert new[boot_state.SECTOR :] == old[boot_state.SECTOR :], "it writes nothing but the first copy"
    torn = new[:20] + old[20 : boot_state.SECTOR]  # the new checksum, the old words
    assert boot_state.decode(torn) is None
    with open(card, "r+b") as file:
        file.seek(partition("bootstate")[0])
        file.write(torn)
    assert starts(card, 1) == ["kernel A"]
    assert state(card) == {**before, "BOOT_A_LEFT": "1"}, "both copies are whole again"
