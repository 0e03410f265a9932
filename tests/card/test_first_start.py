"""What the first start and every other needs and nobody could show without a module: read off the card's own root, tree
and boot set. What is started in an emulated machine is in test_started.py, and in `make vm-smoke`."""

from __future__ import annotations

import configparser
import re

import pytest

from hal.board import pin
from hal.contract import Line
from tests.card.card import CARD, HERE, ROOT, needs_card, needs_tools
from tests.image.test_device_tree import get, nodes

pytestmark = [needs_tools, needs_card]

TARGET = ROOT / "target"
UNITS = TARGET / "etc/systemd/system"


def modules(list_name: str) -> set[str]:
    rows = (HERE / "image" / list_name).read_text().splitlines()
    return {row.split()[0].partition(",")[0] for row in rows if row and not row.startswith("#")}


def said(*places: str) -> configparser.ConfigParser:
    """Of systemd's configuration: all files of these folders."""
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names have capitals
    for place in places:
        found.read(sorted((TARGET / "usr/lib/systemd" / place).glob("*.conf")))
    return found


def test_the_clock_never_starts_before_the_build() -> None:
    """systemd starts it at this file's time where nothing keeps the time; certificates are valid from then on."""
    epoch = int((TARGET / "usr/lib/clock-epoch").stat().st_mtime)
    (packed,) = CARD.glob("gateway-*.img.xz")
    assert 1_700_000_000 < epoch <= packed.stat().st_mtime
    newest = max(int(path.lstat().st_mtime) for path in TARGET.rglob("*"))
    assert newest == epoch, "no file of the root is newer than the clock at its start"


def test_the_io_boards_clock_is_read_before_systemd_starts() -> None:
    """PCF85063A: its driver is in the kernel, what its bus takes is in the initrd."""
    tree = ROOT / "boot/board.dtb"
    buses = [f"/i2c-mux0/{each}" for each in nodes(tree, "/i2c-mux0")]
    found = [
        get(tree, f"{each}/{clock}", "compatible") for each in buses for clock in nodes(tree, each) if "rtc" in clock
    ]
    assert found == [["nxp,pcf85063a"]]
    (built_in,) = (TARGET / "usr/lib/modules").glob("*/modules.builtin")
    assert "/rtc-pcf85063.ko" in built_in.read_text()
    assert {"i2c-bcm2835", "i2c-mux-pinctrl"} <= modules("initrd-modules.txt")


def test_the_watchdog_passes_from_the_initrd_to_systemd() -> None:
    init = (HERE / "image/initrd/init").read_text()
    assert init.index("\nwatchdog_on\n") < init.index("\npartition=$(root_partition)"), "before anything can hang"
    manager = said("system.conf.d")["Manager"]
    assert 15 <= int(manager["RuntimeWatchdogSec"]) <= 60
    assert int(manager["RebootWatchdogSec"]) >= int(manager["RuntimeWatchdogSec"])
    assert "bcm2835_wdt" in modules("modules.txt")


def test_u_boot_shows_on_the_feedback_light_that_no_slot_is_good() -> None:
    lights = set(re.findall(r"gpio (?:set|clear) (\d+)", (CARD / "boot.cmd").read_text()))
    assert lights == {str(pin(Line.LED_FEEDBACK_RED).gpio)}


def test_the_log_is_in_memory_and_errors_are_kept() -> None:
    assert said("journald.conf.d")["Journal"]["Storage"] == "volatile"
    assert not (TARGET / "var/log/journal").exists()
    assert (UNITS / "multi-user.target.wants/error-log.service").is_symlink()


@pytest.mark.parametrize(
    "unit", ["avahi-daemon", "boot-good", "chrony", "gatewayd", "host-name", "netd", "paneld", "webd"]
)
def test_it_starts_with_the_gateway(unit: str) -> None:
    assert any((wants / f"{unit}.service").is_symlink() for wants in UNITS.glob("*.wants"))
    assert not (UNITS / f"{unit}.service").is_symlink(), "masked"


def test_the_modules_eeprom_is_told_to_start_from_the_card_and_to_be_silent() -> None:
    rows = [row for row in (CARD / "boot.conf").read_text().splitlines() if row and not row.startswith("#")]
    assert rows[0] == "[all]"
    assert dict(row.split("=") for row in rows[1:]) == {
        "BOOT_UART": "0",
        "BOOT_ORDER": "0xf1",
        "ENABLE_SELF_UPDATE": "0",
    }
