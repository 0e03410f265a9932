"""The first page: what is, from the door; and the lights of the front, which stand above every page."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.gateway import GatewayAway
from gatewayd.web.pages import dialling, seen
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.routes import Role, Route


async def overview(request: Request) -> Response:
    """The page."""
    return of(request).rendering.page(request, "overview.html", **await _context(request))


async def overview_live(request: Request) -> Response:
    """What changes on it."""
    return of(request).rendering.page(request, "overview_live.html", **await _context(request))


async def _context(request: Request) -> dict[str, Any]:
    try:
        snapshot = await of(request).gateway.snapshot()
    except GatewayAway:
        return {"away": True}
    port = snapshot["ports"]["modbus_tcp"]
    clients = seen.clients(snapshot)
    host = dialling.host_of(request.headers["host"])
    return {
        "away": False,
        "figures": seen.figures(snapshot),
        "attention": seen.attention(snapshot),
        "charge_points": seen.charge_points(snapshot),
        "clients": clients,
        "modbus_address": f"{host}:{port}" if port else "",
        "bms_summary": _("%(count)s of %(most)s places for Modbus TCP clients are taken", count=len(clients),
                         most=of(request).gateway.config().modbus.tcp.max_clients),
    }  # fmt: skip


async def front(request: Request) -> Response:
    """The lights, and the numbers beside the ways."""
    try:
        snapshot = await of(request).gateway.snapshot()
    except GatewayAway:
        return of(request).rendering.page(request, "front.html", front=[], counts=[])
    counts = [
        ("knocking", len(snapshot["knocking"]), _("knocking")),
        ("refusals", len(snapshot["refusals"]), _("turned away")),
    ]
    return of(request).rendering.page(request, "front.html", front=seen.front(snapshot), counts=counts)


async def identify(request: Request) -> Response:
    """All lights blink for ten seconds."""
    await of(request).gateway.identify()
    return of(request).rendering.page(request, "said.html", text=_("All lights blink for 10 s."), back="/")


ROUTES = (
    Route("/", overview, Role.viewer),
    Route("/live/overview", overview_live, Role.viewer),
    Route("/live/front", front, Role.viewer),
    Route("/identify", identify, Role.installer, "POST"),
)
