"""The JSON API under /api/v1: everything that the pages do, for programs (docs/interfaces.md, The page's API).

Every module has ROUTES, each with its description; `openapi` prints the document from them.
"""

from gatewayd.web.api import backup, charge_points, configuration, gateway, network, openapi, points, sessions, users
from gatewayd.web.routes import Route

_DOING: tuple[Route, ...] = (
    *sessions.ROUTES,
    *gateway.ROUTES,
    *points.ROUTES,
    *charge_points.ROUTES,
    *configuration.ROUTES,
    *network.ROUTES,
    *users.ROUTES,
    *backup.ROUTES,
)

ROUTES: tuple[Route, ...] = (*_DOING, openapi.own_route(_DOING))
