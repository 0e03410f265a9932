"""Users and their roles."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.api.asked import author, of
from gatewayd.web.api.json_body import nothing, said, taken
from gatewayd.web.audit import SECRET
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route
from gatewayd.web.users import PASSWORD_LONGEST, BadUser, User

Password = Annotated[str, msgspec.Meta(max_length=PASSWORD_LONGEST)]
RoleName = Literal["viewer", "installer", "admin"]


class Someone(msgspec.Struct):
    """A user; the password is never said."""

    name: str
    role: RoleName


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """A user to add."""

    name: Annotated[str, msgspec.Meta(max_length=32)]
    password: Password
    role: RoleName


class ChangedUser(msgspec.Struct, forbid_unknown_fields=True):
    """What to set; what is left out stays. The user's other sessions end."""

    role: RoleName | UnsetType = UNSET
    password: Password | UnsetType = UNSET


def _present(request: Request) -> User:
    found = of(request).users.all().get(request.path_params["name"])
    if found is None:
        raise Refused(404, "there is no such user", "GET /api/v1/users lists them.")
    return found


async def users(request: Request) -> Response:
    return said([{"name": one.name, "role": one.role} for one in of(request).users.all().values()])


async def add(request: Request) -> Response:
    given = taken(request, NewUser)
    try:
        await of(request).users.add(given.name, given.password, Role[given.role])
    except BadUser as bad:
        raise Refused(422, str(bad)) from None
    of(request).audit.note(*author(request), f"user {given.name}", "", given.role)
    return said(Someone(given.name, given.role), 201)


async def edit(request: Request) -> Response:
    user, given = _present(request), taken(request, ChangedUser)
    everybody = of(request).users
    try:
        if given.role is not UNSET:
            everybody.set_role(user.name, Role[given.role])
        if given.password is not UNSET:
            await everybody.set_password(user.name, given.password)
    except BadUser as bad:
        if user.name in everybody.all():
            everybody.set_role(user.name, user.rank)  # both or neither
        raise Refused(422, str(bad)) from None
    of(request).sessions.end_all(user.name, but=request.state.session)
    if given.role is not UNSET:
        of(request).audit.note(*author(request), f"role of {user.name}", user.role, given.role)
    if given.password is not UNSET:
        of(request).audit.note(*author(request), f"password of {user.name}", SECRET, SECRET)
    now = _present(request)
    return said({"name": now.name, "role": now.role})


async def remove(request: Request) -> Response:
    user = _present(request)
    try:
        of(request).users.remove(user.name)
    except BadUser as bad:
        raise Refused(422, str(bad)) from None
    of(request).sessions.end_all(user.name)
    of(request).audit.note(*author(request), f"user {user.name}", user.name, "")
    return nothing()


ROUTES = (
    Route("/api/v1/users", users, Role.viewer, name="api_users",
          described=Described("Who may sign in", gives=list[Someone])),
    Route("/api/v1/users", add, Role.admin, "POST",
          described=Described("Add a user", NewUser, Someone, status=201)),
    Route("/api/v1/users/{name}", edit, Role.admin, "PATCH", name="api_user",
          described=Described("Change a user's role or password", ChangedUser, Someone, refusals=(404,))),
    Route("/api/v1/users/{name}", remove, Role.admin, "DELETE",
          described=Described("Remove a user", status=204, refusals=(404, 422))),
)  # fmt: skip
