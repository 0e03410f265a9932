"""The points of this site as documents for people, and as imports for tools."""

from __future__ import annotations

from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.points.export import DOCUMENTS, TOOLS, exported
from gatewayd.points.exports.listing import ExportRefused
from gatewayd.web.api.asked import of
from gatewayd.web.api.json_body import said
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route

FILE: Final = "application/octet-stream"
FORMS: Final = (*DOCUMENTS, *TOOLS)
_ONE: Final = trio.CapacityLimiter(1)
"""A PDF of a large site takes seconds."""


async def exports(_request: Request) -> Response:
    return said(FORMS)


async def export(request: Request) -> Response:
    form, host = request.path_params["form"], request.headers["host"].rpartition(":")[0] or request.headers["host"]
    if form not in FORMS:
        raise Refused(404, "there is no such export", "GET /api/v1/exports lists them.")
    config = of(request).gateway.config()
    try:
        content = await trio.to_thread.run_sync(exported, form, config, host, limiter=_ONE)
    except ExportRefused as why:
        raise Refused(409, "this site cannot be exported so", f"{why}.") from None
    return Response(content, media_type=FILE)


ROUTES = (
    Route("/api/v1/exports", exports, Role.viewer, name="api_exports",
          described=Described("The forms in which the points can be had", gives=list[str])),
    Route("/api/v1/exports/{form}", export, Role.viewer, name="api_export",
          described=Described("The points of this site in one of them", gives=bytes, media_type=FILE,
                              refusals=(404, 409))),
)  # fmt: skip
