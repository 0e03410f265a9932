"""Claim, sign in, sign out, and who one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web import entry
from gatewayd.web.api.json_body import nothing, said, taken
from gatewayd.web.guard import signed_in, signed_out
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route
from gatewayd.web.users import FIRST_USER, PASSWORD_LONGEST, BadUser

if TYPE_CHECKING:
    from gatewayd.web.app import Webd

Name = Annotated[str, msgspec.Meta(max_length=32, description="who")]
Password = Annotated[str, msgspec.Meta(max_length=PASSWORD_LONGEST)]


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """A user and the password."""

    password: Password
    user: Name = FIRST_USER


class Begun(msgspec.Struct):
    """A session. `token` goes into `Authorization: Bearer …` of programs; browsers got a cookie, and send `csrf_token`
    as `X-CSRF-Token` with every request that changes something."""

    token: str
    csrf_token: str
    user: str
    role: str


class WhoAmI(msgspec.Struct):
    """Who asks."""

    user: str
    role: str


class ClaimState(msgspec.Struct):
    """Whether there is a password, and whether one may be set now."""

    claimed: bool
    may_claim: bool
    remaining_s: float
    why: str


def _webd(request: Request) -> Webd:
    found: Webd = request.app.state.webd
    return found


async def claim_state(request: Request) -> Response:
    of = _webd(request)
    claimed = of.users.claimed()
    why = "" if claimed else await entry.claim_refusal(of)
    remaining = 0.0 if claimed else round(of.claim_left_s, 1)
    return said(ClaimState(claimed, not claimed and not why, remaining, why))


async def claim_it(request: Request) -> Response:
    of, given = _webd(request), taken(request, Credentials)
    try:
        token = await entry.claim_it(of, request, given.user, given.password)
    except BadUser as refused:
        raise Refused(422, str(refused)) from None
    return _begun(request, token)


async def begin(request: Request) -> Response:
    given = taken(request, Credentials)
    return _begun(request, await entry.sign_in(_webd(request), request, given.user, given.password))


def _begun(request: Request, token: str) -> Response:
    import trio

    of = _webd(request)
    session = of.sessions.find(token, trio.current_time())
    assert session is not None
    user = of.users.all()[session.user]
    return signed_in(said(Begun(token, session.proof(), user.name, user.role), 201), request, token)


async def who_am_i(request: Request) -> Response:
    return said(WhoAmI(request.state.session.user, request.state.role.name))


async def end(request: Request) -> Response:
    _webd(request).sessions.end(request.state.token)
    return signed_out(nothing(), request)


ROUTES = (
    Route("/api/v1/claim", claim_state, Role.anyone, unclaimed=True,
          described=Described("Whether this gateway has a password yet", gives=ClaimState)),
    Route("/api/v1/claim", claim_it, Role.anyone, "POST", unclaimed=True,
          described=Described("Give a gateway without a password its first one", Credentials, Begun, status=201,
                              refusals=(403, 409, 422))),
    Route("/api/v1/session", who_am_i, Role.viewer, described=Described("Who asks", gives=WhoAmI)),
    Route("/api/v1/session", begin, Role.anyone, "POST",
          described=Described("Sign in", Credentials, Begun, status=201, refusals=(401, 409, 422, 429))),
    Route("/api/v1/session", end, Role.viewer, "DELETE", described=Described("Sign out", status=204)),
)  # fmt: skip
