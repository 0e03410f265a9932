"""The JSON API under /api/v1: everything that the pages do, for programs (docs/interfaces.md, The page's API).

Every module has ROUTES, each with its description; `openapi` prints the document from them.
"""

from gatewayd.web.api import (
    backup,
    certificate,
    charge_points,
    configuration,
    exports,
    frames,
    gateway,
    network,
    openapi,
    points,
    sessions,
    time,
    users,
)
from gatewayd.web.routes import Route

_DOING: tuple[Route, ...] = (
    *sessions.ROUTES,
    *gateway.ROUTES,
    *points.ROUTES,
    *exports.ROUTES,
    *frames.ROUTES,
    *charge_points.ROUTES,
    *configuration.ROUTES,
    *network.ROUTES,
    *time.ROUTES,
    *certificate.ROUTES,
    *users.ROUTES,
    *backup.ROUTES,
)

ROUTES: tuple[Route, ...] = (*_DOING, openapi.own_route(_DOING))
