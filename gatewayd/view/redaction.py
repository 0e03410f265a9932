"""Frames as a person may see them: passwords and keys are taken out (promises: secrets never in logs or exports).

What nothing was taken out of stays as it came, to the byte. What cannot be read as JSON is searched as text, and where
that is not enough the rest of it is left out: a viewer must not show more of a broken frame than of a good one.

Peers choose what is searched, so every search is linear, and over small letters: ignoring case costs ten times as much.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

TAKEN_OUT = "•••"
"""Stands where a secret was."""

_HINTS = ("key", "pass", "pwd", "secret", "token", "psk", "credential", "pin", "wpa", "\\u", "\\/")
"""Nearly every frame has none of these. An escape may spell any of them."""
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase|code)|pwd|secret|token|psk|credential|(authorization|private|api|access|encryption)_?key"
    r"|^pin$|pin_?code|wpa"
)
"""Names of configuration keys and JSON members whose value nobody is to see, in small letters."""
_IN_URL = re.compile(r"(://)[^\s\"/@]*(?=@)")
_IN_TEXT = re.compile(
    r"((?:pass(?:word|wd|phrase|code)|pwd|secret|token|psk|credential|(?:authorization|private|api|access)_?key)"
    r"[\w.-]{0,40}\\{0,8}[\"']?\s{0,8}[:=]\s{0,8}\\{0,8}[\"']?)[^\"'\\,;&}\s]+"
)
_BROKEN_KEY = re.compile(r"(authorization|private|api|access|encryption)_?key|pass|secret|token|psk|pwd|credential")
_ASCII = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
DEEPEST = 60
"""Levels of JSON that are searched; OCPP has seven. Deeper is left out."""


def redacted(text: str) -> tuple[str, bool]:
    """The frame without its secrets, and whether any was taken out."""
    if not _suspicious(_small(text)):
        return text, False
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return _broken(text)
    taken: list[str] = []
    safe = _searched(frame, taken.append, DEEPEST)
    return (json.dumps(safe, separators=(",", ":")), True) if taken else (text, False)


def _small(text: str) -> str:
    """In small letters, each where it was: some letters are two when they are small."""
    small = text.lower()
    return small if len(small) == len(text) else text.translate(_ASCII)


def _suspicious(small: str) -> bool:
    return any(hint in small for hint in _HINTS) or ("://" in small and "@" in small)


def _cleaned(text: str) -> str:
    """Without what looks like a secret in it, whatever it is the text of."""
    for pattern in (_IN_URL, _IN_TEXT):
        pieces, at = [], 0
        for found in pattern.finditer(_small(text)):
            pieces += [text[at : found.end(1)], TAKEN_OUT]
            at = found.end()
        if pieces:
            text = "".join(pieces) + text[at:]
    return text


def _searched(value: Any, took: Callable[[str], None], deepest: int) -> Any:
    if isinstance(value, str):
        safe = _cleaned(value) if _suspicious(_small(value)) else value
        if safe != value:
            took("text")
        return safe
    if not isinstance(value, dict | list):
        return value
    if deepest == 0:
        took("depth")
        return TAKEN_OUT
    if isinstance(value, list):
        return [_searched(each, took, deepest - 1) for each in value]
    named = next((each for name, each in value.items() if name.lower() == "key"), None)
    secret = isinstance(named, str) and _SECRET_NAME.search(named.lower()) is not None
    safe_members = {}
    for name, each in value.items():
        small = name.lower()
        hidden = (secret and small == "value") or _SECRET_NAME.search(small) is not None
        if hidden and isinstance(each, str | int | float) and not isinstance(each, bool) and each != "":
            took(name)
            safe_members[name] = TAKEN_OUT
        else:
            safe_members[name] = _searched(each, took, deepest - 1)
    return safe_members


def _broken(text: str) -> tuple[str, bool]:
    """No JSON: what stands behind the first name of a secret is left out."""
    plain = text.replace("\\/", "/")
    if "\\u" in plain:  # escapes may spell a name, and cannot be read without knowing where texts begin
        return plain[: plain.index("\\u")] + TAKEN_OUT, True
    named = _BROKEN_KEY.search(_small(plain))
    safe = _cleaned(plain[: named.end()] + TAKEN_OUT if named else plain)
    return (safe, True) if safe != plain else (text, False)
