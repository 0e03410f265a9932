"""Every point of the Modbus table: its address, what it means, what it reads; and writing one, as a BMS does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.points.exports.listing import Listed
from gatewayd.web.api.asked import author, of, whole
from gatewayd.web.api.json_body import said, taken
from gatewayd.web.pages.points import shown_as, writers
from gatewayd.web.points_client import EXCEPTION_NAMES, READ_HOLDING, WRITE_ONE, WRITE_SEVERAL, ModbusRefused
from gatewayd.web.points_table import BadValue, Shown, bounds, factor_of, unit_of
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route

FEW: Final = 300
"""Points that are picked out of their reads one by one; of more, the whole table is read: it goes through it once."""
CHARGE_POINT_MOST: Final = 9999
STATUS: Final = {1: 409, 2: 404, 3: 422, 4: 409, 6: 409, 11: 409}
"""HTTP's word for Modbus' exceptions. None is a 5xx: the gateway is well, it is what was asked that does not go."""


class Point(msgspec.Struct):
    """One point and what it reads. `address` counts from 0, as on the wire, at `unit_id`; `value` is scaled, in `unit`,
    null for not available, `code` the name of an enumeration's value, or `none` for no limit. `written_by` is an
    address, `rtu` or `page`, null where nobody wrote since the start."""

    name: str
    block: str
    charge_point: int
    connector: int | None
    unit_id: int
    address: int
    registers: int
    read_function: int
    write_function: int | None
    type: str
    access: str
    scale: float
    unit: str
    enumeration: str
    minimum: float | None
    maximum: float | None
    description: str
    value: int | float | str | None
    code: str
    written_by: str | None
    written_at: float | None


Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class Value(msgspec.Struct, forbid_unknown_fields=True):
    """What to write: a number in the point's unit, a code's name, or a text for a text."""

    value: Number | float | Annotated[str, msgspec.Meta(max_length=256)]


Writers = Mapping[tuple[int, int], tuple[str, float]]


def told(shown: Shown, wrote: Writers) -> Point:
    """A point as the API says it."""
    listed, point = shown.listed, shown.listed.point
    factor = factor_of(point)
    client, at = wrote.get((listed.unit, listed.address), (None, None))
    write = (WRITE_ONE if point.registers == 1 else WRITE_SEVERAL) if point.writable else None
    low, high = bounds(point)
    return Point(
        listed.name, listed.block, listed.charge_point, listed.connector, listed.unit, listed.address, point.registers,
        READ_HOLDING, write, point.type, point.access, factor, unit_of(point), point.enum, low, high,
        point.description, shown.value, shown.code, client, at,
    )  # fmt: skip


async def points(request: Request) -> Response:
    query = request.query_params
    number = whole(request, "charge_point", None, CHARGE_POINT_MOST)
    block, name = query.get("block", ""), query.get("name", "")
    gateway = of(request).gateway

    def asked(one: Listed) -> bool:
        return (
            (number is None or one.charge_point == number) and block in ("", one.block)
            and name in ("", one.name, one.point.name)
        )  # fmt: skip

    listed = [one for one in gateway.table().listed if asked(one)]
    try:
        if len(listed) > FEW:
            read = [one for one in await gateway.points() if asked(one.listed)]
        else:
            read = await gateway.read_many(listed)
    except ModbusRefused as refused:
        raise _refused(refused) from None
    wrote = writers(await gateway.snapshot())
    return said([told(one, wrote) for one in read])


def _found(request: Request) -> Listed:
    """The point that the path names: `cp01_c1_status`, or `1:3332` for unit id and address. Raises Refused."""
    text = request.path_params["point"]
    table = of(request).gateway.table()
    unit, colon, address = text.partition(":")
    if colon:
        plain = text.isascii() and unit.isdigit() and address.isdigit() and len(text) < 12
        found = table.by_place.get((int(unit), int(address))) if plain else None
    else:
        found = next((one for one in table.listed if one.name == text), None)
    if found is None:
        raise Refused(404, "there is no such point", "GET /api/v1/points lists all names and addresses.")
    return found


async def point(request: Request) -> Response:
    return said(await _read(request, _found(request)))


async def _read(request: Request, listed: Listed, wrote: Writers | None = None) -> Point:
    gateway = of(request).gateway
    try:
        shown = await gateway.read(listed)
    except ModbusRefused as refused:
        raise _refused(refused) from None
    return told(shown, writers(await gateway.snapshot()) if wrote is None else wrote)


async def write_point(request: Request) -> Response:
    listed, wanted = _found(request), taken(request, Value).value
    gateway = of(request).gateway
    try:
        before = await gateway.read(listed)
        await gateway.write(listed, wanted)
    except BadValue as bad:
        raise Refused(422, str(bad)) from None
    except ModbusRefused as refused:
        raise _refused(refused) from None
    what = f"register {listed.name} (unit {listed.unit}, address {listed.address})"
    of(request).audit.note(*author(request), what, shown_as(before), str(wanted))
    now = {(listed.unit, listed.address): ("page", time.time())}  # the snapshot may be from before
    return said(await _read(request, listed, now))


def _refused(refused: ModbusRefused) -> Refused:
    name = EXCEPTION_NAMES.get(refused.code, f"exception_{refused.code}")
    return Refused(
        STATUS.get(refused.code, 409), f"exception {refused.code:02}, {name}", f"Modbus says: {refused}.",
        exception=name,
    )  # fmt: skip


ROUTES = (
    Route("/api/v1/points", points, Role.viewer, name="api_points",
          described=Described(
              "All points with address, meaning, value and who wrote them last", gives=list[Point],
              query=(("charge_point", "only of this number; 0: the gateway's own"),
                     ("block", "only of this block: gateway, matrix, charge_point, connector, command or identity"),
                     ("name", "only of this name, with or without its place: cp01_c1_status or status")),
              refusals=(404, 409, 422))),
    Route("/api/v1/points/{point}", point, Role.viewer, name="api_point",
          described=Described("One point, by name, or by unit id and address as 1:3332", gives=Point,
                              refusals=(404, 409, 422))),
    Route("/api/v1/points/{point}", write_point, Role.installer, "PUT",
          described=Described("Write one point, as a BMS does; a refusal says Modbus' exception", Value, Point,
                              refusals=(404, 409, 422))),
)  # fmt: skip
