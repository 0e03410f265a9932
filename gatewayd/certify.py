"""Work with certificates, done by a program of its own that ends when it is done: `python -m gatewayd.certify`.

It reads one Wish from standard input, JSON, and answers with one Answer. The authority's key is nowhere else: never in
the memory of the program that talks with the network. Nor is the library for it, which would be the largest part of
gatewayd's memory and of its start, for work that comes once in months.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gatewayd.site.certificate import Signed, UnusableRequest

if TYPE_CHECKING:
    from gatewayd.services.authority import Authority

UNUSABLE = "the gateway's own authority cannot be used"
NEVER = 2.0**53
"""Epoch seconds; JSON knows no infinity."""
LIMIT_S = 60.0
"""The module takes seconds for an RSA key, of which a first start makes three. What takes longer hangs."""


class Renew(msgspec.Struct, frozen=True, tag=True):
    """Make what is missing, renew what is due. The names are host names and addresses; none: that one is not wanted."""

    server: list[str]
    page: list[str]
    brought: str
    """A certificate of the user's, PEM, whose end is asked for; "": there is none."""


class Check(msgspec.Struct, frozen=True, tag=True):
    """Whether this request (PEM) can be signed for this charge point."""

    request: str
    identity: str


class Sign(msgspec.Struct, frozen=True, tag=True):
    """Sign it."""

    request: str
    identity: str


class MakeRequest(msgspec.Struct, frozen=True, tag=True):
    """A request for the server's key, to somebody else's authority."""

    names: list[str]


class Standing(msgspec.Struct, frozen=True, tag=True):
    """Of Renew. Between `begins` and `ends`, epoch seconds, it would do nothing."""

    begins: float = 0.0
    ends: float = NEVER
    server_fault: str = ""
    page_fault: str = ""
    brought_ends: float | None = None


class Certified(msgspec.Struct, frozen=True, tag=True):
    """Of Sign: see site.certificate.Signed. Of Check and MakeRequest: `pem` is empty, or the request."""

    pem: str = ""
    until: int = 0


class Unusable(msgspec.Struct, frozen=True, tag=True):
    """Why not."""

    why: str


Task = Renew | Check | Sign | MakeRequest
Result = Standing | Certified | Unusable


class Wish(msgspec.Struct, frozen=True):
    """To the authority in `directory`, or to the one that is made there, of this gateway's `name`."""

    directory: str
    name: str
    key_type: str
    epoch: float
    tasks: list[Task]


class Answer(msgspec.Struct, frozen=True):
    """`fault`: why there is no authority; the results are those of the tasks, in their order."""

    fault: str
    results: list[Result]


def in_a_process(wish: Wish) -> Answer:
    """Have it done. Raises OSError where the program cannot be started, fails or hangs."""
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    surroundings.pop("NOTIFY_SOCKET", None)
    try:
        ran = subprocess.run(
            [sys.executable, *(["-OO"] if sys.flags.optimize > 1 else []), "-m", __name__],
            input=msgspec.json.encode(wish), stdout=subprocess.PIPE, env=surroundings, timeout=LIMIT_S, check=True,
        )  # fmt: skip
        return msgspec.json.decode(ran.stdout, type=Answer)
    except subprocess.TimeoutExpired:
        raise OSError(f"its program took longer than {LIMIT_S:.0f} s") from None
    except (subprocess.CalledProcessError, msgspec.DecodeError) as error:
        raise OSError(f"its program failed: {error}") from None


def done(wish: Wish) -> Answer:
    """Do it here. Reads and writes the files of the authority."""
    # Imported here, where it is used: whoever only asks must not pay for it.
    from gatewayd.services.authority import Authority

    now = datetime.fromtimestamp(wish.epoch, UTC)
    authority, fault = None, ""
    try:
        authority = Authority(Path(wish.directory), wish.name, wish.key_type, now=now)
    except (OSError, ValueError) as error:
        fault = str(error)
    return Answer(fault, [_result(authority, task, now) for task in wish.tasks])


def _result(authority: Authority | None, task: Task, now: datetime) -> Result:
    if isinstance(task, Renew):
        return _renewed(authority, task, now)
    if authority is None:
        return Unusable(UNUSABLE)
    try:
        if isinstance(task, MakeRequest):
            return Certified(authority.request(task.names))
        if isinstance(task, Check):
            authority.check(task.request, task.identity)
            return Certified()
        signed: Signed = authority.sign(task.request, task.identity, now=now)
        return Certified(signed.chain, signed.until)
    except (UnusableRequest, OSError) as error:
        return Unusable(str(error))


def _renewed(authority: Authority | None, task: Renew, now: datetime) -> Standing:
    from gatewayd.services.authority import ends, stands

    begins, until, faults = [0.0], [NEVER], {"server": "", "page": ""}
    for who, names in (("server", task.server), ("page", task.page)):
        if authority is None or not names:
            continue
        try:
            first, last = stands(authority.server(names, now=now, who=who).certificate)
            begins.append(first)
            until.append(last)
        except OSError as error:
            faults[who] = str(error)
    return Standing(max(begins), min(until), faults["server"], faults["page"], ends(task.brought))


def main() -> None:
    sys.stdout.buffer.write(msgspec.json.encode(done(msgspec.json.decode(sys.stdin.buffer.read(), type=Wish))))


if __name__ == "__main__":
    main()
