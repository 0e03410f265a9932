"""The card image as `make image` left it in build/card, read back by other programs than those that made it."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import random
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.card.card import CARD, HERE, ROOT, needs_card, needs_tools, partition, tool
from tests.image.test_device_tree import get, judge
from tests.powercut.secrets import baked_in

pytestmark = [needs_tools, needs_card]

LARGEST_MB = 80.0
FIRMWARE = {
    *("start4.elf", "fixup4.dat", "config.txt", "u-boot.bin", "u-boot.dtb", "uboot.env", "boot.scr"),
    *("LICENCE.firmware", "LICENCE.u-boot"),
}
BOOT_SET = {"vmlinuz", "initrd", "board.dtb", "slot.env"}
FLIPS = int(os.environ.get("FLIPS", "5"))
"""promises R3; a release has 100."""
PLACE = CARD.relative_to(HERE)


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    folder = HERE / "build/tests/card"
    subprocess.run(["rm", "-rf", folder], check=True)
    folder.mkdir(parents=True)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def content(name: str, length: int | None = None) -> bytes:
    """What stands in a partition of the card."""
    at, size = partition(name)
    with (CARD / "card.img").open("rb") as card:
        card.seek(at)
        return card.read(size if length is None else length)


def names(name: str) -> set[str]:
    """The files of a FAT partition, as mtools list them."""
    listed = tool("mdir", "-b", "-i", f"{PLACE}/card.img@@{partition(name)[0]}", "::/").stdout
    return {row.removeprefix("::/") for row in listed.split()}


def file(name: str, inside: str, work: Path) -> Path:
    """A file of a FAT partition, copied out."""
    copy = work / f"{name}-{inside}"
    tool("mcopy", "-n", "-o", "-i", f"{PLACE}/card.img@@{partition(name)[0]}", f"::/{inside}", copy.relative_to(HERE))
    return copy


def test_the_table_is_the_one_that_is_written_down() -> None:
    found = json.loads(tool("sfdisk", "--json", PLACE / "card.img").stdout)["partitiontable"]
    wanted = [row.split() for row in (HERE / "image/disk.txt").read_text().splitlines() if row[:1].isdigit()]
    assert [
        (each["name"], each["start"] * 512, each["size"] * 512, each["uuid"].lower()) for each in found["partitions"]
    ] == [(row[1], int(row[2]) << 20, int(row[3]) << 20, row[6]) for row in wanted]
    assert [int(row[0]) for row in wanted] == list(range(1, 8)), "boot.cmd names the numbers"
    assert "No errors detected" in tool("sfdisk", "--verify", PLACE / "card.img").stdout


def test_old_boot_loaders_find_the_firmware_in_the_mbr() -> None:
    with (CARD / "card.img").open("rb") as card:
        mbr = card.read(512)
    entries = [struct.unpack_from("<B3xB3xII", mbr, 446 + 16 * n) for n in range(4)]
    at, size = partition("firmware")
    assert entries[0] == (0, 0x0C, at // 512, size // 512)
    assert entries[1][1:3] == (0xEE, 1), "and others see that there is a GPT"
    assert entries[2:] == [(0, 0, 0, 0)] * 2


def test_the_firmware_partition_holds_what_starts_the_module_and_nothing_else() -> None:
    assert names("firmware") == FIRMWARE


def test_both_slots_hold_the_same_and_all_of_it() -> None:
    assert names("boot-a") == names("boot-b") == BOOT_SET
    for one, other in (("boot-a", "boot-b"), ("root-a", "root-b")):
        assert hashlib.sha256(content(one)).digest() == hashlib.sha256(content(other)).digest()


def test_a_new_card_has_neither_state_nor_data() -> None:
    assert not any(content("bootstate"))
    assert not any(content("data"))


def test_linux_gets_the_boards_tree(work: Path) -> None:
    tree = file("boot-a", "board.dtb", work)
    judge(tree, *(get(tree, "/__symbols__", label)[0] for label in ("gpio", "uart0", "uart1")))


def test_u_boot_gets_a_tree_without_a_uart(work: Path) -> None:
    """It would set the pins of one that it finds, and the bus would be its console."""
    tree = file("firmware", "u-boot.dtb", work)
    for label in get(tree, "/aliases", "serial0") + get(tree, "/aliases", "serial1"):
        assert get(tree, label, "status") == ["disabled"]
    assert get(tree, "/chosen", "stdout-path") == []


def test_every_line_of_config_txt_has_its_reason_and_is_understood(work: Path) -> None:
    rows = file("firmware", "config.txt", work).read_text().splitlines()
    firmware = file("firmware", "start4.elf", work).read_bytes()
    for before, row in zip(["", *rows], rows, strict=False):
        if row and not row.startswith("#"):
            key, value = row.split("=")
            assert before.startswith("#") or "=" in before, row
            # uart_2ndstage is for the boot loader in the EEPROM, which is not here.
            assert key.encode() in firmware or key == "uart_2ndstage", f"start4.elf does not know {key}"
            if key in ("kernel", "device_tree"):
                assert value in FIRMWARE


def test_u_boots_environment_cannot_be_interrupted(work: Path) -> None:
    environment = file("firmware", "uboot.env", work).read_bytes()
    assert len(environment) == 0x4000, "the size that Debian's U-Boot was built with"
    assert zlib.crc32(environment[4:]) == int.from_bytes(environment[:4], "little")
    said = dict(row.split("=", 1) for row in environment[4:].partition(b"\0\0")[0].decode().split("\0"))
    assert set(said) == {"bootdelay", "bootcmd"}
    assert said["bootdelay"] == "-2"
    assert "boot.scr" in said["bootcmd"]
    assert said["bootcmd"].endswith("reset"), "never a prompt on the bus"


def test_u_boot_has_what_script_and_tree_need(work: Path) -> None:
    config = subprocess.run(
        ["zcat", HERE / "build/firmware/unpacked/usr/share/doc/u-boot-rpi/configs/config.rpi_arm64.gz"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    wanted = (
        *(
            "CMD_IMPORTENV=y",
            "CMD_EXPORTENV=y",
            "CMD_GPIO=y",
            "CMD_PART=y",
            "CMD_SETEXPR=y",
            "CMD_ITEST=y",
            "CMD_BOOTI=y",
        ),
        *("MMC_WRITE=y", "CMD_SLEEP=y", "PARTITION_UUIDS=y", "EFI_PARTITION=y", "ENV_SIZE=0x4000"),
        *('ENV_FAT_FILE="uboot.env"', 'ENV_FAT_DEVICE_AND_PART="0:1"'),
    )
    assert [each for each in wanted if f"CONFIG_{each}\n" not in config] == []
    card = drivers(file("firmware", "u-boot.dtb", work))["emmc2"]
    assert card.encode() in file("firmware", "u-boot.bin", work).read_bytes(), "no driver for the card"


def test_nothing_overlaps_in_memory(work: Path) -> None:
    """As the script places it: the kernel with all that it claims, then the tree, then the initrd."""
    script = (HERE / "image/boot/boot.cmd").read_text()
    at = {name: int(digits, 16) for name, digits in re.findall(r"setenv (\w+)_at \$\{ram\}(\d+)", script)}
    assert set(at) == {"state", "kernel", "fdt", "initrd"}
    header = file("boot-a", "vmlinuz", work).read_bytes()[:64]
    assert header[56:60] == b"ARM\x64"
    claimed = int.from_bytes(header[16:24], "little")
    assert at["kernel"] % (2 << 20) == 0
    assert at["kernel"] + claimed < at["state"] < 0x07800000 < at["fdt"], "0x07800000: the script itself (u-boot.env)"
    assert at["fdt"] + (1 << 20) < at["initrd"]
    assert at["initrd"] + file("boot-a", "initrd", work).stat().st_size < 0x20000000


def drivers(tree: Path) -> dict[str, str]:
    """What must be there before the root is: what it is for -> its node's `compatible`."""
    node = {label: get(tree, "/__symbols__", label)[0] for label in ("emmc2", "sd_io_1v8_reg", "sd_vcc_reg", "pm")}
    return {label: get(tree, path, "compatible")[0] for label, path in node.items()}


def test_the_initrd_drives_what_the_tree_says_the_card_hangs_on(work: Path) -> None:
    packed = file("boot-a", "initrd", work)
    held = tool("sh", "-c", f"zstd -dcq {packed.relative_to(HERE)} | cpio -t --quiet").stdout.split()
    modules = {Path(name).name.removesuffix(".ko").replace("-", "_") for name in held if name.endswith(".ko")}
    (version,) = (ROOT / "target/usr/lib/modules").iterdir()
    built_in = {
        Path(name).stem.replace("-", "_") for name in (version / "modules.builtin").read_text().split()
    }  # Debian's own list
    aliases = [row.split()[1:3] for row in (version / "modules.alias").read_text().splitlines() if "of:" in row]
    found = drivers(file("boot-a", "board.dtb", work))
    assert found["sd_vcc_reg"] == "regulator-fixed"
    for label, compatible in found.items():
        able = {name.replace("-", "_") for alias, name in aliases if alias.rstrip("*").endswith(f"C{compatible}")}
        assert (
            able & (modules | built_in) or compatible.startswith("brcm,bcm2835-pm") or (compatible == "brcm,bcm2711-pm")
        ), f"{label}: nobody drives {compatible}"
    assert {"bcm2835_wdt", "sdhci_iproc", "fixed", "gpio_regulator", "dm_verity", "squashfs"} <= modules | built_in


def slot(work: Path) -> tuple[int, int, str, str]:
    said = file("boot-a", "slot.env", work).read_text()
    blocks, tree, digest, salt = said.removeprefix("verity=").strip().split(",")
    return int(blocks), int(tree), digest, salt


def verified(root: Path, work: Path) -> bool:
    _, tree, digest, _ = slot(work)
    place = root.relative_to(HERE)
    return (
        tool(
            "veritysetup", "verify", place, place, digest, f"--hash-offset={(tree - 1) * 4096}", check=False
        ).returncode
        == 0
    )  # the header in front of the tree says the rest


def test_the_roots_hash_is_the_boot_sets_and_a_flipped_bit_is_found(work: Path) -> None:
    """promises R3. Data and tree alike; at run time dm-verity reads the same."""
    blocks, tree, _, _ = slot(work)
    root = work / "root"
    root.write_bytes(content("root-a", (CARD / "root.img").stat().st_size))
    assert verified(root, work)
    chance = random.Random(3)
    places = [chance.randrange(blocks * 4096) for _ in range(FLIPS)] + [tree * 4096 + 7]
    for place in places:
        with root.open("r+b") as held:
            held.seek(place)
            (old,) = held.read(1)
            held.seek(place)
            held.write(bytes([old ^ 1 << chance.randrange(8)]))
        assert not verified(root, work), f"a bit at {place} was flipped and nobody saw it"
        with root.open("r+b") as held:
            held.seek(place)
            held.write(bytes([old]))
    assert verified(root, work)


def test_the_root_is_the_squashfs_of_make_root(work: Path) -> None:
    blocks, *_ = slot(work)
    size = (ROOT / "root.squashfs").stat().st_size
    assert blocks == -(-size // 4096)
    assert content("root-a", size) == (ROOT / "root.squashfs").read_bytes()


def test_no_secret_is_on_the_card() -> None:
    """promises R25: what must be secret or unique is made at the first start. Two cards are the same file."""
    assert baked_in(ROOT / "target") == []


def test_the_papers_are_of_this_card() -> None:
    (packed,) = CARD.glob("gateway-*.img.xz")
    megabytes = packed.stat().st_size / 1e6
    print(f"compressed: {megabytes:.1f} MB")
    assert megabytes <= LARGEST_MB
    image = hashlib.sha256()
    with lzma.open(packed) as unpacked:
        while piece := unpacked.read(1 << 20):
            image.update(piece)
    said = json.loads((CARD / "imager.json").read_text())["os_list"][0]
    assert said["extract_sha256"] == image.hexdigest()
    assert said["extract_size"] == (CARD / "card.img").stat().st_size
    done = subprocess.run(["sha256sum", "-c", f"{packed.name}.sha256"], cwd=CARD, capture_output=True, check=False)
    assert done.returncode == 0
    purls = {each["purl"].partition("@")[0] for each in json.loads((CARD / "bom.cdx.json").read_text())["components"]}
    assert {"pkg:deb/debian/raspi-firmware", "pkg:deb/debian/u-boot-rpi", "pkg:pypi/trio"} <= purls
    listed = subprocess.run(["tar", "tf", CARD / "licences.tar.xz"], capture_output=True, text=True, check=True).stdout
    for name in ("debian/raspi-firmware", "debian/systemd", "common-licenses/GPL-2"):
        assert f"licences/{name}\n" in listed
    assert "licences/python/trio/" in listed
