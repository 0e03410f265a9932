"""A network of the emulated machine's own: a namespace with a tap, an address beside the machine's fallback address,
and a DHCP server when one is wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

TAP = "tap0"


class Wire:
    """Use `with`. `enter` is what a command must begin with to be on this network."""

    def __init__(self, directory: Path) -> None:
        self.name = f"vm-{directory.name}-{os.getpid()}"
        self.enter = ("ip", "netns", "exec", self.name)
        self._directory = directory
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Wire:
        self._ip("netns", "add", self.name)
        self._ip("-n", self.name, "link", "set", "lo", "up")
        self._ip("-n", self.name, "tuntap", "add", TAP, "mode", "tap")
        for address in ("192.168.100.1/24", "10.9.8.1/24"):
            self._ip("-n", self.name, "addr", "add", address, "dev", TAP)
        self._ip("-n", self.name, "link", "set", TAP, "up")
        return self

    def __exit__(self, *_: object) -> None:
        self.end_dhcp()
        self._ip("netns", "del", self.name)

    def serve_dhcp(self) -> None:
        """From now on, addresses 10.9.8.100 to 10.9.8.150."""
        assert shutil.which("dnsmasq"), "dnsmasq is not installed here: .ci/setup vm"
        leases = self._directory / "leases"
        with open(self._directory / "dnsmasq.log", "wb") as log:
            self._server = subprocess.Popen(
                [*self.enter, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", f"--interface={TAP}",
                 "--bind-interfaces", "--dhcp-range=10.9.8.100,10.9.8.150,1h", "--dhcp-authoritative", "--no-ping",
                 "--user=root", f"--dhcp-leasefile={leases}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def end_dhcp(self) -> None:
        """From now on nobody answers; leases that were given stay."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)
