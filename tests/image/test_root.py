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

from hal.contract import IMAGE_PORTS, open_ports

HERE = Path(__file__).parents[2]
IMAGE, BUILT = HERE / "image", HERE / "build/root"
TARGET = BUILT / "target"
LISTS = (
    "packages.txt", "packages-without.txt", "modules.txt", "initrd-modules.txt", "trim.txt", "masked.txt",
    "packages-tools.txt", "packages-development.txt",
)  # fmt: skip
LARGEST = 60 << 20
"""Bytes of the compressed root."""

built = pytest.mark.skipif(not (BUILT / "root.squashfs").exists(), reason="no build/root here: make root, as root")


shipped = pytest.mark.skipif(
    (TARGET / "usr/lib/gateway/development").exists(), reason="build/root is one for development (DEV=1)"
)


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
        cache = TARGET / folder / "__pycache__"
        compiled = {path.name.split(".")[0] for path in cache.glob("*.cpython-313.opt-2.pyc")}
        assert {path.stem for path in sources} <= compiled, folder


@built
def test_nothing_of_this_machine_and_no_package_manager() -> None:
    for name in ("apt", "dpkg", "perl", "gcc"):
        assert not (TARGET / "usr/bin" / name).exists(), name
    assert (TARGET / "etc/machine-id").read_text() == ""
    assert not list((TARGET / "etc").glob("ssh/*key*"))
    for path in (TARGET / "usr/lib/gateway").rglob("*.json"):
        assert str(HERE) not in path.read_text()


@built
@shipped
def test_nobody_logs_in_from_afar() -> None:
    programs = {path.name for folder in ("bin", "sbin") for path in (TARGET / "usr" / folder).iterdir()}
    assert programs & {"sshd", "dropbear", "dropbearmulti", "telnetd", "in.telnetd", "login", "agetty"} == set()
    assert not list(TARGET.glob("**/authorized_keys"))
    assert 22 not in open_ports((TARGET / IMAGE_PORTS.lstrip("/")).read_text()).values()


@built
def test_nobody_logs_in_on_the_bus_or_anywhere_else() -> None:
    units = TARGET / "etc/systemd/system"
    for name in ("getty@.service", "serial-getty@.service", "console-getty.service", "getty.target"):
        assert (units / name).readlink() == Path("/dev/null"), name
    assert not list(units.glob("*.wants/*shell*"))


@built
def test_the_packet_filter_has_its_modules() -> None:
    """Every expression of the rules that is a module of its own in Debian's kernel; nf_tables itself has the others."""
    there = {path.name.partition(".")[0] for path in (TARGET / "usr/lib/modules").rglob("*.ko.xz")}
    assert {"nfnetlink", "nf_tables", "nf_conntrack", "nft_ct", "nft_reject", "nft_reject_inet"} <= there
    aliases = next((TARGET / "usr/lib/modules").glob("*/modules.alias")).read_text()
    assert "nft-expr-ct" in aliases, "the kernel asks for it by this name"


@built
def test_rauc_and_avahi_find_what_they_need() -> None:
    for path in ("usr/bin/rauc", "usr/bin/fw_printenv", "usr/bin/fw_setenv", "usr/sbin/nft", "usr/sbin/avahi-daemon"):
        assert (TARGET / path).exists(), path
    owns = (TARGET / "usr/share/dbus-1/system.d/de.pengutronix.rauc.conf").read_text()
    assert 'context="default"' not in owns, "nobody but root has updates installed"
    assert (TARGET / "etc/avahi/services").readlink() == Path("../../run/netd/services")


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
