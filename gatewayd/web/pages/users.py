"""Users and roles, and the trail of who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.entry import address
from gatewayd.web.guard import form, see_other
from gatewayd.web.pages import moment
from gatewayd.web.pages.change import Form, sentence
from gatewayd.web.pages.frame import ROLES, of, role_word
from gatewayd.web.pages.language import _
from gatewayd.web.routes import Role, Route
from gatewayd.web.users import BadUser

ENTRIES = 200
"""Changes on one page: what a person reads through."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A user as the page lists it."""

    name: str
    role: str
    role_word: str


async def users(request: Request) -> Response:
    """The page."""
    return _page(request, Form({"role": Role.installer.name}))


def _page(request: Request, shown: Form, status: int = 200) -> Response:
    everybody = [Listed(one.name, one.role, role_word(one.rank)) for one in of(request).users.all().values()]
    response: Response = of(request).rendering.page(
        request, "users.html", status, users=everybody, form=shown, roles=[(role.name, word) for role, word in ROLES]
    )
    return response


async def add_user(request: Request) -> Response:
    """One more."""
    fields = await form(request)
    name = fields.get("name", "").strip()
    try:
        await of(request).users.add(name, fields.get("password", ""), _role(fields))
    except BadUser as refused:
        return _page(request, Form({**fields, "password": ""}, {"": sentence(str(refused))}), 422)
    _note(request, f"user {name}", "", fields.get("role", ""))
    return see_other("/users")


async def set_role(request: Request) -> Response:
    """Another role for one; who had another session signs in again."""
    name, fields = request.path_params["name"], await form(request)
    old = of(request).users.all().get(name)
    try:
        of(request).users.set_role(name, _role(fields))
    except BadUser as refused:
        return _page(request, Form({"role": "installer"}, {"": sentence(str(refused))}), 422)
    of(request).sessions.end_all(name, but=request.state.session)
    _note(request, f"role of {name}", old.role if old else "", fields.get("role", ""))
    return see_other("/users")


async def set_password(request: Request) -> Response:
    """Another password for one."""
    name, fields = request.path_params["name"], await form(request)
    try:
        await of(request).users.set_password(name, fields.get("password", ""))
    except BadUser as refused:
        return _page(request, Form({"role": "installer"}, {"": sentence(str(refused))}), 422)
    of(request).sessions.end_all(name, but=request.state.session)
    _note(request, f"password of {name}", "•••", "•••")
    return see_other("/users")


async def remove_user(request: Request) -> Response:
    """One less."""
    name = request.path_params["name"]
    try:
        of(request).users.remove(name)
    except BadUser as refused:
        return _page(request, Form({"role": "installer"}, {"": sentence(str(refused))}), 422)
    of(request).sessions.end_all(name)
    _note(request, f"user {name}", name, "")
    return see_other("/users")


def _role(fields: dict[str, str]) -> Role:
    try:
        return Role[fields.get("role", "")]
    except KeyError:
        raise BadUser(_("the role is one of viewer, installer, admin")) from None


def _note(request: Request, what: str, old: str, new: str) -> None:
    of(request).audit.note(request.state.session.user, address(request), what, old, new)


async def audit(request: Request) -> Response:
    """The trail, the newest first."""
    zone = of(request).gateway.config().gateway.time_zone
    before = request.query_params.get("before", "")
    skip = int(before) if before.isdecimal() and len(before) < 6 else 0
    found = of(request).audit.newest(skip + ENTRIES + 1)[skip:]
    entries: list[dict[str, Any]] = [
        {"when": moment.clock(one.time, zone), "iso": moment.iso(one.time), "who": one.user, "address": one.address,
         "what": one.what, "old": one.old, "new": one.new}
        for one in found[:ENTRIES]
    ]  # fmt: skip
    older = skip + ENTRIES if len(found) > ENTRIES else 0
    return of(request).rendering.page(request, "audit.html", entries=entries, older=older)


ROUTES = (
    Route("/users", users, Role.viewer),
    Route("/users", add_user, Role.admin, "POST"),
    Route("/users/{name}/role", set_role, Role.admin, "POST"),
    Route("/users/{name}/password", set_password, Role.admin, "POST"),
    Route("/users/{name}/remove", remove_user, Role.admin, "POST"),
    Route("/audit", audit, Role.admin),
)
