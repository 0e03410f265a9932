"""The one door: every request passes here before a view sees it, and every answer passes here on its way out.

Judged in this order: the name it was asked by (Host), its size, who asks (cookie or bearer token), whether a page of
ours asked (Origin, and the proof in forms), whether the gateway has a password yet, and the role that the route needs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewayd.web import hosts
from gatewayd.web.points_client import ModbusRefused
from gatewayd.web.refusals import Refused, answer
from gatewayd.web.routes import BODY_MAX_BYTES, SAFE_METHODS, Role, Route
from gatewayd.web.unix_socket import GatewayAway

if TYPE_CHECKING:
    from gatewayd.web.app import Webd

log = logging.getLogger(__name__)

COOKIE: Final = "session"
SECURE_COOKIE: Final = "__Host-session"
"""Over HTTPS: browsers take it only with Secure, for this host alone."""
PROOF_HEADER: Final = "x-csrf-token"
PROOF_FIELD: Final = "csrf_token"
BODY_PATIENCE_S: Final = 20.0
"""A form comes in a packet or two; an upload of 16 MiB takes this long at 7 Mbit/s."""

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
"""On every answer. There is no Strict-Transport-Security: it would forbid the way past an authority that the browser
does not know yet, which is the gateway's own."""
NOT_KEPT: Final = "no-store"


class Outgoing:
    """Puts the headers on every answer; refuses what is no HTTP request, and names that are not ours."""

    def __init__(self, app: ASGIApp, names: Callable[[], tuple[str, ...]]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name.lower() for name, _ in message["headers"]}
                added = HEADERS if b"cache-control" in have else HEADERS | {"cache-control": NOT_KEPT}
                message["headers"] = [
                    *message["headers"],
                    *((n.encode(), v.encode()) for n, v in added.items() if n.encode() not in have),
                ]
            await send(message)

        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1 or not hosts.is_own(given[0].decode("latin-1"), self._names()):
            text = "This gateway is not called so. Use its address, or add the name to [web] names.\n"
            await Response(text, 421, media_type="text/plain")(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def guarded(webd: Webd, route: Route) -> Callable[[Request], object]:
    """The route's view behind the door."""

    async def view(request: Request) -> Response:
        try:
            await _judge(webd, route, request)
            return await route.view(request)
        except Refused as refused:
            return answer(webd, request, refused)
        except GatewayAway:
            remedy = "This page is a program of its own; the gateway may be starting. Try again in a minute."
            return answer(webd, request, Refused(503, "the gateway does not answer", remedy))
        except ModbusRefused as refused:
            remedy = "The file of the configuration and what the gateway runs with may differ: look at the overview."
            why = f"the gateway answers with Modbus' exception {refused.code:02}: {refused}"
            return answer(webd, request, Refused(409, why, remedy))
        except ClientDisconnect:
            return Response(status_code=400)

    view.__name__ = route.name or route.view.__name__
    return view


async def _judge(webd: Webd, route: Route, request: Request) -> None:
    """Raises Refused. What it found stands in `request.state`: session, role, and the body where there is one."""
    state = request.state
    by_cookie = recognise(webd, request)
    changes = request.method not in SAFE_METHODS
    state.body = await _body(request, _most(webd, route, state.role)) if changes else b""
    if changes and not hosts.is_same_origin(
        request.headers.get("origin"), request.headers.get("sec-fetch-site"), _scheme(request), request.headers["host"]
    ):
        raise Refused(403, "another page asked for this", "Open the gateway's own page and do it there.")
    if not route.unclaimed and not webd.users.claimed():
        raise Refused(409, "this gateway has no password yet", "Open /claim and give it one.", leads_to="/claim")
    if state.role < route.needs:
        if state.role is Role.anyone:
            raise Refused(401, "sign in first", "Open /login.", leads_to="/login")
        raise Refused(403, f"the role {route.needs.name} is needed", f"You are {state.role.name}.")
    if changes and state.session is not None and by_cookie and not await _proven(request):
        raise Refused(403, "the form is not from this session", "Load the page again, and send the form once more.")


def recognise(webd: Webd, request: Request) -> bool:
    """Puts into `request.state` who asks: session, role, token. True: a browser sent the token by itself."""
    state = request.state
    state.session, state.role, state.token = None, Role.anyone, ""
    token, by_cookie = _token(request)
    if token and (session := webd.sessions.find(token, trio.current_time())):
        user = webd.users.all().get(session.user)
        if user is not None:
            state.session, state.role, state.token = session, user.rank, token
    return by_cookie


def still(webd: Webd, request: Request, needs: Role) -> bool:
    """Whether who asked may go on hearing: signed in, there, and with the role. It does not keep the session awake."""
    session = request.state.session
    user = webd.users.all().get(session.user)
    return webd.sessions.lasts(session, trio.current_time()) and user is not None and user.rank >= needs


def _most(webd: Webd, route: Route, role: Role) -> int:
    """How long a body may be. Large ones are taken only of those who may send them: each is held in memory."""
    granted = role >= route.needs and not (route.unclaimed and webd.users.claimed())
    return route.body_max_bytes if granted else min(route.body_max_bytes, BODY_MAX_BYTES)


def _token(request: Request) -> tuple[str, bool]:
    """The session's token, and whether a browser sent it by itself."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip(), False
    return request.cookies.get(SECURE_COOKIE if _scheme(request) == "https" else COOKIE, ""), True


def _scheme(request: Request) -> str:
    return str(request.scope["scheme"])


async def _proven(request: Request) -> bool:
    given = request.headers.get(PROOF_HEADER, "")
    if not given and "json" not in request.headers.get("content-type", ""):
        given = (await form(request)).get(PROOF_FIELD, "")
    return bool(request.state.session.is_proof(given))


async def _body(request: Request, most: int) -> bytes:
    """The whole body, in memory. Raises Refused for one that is too long or too slow."""
    declared = request.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit() or int(declared[:12]) > most:
        raise Refused(413, f"more than {most} bytes", "Send less.")
    body = bytearray()
    with trio.move_on_after(BODY_PATIENCE_S) as patience:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise Refused(413, f"more than {most} bytes", "Send less.")
    if patience.cancelled_caught:
        raise Refused(408, f"the request was not complete after {BODY_PATIENCE_S:.0f} s", "Try again.")
    return bytes(body)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, the first value of each name; empty for what is no form."""
    fields, _ = _parsed(request)
    return {name: values[0] for name, values in fields.items()}


async def form_lists(request: Request) -> dict[str, list[str]]:
    """The fields of a form with all their values."""
    return _parsed(request)[0]


async def upload(request: Request, name: str) -> bytes | None:
    """The content of an uploaded file, or None."""
    return _parsed(request)[1].get(name)


def _parsed(request: Request) -> tuple[dict[str, list[str]], dict[str, bytes]]:
    if not hasattr(request.state, "form"):
        from gatewayd.web.forms import parsed

        request.state.form = parsed(request.headers.get("content-type", ""), request.state.body)
    found: tuple[dict[str, list[str]], dict[str, bytes]] = request.state.form
    return found


def signed_in(response: Response, request: Request, token: str) -> Response:
    """Gives the browser its cookie. It goes with the browser's own session; webd ends it earlier (sessions.py)."""
    secure = _scheme(request) == "https"
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE, token, path="/", secure=secure, httponly=True, samesite="strict"
    )
    return response


def signed_out(response: Response, request: Request) -> Response:
    """Takes the cookie back."""
    secure = _scheme(request) == "https"
    response.delete_cookie(
        SECURE_COOKIE if secure else COOKIE, path="/", secure=secure, httponly=True, samesite="strict"
    )
    return response


def see_other(path: str) -> RedirectResponse:
    """After a form was done: the page that shows it."""
    return RedirectResponse(path, 303)
