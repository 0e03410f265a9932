"""What the DHCP client's script writes, and what is made of it: a server may say anything."""

import contextlib
import subprocess
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.lease import MIN_LEASE_S, Lease, Refused, parse
from hal.netd import SCRIPT

BOUND = {
    "ip": "10.9.0.100",
    "mask": "24",
    "subnet": "255.255.255.0",
    "lease": "3600",
    "router": "10.9.0.1 10.9.0.2",
    "dns": "10.9.0.53 9.9.9.9",
    "ntpsrv": "10.9.0.9",
    "domain": "plant.example",
    "serverid": "10.9.0.1",
}


def script(path: Path, event: str, said: dict[str, str]) -> None:
    """Runs the script as udhcpc does."""
    subprocess.run([str(SCRIPT), event], env={"LEASE_FACTS": str(path), "PATH": "/usr/bin:/bin", **said}, check=True)


def test_bound(tmp_path: Path) -> None:
    script(tmp_path / "lease", "bound", BOUND)
    lease = parse((tmp_path / "lease").read_text())
    assert isinstance(lease, Lease)
    assert lease.at > 0
    assert lease == Lease(
        lease.at,
        IPv4Interface("10.9.0.100/24"),
        3600.0,
        IPv4Address("10.9.0.1"),
        (IPv4Address("10.9.0.53"), IPv4Address("9.9.9.9")),
        ("10.9.0.9",),
        "plant.example",
        "10.9.0.1",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["lease"]


def test_renew_and_nak(tmp_path: Path) -> None:
    script(tmp_path / "lease", "renew", BOUND)
    assert isinstance(parse((tmp_path / "lease").read_text()), Lease)
    script(tmp_path / "lease", "nak", {})
    assert isinstance(parse((tmp_path / "lease").read_text()), Refused)


@pytest.mark.parametrize("event", ["deconfig", "leasefail", "", "else"])
def test_what_changes_no_lease_is_not_written(tmp_path: Path, event: str) -> None:
    script(tmp_path / "lease", event, BOUND)
    assert list(tmp_path.iterdir()) == []


def text(**changes: str) -> str:
    values = {"event": "bound", "at": "5.25", **BOUND, **changes}
    return "".join(f"{name}={value}\n" for name, value in values.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"ip": ""},
        {"ip": "127.0.0.1"},
        {"ip": "224.0.0.1"},
        {"ip": "10.9.0.1; reboot"},
        {"mask": "0"},
        {"mask": "33"},
        {"mask": "x"},
        {"lease": "-1"},
        {"lease": "soon"},
        {"lease": "9" * 20},
        {"at": ""},
        {"at": "nan"},
        {"event": "deconfig"},
    ],
)
def test_what_cannot_be_used_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        parse(text(**changes))


def test_extras_that_cannot_be_used_are_left_out() -> None:
    lease = parse(
        text(router="0.0.0.0 10.9.0.100 nonsense", dns="x 9.9.9.9", ntpsrv="-", domain="a b\tc", serverid="?")
    )
    assert isinstance(lease, Lease)
    assert (lease.router, lease.dns, lease.ntp, lease.domain, lease.server) == (
        None,
        (IPv4Address("9.9.9.9"),),
        (),
        "",
        "",
    )


def test_lease_times_are_bounded() -> None:
    short, eternal = parse(text(lease="0")), parse(text(lease="4294967295"))
    assert isinstance(short, Lease)
    assert short.duration_s == MIN_LEASE_S
    assert isinstance(eternal, Lease)
    assert eternal.ends_at > 136 * 365 * 24 * 3600


@given(st.text())
def test_any_text_is_a_word_or_a_refusal(said: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(said), Lease | Refused)
