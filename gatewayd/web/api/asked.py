"""What the API asks of a request: the parts of webd, who changes something, whole numbers of the query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from gatewayd.web.editor import Author, Fault
from gatewayd.web.entry import address
from gatewayd.web.refusals import Refused

if TYPE_CHECKING:
    from gatewayd.web.app import Webd


def of(request: Request) -> Webd:
    """The parts of webd."""
    found: Webd = request.app.state.webd
    return found


def author(request: Request) -> Author:
    """Who changes something, for the trail."""
    return request.state.session.user, address(request)


def whole(request: Request, name: str, default: int | None, most: int) -> int | None:
    """A parameter of the query from 0 to `most`. Raises Refused."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise Refused(422, f"{name} is a whole number from 0 to {most}")
    return int(text)


def accepted(faults: list[Fault], why: str) -> None:
    """Raises Refused for a change that the configuration has something against, with all of it."""
    if faults:
        first = faults[0]
        raise Refused(422, why, f"{first['key']}: {first['what']}".removeprefix(": "), faults=faults)
