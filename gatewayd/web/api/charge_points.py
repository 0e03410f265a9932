"""Charge points as configured: list, adopt, add, edit, remove. How they are now, says the snapshot."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.config_tables import ChargePoint
from gatewayd.web.api.asked import accepted, author, of
from gatewayd.web.api.json_body import nothing, said, taken
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route

Text = Annotated[str, msgspec.Meta(max_length=256)]
Number = Annotated[int, msgspec.Meta(ge=0, le=9999)]


class Configured(msgspec.Struct):
    """A charge point as configured. `has_password`: one is set; it is never said."""

    number: int
    identity: str
    connectors: int
    max_current_a: float
    default_id_tag: str
    profile: str
    simulated: bool
    has_password: bool


class Adopted(msgspec.Struct, forbid_unknown_fields=True):
    """Who knocks, exactly as it knocks."""

    identity: Text


class Changed(msgspec.Struct, forbid_unknown_fields=True):
    """What to set; what is left out stays, and of a new one is as by default: the lowest free number, two connectors.
    An empty password removes it."""

    number: Number | UnsetType = UNSET
    identity: Text | UnsetType = UNSET
    connectors: Number | UnsetType = UNSET
    max_current_a: float | UnsetType = UNSET
    default_id_tag: Text | UnsetType = UNSET
    profile: Text | UnsetType = UNSET
    simulated: bool | UnsetType = UNSET
    password: Text | UnsetType = UNSET


def _told(entry: ChargePoint) -> Configured:
    plain = {name: getattr(entry, name) for name in Configured.__struct_fields__ if name != "has_password"}
    return Configured(**plain, has_password=bool(entry.password))


def _entry(request: Request, number: int) -> ChargePoint:
    entries = of(request).gateway.config().charge_points
    found = next((one for one in entries if one.number == number), None)
    if found is None:
        raise Refused(404, "there is no such charge point", "GET /api/v1/charge-points lists them.")
    return found


async def charge_points(request: Request) -> Response:
    return said([_told(one) for one in of(request).gateway.config().charge_points])


async def charge_point(request: Request) -> Response:
    return said(_told(_entry(request, request.path_params["number"])))


async def add(request: Request) -> Response:
    return await _add(request, _sets(taken(request, Changed)))


async def adopt(request: Request) -> Response:
    identity = taken(request, Adopted).identity
    snapshot = await of(request).gateway.snapshot()
    if identity not in {one["identity"] for one in snapshot["knocking"]}:
        raise Refused(409, "nobody with this identity is knocking", "The snapshot says who is.")
    return await _add(request, {"identity": identity})


def _sets(changed: Changed) -> dict[str, Any]:
    found = ((name, getattr(changed, name)) for name in Changed.__struct_fields__)
    return {name: value for name, value in found if value is not UNSET}


async def _add(request: Request, wanted: dict[str, Any]) -> Response:
    numbers = {one.number for one in of(request).gateway.config().charge_points}
    free = next(number for number in range(1, len(numbers) + 2) if number not in numbers)
    plain = ChargePoint(number=free, identity="")
    wanted = {"number": free, "identity": plain.identity, "connectors": plain.connectors, **wanted}
    faults = await of(request).editor.set_charge_point(author(request), None, wanted)
    accepted(faults, "this charge point cannot be added")
    return said(_told(_entry(request, wanted["number"])), 201)


async def edit(request: Request) -> Response:
    entry = _entry(request, request.path_params["number"])
    wanted = _sets(taken(request, Changed))
    faults = await of(request).editor.set_charge_point(author(request), entry.number, wanted)
    accepted(faults, "this charge point cannot be changed so")
    return said(_told(_entry(request, wanted.get("number", entry.number))))


async def remove(request: Request) -> Response:
    entry = _entry(request, request.path_params["number"])
    faults = await of(request).editor.remove_charge_point(author(request), entry.number)
    accepted(faults, "this charge point cannot be removed")
    return nothing()


ROUTES = (
    Route("/api/v1/charge-points", charge_points, Role.viewer, name="api_charge_points",
          described=Described("All charge points as configured", gives=list[Configured])),
    Route("/api/v1/charge-points", add, Role.installer, "POST",
          described=Described("Add a charge point", Changed, Configured, status=201, refusals=(404,))),
    Route("/api/v1/charge-points/adopt", adopt, Role.installer, "POST", name="api_adopt",
          described=Described("Take in one who knocks", Adopted, Configured, status=201, refusals=(404, 409))),
    Route("/api/v1/charge-points/{number:int}", charge_point, Role.viewer, name="api_charge_point",
          described=Described("One charge point as configured", gives=Configured, refusals=(404,))),
    Route("/api/v1/charge-points/{number:int}", edit, Role.installer, "PATCH",
          described=Described("Change a charge point", Changed, Configured, refusals=(404,))),
    Route("/api/v1/charge-points/{number:int}", remove, Role.installer, "DELETE",
          described=Described("Remove a charge point", status=204, refusals=(404, 422))),
)  # fmt: skip
