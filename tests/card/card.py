"""For the tests of the card: commands in the tools root, and why they cannot run here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
TOOLS, CARD, ROOT = HERE / "build/tools/made-from", HERE / "build/card", HERE / "build/root"

needs_tools = pytest.mark.skipif(
    not TOOLS.exists() or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="no build/tools here, or not root: make tools, as root",
)
needs_card = pytest.mark.skipif(not (CARD / "card.img").exists(), reason="no build/card here: make image, as root")


def in_tools(*command: str | Path) -> list[str]:
    """The command line that runs `command` in the tools root; paths of the repository must be relative to it."""
    return [str(HERE / "image/tools.sh"), "run", *map(str, command)]


def tool(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs it to its end. Raises CalledProcessError, with what it said."""
    done = subprocess.run(in_tools(*command), capture_output=True, text=True, check=False, cwd=HERE)
    if check and done.returncode:
        raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def partition(name: str) -> tuple[int, int]:
    """Where the table disk.txt puts a partition, and its size: both in bytes."""
    for row in (HERE / "image/disk.txt").read_text().splitlines():
        words = row.split()
        if not row.startswith("#") and words and words[1] == name:
            return int(words[2]) << 20, int(words[3]) << 20
    raise KeyError(name)
