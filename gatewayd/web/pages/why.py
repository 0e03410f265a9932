"""Why does it not connect?"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.pages import dialling, refused
from gatewayd.web.pages.frame import of
from gatewayd.web.routes import Role, Route


async def why(request: Request) -> Response:
    """The page."""
    gateway = of(request).gateway
    snapshot = await gateway.snapshot()
    host = dialling.host_of(request.headers["host"])
    return of(request).rendering.page(
        request, "why.html", refusals=refused.refusals(snapshot), dials=dialling.dials(snapshot, gateway.config(), host)
    )


async def why_live(request: Request) -> Response:
    """Who was turned away, as it is now."""
    snapshot = await of(request).gateway.snapshot()
    return of(request).rendering.page(request, "why_live.html", refusals=refused.refusals(snapshot))


ROUTES = (Route("/why", why, Role.viewer), Route("/live/why", why_live, Role.viewer))
