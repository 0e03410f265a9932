"""The appliance's own rauc configuration, read by Debian 13's rauc, over a boot state as hal/boot_state.py writes it.

rauc's two programs speak over a D-Bus of their own here, and find the state in a file. What they write is read back by
boot_state: U-Boot reads the same (test_slots). Installing bundles is not tried here.
"""

from __future__ import annotations

import configparser
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hal import boot_state
from tests.card.card import HERE, in_tools, needs_tools, tool

CONFIGURATION = HERE / "rootfs/etc/rauc/system.conf"

SERVED = """\
set -eu
cp -a /etc /tmp/etc
mount --bind /tmp/etc /etc
mkdir -p /etc/rauc
# There is no /data, and what rauc remembers is not asked for here.
sed 's|=/data/rauc/|=/tmp/|' rootfs/etc/rauc/system.conf >/etc/rauc/system.conf
sed "s|^/dev/disk/by-partlabel/bootstate|/gateway/$1|" rootfs/etc/fw_env.config >/etc/fw_env.config
cp rootfs/etc/u-boot-initial-env /etc
shift
export DBUS_STARTER_BUS_TYPE=session
rauc service --override-boot-slot=A >/tmp/log 2>&1 &
tries=100
until dbus-send --session --print-reply --dest=de.pengutronix.rauc / org.freedesktop.DBus.Peer.Ping >/tmp/ping 2>&1; do
    [ $((tries -= 1)) -gt 0 ] || { cat /tmp/log /tmp/ping; exit 1; }
    sleep 0.1
done
rauc "$@"
"""


@pytest.fixture
def state() -> Iterator[Path]:
    """A partition with the boot state of a card whose slot A was just started."""
    folder = HERE / "build/tests/rauc"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sector = boot_state.encode({**boot_state.NEW, "BOOT_A_LEFT": "2"})
    (folder / "state").write_bytes(sector.ljust(1 << 20, b"\0"))
    yield folder / "state"
    shutil.rmtree(folder)


def rauc(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """rauc with these arguments, in slot A, and its service behind it."""
    inside = ("sh", "-c", SERVED, "sh", str(state.relative_to(HERE)), *arguments)
    return subprocess.run(
        in_tools("dbus-run-session", "--", *inside), cwd=HERE, capture_output=True, text=True, check=False, timeout=120
    )


def slots(state: Path) -> dict[str, Any]:
    done = rauc(state, "status", "--detailed", "--output-format=json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    found["slots"] = {name: facts for each in found["slots"] for name, facts in each.items()}
    return found


def left(state: Path) -> dict[str, str]:
    found = boot_state.decode(state.read_bytes()[: boot_state.SECTOR])
    assert found is not None
    return found


@needs_tools
def test_both_slots_are_seen_and_the_one_that_runs(state: Path) -> None:
    found = slots(state)
    assert (found["booted"], found["boot_primary"]) == ("A", "root.0")
    seen = {name: (each["bootname"], each["parent"], each["state"]) for name, each in found["slots"].items()}
    assert seen == {
        "root.0": ("A", None, "booted"),
        "boot.0": (None, "root.0", "active"),
        "root.1": ("B", None, "inactive"),
        "boot.1": (None, "root.1", "inactive"),
    }
    assert found["slots"]["root.0"]["boot_status"] == found["slots"]["root.1"]["boot_status"] == "good"


@needs_tools
def test_a_slot_without_tries_is_a_bad_one(state: Path) -> None:
    state.write_bytes(boot_state.encode({**boot_state.NEW, "BOOT_B_LEFT": "0"}).ljust(1 << 20, b"\0"))
    assert slots(state)["slots"]["root.1"]["boot_status"] == "bad"


@needs_tools
def test_a_state_that_cannot_be_read_is_a_new_cards(state: Path) -> None:
    state.write_bytes(bytes(1 << 20))
    seen = slots(state)["slots"]
    assert seen["root.0"]["boot_status"] == seen["root.1"]["boot_status"] == "good"
    assert rauc(state, "status", "mark-active", "other").returncode == 0
    assert left(state) == {**boot_state.NEW, "BOOT_ORDER": "B A"}


@needs_tools
def test_what_it_writes_is_the_boot_state_that_u_boot_and_we_read(state: Path) -> None:
    assert rauc(state, "status", "mark-bad", "other").returncode == 0
    assert left(state)["BOOT_B_LEFT"] == "0"
    assert rauc(state, "status", "mark-active", "other").returncode == 0
    assert left(state) == {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "2", "BOOT_B_LEFT": str(boot_state.TRIES)}
    assert rauc(state, "status", "mark-good", "booted").returncode == 0
    assert left(state) == {**boot_state.good(left(state), "A"), "BOOT_ORDER": "B A"}


def bundle(folder: Path) -> Path:
    """A good bundle for the right model, signed by somebody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    pem = Encoding.PEM
    (folder / "cert.pem").write_bytes(signed.sign(key, SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()))
    content = folder / "content"
    content.mkdir()
    (content / "root.img").write_bytes(random.Random(1).randbytes(1 << 16))
    (content / "manifest.raucm").write_text(
        "[update]\ncompatible=ocpp-modbus-gateway-cm4\nversion=2\n[bundle]\nformat=verity\n"
        "[image.root]\nfilename=root.img\n"
    )
    place = folder.relative_to(HERE)
    keys = (f"--cert={place}/cert.pem", f"--key={place}/key.pem")
    tool("rauc", "bundle", *keys, place / "content", place / "bundle.raucb")
    return place / "bundle.raucb"


@needs_tools
def test_without_a_certificate_nothing_is_installed(state: Path) -> None:
    done = rauc(state, "install", str(Path("/gateway") / bundle(state.parent)))
    assert done.returncode == 1
    assert "keyring" in done.stdout + done.stderr, done.stdout + done.stderr
    assert left(state)["BOOT_ORDER"] == "A B"


def test_its_partitions_tries_and_places_are_the_cards() -> None:
    found = configparser.ConfigParser(delimiters=("=",))
    found.read(CONFIGURATION)
    table = [row.split()[1] for row in (HERE / "image/disk.txt").read_text().splitlines() if row[:1].isdigit()]
    devices = [found[name]["device"] for name in found.sections() if name.startswith("slot.")]
    assert sorted(Path(device).name for device in devices) == sorted(
        name for name in table if name.startswith(("root-", "boot-"))
    )
    assert {device.rpartition("/")[0] for device in devices} == {str(boot_state.PARTITION.parent)}
    system = found["system"]
    assert system["bootloader"] == "uboot"
    assert {system["boot-attempts"], system["boot-attempts-primary"]} == {str(boot_state.TRIES)}
    assert Path(system["statusfile"]).is_relative_to("/data/rauc")
    assert system["mountprefix"].startswith("/run/"), "the root is read-only"
    assert not (HERE / "rootfs" / found["keyring"]["path"].lstrip("/")).exists(), "a key that everybody has is none"
