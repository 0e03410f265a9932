"""What a data partition holds, in a few words: told by the guest of what it saved, and by whoever looks after a cut.

Runs in the guest's Python and here, with nothing of ours.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

CANARY = "canary-5eC7e7"
"""In everything that is secret on the partition: what a factory reset must leave nowhere."""

CONFIGURATION, LAST_GOOD = "gateway.toml", "last_good.toml"

_PASSING = re.compile(r".*\.new|\.restore|.*-(wal|shm|journal)|" + re.escape(LAST_GOOD))
"""What a cut may leave beside the state, or half way to it, and nobody reads."""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def configuration(data: Path) -> str | None:
    """Of the configuration's bytes; None when there is no file."""
    path = data / "gateway" / CONFIGURATION
    return digest(path.read_bytes()) if path.exists() else None


def others(data: Path) -> str:
    """Of all other files of the gateway's state together, which a restore brings along."""
    state = data / "gateway"
    found = hashlib.sha256()
    for path in sorted(state.rglob("*")):
        name = path.relative_to(state)
        if path.is_file() and name.name != CONFIGURATION and not any(_PASSING.fullmatch(part) for part in name.parts):
            found.update(f"{name} {digest(path.read_bytes())}\n".encode())
    return found.hexdigest()[:24]
