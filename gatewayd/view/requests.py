"""What a program may say on `events.sock`, one JSON line each (docs/interfaces.md, Choosing streams, Requests)."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from gatewayd.view.publisher import STREAMS

LONGEST = 8192
"""Bytes of one line; the longest that means anything has some 150."""
DOABLE = ("snapshot", "reload", "identify", "disconnect", "signing_request")
ID_LONGEST = 200
"""Characters of an id that come back."""
NAME_LONGEST = 253
"""Characters of a host's name."""


class NoRequest(ValueError):
    """Not a line that can be answered: the connection is closed."""


class Subscribe(Struct, frozen=True):
    """Hear these streams."""

    streams: frozenset[str]
    charge_point: int | None


class Do(Struct, frozen=True):
    """Do something. `what` may be nothing that can be done: that is an answer too."""

    what: str
    charge_point: int | None = None
    id: Any = None
    name: str = ""
    """Of a host."""

    def answer(self, **members: Any) -> dict[str, Any]:
        """The answer to it."""
        named = {} if self.id is None else {"id": self.id}
        return {"type": "answer", "do": self.what, **named, **members}

    def fault(self, error: str) -> dict[str, Any]:
        return self.answer(ok=False, error=error)


def read(text: bytes) -> Subscribe | Do:
    """The request in one line. Raises NoRequest."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise NoRequest("a line must be one JSON object") from None
    if not isinstance(said, dict):
        raise NoRequest("a line must be one JSON object")
    charge_point = said.get("charge_point")
    if charge_point is not None and (type(charge_point) is not int or charge_point < 1):
        raise NoRequest("charge_point must be the number of one, or null")
    if "streams" in said:
        return Subscribe(_streams(said["streams"]), charge_point)
    if not isinstance(said.get("do"), str):
        raise NoRequest('there must be "streams" or "do"')
    name = said.get("id")
    if not isinstance(name, str | int | float | None) or len(str(name)) > ID_LONGEST:
        raise NoRequest("id must be a number or a short text")
    host = said.get("name", "")
    if not isinstance(host, str) or len(host) > NAME_LONGEST:
        raise NoRequest("name must be a host's")
    return Do(said["do"][:ID_LONGEST], charge_point, name, host)


def _streams(given: object) -> frozenset[str]:
    if not isinstance(given, list) or not all(isinstance(each, str) and each in STREAMS for each in given):
        raise NoRequest(f"streams must be a list of {', '.join(STREAMS)}")
    return frozenset(given)
