"""What webd wishes of stewardd: it has the privilege, and decides again whether to use it (hal/wishes.py)."""

from __future__ import annotations

import array
import json
import socket as sockets
from pathlib import Path
from typing import Any, Final

import trio

PATIENCE_S: Final = 10.0
"""It answers within a second; it serves one caller after the other."""
ANSWER_MOST_BYTES: Final = 4096
JOB_PATIENCE_S: Final = 120.0
"""A backup reads, and a restore writes, a few MiB, and gatewayd stops within 5 s."""
JOB_LOOK_S: Final = 0.1


class NotGranted(Exception):
    """The wish was refused or failed; the text says why."""


class StewardAway(NotGranted):
    """Nobody is there to grant it: everywhere but on the appliance."""


class StillRunning(NotGranted):
    """It was begun, and nobody knows yet how it ends."""


async def wish(socket: Path, name: str, file: int | None = None, /, **fields: Any) -> str:
    """One wish of stewardd's table; what it said. `file`: a descriptor that goes along. Raises NotGranted, of which
    StewardAway is one."""
    line = json.dumps({"wish": name, **fields}).encode() + b"\n"
    try:
        with trio.fail_after(PATIENCE_S):
            said = await _ask(socket, line, file)
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


async def wish_done(socket: Path, name: str, file: int) -> str:
    """A wish that takes long, to its end; what it said then. Raises NotGranted."""
    await wish(socket, name, file)
    with trio.move_on_after(JOB_PATIENCE_S):
        while True:
            job = _job(socket)
            if job.get("wish") == name and job.get("state") != "running":
                if job.get("state") != "done":
                    raise NotGranted(str(job.get("text") or job.get("state")))
                return str(job.get("text", ""))
            await trio.sleep(JOB_LOOK_S)
    raise StillRunning(f"stewardd has not finished within {JOB_PATIENCE_S:.0f} s")


def is_running(socket: Path, name: str) -> bool:
    """Whether this long wish is under way."""
    job = _job(socket)
    return job.get("wish") == name and job.get("state") == "running"


def _job(socket: Path) -> dict[str, Any]:
    """What stewardd tells of the long wish that it began last."""
    try:
        found = json.loads(socket.with_name("job.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


async def _ask(socket: Path, line: bytes, file: int | None) -> bytes:
    async with await trio.open_unix_socket(str(socket)) as stewardd:
        if file is None:
            await stewardd.send_all(line)
        else:
            along = [(sockets.SOL_SOCKET, sockets.SCM_RIGHTS, array.array("i", [file]))]
            await stewardd.socket.sendmsg([line], along)
        said = b""
        while not said.endswith(b"\n") and len(said) <= ANSWER_MOST_BYTES:
            some = await stewardd.receive_some(ANSWER_MOST_BYTES)
            if not some:
                break
            said += some
        return said
