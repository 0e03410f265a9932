"""netd: the interface's addresses, by DHCP, fallback or by hand; without it nobody reaches the gateway to mend it.
And which ports others reach, and how they find them: the packet filter, and what avahi announces.

Once a second: what is (the interface, the lease, ARP) goes through `hal.fallback.decide`, and what should be is
compared with what is and repaired. busybox's udhcpc asks for leases, because it asks every three seconds for ever:
systemd-networkd spaces its questions up to a minute apart and knows no fallback but link-local, dhcpcd's fallback never
asks again. udhcpc only writes down what it hears; addresses are set here. manual 4; interface.md `[network]`; R21.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Final

from hal import addressing, announcements, arp, facts_file, fallback, firewall
from hal.contract import IMAGE_PORTS, NETWORK_FACTS, OPEN_PORTS, STEWARD_SOCKET
from hal.network_files import (
    LeaseFile,
    OpenPorts,
    Publisher,
    SettingsSource,
    facts_text,
    remembered,
    resolver_text,
    time_sources_text,
)
from hal.packet_filter import PacketFilter
from hal.systemd import Systemd

log = logging.getLogger("netd")

LOOK_EVERY_S: Final = 1.0
"""A repair is at most this late, and the 30 s are met to within it."""

SCRIPT: Final = Path(__file__).with_name("lease_facts.sh")

ANNOUNCED: Final = Path("services/gateway.service")
"""In the directory of what is published; avahi looks into its `services`."""

MAX_FRAMES_PER_LOOK: Final = 256
"""ARP frames read at one look; a storm must not stop the addresses."""

CLIENT_RESTART_S: Final = 5.0
"""A DHCP client that ends by itself is started again this late, so that a broken one does not fill the log."""


def boot_s() -> float:
    """Seconds since the machine started, asleep or not: a lease runs on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Client:
    """The DHCP client, one process at most; `ask` begins it anew whenever the round changes."""

    def __init__(self, device: str, lease: Path) -> None:
        self._command = ["busybox", "udhcpc", "-f", "-i", device, "-s", str(SCRIPT)]
        # Without an answer: every three seconds, for ever. An offered address is probed for a second first.
        self._command += ["-t", "10", "-T", "3", "-A", "3", "-a1000", "-O", "ntpsrv"]
        name = socket.gethostname()
        if re.fullmatch(r"[A-Za-z0-9-]{1,63}", name):
            self._command += ["-x", f"hostname:{name}"]
        self._environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LEASE_FACTS": str(lease)}
        self._process: subprocess.Popen[bytes] | None = None
        self._round: int | None = None
        self._start_at = -math.inf

    def ask(self, ask_round: int | None, now: float) -> None:
        """Runs the client for this round, or none for None."""
        if ask_round != self._round:
            self.stop()
            self._round, self._start_at = ask_round, now
        if self._process is not None and self._process.poll() is not None:
            log.warning("the DHCP client ended with %s", self._process.returncode)
            self._process, self._start_at = None, now + CLIENT_RESTART_S
        if self._round is not None and self._process is None and now >= self._start_at:
            try:
                self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, env=self._environment)
            except OSError as why:
                log.error("no DHCP client: %s", why)
                self._start_at = now + CLIENT_RESTART_S

    def stop(self) -> None:
        """Ends the client; the lease is kept."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


class Wire:
    """ARP on the interface. An interface that goes away makes it deaf until it is back."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._socket: socket.socket | None = None
        self.mac = b""

    def _open(self) -> socket.socket:
        if self._socket is None:
            opened = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(arp.ETHERTYPE)
            )
            try:
                opened.bind((self._device, arp.ETHERTYPE))
            except OSError:
                opened.close()
                raise
            self.mac = opened.getsockname()[4]
            self._socket = opened
        return self._socket

    def heard(self) -> tuple[arp.Claimed, ...]:
        """What was said since the last look."""
        heard: list[arp.Claimed] = []
        try:
            for _ in range(MAX_FRAMES_PER_LOOK):
                claimed = arp.claimed(self._open().recv(64), self.mac)
                if claimed is not None:
                    heard.append(claimed)
        except BlockingIOError:
            pass
        except OSError as why:
            self._lost(why)
        return tuple(heard)

    def send(self, frame: bytes) -> None:
        """Puts a frame on the wire; one that cannot go is lost, as on any wire."""
        try:
            self._open().send(frame)
        except OSError as why:
            self._lost(why)

    def _lost(self, why: OSError) -> None:
        log.debug("%s: %s", self._device, why)
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Netd:
    """One interface, a look at a time."""

    def __init__(self, device: str, run: Path, configuration: Path, trial: Path, ports: Sequence[Path]) -> None:
        self._device = device
        self._ports = OpenPorts(ports)
        self._filter = PacketFilter()
        facts_file.made_directory(run / ANNOUNCED.parent)
        self._source = SettingsSource(configuration, trial)
        self._lease = LeaseFile(run / "lease")
        self._publisher = Publisher(run)
        self._client = Client(device, run / "lease")
        self._wire = Wire(device)
        self._failed: list[str] = []
        now = boot_s()
        settings = self._source.look(now)
        before = remembered(facts_file.read(run / Path(NETWORK_FACTS).name))
        if before is None:
            self._state = fallback.begin(settings, now)
        else:
            own = tuple(IPv4Interface(address).ip for address in before[1])
            self._state = fallback.begin(settings, now, asking_since=before[0], owned=own)
        self._timing: fallback.Timing | None = None

    def look(self, now: float) -> str:
        """What is, what should be, and the difference mended. Returns what systemd shows of it."""
        self._open(self._ports.look(), now)  # before there is an address by which anybody could come
        settings = self._source.look(now)
        if settings != self._state.settings:
            log.info("other settings: %s", settings.to_table())
            self._state = fallback.changed(self._state, settings, now)
        has, carrier = self._interface()
        facts = fallback.Facts(carrier, self._lease.look(), self._wire.heard())
        was = self._state
        self._state, wanted = fallback.decide(was, facts, now, self._own_timing())
        for address in wanted.probe:
            self._wire.send(arp.probe(self._wire.mac, address))
        self._client.ask(wanted.ask, now)
        if has is not None:
            self._repair(has, wanted)
        self._publish(wanted)
        fault = "; packet filter not as it should be" if self._filter.fault else ""
        return f"{wanted.source}: {', '.join(map(str, wanted.addresses)) or 'no address'}{fault}"

    def stop(self) -> None:
        """Ends the client. The addresses stay: a netd that is started again must not cut anybody off."""
        self._client.stop()

    def _own_timing(self) -> fallback.Timing:
        if self._timing is None and self._wire.mac:
            # Two gateways that met over one address come back at different times: the last byte tells them apart.
            extra_s = self._wire.mac[-1] / 256 * fallback.REAL.retry_s
            self._timing = replace(fallback.REAL, retry_s=fallback.REAL.retry_s + extra_s)
        return self._timing or fallback.REAL

    def _interface(self) -> tuple[addressing.Interface | None, bool]:
        try:
            link = self._ip("-json", "addr", "show", "dev", self._device)
            routes = self._ip("-json", "route", "show", "default", "dev", self._device)
            return addressing.parse(link, routes), '"LOWER_UP"' in link
        except (OSError, ValueError) as why:
            self._complain([f"{self._device}: {why}"])
            return None, False

    def _repair(self, has: addressing.Interface, wanted: fallback.Wanted) -> None:
        faults = []
        for command in addressing.repairs(self._device, has, wanted.addresses, wanted.router):
            log.info("ip %s", " ".join(command))
            try:
                self._ip(*command)
            except OSError as why:
                faults.append(str(why))
        for address in wanted.addresses:
            if address not in has.addresses:
                self._wire.send(arp.announcement(self._wire.mac, address.ip))
        self._complain(faults)

    def _open(self, ports: dict[str, int], now: float) -> None:
        self._filter.keep(firewall.ruleset(ports.values()), now)
        self._publisher.publish(str(ANNOUNCED), announcements.service_group(ports))

    def _publish(self, wanted: fallback.Wanted) -> None:
        facts = facts_text(
            self._device,
            self._wire.mac.hex(":"),
            self._state,
            wanted,
            on_trial_until=self._source.on_trial_until,
            fault=self._source.fault,
        )
        self._publisher.publish(Path(NETWORK_FACTS).name, facts)
        self._publisher.publish("resolv.conf", resolver_text(wanted))
        self._publisher.publish("ntp.sources", time_sources_text(wanted))

    def _ip(self, *arguments: str) -> str:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=5, check=False)
        if done.returncode != 0:
            raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _complain(self, faults: list[str]) -> None:
        if faults and faults != self._failed:
            log.warning("%s", "; ".join(faults))
        self._failed = faults


def stop(signum: int, frame: object) -> None:
    """SIGTERM: out of whatever waits."""
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM (exit 0)."""
    parser = argparse.ArgumentParser(
        prog="netd", description="DHCP for 30 s, then 192.168.100.246; or a static address"
    )
    parser.add_argument("--interface", default="eth0")
    parser.add_argument("--run", type=Path, default=Path(NETWORK_FACTS).parent, help="directory of what is published")
    parser.add_argument(
        "--config", type=Path, default=Path("/data/gateway/gateway.toml"), help="its [network] is followed"
    )
    trial = Path(STEWARD_SOCKET).with_name("network.json")
    parser.add_argument("--trial", type=Path, default=trial, help="settings on trial, from stewardd")
    ports = [Path(IMAGE_PORTS), Path(OPEN_PORTS)]
    parser.add_argument("--ports", type=Path, nargs="*", default=ports, help="where open ports are published")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, stop)
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    systemd = Systemd()
    run = facts_file.made_directory(options.run)
    netd = Netd(options.interface, run, options.config, options.trial, options.ports)
    due, shown = boot_s(), ""
    systemd.ready("looking")
    try:
        while True:
            status = netd.look(boot_s())
            if status != shown:
                log.info("%s", status)
                systemd.status(status)
                shown = status
            systemd.alive()
            due = max(due + LOOK_EVERY_S, boot_s())  # a look that took long is not made up for
            time.sleep(max(0.0, due - boot_s()))
    except KeyboardInterrupt:
        return 0
    finally:
        systemd.stopping()
        netd.stop()


if __name__ == "__main__":
    sys.exit(main())
