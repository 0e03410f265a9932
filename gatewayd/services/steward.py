"""What gatewayd wishes of stewardd: on the appliance it has no privilege of its own, and chrony owns the clock.

modbus.md, Time: `time_commit` on the appliance goes this way. A clock that a time server keeps is not set.
"""

from __future__ import annotations

import json
from typing import Final

import trio

from hal.contract import STEWARD_SOCKET

PATIENCE_S: Final = 10.0
"""chrony answers within one second; stewardd serves one caller after the other."""

MAX_ANSWER_BYTES: Final = 4096


async def set_clock(epoch_s: float, path: str = STEWARD_SOCKET) -> str:
    """Wishes the clock set, in seconds since 1970. Returns an empty text when it is, otherwise why it is not.

    Never raises for a steward that is away, slow or refuses: the reason is for the log and the register.
    """
    wish = json.dumps({"wish": "set_clock", "epoch_s": epoch_s}).encode() + b"\n"
    try:
        with trio.fail_after(PATIENCE_S):
            answer = await _ask(path, wish)
    except trio.TooSlowError:
        return "stewardd does not answer"
    except (OSError, trio.BrokenResourceError) as why:
        return f"stewardd cannot be asked: {why}"
    return answer


async def _ask(path: str, wish: bytes) -> str:
    async with await trio.open_unix_socket(path) as stewardd:
        await stewardd.send_all(wish)
        line = b""
        while not line.endswith(b"\n") and len(line) <= MAX_ANSWER_BYTES:
            chunk = await stewardd.receive_some(MAX_ANSWER_BYTES)
            if not chunk:
                return "stewardd hung up"
            line += bytes(chunk)
    try:
        said = json.loads(line)
        return "" if said["answer"] == "done" else f"{said['answer']}: {said['text']}"
    except (ValueError, KeyError, TypeError):
        return "stewardd said what nobody understands"
