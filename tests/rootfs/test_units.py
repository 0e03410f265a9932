"""The systemd units: systemd's own judgement of them, and what they promise each other (promises R32)."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hal.contract import IMAGE_PORTS, NETWORK_FACTS, OPEN_PORTS, PANEL_SOCKET, STEWARD_SOCKET, open_ports
from hal.factory_reset import DATA
from hal.netd import ANNOUNCED

ROOTFS = Path(__file__).parents[2] / "rootfs"
UNITS = ROOTFS / "usr/lib/systemd/system"

# What `systemd-analyze security` may say at most, from 0 (caged) to 10: promises R32, "others <= 2".
LIMITS = {"gatewayd": 1.5, "webd": 1.0, "paneld": 0.7}
OTHERS = 2.0

SILENT = {"avahi-daemon": "exec", "error-log": "exec", "rauc": "dbus"}
"""Services that are no programs of ours, and their types: they do not tell systemd that they live."""

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")


def exposure(unit: Path) -> float:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


class Unit(dict[str, list[str]]):
    """A unit's settings, each with all the values it is given."""

    def __init__(self, path: Path) -> None:
        for row in path.read_text().splitlines():
            name, equals, value = row.partition("=")
            if equals and not row.startswith(("#", "[")):
                self.setdefault(name, []).append(value)

    def words(self, name: str) -> set[str]:
        return {word for value in self.get(name, []) for word in value.split()}


SERVICES = sorted(UNITS.glob("*.service"), key=lambda path: path.name)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_exposure(path: Path) -> None:
    assert exposure(path) <= LIMITS.get(path.stem, OTHERS)


def test_a_service_let_loose_is_found(tmp_path: Path) -> None:
    """The twin: the same measure of the same service without its cage."""
    loose = re.sub(
        r"^(Protect|Private|Restrict|SystemCall|Capability|NoNew).*\n",
        "",
        (UNITS / "paneld.service").read_text(),
        flags=re.M,
    )
    (tmp_path / "paneld.service").write_text(loose)
    assert exposure(tmp_path / "paneld.service") > OTHERS


def verified(root: Path) -> list[str]:
    """What systemd says against our units, in a root with the host's and stand-ins for the programs they start."""
    shutil.copytree(ROOTFS, root, symlinks=True, dirs_exist_ok=True)
    units = root / "usr/lib/systemd/system"
    shutil.copytree("/lib/systemd/system", units, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(UNITS, units, symlinks=True, dirs_exist_ok=True)
    chrony = units / "chrony.service"
    if not chrony.exists():
        chrony.write_text("[Unit]\nDescription=chrony\n[Service]\nExecStart=/bin/kill\n")
    for unit in [*SERVICES, chrony]:
        for command in Unit(unit).get("ExecStart", []) + Unit(unit).get("ExecReload", []):
            program = root / command.split()[0].lstrip("!-+/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
    return analyzed(root)


def analyzed(root: Path) -> list[str]:
    ours = [path.name for path in sorted(UNITS.iterdir()) if path.is_file()]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={root}", *ours],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [row for row in done.stderr.splitlines() if any(name.split(".")[0] in row for name in ours)]
    return said or ([] if done.returncode == 0 else done.stderr.splitlines())


def test_verify_and_its_twins(tmp_path: Path) -> None:
    assert verified(tmp_path) == []
    netd = tmp_path / "usr/lib/systemd/system/netd.service"
    good = netd.read_text()
    for broken in (good.replace("RestartSec", "RestartSecond"), good.replace("bin/netd", "bin/nobody")):
        netd.write_text(broken)
        assert analyzed(tmp_path) != []


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_every_service_is_restarted_or_runs_once(path: Path) -> None:
    unit = Unit(path)
    if unit["Type"] == ["oneshot"] or path.stem == "rauc":  # which is started when it is wanted
        assert "Restart" not in unit
    elif path.stem in SILENT:
        assert unit["Type"] == [SILENT[path.stem]]
        assert (unit["Restart"], unit["RestartSec"], unit["StartLimitIntervalSec"]) == (["always"], ["2"], ["0"])
    else:
        assert unit["Type"] == ["notify"]
        assert unit["Restart"][0] in ("always", "on-failure")
        assert unit["RestartSec"] == ["2"]
        assert unit["StartLimitIntervalSec"] == ["0"], "a service that systemd gives up is dead for good"
        assert float(unit["WatchdogSec"][0]) <= 60


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_users_and_groups_exist(path: Path) -> None:
    made = (ROOTFS / "usr/lib/sysusers.d/gateway.conf").read_text()
    known = {row.split()[1] for row in made.splitlines() if row[:1] in "gu"} | {
        *("dialout", "_chrony", "systemd-journal")  # Debian's own
    }
    unit = Unit(path)
    assert unit.words("User") | unit.words("Group") | unit.words("SupplementaryGroups") <= known


def test_sysusers_are_understood(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    shutil.copytree(ROOTFS / "usr/lib/sysusers.d", tmp_path / "usr/lib/sysusers.d")
    (tmp_path / "usr/lib/sysusers.d/debian.conf").write_text("g dialout 20\ng systemd-journal -\n")
    done = subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr and os.getuid() != 0:
        pytest.skip("systemd-sysusers wants to be root")
    assert done.returncode == 0, done.stderr
    groups = {row.split(":")[0]: row.split(":")[3] for row in (tmp_path / "etc/group").read_text().splitlines()}
    assert groups["gpio"] == "paneld"
    assert set(groups["wishes"].split(",")) == {"gatewayd", "webd"}
    assert set(groups["gatewayd"].split(",")) == {"netd", "webd"}


@pytest.mark.parametrize(
    ("socket", "listens", "path"),
    [("paneld", "ListenDatagram", PANEL_SOCKET), ("stewardd", "ListenStream", STEWARD_SOCKET)],
)
def test_sockets_are_where_the_contract_says(socket: str, listens: str, path: str) -> None:
    assert Unit(UNITS / f"{socket}.socket")[listens] == [path]


def test_run_directories_are_where_the_contract_says() -> None:
    assert Path(OPEN_PORTS).parent == Path("/run/gatewayd")
    for path in (PANEL_SOCKET, NETWORK_FACTS, STEWARD_SOCKET):
        name = Path(path).parent.name
        assert Unit(UNITS / f"{name}.service")["RuntimeDirectory"] == [name]
        assert Unit(UNITS / f"{name}.service")["RuntimeDirectoryPreserve"] == ["yes"]


def test_the_page_reaches_the_daemons_sockets_and_others_do_not() -> None:
    unit = Unit(UNITS / "gatewayd.service")
    assert unit["RuntimeDirectory"] == ["gatewayd"]
    assert unit["RuntimeDirectoryMode"] == ["0750"]


def test_the_packet_filter_opens_the_ports_that_systemd_binds() -> None:
    bound = {
        int(value)
        for path in sorted(UNITS.glob("*.socket"))
        for value in Unit(path).words("ListenStream")
        if value.isdigit()
    }
    assert set(open_ports((ROOTFS / IMAGE_PORTS.lstrip("/")).read_text()).values()) == bound == {443}


def test_avahi_looks_into_what_netd_publishes() -> None:
    assert os.readlink(ROOTFS / "etc/avahi/services") == f"../..{Path(NETWORK_FACTS).parent / ANNOUNCED.parent}"
    assert "netd.service" in Unit(UNITS / "avahi-daemon.service").words("After")


def test_the_erasing_comes_before_the_mount_and_knows_the_same_partition() -> None:
    mount = Unit(UNITS / "data.mount")
    assert mount["What"] == [str(DATA)]
    assert mount["Requires"] == ["data-partition.service"]
    for name in ("factory-reset", "data-partition"):
        assert "data.mount" in Unit(UNITS / f"{name}.service").words("Before")


def test_what_comes_before_the_data_partition_waits_for_nothing_that_comes_after() -> None:
    """PrivateTmp waits for systemd-tmpfiles, that for the data partition: systemd broke the cycle and left one out."""
    for path in SERVICES:
        unit = Unit(path)
        if unit.words("Before") & {"data.mount", "data-partition.service"}:
            assert "PrivateTmp" not in unit, path.name


def test_an_erasing_from_the_page_stops_everything_that_has_the_partition_open() -> None:
    users = {path.name for path in SERVICES if "/data" in path.read_text()} - {"factory-reset-now.service"}
    reset = Unit(UNITS / "factory-reset-now.service")
    assert users - {"netd.service"} <= reset.words("Conflicts")
    assert "data.mount" in reset.words("Conflicts")
    assert reset.words("Conflicts") == reset.words("After")


def test_presets_name_units_that_can_be_enabled() -> None:
    for row in (ROOTFS / "usr/lib/systemd/system-preset/50-gateway.preset").read_text().splitlines():
        verb, name = row.split()
        assert verb == "enable"
        content = (UNITS / name).read_text()
        assert "[Install]" in content or name == "data-partition.service", f"{name} cannot be enabled"


def test_the_resolver_is_what_netd_publishes() -> None:
    assert os.readlink(ROOTFS / "etc/resolv.conf") == "../run/netd/resolv.conf"


def test_no_setting_stands_twice_by_mistake() -> None:
    several = {"DeviceAllow", "SystemCallFilter", "ConditionPathExistsGlob"}
    for path in sorted(path for path in UNITS.iterdir() if path.is_file()):
        doubled = [name for name, values in Unit(path).items() if len(values) > 1 and name not in several]
        assert doubled == [], path.name
