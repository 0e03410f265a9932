"""Where the daemon keeps things, and what a factory reset takes away."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


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


def wipe(paths: Paths) -> None:
    """Factory reset of the state directory; the configuration file stays (interface.md, The simulated board)."""
    for path in sorted(paths.state.rglob("*"), key=lambda each: len(each.parts), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


def announce(paths: Paths, ports: Mapping[str, int | None]) -> None:
    """`ports.json`, whole or not at all; a disk that takes nothing does not stop the gateway (R5)."""
    new = paths.ports.with_suffix(".new")
    try:
        new.write_text(json.dumps(ports) + "\n", encoding="utf-8")
        os.replace(new, paths.ports)
    except OSError as error:
        log.error("%s cannot be written: %s", paths.ports, error.strerror)
