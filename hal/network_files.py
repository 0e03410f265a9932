"""The files that netd reads and writes: settings wanted, facts published, resolver and time servers.

Which settings hold: those on trial while their time lasts (stewardd writes them, in memory only, so a power cut takes
them back too), otherwise the configuration's `[network]`. A configuration that cannot be read gives DHCP, and then the
fallback: nobody is locked out by a typing error.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hal import facts_file
from hal.contract import open_ports
from hal.fallback import State, Wanted
from hal.lease import Lease, Refused
from hal.lease import parse as parse_lease
from hal.network_settings import NetworkSettings
from hal.network_settings import parse as parse_settings

log = logging.getLogger("netd")

MAX_CONFIGURATION_BYTES: Final = 1024 * 1024
"""A configuration of 200 charge points has 60 kB; what is larger is none."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings that hold only until `until`, in seconds since the machine started, unless they are confirmed."""

    until: float
    settings: NetworkSettings


def trial_text(trial: Trial) -> str:
    """What stewardd writes."""
    return json.dumps({"until": trial.until, "network": trial.settings.to_table()})


def parse_trial(text: str) -> Trial:
    """What netd reads. Raises ValueError."""
    try:
        content = json.loads(text)
        return Trial(float(content["until"]), parse_settings(content["network"]))
    except (KeyError, TypeError) as wrong:
        raise ValueError(f"settings on trial: {wrong!r}") from wrong


class SettingsSource:
    """Looks at both files once a second; opens them only when they changed. Faults are logged once each."""

    def __init__(self, configuration: Path, trial: Path) -> None:
        self._configuration = configuration
        self._trial = trial
        self._seen: tuple[int, ...] | None = None
        self._settings = NetworkSettings()
        self._complained = ""
        self.fault = ""
        """What is wrong with the configuration, for the page; empty when nothing is."""
        self.on_trial_until: float | None = None

    def look(self, now: float) -> NetworkSettings:
        """The settings that hold now."""
        self._read_configuration()
        self.on_trial_until = None
        try:
            text = facts_file.read(self._trial)
            if text is not None:
                trial = parse_trial(text)
                if now < trial.until:
                    self.on_trial_until = trial.until
                    return trial.settings
        except (OSError, ValueError) as why:
            self._complain(f"{self._trial}: {why}")
        return self._settings

    def _read_configuration(self) -> None:
        try:
            status = self._configuration.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen == self._seen:
                return
            self._seen = seen
            with open(self._configuration, "rb") as file:
                content = tomllib.loads(file.read(MAX_CONFIGURATION_BYTES).decode("utf-8"))
            self._settings = parse_settings(content.get("network", {}))
            self.fault = ""
        except FileNotFoundError:
            self._seen, self._settings, self.fault = None, NetworkSettings(), ""
        except (OSError, ValueError) as why:
            self.fault = f"{self._configuration}: {why}"
            self._complain(self.fault)

    def _complain(self, text: str) -> None:
        if text != self._complained:
            log.warning("%s", text)
            self._complained = text


class OpenPorts:
    """The TCP ports that are open, each from the file of whoever has it; a few bytes, read again at every look."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._ports: dict[Path, dict[str, int]] = {path: {} for path in files}
        self._complained = dict.fromkeys(files, "")

    def look(self) -> dict[str, int]:
        """Service → port. A file that is not there names none; one that is no such file, what it named before."""
        for path in self._ports:
            complaint = ""
            try:
                text = facts_file.read(path)
                self._ports[path] = open_ports(text) if text is not None else {}
            except (OSError, ValueError) as why:
                complaint = f"{path}: {why}"
            if complaint and complaint != self._complained[path]:
                log.warning("%s", complaint)
            self._complained[path] = complaint
        return {name: port for ports in self._ports.values() for name, port in ports.items()}


class LeaseFile:
    """What the DHCP client's script last wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text: str | None = None
        self._word: Lease | Refused | None = None

    def look(self) -> Lease | Refused | None:
        """The latest word of the client; None when it said nothing that can be used."""
        try:
            text = facts_file.read(self.path)
            if text != self._text:
                self._text = text
                self._word = parse_lease(text) if text is not None else None
        except (OSError, ValueError) as why:
            log.warning("the DHCP client's lease cannot be used: %s", why)
            self._word = None
        return self._word


class Publisher:
    """Writes what others read, when it changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: dict[str, str] = {}

    def publish(self, name: str, text: str) -> None:
        """A file of the directory. A full /run is logged and tried again at the next look."""
        if self._written.get(name) == text:
            return
        try:
            facts_file.publish(self._directory / name, text)
            self._written[name] = text
        except OSError as why:
            log.warning("%s cannot be published: %s", name, why)


def facts_text(
    device: str, mac: str, state: State, wanted: Wanted, *, on_trial_until: float | None = None, fault: str = ""
) -> str:
    """What the page, the logs and a netd that starts again want to know (`NETWORK_FACTS`)."""
    lease = state.lease
    return json.dumps(
        {
            "interface": device,
            "mac": mac,
            "carrier": state.carrier,
            "mode": state.settings.mode,
            "source": wanted.source,
            "addresses": [str(address) for address in wanted.addresses],
            "router": str(wanted.router) if wanted.router else None,
            "dns": [str(server) for server in wanted.dns],
            "ntp": list(wanted.ntp),
            "domain": wanted.domain,
            "dhcp_server": lease.server if lease else None,
            "lease_ends_at_s": lease.ends_at if lease else None,
            "conflicts": [{"address": address, "mac": by} for address, by in wanted.conflicts],
            "asking_since_s": state.asking_since,
            "on_trial_until_s": on_trial_until,
            "fault": fault,
        }
    )


def resolver_text(wanted: Wanted) -> str:
    """resolv.conf: what the appliance's own look-ups go by."""
    rows = [f"search {wanted.domain}"] if wanted.domain else []
    rows += [f"nameserver {server}" for server in wanted.dns]
    return "".join(f"{row}\n" for row in ["# written by netd", *rows])


def time_sources_text(wanted: Wanted) -> str:
    """Time servers as chrony reads them from a sources directory."""
    return "".join(f"server {server} iburst\n" for server in wanted.ntp)


def remembered(text: str | None) -> tuple[float, list[str]] | None:
    """From the facts of a netd that ran before in this boot: since when it asked, and its addresses; or None."""
    try:
        facts = json.loads(text or "")
        return float(facts["asking_since_s"]), [str(address) for address in facts["addresses"]]
    except (ValueError, KeyError, TypeError):
        return None
