"""The viewer of OCPP frames: a page, and a stream of what gatewayd tells of its links as it happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gatewayd.web.events_client import TooManyWatchers
from gatewayd.web.guard import still
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.routes import Role, Route

SIGN_OF_LIFE_S: Final = 15.0
"""A comment on a quiet stream: whoever left without a word is found, and no proxy thinks it dead."""

LOOK_S: Final = 1.0
"""How often a quiet stream looks whether its session is over: signed out, another role, no such user any more."""


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
    return StreamingResponse(told(request), media_type="text/event-stream")


async def told(request: Request, charge_point: int | None = None) -> AsyncIterator[str]:
    """Frames until whoever asked may hear no more. Entered when the answer begins and left when it ends, however it
    ends: no watcher is left behind."""
    try:
        with of(request).gateway.watch("frames", charge_point=charge_point) as watcher:
            yield ": \n\n"
            quiet_since = trio.current_time()
            while True:
                line = None
                with trio.move_on_after(LOOK_S):
                    line = await anext(watcher)
                if not still(of(request), request, Role.viewer):
                    return
                now = trio.current_time()
                if line is not None or now - quiet_since >= SIGN_OF_LIFE_S:
                    quiet_since = now
                    yield ": \n\n" if line is None else f"data: {json.dumps(line, ensure_ascii=False)}\n\n"
    except TooManyWatchers as refused:
        yield f"data: {json.dumps({'type': 'full', 'why': str(refused)})}\n\n"


ROUTES = (Route("/frames", frames, Role.viewer), Route("/frames/stream", frames_stream, Role.viewer))
