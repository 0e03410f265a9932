"""The way in: claim, sign in, sign out. Pages and API both come through here."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.ocpp.lockout import household
from gatewayd.web import claim
from gatewayd.web.guard import see_other, signed_out
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Role, Route
from gatewayd.web.unix_socket import GatewayAway

if TYPE_CHECKING:
    from gatewayd.web.app import Webd

_QUEUES: dict[str, trio.Lock] = {}


def _webd(request: Request) -> Webd:
    found: Webd = request.app.state.webd
    return found


def address(request: Request) -> str:
    """Who asks, as far as the network tells."""
    return request.client.host if request.client else "unknown"


def target(given: str) -> str:
    """Where to go after signing in: a path of ours, or the first page."""
    plain = given.startswith("/") and not given.startswith(("//", "/\\")) and given.isprintable() and len(given) < 300
    return given if plain else "/"


async def sign_in(of: Webd, request: Request, name: str, password: str) -> str:
    """The token of a new session. Raises Refused: 401 for a wrong password, 429 for who guesses too often (R26)."""
    place = household(address(request))
    async with _in_turn(place):
        now = trio.current_time()
        wait_s = of.guesses.wait_s(place, now)
        if wait_s > 0:
            raise Refused(
                429, "too many wrong passwords from this address", f"Try again in {math.ceil(wait_s)} s.",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )  # fmt: skip
        user = await of.users.check(name, password)
        if user is None:
            of.guesses.note_wrong(place, trio.current_time())
            raise Refused(401, "the name or the password is wrong", "Look at both, and try again.")
    token, _ = of.sessions.begin(user.name, trio.current_time())
    return token


@asynccontextmanager
async def _in_turn(place: str) -> AsyncIterator[None]:
    """One after the other from the same place: nobody guesses faster by guessing in parallel."""
    queue = _QUEUES.setdefault(place, trio.Lock())
    try:
        async with queue:
            yield
    finally:
        if not queue.statistics().tasks_waiting and not queue.locked():
            _QUEUES.pop(place, None)


async def logout(request: Request) -> Response:
    """Ends the session."""
    _webd(request).sessions.end(request.state.token)
    return signed_out(see_other("/login"), request)


async def button_held(of: Webd) -> bool | None:
    """Whether somebody holds the gateway's button now; None: nobody can tell. Held, it opens the claim anew."""
    try:
        held = ((await of.gateway.snapshot()).get("panel") or {}).get("button")
    except GatewayAway:
        return None
    if held:
        of.open_claim()
    return None if held is None else bool(held)


async def claim_refusal(of: Webd) -> str:
    """Why this gateway, which has no password, cannot be claimed now; empty when it can."""
    button = await button_held(of)
    return claim.refusal(of.claim_left_s, button=button, appliance=of.settings.appliance)


async def may_claim(of: Webd) -> None:
    """Raises Refused for a gateway that cannot be claimed now."""
    if of.users.claimed():
        raise Refused(409, "this gateway has been claimed", "Sign in.", leads_to="/login")
    if why := await claim_refusal(of):
        raise Refused(403, "this gateway cannot be claimed now", f"{why[0].upper()}{why[1:]}.")


async def claim_it(of: Webd, request: Request, name: str, password: str) -> str:
    """Makes the first admin; the token of a session of theirs. Raises Refused, and BadUser for a name or password."""
    await may_claim(of)
    await of.users.first(name, password)
    of.audit.note(name, address(request), "claimed", "", name)
    token, _ = of.sessions.begin(name, trio.current_time())
    return token


ROUTES = (Route("/logout", logout, Role.viewer, "POST"),)
