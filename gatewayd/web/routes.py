"""What a route is: where, what it needs of whoever asks, and who answers. Every route of webd stands in one table.

The table is what `guard` judges by, what the API's document is printed from, and what the test of R27 walks through:
a view that is not in it cannot be reached.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

View = Callable[[Request], Awaitable[Response]]


class Role(enum.IntEnum):
    """Who may more has the higher number. `anyone` is nobody in particular: not signed in."""

    anyone = 0
    viewer = 1
    installer = 2
    admin = 3


SAFE_METHODS = frozenset({"GET", "HEAD"})
"""Change nothing, so they need no proof that a page of ours asked."""

BODY_MAX_BYTES = 64 * 1024
"""The longest form has a network and forty charge points' worth of fields; a certificate chain has 16 KiB."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the API's document says of a route; the schemas are types that msgspec knows."""

    summary: str
    takes: Any = None
    gives: Any = None
    query: tuple[tuple[str, str], ...] = ()
    """(name, what it does) of each parameter in the query; all are texts and may be left out."""
    takes_media_type: str = "application/json"
    status: int = 200
    media_type: str = "application/json"
    refusals: tuple[int, ...] = ()
    """What it may answer besides what every route may."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path and one method."""

    path: str
    """As Starlette writes it: `/charge-points/{number:int}`."""
    view: View
    needs: Role
    """The least role that may."""
    method: str = "GET"
    name: str = ""
    """For `url_for`; empty: the view's own name."""
    body_max_bytes: int = BODY_MAX_BYTES
    unclaimed: bool = False
    """Works before there is a password, too. All others lead to the claim then."""
    described: Described | None = field(default=None, compare=False)
    """Only what stands under /api/v1 has it."""
