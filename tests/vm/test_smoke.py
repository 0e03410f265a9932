"""One boot of the appliance's own root, and everything that is promised of it, asked from outside and from inside.

What asks from outside is not ours: mbpoll for Modbus, the `ocpp` package over `websockets` for OCPP.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from hal.contract import INPUTS, OUTPUTS
from tests.interop.peer import HERE as PEERS
from tests.interop.peer import PYTHON
from tests.rootfs.test_units import LIMITS, OTHERS
from tests.vm.bus import Bus
from tests.vm.machine import GUEST, PROJECT, Machine

SERVICES = ("gatewayd", "webd", "paneld", "netd", "stewardd", "avahi-daemon", "error-log", "chrony")
BAUD = 115200
CONFIGURATION = f"""
[modbus.rtu]
enabled = true
device = "/dev/ttyAMA1"
baudrate = {BAUD}
parity = "none"
stop_bits = 1

[[charge_point]]
number = 1
identity = "CP001"
"""
HEALED_S = 20.0
"""promises R19: from a service that hangs to the same service at work."""

PROMISED = {
    "tcp": {"0.0.0.0:502", "0.0.0.0:8887", ":::443", "127.0.0.1:9100"},
    "udp": {"0.0.0.0:5353", ":::5353"},
}
"""promises R31: nobody listens anywhere else."""


@pytest.fixture(scope="module")
def vm() -> Iterator[Machine]:
    """One machine for all, as after the first power-on."""
    machine = Machine("smoke")
    machine.start()
    try:
        yield machine
    finally:
        machine.remove()


def mbpoll(*arguments: str, target: str = "127.0.0.1", values: tuple[int, ...] = ()) -> str:
    """What mbpoll says of one poll; ten seconds is its own longest patience."""
    done = subprocess.run(
        ["mbpoll", "-a", "1", *arguments, "-0", "-1", "-o", "10", target, *map(str, values)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout


def registers(vm: Machine, first: int, count: int) -> list[int]:
    said = mbpoll("-p", str(vm.port["modbus"]), "-r", str(first), "-c", str(count))
    found = re.findall(r"^\[(\d+)\]:\s+(\d+)", said, re.MULTILINE)
    assert len(found) == count, said
    return [int(value) for _, value in found]


def test_everything_starts_and_nothing_fails(vm: Machine) -> None:
    state = vm.booted()
    failed = vm.run("systemctl", "--failed", "--plain", "--no-legend")
    assert (failed, state) == ("", "running"), vm.run("journalctl", "-b", "-p", "warning", "--no-pager")
    journal = vm.run("journalctl", "-b", "--no-pager", "-o", "short-monotonic", "_PID=1")
    assert "ordering cycle" not in journal
    assert "Failed" not in journal
    for name in {*SERVICES, "stewardd.socket"} - {"stewardd"}:  # it comes when somebody asks
        assert vm.run("systemctl", "is-active", name, code=None).strip() == "active", name


def test_the_daemon_says_ready(vm: Machine) -> None:
    """A while after READY=1: its keys and certificates are made then."""
    journal = "journalctl", "-b", "-u", "gatewayd", "-o", "cat", "--no-pager"
    vm.until(lambda: "ready" in vm.run(*journal).split("\n"), 60, "gatewayd is ready")


def test_a_fresh_card_has_an_empty_configuration_that_only_the_gateway_reads(vm: Machine) -> None:
    said = vm.run("stat", "-c", "%a %U %G %s", "/data/gateway/gateway.toml", "/data/gateway", "/data/webd").split("\n")
    assert said[0] == "660 gatewayd gatewayd 0"
    assert [row.rsplit(" ", 1)[0] for row in said[1:3]] == ["2770 gatewayd gatewayd", "700 webd webd"]


def test_mbpoll_reads_and_writes(vm: Machine) -> None:
    assert registers(vm, 0, 2) == [0x4F43, 0x0100]
    assert "Written 1 references" in mbpoll("-p", str(vm.port["modbus"]), "-r", "9", values=(4711,))
    assert registers(vm, 9, 1) == [4711]


def test_only_promised_ports_are_open(vm: Machine) -> None:
    found: dict[str, set[str]] = {"tcp": set(), "udp": set()}
    for row in vm.run("netstat", "-ltunw").splitlines():
        words = row.split()
        if words and words[0].rstrip("6") in ("tcp", "udp", "raw"):
            found.setdefault(words[0].rstrip("6"), set()).add(words[3])
    assert found == PROMISED


def test_the_packet_filter_opens_them_and_no_others(vm: Machine) -> None:
    rules = vm.run("nft", "list", "ruleset")
    assert re.findall(r"elements = \{ (.*) \}", rules) == ["443, 502, 8887"]
    assert "hook input priority filter; policy drop;" in rules


def test_it_is_found_by_its_name_and_by_what_it_serves(vm: Machine) -> None:
    """Asked from inside: user networking passes no multicast on. Between machines it is tried in tests/root."""
    host, asks = "gateway-676174.local", (PROJECT / "tests/root/mdns.py").read_text()
    for name, kind, wanted in [
        (host, "A", "10.0.2.15"),
        ("gateway-676174._https._tcp.local", "SRV", f"443 {host}"),
        ("gateway-676174._modbus._tcp.local", "SRV", f"502 {host}"),
    ]:
        question = ("/usr/bin/python3.13", "-I", "-c", asks, "10.0.2.15", name, kind)

        def answered(question: tuple[str, ...] = question, answer: tuple[str, ...] = (name, kind, wanted)) -> bool:
            return list(answer) in json.loads(vm.run(*question))

        vm.until(answered, 30, f"{name} is {wanted}")


def test_a_start_that_is_well_leaves_no_error(vm: Machine) -> None:
    """What is kept of every start wears the card, and hides what is one. The watchdog's is known (error-log)."""
    found = vm.run("journalctl", "-b", "-p", "err", "-o", "cat", "--no-pager").splitlines()
    assert set(found) <= {"watchdog: watchdog0: watchdog did not stop!"}


def test_errors_are_kept_where_they_outlast_the_power(vm: Machine) -> None:
    vm.run("systemd-cat", "-p", "warning", "echo", "only odd")
    vm.run("systemd-cat", "-p", "err", "echo", "something broke")
    vm.until(lambda: "something broke" in vm.run("cat", "/data/errors/errors", code=None), 30, "the error is kept")
    (kept,) = vm.run("cat", "/data/errors/errors").splitlines()
    assert kept.endswith("something broke")


def test_the_page_answers_over_https(vm: Machine) -> None:
    vm.until(lambda: "page.pem" in vm.run("ls", "/run/gatewayd").split(), 60, "the page has a certificate")
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"https://127.0.0.1:{vm.port['page']}/", timeout=60, context=anybody) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read()


def test_the_address_is_the_one_that_the_dhcp_server_gave(vm: Machine) -> None:
    facts = json.loads(vm.run("cat", "/run/netd/network.json"))
    assert (facts["source"], facts["addresses"]) == ("lease", ["10.0.2.15/24"])


def test_nobody_can_write_the_root(vm: Machine) -> None:
    for path in ("/usr/x", "/etc/x", "/x", "/boot/x"):
        assert vm.run("sh", "-c", f"! touch {path} 2>/dev/null && echo refused") == "refused\n"
    mounts = {row.split()[1]: row.split()[2:4] for row in vm.run("cat", "/proc/mounts").splitlines()}
    assert mounts["/"][0] == "squashfs"
    assert {"nodev", "nosuid", "noexec"} <= set(mounts["/data"][1].split(","))
    assert {"nodev", "nosuid", "noexec"} <= set(mounts["/var"][1].split(","))


def test_the_cages_hold(vm: Machine) -> None:
    """The same measure as tests/rootfs takes of the files, of the units as this systemd really runs them."""
    vm.run("rauc", "status", code=None)  # which is started when it is asked, and the D-Bus for it
    rows = vm.run("systemd-analyze", "security", "--no-pager").splitlines()
    found = {words[0].removesuffix(".service"): float(words[1]) for row in rows[1:] if len(words := row.split()) > 2}
    ours = [name for name in SERVICES if name != "chrony"]
    ours += ["rauc", "dbus"]
    assert {name: found[name] for name in ours if found[name] > LIMITS.get(name, OTHERS)} == {}


def test_a_charge_point_of_others_charges(vm: Machine) -> None:
    vm.run("sh", "-c", f"cat >/data/gateway/gateway.toml <<'END'\n{CONFIGURATION}\nEND")
    vm.run("systemctl", "reload", "gatewayd")
    vm.until(lambda: registers(vm, 5, 1) == [1], 60, "one charge point is configured")
    command = [str(PYTHON), str(PEERS / "charge_point_ocpp.py"), f"ws://127.0.0.1:{vm.port['ocpp']}/ocpp", "CP001"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as charger:
        assert charger.stdin is not None
        assert charger.stdout is not None
        try:
            assert json.loads(charger.stdout.readline()) == {"booted": "Accepted"}
            assert "started" in json.loads(charger.stdout.readline())
            assert json.loads(charger.stdout.readline()) == {"metered": True}
            assert registers(vm, 32, 2) == [0, 1]  # connected_mask
            charger.stdin.write("\n")
            charger.stdin.flush()
            assert json.loads(charger.stdout.readline()) == {"stopped": True}
        finally:
            charger.kill()


def test_mbpoll_reads_over_the_serial_line(vm: Machine) -> None:
    """A real UART of the machine's, the kernel's own driver; the configuration is the last test's."""
    with Bus(vm.bus) as bus:
        asked = ("-m", "rtu", "-b", str(BAUD), "-P", "none", "-t", "4:hex", "-r", "0", "-c", "2")
        assert "[0]: \t0x4F43\n[1]: \t0x0100\n" in mbpoll(*asked, target=bus.path)


def test_the_clock_is_right_and_kept(vm: Machine) -> None:
    ahead_s = float(vm.run("date", "+%s")) - datetime.now(UTC).timestamp()
    assert abs(ahead_s) < 3600  # the emulated clock's; here only that nothing set it back to the build's time
    assert "rtc" in vm.run("sh", "-c", "ls -d /dev/rtc*")


def test_the_lines_contract_on_the_kernels_gpio(vm: Machine) -> None:
    """hal/lines.py's words, through gpiod, the kernel and a chip; the pull-ups are asked for, or a contact would read
    as closed."""
    vm.run("systemctl", "stop", "paneld.socket", "paneld.service")
    script = (GUEST / "lines_contract.py").read_text()
    seen = json.loads(vm.run("/usr/bin/python3.13", "-I", "-c", script))
    vm.run("systemctl", "start", "paneld.socket", "paneld.service")
    assert seen == {
        "at_rest": [],
        "dark": [],
        "driven": [[line] for line in OUTPUTS],
        "changes": [[line, closed, [[line, closed]]] for line in INPUTS for closed in (True, False)],
        "bounce": [],
        "an input driven": "ValueError",
        "a second owner": "OSError",
    }


def test_a_daemon_that_hangs_is_healed(vm: Machine, seen: Callable[[str], None]) -> None:
    main_pid = vm.run("systemctl", "show", "-P", "MainPID", "gatewayd").strip()
    stopped_at = vm.clock()
    vm.run("kill", "-STOP", main_pid)

    def another() -> bool:
        shown = dict(
            row.split("=") for row in vm.run("systemctl", "show", "-p", "MainPID,ActiveState", "gatewayd").splitlines()
        )
        return shown["ActiveState"] == "active" and shown["MainPID"] not in ("0", main_pid)

    vm.until(another, 60, "gatewayd was started again")
    took_s = vm.clock() - stopped_at
    seen(f"a daemon that hangs: healed after {took_s:.1f} s of the guest's time")
    assert registers(vm, 0, 1) == [0x4F43]
    assert took_s <= HEALED_S


def test_it_restarts_when_told(vm: Machine) -> None:
    """The last test: the machine is off afterwards."""
    vm.run("systemctl", "--no-block", "reboot")
    vm.ended()
    assert "reboot: Restarting system" in vm.console
