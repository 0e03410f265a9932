"""The initrd: its list of modules, its way to a partition, and, where `make root` was run, what the card needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
IMAGE, BUILT = HERE / "image", HERE / "build/root"
INIT = (IMAGE / "initrd/init").read_text()

built = pytest.mark.skipif(
    not (BUILT / "boot/initrd").exists() or shutil.which("fdtget") is None,
    reason="no build/root here: make root, as root",
)


def listed(name: str) -> list[str]:
    """The first word of every line."""
    return [row.split()[0] for row in (IMAGE / name).read_text().splitlines() if row and not row.startswith("#")]


def test_every_module_is_in_the_root_too() -> None:
    """modules.txt decides which are kept; what it leaves out the initrd could not have."""
    assert {each.partition(",")[0] for each in listed("initrd-modules.txt")} <= set(listed("modules.txt"))


def test_the_watchdog_comes_first_and_waits_for_a_whole_start() -> None:
    name, _, option = listed("initrd-modules.txt")[0].partition(",")
    assert (name, option) == ("bcm2835_wdt", "heartbeat=120")


@pytest.mark.parametrize(
    ("said", "in_the_table"),
    [
        ("1ecb5917-d791-5d38-aff8-d7e1589f0f1e", "1759cb1e91d7385daff8d7e1589f0f1e"),
        ("6A57EF4C-2A7C-4A3C-9D0E-0A5E1D3C4B01", "4cef576a7c2a3c4a9d0e0a5e1d3c4b01"),
    ],
)
def test_a_partitions_number_is_turned_into_the_tables_bytes(said: str, in_the_table: str) -> None:
    """UEFI specification: the first three fields of a GUID are little-endian."""
    found = re.search(r"wanted=\$\((.*?)\)\n", INIT, re.DOTALL)
    assert found is not None
    done = subprocess.run(
        ["sh", "-c", found[1], "sh", said], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stdout.strip() == in_the_table


class Tree:
    """The board's device tree."""

    path = BUILT / "boot/board.dtb"

    def get(self, node: str, name: str, kind: str = "s") -> list[str]:
        done = subprocess.run(
            ["fdtget", "-t", kind, str(self.path), node, name], capture_output=True, text=True, check=False
        )
        return done.stdout.split() if done.returncode == 0 else []

    def symbol(self, label: str) -> str:
        return self.get("/__symbols__", label)[0]

    def nodes(self, below: str) -> list[str]:
        said = subprocess.run(
            ["fdtget", "-l", str(self.path), below], capture_output=True, text=True, check=True
        ).stdout
        return [f"{below.rstrip('/')}/{each}" for each in said.split()]

    def supplies(self, node: str) -> list[str]:
        """The nodes of the regulators that a device waits for."""
        wanted = {handle for name in ("vmmc-supply", "vqmmc-supply") for handle in self.get(node, name, "x")}
        return [each for each in self.nodes("/") if set(self.get(each, "phandle", "x")) & wanted]


def modules_for(compatible: str) -> set[str]:
    """By the root's own modules.alias."""
    (aliases,) = BUILT.glob("target/usr/lib/modules/*/modules.alias")
    rows = (row.split() for row in aliases.read_text().splitlines() if row.startswith("alias of:"))
    return {name.replace("_", "-") for _, pattern, name in rows if fnmatch(f"of:Nx{'T(null)'}C{compatible}", pattern)}


@built
def test_what_the_card_waits_for_is_loaded() -> None:
    """By the board's own device tree: SD card and eMMC, and the two regulators without which they never answer."""
    tree = Tree()
    card = tree.symbol("emmc2")
    randomness = [each for each in tree.nodes("/soc") if each.startswith("/soc/rng@")]
    needed = [card, *tree.supplies(card), *randomness]
    assert len(needed) == 4
    loaded = {each.partition(",")[0].replace("_", "-") for each in listed("initrd-modules.txt")}
    for node in needed:
        candidates = set[str]().union(*(modules_for(each) for each in tree.get(node, "compatible")))
        assert candidates, f"no module of modules.txt drives {node}"
        assert candidates & loaded, f"{node} needs one of {candidates}"
