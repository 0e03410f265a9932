"""What webd wishes of stewardd: it has the privilege, and decides again whether to use it (hal/wishes.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import trio

PATIENCE_S: Final = 10.0
"""It answers within a second; it serves one caller after the other."""
ANSWER_MOST_BYTES: Final = 4096


class NotGranted(Exception):
    """The wish was refused or failed; the text says why."""


class StewardAway(NotGranted):
    """Nobody is there to grant it: everywhere but on the appliance."""


async def wish(socket: Path, name: str, **fields: Any) -> str:
    """One wish of stewardd's table; what it said. Raises NotGranted, of which StewardAway is one."""
    line = json.dumps({"wish": name, **fields}).encode() + b"\n"
    try:
        with trio.fail_after(PATIENCE_S):
            said = await _ask(socket, line)
    except (OSError, trio.TooSlowError, trio.BrokenResourceError):
        raise StewardAway("stewardd does not answer: only the appliance has it") from None
    try:
        answer = json.loads(said)
        verdict, text = str(answer["answer"]), str(answer["text"])
    except (ValueError, KeyError, TypeError):
        raise NotGranted("stewardd said what nobody understands") from None
    if verdict not in ("done", "started"):
        raise NotGranted(text or verdict)
    return text


async def _ask(socket: Path, line: bytes) -> bytes:
    async with await trio.open_unix_socket(str(socket)) as stewardd:
        await stewardd.send_all(line)
        said = b""
        while not said.endswith(b"\n") and len(said) <= ANSWER_MOST_BYTES:
            some = await stewardd.receive_some(ANSWER_MOST_BYTES)
            if not some:
                break
            said += some
        return said
