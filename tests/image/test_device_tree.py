"""The overlay's names and pins are those of `hal.board`, it compiles, and it merges into a tree with Debian's labels.

The real tree is in a 90 MB kernel package: tests/root/test_debian_device_tree.py fetches that.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hal.board import PINS
from hal.contract import Line

IMAGE = Path(__file__).parents[2] / "image"
OVERLAY = IMAGE / "board.dtso"
GPIO_COUNT = 58  # of the BCM2711

pytestmark = pytest.mark.skipif(shutil.which("dtc") is None, reason="there is no device-tree compiler (dtc) here")

# As small as a tree with Debian's labels can be.
BASE = """/dts-v1/;
/ {
    chosen { stdout-path = "serial1:115200n8"; };
    soc {
        gpio: gpio { gpio-line-names = "ID_SDA"; uart0_gpio14: uart0-gpio14 { brcm,pins = <14 15>; }; };
        uart0: serial0 { status = "okay"; uart-has-rtscts; bluetooth { compatible = "brcm,bcm43438-bt"; }; };
        uart1: serial1 { status = "okay"; };
    };
};
"""


def get(tree: Path, *path: str, kind: str = "s") -> list[str]:
    done = subprocess.run(["fdtget", "-t", kind, str(tree), *path], capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def nodes(tree: Path, path: str) -> list[str]:
    return subprocess.run(["fdtget", "-l", str(tree), path], capture_output=True, text=True, check=True).stdout.split()


def judge(tree: Path, gpio: str, uart0: str, uart1: str) -> None:
    """What must hold of every merged tree."""
    names = get(tree, gpio, "gpio-line-names")
    assert len(names) == GPIO_COUNT
    assert {name: names.index(name) for name in Line} == {row.line: row.gpio for row in PINS}
    assert len(set(names)) == GPIO_COUNT, "a name stands twice"
    assert get(tree, uart0, "status") == ["okay"]
    assert get(tree, uart1, "status") == ["disabled"]
    assert "bluetooth" not in nodes(tree, uart0)
    properties = subprocess.run(["fdtget", "-p", str(tree), uart0], capture_output=True, text=True, check=True).stdout
    assert "uart-has-rtscts" not in properties
    assert get(tree, "/chosen", "stdout-path") == []
    phandles = get(tree, uart0, "pinctrl-0", kind="x")
    pins = {
        get(tree, f"{gpio}/{node}", "phandle", kind="x")[0]: node
        for node in nodes(tree, gpio)
        if get(tree, f"{gpio}/{node}", "phandle", kind="x")
    }
    assert [pins[phandle] for phandle in phandles] == ["uart0-gpio14", "rs485-rts"]
    assert get(tree, f"{gpio}/rs485-rts", "brcm,pins", kind="u") == ["17"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base.dts").write_text(BASE)
    compiled = tmp_path / "base.dtb"
    subprocess.run(["dtc", "-q", "-@", "-O", "dtb", "-o", str(compiled), str(tmp_path / "base.dts")], check=True)
    return compiled


def merge(base: Path, result: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(IMAGE / "device_tree.sh"), str(base), str(result)], capture_output=True, text=True, check=False
    )


def test_names_in_the_source_are_those_of_the_pin_table() -> None:
    names = re.findall(r'"([^"]+)"', OVERLAY.read_text().partition("gpio-line-names")[2].partition(";")[0])
    assert len(names) == GPIO_COUNT
    assert {name: names.index(name) for name in Line} == {row.line: row.gpio for row in PINS}


def test_merged_into_a_tree_with_debians_labels(base: Path, tmp_path: Path) -> None:
    done = merge(base, tmp_path / "result.dtb")
    assert (done.returncode, done.stderr) == (0, "")
    judge(tmp_path / "result.dtb", "/soc/gpio", "/soc/serial0", "/soc/serial1")


def test_a_tree_without_labels_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "base.dts").write_text(BASE)
    subprocess.run(["dtc", "-q", "-O", "dtb", "-o", str(tmp_path / "base.dtb"), str(tmp_path / "base.dts")], check=True)
    assert merge(tmp_path / "base.dtb", tmp_path / "result.dtb").returncode != 0
    assert not (tmp_path / "result.dtb").exists()
