"""A wire with a gateway and other machines on it, each in a network namespace of its own, joined by a bridge."""

import ctypes
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

PROJECT = Path(__file__).parents[2]
_number = itertools.count()
CLONE_NEWNET = 0x40000000
"""os has it from Python 3.12 on."""

# The privileges that netd.service leaves it, and no more.
_KEPT = "-all,+net_admin,+net_raw,+net_bind_service"
CAGE = ("setpriv", f"--bounding-set={_KEPT}", f"--inh-caps={_KEPT}", "--no-new-privs")


async def run(*command: str) -> str:
    """A command that must succeed."""
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()}"
    return done.stdout.decode()


class Machine:
    """A namespace with `eth0` on the wire."""

    def __init__(self, wire: "Wire", name: str) -> None:
        self.wire, self.name, self.port = wire, f"{wire.name}{name}", f"p{name}"
        self._processes: list[subprocess.Popen[bytes]] = []

    async def plug(self) -> None:
        await run("ip", "netns", "add", self.name)
        peer = ["peer", "name", self.port, "netns", self.wire.name]
        await run("ip", "link", "add", "eth0", "netns", self.name, "type", "veth", *peer)
        await run("ip", "-n", self.wire.name, "link", "set", self.port, "master", "br0", "up")
        await run("ip", "-n", self.name, "link", "set", "lo", "up")
        # systemd sets this on every machine; a bare namespace has the kernel's default
        await self.execute("sysctl", "-q", "net.ipv4.conf.all.promote_secondaries=1")

    async def execute(self, *command: str) -> str:
        return await run("ip", "netns", "exec", self.name, *command)

    async def take(self, address: str) -> None:
        await run("ip", "-n", self.name, "addr", "replace", address, "dev", "eth0")
        await run("ip", "-n", self.name, "link", "set", "eth0", "up")

    async def leave(self, address: str) -> None:
        await run("ip", "-n", self.name, "addr", "del", address, "dev", "eth0")

    def socket(self) -> socket.socket:
        """A TCP socket of this machine, for this process; a socket stays where it was made."""
        made: list[socket.socket] = []

        def make() -> None:  # in a thread of its own: only that goes there
            with open(f"/run/netns/{self.name}", "rb") as namespace:
                if not ctypes.CDLL(None).setns(namespace.fileno(), CLONE_NEWNET):
                    made.append(socket.socket())

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with open(self.wire.directory / log, "ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command], stdout=output, stderr=output, cwd=PROJECT
            )
        self._processes.append(process)
        return process

    def serve_dhcp(self, first: str, last: str, *options: str, lease: str = "1h") -> subprocess.Popen[bytes]:
        """dnsmasq with this range; `take` an address of the same network first."""
        return self.start(
            *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces"),
            *(f"--dhcp-range={first},{last},{lease}", "--dhcp-authoritative", "--no-ping", "--user=root"),
            f"--dhcp-leasefile={self.wire.directory / f'{self.name}.leases'}",
            *options,
            log="dnsmasq",
        )

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()


class Wire:
    """The wire, its machines, and the gateway with netd. Use `async with`."""

    def __init__(self) -> None:
        self.name = f"w{os.getpid() % 100000}n{next(_number)}"
        self.machines: list[Machine] = []
        self._temporary = tempfile.TemporaryDirectory()
        self.directory = Path(self._temporary.name)
        self.run = self.directory / "run"
        self.configuration = self.directory / "gateway.toml"
        self.trial = self.directory / "trial.json"
        self.image_ports = self.directory / "image_ports.json"
        self.open_ports = self.directory / "gatewayd-run/open_ports.json"
        self.open_ports.parent.mkdir()
        self.gateway = Machine(self, "g")
        self.netd: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    async def __aenter__(self) -> "Wire":
        await run("ip", "netns", "add", self.name)
        await run("ip", "-n", self.name, "link", "add", "br0", "type", "bridge")
        await run("ip", "-n", self.name, "link", "set", "br0", "up")
        await self._plug(self.gateway)
        return self

    async def __aexit__(self, *_: object) -> None:
        for machine in self.machines:
            machine.stop()
        with trio.CancelScope(shield=True):
            for name in [*(machine.name for machine in self.machines), self.name]:
                pids = await trio.run_process(["ip", "netns", "pids", name], capture_stdout=True, check=False)
                for pid in pids.stdout.split():  # udhcpc of a netd that was killed
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), 9)
                await trio.run_process(["ip", "netns", "del", name], capture_stderr=True, check=False)
        self._temporary.cleanup()

    async def machine(self, address: str | None = None) -> Machine:
        machine = Machine(self, f"m{len(self.machines)}")
        await self._plug(machine)
        if address is not None:
            await machine.take(address)
        return machine

    async def _plug(self, machine: Machine) -> None:
        self.machines.append(machine)
        await machine.plug()

    async def unplug(self, machine: Machine) -> None:
        """Another machine's cable, out."""
        await run("ip", "-n", self.name, "link", "set", machine.port, "down")

    async def cable(self, plugged: bool) -> None:
        """The gateway's cable, in or out."""
        await run("ip", "-n", self.name, "link", "set", self.gateway.port, "up" if plugged else "down")

    def power_on(self) -> None:
        """Starts netd; times count from here."""
        self.started_at = time.monotonic()
        self.netd = self.gateway.start(
            *CAGE,
            *(sys.executable, "-m", "hal.netd", "--interface", "eth0", "--run", str(self.run)),
            *("--config", str(self.configuration), "--trial", str(self.trial)),
            *("--ports", str(self.image_ports), str(self.open_ports)),
            log="netd",
        )

    @property
    def now(self) -> float:
        """Seconds since power came."""
        return time.monotonic() - self.started_at

    async def addresses(self) -> list[str]:
        shown = json.loads(await run("ip", "-n", self.gateway.name, "-json", "-4", "addr", "show", "dev", "eth0"))
        return [f"{entry['local']}/{entry['prefixlen']}" for link in shown for entry in link.get("addr_info", [])]

    async def router(self) -> str | None:
        routes = json.loads(await run("ip", "-n", self.gateway.name, "-json", "route", "show", "default"))
        return routes[0].get("gateway") if routes else None

    def facts(self) -> dict[str, Any]:
        """What netd publishes; empty before it did."""
        try:
            return dict(json.loads((self.run / "network.json").read_text()))
        except FileNotFoundError:
            return {}

    async def until(self, at: float) -> None:
        await trio.sleep(max(0.0, at - self.now))

    async def has(self, address: str, *, within: float) -> float:
        """Waits for an address whose text begins so; returns when it came."""
        return await self._wait(address, True, within)

    async def lacks(self, address: str, *, within: float) -> float:
        """Waits until no address begins so; returns when the last went."""
        return await self._wait(address, False, within)

    async def keeps(self, address: str, seconds: float) -> None:
        """The address is there at every look for so long."""
        end = self.now + seconds
        while self.now < end:
            assert any(has.startswith(address) for has in await self.addresses()), self.story(f"{address} went away")
            await trio.sleep(0.2)

    async def _wait(self, address: str, there: bool, within: float) -> float:
        deadline = self.now + within
        while any(has.startswith(address) for has in await self.addresses()) is not there:
            missed = f"{address} {'did not come' if there else 'did not go'} within {within} s"
            assert self.now < deadline, self.story(f"{missed}; it has {await self.addresses()}")
            await trio.sleep(0.1)
        return self.now

    def story(self, what: str) -> str:
        """What went wrong, when, and what netd and gatewayd said."""
        logs = [self.directory / name for name in ("netd", "gatewayd")]
        said = [log.read_text()[-3000:] for log in logs if log.exists()]
        return "\n".join([f"at {self.now:.1f} s: {what}", *said])
