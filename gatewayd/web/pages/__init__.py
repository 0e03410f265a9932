"""The pages. Each module exports ROUTES; here they are gathered for `gatewayd.web.app`.

A view is `async def view(request) -> Response`. Before it runs, `guard` has judged the request: `request.state.role` is
at least what its route needs, `request.state.session` says who (`.user`), and a request that changes something comes
from a form or script of ours. `request.app.state.webd` holds what a view works with (`app.Webd`): `gateway`, `editor`,
`rendering`, `users`, `sessions`, `audit`. `guard.form(request)` gives a form's fields. What cannot be granted is raised
as `refusals.Refused`.
"""

from gatewayd.web.pages import (
    about,
    backup,
    charge_points,
    frames,
    manual,
    network,
    overview,
    points,
    security,
    settings,
    users,
    way_in,
    welcome,
    why,
)
from gatewayd.web.routes import Route

ROUTES: tuple[Route, ...] = (
    *way_in.ROUTES,
    *welcome.ROUTES,
    *overview.ROUTES,
    *charge_points.ROUTES,
    *why.ROUTES,
    *points.ROUTES,
    *frames.ROUTES,
    *settings.ROUTES,
    *network.ROUTES,
    *security.ROUTES,
    *users.ROUTES,
    *backup.ROUTES,
    *manual.ROUTES,
    *about.ROUTES,
)
