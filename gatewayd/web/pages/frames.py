"""The viewer of OCPP frames: a page, and a stream of what gatewayd tells of its links as it happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gatewayd.web.events_client import TooManyWatchers
from gatewayd.web.gateway import Gateway
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.routes import Role, Route

SIGN_OF_LIFE_S: Final = 15.0
"""A comment on a quiet stream: whoever left without a word is found, and no proxy thinks it dead."""


async def frames(request: Request) -> Response:
    """The page."""
    words = {
        "told": _("from the charge point"), "asked": _("from the gateway"), "open": _("no answer yet"),
        "answered": "", "error": _("CALLERROR"), "unasked": _("answer to nothing"), "call": _("Request"),
        "answer": _("Answer"), "pause": _("Pause"), "resume": _("Go on"), "tally": _("{count} exchanges"),
        "missed": _("{count} came meanwhile"), "lost": _("{count} lines lost: too many at once"),
        "away": _("The gateway does not answer; trying again"), "unreadable": _("no OCPP"),
    }  # fmt: skip
    charge_points = of(request).gateway.config().charge_points
    return of(request).rendering.page(request, "frames.html", words=words, charge_points=charge_points)


async def frames_stream(request: Request) -> Response:
    """Server-sent events, one for each frame."""
    return StreamingResponse(_told(of(request).gateway), media_type="text/event-stream")


async def _told(gateway: Gateway) -> AsyncIterator[str]:
    """Entered when the answer begins and left when it ends, however it ends: no watcher is left behind."""
    try:
        with gateway.watch("frames") as watcher:
            yield ": \n\n"
            while True:
                line = None
                with trio.move_on_after(SIGN_OF_LIFE_S):
                    line = await anext(watcher)
                yield ": \n\n" if line is None else f"data: {json.dumps(line, ensure_ascii=False)}\n\n"
    except TooManyWatchers as refused:
        yield f"data: {json.dumps({'type': 'full', 'why': str(refused)})}\n\n"


ROUTES = (Route("/frames", frames, Role.viewer), Route("/frames/stream", frames_stream, Role.viewer))
