"""The JSON API under /api/v1: everything that the pages do, for programs (docs/interfaces.md, The page's API).

Every module has ROUTES, each with its description; `openapi` prints the document from them.
"""

from gatewayd.web.api import sessions
from gatewayd.web.routes import Route

ROUTES: tuple[Route, ...] = (*sessions.ROUTES,)
