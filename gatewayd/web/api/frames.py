"""OCPP frames as they come and go, for programs: server-sent events, each with one line of events.sock."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gatewayd.web.api.asked import whole
from gatewayd.web.pages.frames import told
from gatewayd.web.routes import Described, Role, Route

EVENTS: Final = "text/event-stream"
CHARGE_POINT_MOST: Final = 9999


async def frames(request: Request) -> Response:
    return StreamingResponse(told(request, whole(request, "charge_point", None, CHARGE_POINT_MOST)), media_type=EVENTS)


ROUTES = (
    Route("/api/v1/frames", frames, Role.viewer, name="api_frames",
          described=Described(
              "OCPP frames as they come, until the session ends: server-sent events, whose data are lines as"
              " docs/interfaces.md describes the stream frames of events.sock",
              gives=str, media_type=EVENTS, refusals=(422,),
              query=(("charge_point", "only of this number; all if left out"),))),
)  # fmt: skip
