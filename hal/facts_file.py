"""Small facts under /run for other programs: written by rename, so a reader meets the old or the new, never half."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MAX_FACTS_BYTES: Final = 64 * 1024
"""What a reader takes at most: facts are small, and a file that grew is no fact."""


def publish(path: Path, text: str) -> None:
    """Writes the facts, readable by everyone. Raises OSError; then the old facts stand."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)


def read(path: Path) -> str | None:
    """The facts, or None when nobody has published any. Raises OSError, and ValueError for what is no text."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FACTS_BYTES).decode("utf-8")
    except FileNotFoundError:
        return None


def remove(path: Path) -> None:
    """Takes the facts back."""
    path.unlink(missing_ok=True)


def made_directory(path: Path) -> Path:
    """The directory, made if it is missing, for its owner and readers."""
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path
