"""Who reaches what, and how it is found: gatewayd, netd, the kernel's packet filter and avahi, in a network namespace.

The configuration says which ports; all else follows from it, also when it changes. promises R31; experience, "find it".
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from hal.firewall import ruleset
from tests.root.wire import PROJECT, Machine, Wire

OWN, OTHER = "10.9.0.5", "10.9.0.9"
NETWORK = f'[network]\nmode = "static"\naddress = "{OWN}/24"\nrouter = ""\n'
PATIENCE_S = 90.0
"""What takes two seconds on an idle machine."""
LISTENING = (443, 7777)
"""Ports on which somebody listens there beside gatewayd: systemd for the page, and one whom nobody promised."""

AVAHI = f"""
mount -t tmpfs none /run
mkdir -p /run/netd /run/avahi-daemon
mount --bind "$1" /run/netd
chown avahi /run/avahi-daemon
mount -t tmpfs none /etc/avahi
cp -a {PROJECT}/rootfs/etc/avahi/. /etc/avahi
hostname gateway-0a0b0c
exec setpriv --reuid avahi --regid avahi --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs \\
    $(sed -n 's/^ExecStart=//p' {PROJECT}/rootfs/usr/lib/systemd/system/avahi-daemon.service)
"""
"""As its unit starts it: no privilege, the appliance's own configuration, services from what netd publishes."""


KEEP = """
import sys
from hal.packet_filter import PacketFilter
kept = PacketFilter()
kept.keep(sys.argv[1], 0.0)
print(kept.fault)
"""


class Gateway:
    """The appliance's network side on a wire, and one other machine that looks at it."""

    def __init__(self, wire: Wire, other: Machine) -> None:
        self.wire, self.other = wire, other
        self.daemon: subprocess.Popen[bytes] | None = None
        self._listening: list[socket.socket] = []

    async def start(self, configuration: str) -> None:
        for port in LISTENING:
            there = self.wire.gateway.socket()
            there.bind(("0.0.0.0", port))
            there.listen()
            self._listening.append(there)
        self.wire.configuration.write_text(NETWORK + configuration)
        self.wire.image_ports.write_text((PROJECT / "rootfs/usr/lib/gateway/open_ports.json").read_text())
        self.wire.power_on()
        self.daemon = self.wire.gateway.start(
            *(sys.executable, "-m", "gatewayd", "--config", str(self.wire.configuration)),
            *("--state", str(self.wire.directory / "state"), "--run", str(self.wire.open_ports.parent)),
            log="gatewayd",
        )
        await self.wire.has(OWN, within=PATIENCE_S)

    def configure(self, configuration: str) -> None:
        assert self.daemon is not None
        self.wire.configuration.write_text(NETWORK + configuration)
        self.daemon.send_signal(signal.SIGHUP)

    def close(self) -> None:
        for each in self._listening:
            each.close()

    async def reach(self, port: int) -> bool:
        """Whether the other machine gets a connection; False when it is refused at once."""
        with trio.fail_after(10):
            trying = trio.socket.from_stdlib_socket(self.other.socket())
            with trying:
                try:
                    await trying.connect((OWN, port))
                except ConnectionRefusedError:
                    return False
                return True

    async def opens(self, port: int, *, within: float = PATIENCE_S) -> None:
        await self._until(port, True, within)

    async def closes(self, port: int, *, within: float = PATIENCE_S) -> None:
        await self._until(port, False, within)

    async def _until(self, port: int, there: bool, within: float) -> None:
        deadline = trio.current_time() + within
        while await self.reach(port) is not there:
            assert trio.current_time() < deadline, self.wire.story(f"port {port} is {'closed' if there else 'open'}")
            await trio.sleep(0.2)

    async def asks(self, name: str, kind: str) -> list[list[str]]:
        """What multicast DNS answers to the other machine."""
        said = await self.other.execute(sys.executable, str(PROJECT / "tests/root/mdns.py"), OTHER, name, kind)
        return list(json.loads(said))

    async def hears(self, name: str, kind: str, data: str, *, within: float = PATIENCE_S) -> None:
        deadline = trio.current_time() + within
        while [name, kind, data] not in (heard := await self.asks(name, kind)):
            log = (self.wire.directory / "avahi").read_text()
            assert trio.current_time() < deadline, self.wire.story(f"not {data} but {heard}\n{log}")
            await trio.sleep(0.2)


@asynccontextmanager
async def gateway(configuration: str) -> AsyncIterator[Gateway]:
    async with Wire() as wire:
        found = Gateway(wire, await wire.machine(f"{OTHER}/24"))
        try:
            await found.start(configuration)
            yield found
        finally:
            found.close()


def test_only_what_is_configured_is_open_and_a_change_is_followed() -> None:
    async def story() -> None:
        async with gateway("[modbus.tcp]\nport = 1502\n") as there:
            await there.opens(1502)
            await there.opens(8887)
            await there.opens(443)
            assert not await there.reach(7777), "somebody listens there, whom nobody promised"
            assert not await there.reach(502)
            there.configure("[modbus.tcp]\nport = 1503\n[ocpp]\nport = -1\n")
            await there.opens(1503)
            await there.closes(1502)
            await there.closes(8887)
            assert await there.reach(443)
            there.configure("[modbus.tcp\n")  # is refused, and changes nothing
            await trio.sleep(3)
            assert await there.reach(1503)

    trio.run(story)


def test_what_the_gateway_asks_is_answered_and_it_answers_a_ping() -> None:
    async def story() -> None:
        async with gateway("") as there:
            await there.opens(502)
            await there.other.execute("busybox", "ping", "-c", "1", "-W", "5", OWN)
            listener = there.other.socket()
            with listener, trio.fail_after(10):
                listener.bind((OTHER, 5000))
                listener.listen()
                dialling = trio.socket.from_stdlib_socket(there.wire.gateway.socket())
                with dialling:
                    await dialling.connect((OTHER, 5000))
                    accepted, _ = listener.accept()
                    with accepted:
                        accepted.sendall(b"an answer")
                        assert await dialling.recv(100) == b"an answer"

    trio.run(story)


def test_rules_that_do_not_load_leave_those_that_hold() -> None:
    async def story() -> None:
        async with gateway("") as there:
            await there.opens(502)
            before = await there.wire.gateway.execute("nft", "list", "ruleset")
            bad = ruleset([502]) + "table inet gateway { chain input { tcp dport no_such_port accept } }\n"
            assert bad.count("delete table") == 1, "all up to the last line is good"
            python = ("env", f"PYTHONPATH={PROJECT}", sys.executable, "-c")
            said = await there.wire.gateway.execute(*python, KEEP, bad)
            assert "no_such_port" in said
            assert await there.wire.gateway.execute("nft", "list", "ruleset") == before
            assert await there.reach(502)

    trio.run(story)


def test_it_is_found_by_its_name_and_by_what_it_serves() -> None:
    async def story() -> None:
        async with gateway("[modbus.tcp]\nport = 1502\n") as there:
            await there.opens(1502)
            there.wire.gateway.start(
                "unshare", "--uts", "--mount", "sh", "-euc", AVAHI, "sh", str(there.wire.run), log="avahi"
            )
            host, modbus = "gateway-0a0b0c.local", "gateway-0a0b0c._modbus._tcp.local"
            await there.hears(host, "A", OWN)
            await there.hears("_https._tcp.local", "PTR", "gateway-0a0b0c._https._tcp.local")
            await there.hears("gateway-0a0b0c._https._tcp.local", "SRV", f"443 {host}")
            await there.hears("_modbus._tcp.local", "PTR", modbus)
            await there.hears(modbus, "SRV", f"1502 {host}")
            there.configure("[modbus.tcp]\nport = 1503\n")
            await there.hears(modbus, "SRV", f"1503 {host}")
            there.configure("[modbus.tcp]\nenabled = false\n")
            deadline = trio.current_time() + PATIENCE_S
            while await there.asks("_modbus._tcp.local", "PTR"):
                assert trio.current_time() < deadline, "what is off is still announced"
                await trio.sleep(0.5)
            await there.hears("gateway-0a0b0c._https._tcp.local", "SRV", f"443 {host}")

    trio.run(story)


@pytest.fixture(autouse=True, scope="module")
def _its_programs_are_there() -> None:
    for program in ("nft", "avahi-daemon"):
        found = subprocess.run(["which", program], env=os.environ, capture_output=True, check=False)
        assert found.returncode == 0, f"{program} is missing: .ci/setup test-root"
