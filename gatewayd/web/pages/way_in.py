"""The way in as pages: claim with a password that cannot be skipped, log in."""

from __future__ import annotations

import math
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web import entry
from gatewayd.web.guard import form, see_other, signed_in
from gatewayd.web.pages.frame import card_outcome, of
from gatewayd.web.pages.language import _
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Role, Route
from gatewayd.web.users import FIRST_USER, PASSWORD_SHORTEST, BadUser

AFTER_CLAIM = "/welcome/name"


async def login_page(request: Request) -> Response:
    """The form; whoever is signed in goes on."""
    if request.state.role is not Role.anyone:
        return see_other("/")
    return _login(request, "", entry.target(request.query_params.get("next", "/")))


def _login(request: Request, name: str, goes_to: str, why: str = "", status: int = 200) -> Response:
    response: Response = of(request).rendering.page(request, "login.html", status, name=name, next=goes_to, why=why)
    return response


async def login(request: Request) -> Response:
    """The form, sent."""
    fields = await form(request)
    name, goes_to = fields.get("name", "").strip(), entry.target(fields.get("next", "/"))
    try:
        token = await entry.sign_in(of(request), request, name or FIRST_USER, fields.get("password", ""))
    except Refused as refused:
        page = _login(request, name, goes_to, _sentences(refused.why, refused.remedy), refused.status)
        page.headers.update(refused.headers)
        return page
    return signed_in(see_other(goes_to), request, token)


async def claim_page(request: Request) -> Response:
    """The first visit."""
    await entry.may_claim(of(request))
    return _claim(request, {})


def _claim(request: Request, fields: Mapping[str, str], why: str = "", status: int = 200) -> Response:
    left_s = of(request).claim_left_s
    response: Response = of(request).rendering.page(
        request, "claim.html", status, name=fields.get("name", FIRST_USER), why=why,
        minutes=math.ceil(left_s / 60), shortest=PASSWORD_SHORTEST, card=card_outcome(request),
    )  # fmt: skip
    return response


async def claim_it(request: Request) -> Response:
    """The first visit's form, sent: sets the password and signs in."""
    fields = await form(request)
    name, password = fields.get("name", "").strip() or FIRST_USER, fields.get("password", "")
    if password != fields.get("again", ""):
        return _claim(request, fields, _("The two passwords differ."), 422)
    try:
        token = await entry.claim_it(of(request), request, name, password)
    except BadUser as refused:
        return _claim(request, fields, _sentences(str(refused)), 422)
    return signed_in(see_other(AFTER_CLAIM), request, token)


def _sentences(*parts: str) -> str:
    return " ".join(part[:1].upper() + part[1:].rstrip(".") + "." for part in parts if part)


ROUTES = (
    Route("/login", login_page, Role.anyone),
    Route("/login", login, Role.anyone, "POST"),
    Route("/claim", claim_page, Role.anyone, unclaimed=True),
    Route("/claim", claim_it, Role.anyone, "POST", unclaimed=True),
)
