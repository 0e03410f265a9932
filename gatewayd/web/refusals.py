"""What is refused, said so that who reads it knows what to do: a page, or `application/problem+json` for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

if TYPE_CHECKING:
    from gatewayd.web.app import Webd

API = "/api/"


class Refused(Exception):
    """A request that is not granted. `why` and `remedy` are sentences for whoever asked."""

    def __init__(
        self,
        status: int,
        why: str,
        remedy: str = "",
        *,
        leads_to: str = "",
        headers: dict[str, str] | None = None,
        faults: list[dict[str, str]] | None = None,
        exception: str = "",
    ) -> None:
        super().__init__(why)
        self.status, self.why, self.remedy = status, why, remedy
        self.leads_to = leads_to
        """Where a browser goes instead of reading why."""
        self.headers = headers or {}
        self.faults = faults or []
        """What is wrong with a configuration: key and what."""
        self.exception = exception
        """The name of Modbus' exception, where it was Modbus that refused."""


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457: what every refusal of the API looks like."""

    title: str
    status: int
    detail: str = ""
    faults: list[dict[str, str]] = []
    exception: str = ""


def answer(webd: Webd, request: Request, refused: Refused) -> Response:
    """The refusal as whoever asked understands it best."""
    if request.url.path.startswith(API):
        problem = Problem(refused.why, refused.status, refused.remedy, refused.faults, refused.exception)
        headers = dict(refused.headers)
        if refused.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="gateway"'
        return Response(msgspec.json.encode(problem), refused.status, headers, "application/problem+json")
    if refused.leads_to and request.method in ("GET", "HEAD"):
        if request.headers.get("hx-request"):  # htmx would put the page that is led to inside the page that is
            return Response(status_code=204, headers={"HX-Redirect": refused.leads_to})
        return RedirectResponse(refused.leads_to, 303)
    return _as_page(webd, request, refused)


def _as_page(webd: Webd, request: Request, refused: Refused) -> Response:
    response: Response = webd.rendering.page(
        request, "error.html", refused.status,
        status=refused.status, title=refused.why[:1].upper() + refused.why[1:], text=refused.remedy or refused.why,
        remedy="", faults=refused.faults,
    )  # fmt: skip
    response.headers.update(refused.headers)
    return response
