"""Where the daemon keeps things, and what a factory reset takes away."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gatewayd import durable
from gatewayd.backup import RESTORED
from gatewayd.config import ConfigError, parse
from gatewayd.config_tables import Config
from hal.contract import OPEN_PORTS, open_ports_text

log = logging.getLogger(__name__)


def last_good(state: Path) -> Path:
    """The configuration that was good last (`keep_good`)."""
    return state / "last_good.toml"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the daemon keeps things."""

    config: Path
    state: Path
    run: Path | None = None
    """For what need not survive a restart; None: with the state."""

    @property
    def sockets(self) -> Path:
        return self.run or self.state

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.sqlite"

    @property
    def ports(self) -> Path:
        return self.state / "ports.json"

    @property
    def last_good(self) -> Path:
        return last_good(self.state)


def wipe(paths: Paths) -> None:
    """Factory reset of the state directory; the configuration file stays (interface.md, The simulated board)."""
    for path in sorted(paths.state.rglob("*"), key=lambda each: len(each.parts), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


def restored_from(state: Path) -> str:
    """The id of the backup that the state comes from, which whoever restored it left there; empty: from none."""
    try:
        return str(json.loads((state / RESTORED).read_bytes())["id"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s: %s", state / RESTORED, error)
        return "unknown"


GOOD_MODE = 0o640
"""As the configuration itself on the appliance: it holds passwords."""


def keep_good(paths: Paths, config: Config) -> None:
    """`last_good.toml`: the file as it was when it was read and everything in it could be done. Whoever edits the
    configuration can go back to it. Not written if it says the same already: flash lasts (R4)."""
    try:
        text = paths.config.read_bytes()
        if paths.last_good.exists() and paths.last_good.read_bytes() == text:
            return
        if parse(text, str(paths.config)) != config:  # it was edited since it was read
            return
        durable.write(paths.last_good, text, GOOD_MODE)
    except (OSError, ConfigError) as error:
        log.warning("%s is not kept: %s", paths.last_good, error)


def announce(paths: Paths, ports: Mapping[str, int | None], reachable: Mapping[str, int]) -> None:
    """`ports.json`; and, where there is a directory for it, which of them the packet filter is to let others reach."""
    _publish(paths.ports, json.dumps(ports) + "\n")
    if paths.run is not None:
        _publish(paths.run / Path(OPEN_PORTS).name, open_ports_text(reachable))


def _publish(path: Path, text: str) -> None:
    """Whole or not at all; a disk that takes nothing does not stop the gateway (R5)."""
    new = path.with_suffix(".new")
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    except OSError as error:
        log.error("%s cannot be written: %s", path, error.strerror)
