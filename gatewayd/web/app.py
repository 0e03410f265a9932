"""The composition root of webd: its parts, and the one table of routes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from gatewayd.ocpp.lockout import Lockout
from gatewayd.product import VERSION
from gatewayd.web import api, claim, entry, pages
from gatewayd.web.assets import Assets
from gatewayd.web.audit import Audit
from gatewayd.web.backups import Backups
from gatewayd.web.editor import Editor
from gatewayd.web.gateway import Gateway
from gatewayd.web.guard import Outgoing, guarded, recognise
from gatewayd.web.refusals import Refused, answer
from gatewayd.web.rendering import Rendering
from gatewayd.web.routes import Role, Route
from gatewayd.web.sessions import Sessions
from gatewayd.web.settings import Settings
from gatewayd.web.users import Users

COMPRESSED_FROM_BYTES = 600
"""Below, it is one packet either way."""
COMPRESSION = 5
"""Of 1 to 9: what is left to gain above costs twice the time."""


class Webd:
    """What views work with: `webd(request)` gives it to them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.assets = Assets()
        self.rendering = Rendering(self.assets)
        self.users = Users(settings.users)
        self.sessions = Sessions()
        self.guesses = Lockout()
        self.audit = Audit(settings.audit)
        self.gateway = Gateway(settings)
        self.editor = Editor(settings, self.gateway, self.audit)
        self.backups = Backups(self)
        self.firmware = VERSION
        self._started_s = _boot_s()
        self._claim_opened_s = 0.0
        """In seconds of `uptime_s`."""

    @property
    def uptime_s(self) -> float:
        """Since power-on; on a development machine, which is on for months, since webd started."""
        return _boot_s() if self.settings.appliance else _boot_s() - self._started_s

    @property
    def claim_left_s(self) -> float:
        """How long it may still be given its first password."""
        return claim.remaining_s(self.uptime_s - self._claim_opened_s)

    def open_claim(self) -> None:
        """Somebody stands before it."""
        self._claim_opened_s = self.uptime_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What goes on beside the answers."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.gateway.run)
            nursery.start_soon(self.backups.keep_settled)
            yield
            nursery.cancel_scope.cancel()

    def names(self) -> tuple[str, ...]:
        """Names of this gateway that its configuration gives."""
        try:
            return self.gateway.config().web.names
        except OSError:
            return ()


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def webd(request: Request) -> Webd:
    """The parts, for a view."""
    return cast(Webd, request.app.state.webd)


def routes(of: Webd) -> list[Route]:
    """Every route there is."""
    return [
        Route("/static/{path:path}", of.assets.serve, Role.anyone, name="static", unclaimed=True),
        *entry.ROUTES,
        *api.ROUTES,
        *pages.ROUTES,
    ]


def application(of: Webd, table: Sequence[Route] | None = None) -> Starlette:
    """The ASGI application."""

    async def unknown(request: Request, _error: Exception) -> Response:
        recognise(of, request)
        return answer(of, request, Refused(404, "there is no such page", "Look for it from the first one."))

    async def other_method(request: Request, _error: Exception) -> Response:
        recognise(of, request)
        return answer(of, request, Refused(405, "nothing here answers to that method"))

    app = Starlette(
        routes=_grouped(of, routes(of) if table is None else table),
        middleware=[
            Middleware(Outgoing, names=of.names),
            Middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES, compresslevel=COMPRESSION),
        ],
        exception_handlers={404: unknown, 405: other_method},
    )
    app.router.redirect_slashes = False
    app.state.webd = of
    return app


def _grouped(of: Webd, table: Sequence[Route]) -> list[StarletteRoute]:
    """Starlette wants the methods of a path together, or it answers 405 to the second."""
    paths: dict[str, dict[str, Route]] = {}
    for route in table:
        methods = paths.setdefault(route.path, {})
        assert route.method not in methods, f"{route.method} {route.path} stands twice in the table"
        methods[route.method] = route
    return [_of_path(of, path, methods) for path, methods in paths.items()]


def _of_path(of: Webd, path: str, methods: dict[str, Route]) -> StarletteRoute:
    views = {method: guarded(of, route) for method, route in methods.items()}
    if "GET" in views:
        views["HEAD"] = views["GET"]

    async def view(request: Request) -> Response:
        return cast(Response, await views[request.method](request))  # type: ignore[misc]

    first = next(iter(methods.values()))
    return StarletteRoute(path, view, methods=sorted(views), name=first.name or first.view.__name__)
