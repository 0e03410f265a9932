"""The appliance's root as `make root` left it in build/root: who is in it, what starts, what is not there. Skipped
where nobody made it; the lists and the bill of materials are tested everywhere."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parents[2]
IMAGE, BUILT = HERE / "image", HERE / "build/root"
TARGET = BUILT / "target"
LISTS = (
    "packages.txt", "packages-without.txt", "modules.txt", "initrd-modules.txt", "trim.txt", "masked.txt",
    "packages-tools.txt",
)  # fmt: skip
LARGEST = 60 << 20
"""Bytes of the compressed root."""

built = pytest.mark.skipif(not (BUILT / "root.squashfs").exists(), reason="no build/root here: make root, as root")


def rows(name: str) -> list[str]:
    return [row for row in (IMAGE / name).read_text().splitlines() if row and not row.startswith("#")]


@pytest.mark.parametrize("name", LISTS)
def test_every_line_of_a_list_has_a_reason_and_stands_once(name: str) -> None:
    words = [row.split(None, 1) for row in rows(name)]
    assert [row for row in words if len(row) != 2] == []
    assert len({row[0] for row in words}) == len(words)


def bill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bill_of_materials", IMAGE / "bill_of_materials.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_bill_names_python_packages_with_version_and_licence(tmp_path: Path) -> None:
    info = tmp_path / "thing-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: Thing\nVersion: 1.2\nLicense-Expression: MIT\n")
    (tmp_path / "debs").mkdir()
    (component,) = bill().bill(tmp_path / "debs", tmp_path)["components"]
    assert (component["purl"], component["licenses"]) == ("pkg:pypi/thing@1.2", [{"license": {"name": "MIT"}}])


@built
def test_nobody_has_a_password_and_our_users_are_there() -> None:
    shadow = [row.split(":") for row in (TARGET / "etc/shadow").read_text().splitlines()]
    assert [row[0] for row in shadow if row[1] not in ("*", "!*", "!")] == []
    names = {row.split(":")[0] for row in (TARGET / "etc/passwd").read_text().splitlines()}
    assert {"gatewayd", "webd", "paneld", "netd", "_chrony"} <= names


@built
def test_every_program_that_a_unit_starts_is_there() -> None:
    for unit in (TARGET / "usr/lib/systemd/system").glob("*.service"):
        for command in re.findall(r"^ExecStart=[-!+@:]*(/usr/lib/gateway/\S+)", unit.read_text(), re.MULTILINE):
            program = TARGET / command.lstrip("/")
            assert program.exists(), f"{unit.name} starts {command}"
            assert program.stat().st_mode & stat.S_IXUSR


@built
def test_programs_can_be_run() -> None:
    """The overlay's files are configuration and not executable; what they lie beside must stay so."""
    programs = [
        *(TARGET / "usr/lib/systemd").glob("systemd*"),
        *(TARGET / "usr/bin").iterdir(),
        TARGET / "usr/lib/gateway/python/hal/lease_facts.sh",
    ]
    assert [path.name for path in programs if path.is_file() and not path.stat().st_mode & stat.S_IXOTH] == []
    assert (TARGET / "usr/lib/systemd/systemd").exists()


@built
def test_packages_that_are_left_out_are_not_there() -> None:
    here = {path.name.partition("_")[0] for path in (BUILT / "debs").glob("*.deb")}
    assert here & {row.split()[0] for row in rows("packages-without.txt")} == set()


@built
def test_it_is_byte_compiled_for_its_own_python() -> None:
    for folder in ("usr/lib/python3.13", "usr/lib/gateway/python/gatewayd", "usr/lib/gateway/python/hal"):
        sources = list((TARGET / folder).glob("*.py"))
        compiled = {path.name.split(".")[0] for path in (TARGET / folder / "__pycache__").glob("*.cpython-313.pyc")}
        assert {path.stem for path in sources} <= compiled, folder


@built
def test_nothing_of_this_machine_and_no_package_manager() -> None:
    for name in ("apt", "dpkg", "perl", "gcc", "sshd"):
        assert not (TARGET / "usr/bin" / name).exists(), name
    assert (TARGET / "etc/machine-id").read_text() == ""
    assert not list((TARGET / "etc").glob("ssh/*key*"))
    for path in (TARGET / "usr/lib/gateway").rglob("*.json"):
        assert str(HERE) not in path.read_text()


@built
def test_it_is_small_and_its_bill_names_everything() -> None:
    assert (BUILT / "root.squashfs").stat().st_size <= LARGEST
    components = json.loads((BUILT / "bom.cdx.json").read_text())["components"]
    purls = {each["purl"].partition("@")[0] for each in components}
    assert {f"pkg:deb/debian/{row.split()[0]}" for row in rows("packages.txt")} <= purls | {
        "pkg:deb/debian/linux-image-arm64"
    }
    assert {"pkg:pypi/trio", "pkg:pypi/msgspec", "pkg:pypi/cryptography"} <= purls
    assert all(each["version"] for each in components)
