"""The table of all live points: its rows once, the values of those in sight as often as somebody looks, and writes.

What the browser gets of the rows is the table itself, once for each kind of block, and where the blocks stand: 15,000
rows are 30 kB that way. It unfolds and filters them without asking again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.config_tables import CHARGE_POINTS_PER_BANK, Config
from gatewayd.points.address import BLOCK_KINDS, COMMAND_BLOCK, IDENTITY_BLOCK, block_address, matrix_address
from gatewayd.points.exports.listing import Listed
from gatewayd.points.point import Point
from gatewayd.site.codes import ENUMS
from gatewayd.web.pages import moment
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.points_client import ModbusRefused
from gatewayd.web.points_table import BadValue, Shown, bounds, factor_of, unit_of
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Role, Route

ROWS_MOST: Final = 200
"""Values asked for at once: a screen of 4,000 pixels has 120 rows."""
EXPORTS: Final = (("CSV", "csv"), ("XLSX", "xlsx"), ("PDF", "pdf"))


def table_file(config: Config, names: Mapping[int, str]) -> dict[str, Any]:
    """The whole table of one site. `names`: charge point number → identity."""
    return {
        "kinds": {kind: [_row(point) for point in points] for kind, points in _kinds().items()},
        "blocks": list(_blocks(config, names)),
        "groups": list(_groups(config, names)),
        "enums": {name: {int(member): member.name for member in enum} for name, enum in ENUMS.items()},
    }


def _kinds() -> dict[str, list[Point]]:
    return {kind: points for kind, points in BLOCK_KINDS.items() if kind != "matrix"} | {
        f"matrix:{point.name}": [point] for point in BLOCK_KINDS["matrix"]
    }


def _row(point: Point) -> list[Any]:
    """As points.js unfolds it. A matrix entry stands at its block's own address."""
    offset = 0 if point in BLOCK_KINDS["matrix"] else point.offset
    factor = factor_of(point)
    low, high = (None if end is None else _number(end) for end in bounds(point))
    return [
        offset, point.registers, point.name, point.type, point.access, unit_of(point), factor, point.enum, low, high,
        point.description,
    ]  # fmt: skip


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else round(value, 6)


def _blocks(config: Config, names: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    numbers = {entry.number: entry.connectors for entry in config.charge_points}
    banks = (max(numbers, default=1) - 1) // CHARGE_POINTS_PER_BANK + 1
    for bank in range(banks):
        unit, first = config.modbus.unit_id + bank, bank * CHARGE_POINTS_PER_BANK
        title = _("Gateway") if banks == 1 else _("Gateway, bank %(bank)s", bank=bank + 1)
        yield _block("gateway", unit, 0, title, "gateway", "")
        places = [(n, k) for n, k in sorted(numbers.items()) if first < n <= first + CHARGE_POINTS_PER_BANK]
        for point in BLOCK_KINDS["matrix"]:
            for number, connectors in places:
                for k in range(connectors + 1):
                    yield _block(
                        f"matrix:{point.name}", unit, matrix_address(point, number - first, k),
                        _("Matrix") + f" · {number}.{k}", "matrix", names.get(number, ""),
                    )  # fmt: skip
        for number, connectors in places:
            place, identity, group = number - first, names.get(number, ""), f"cp{number}"
            for block, kind, part in (
                (0, "charge_point", ""),
                *((k, "connector", _("connector %(k)s", k=k)) for k in range(1, connectors + 1)),
                (COMMAND_BLOCK, "command", _("commands")),
                (IDENTITY_BLOCK, "identity", _("identity")),
            ):
                where = " · ".join(filter(None, (f"{number} {identity}".strip(), part)))
                yield _block(kind, unit, block_address(place, block), where, group, f"cp{number:02}")


def _block(kind: str, unit: int, start: int, place: str, group: str, words: str) -> dict[str, Any]:
    return {"kind": kind, "unit": unit, "start": start, "place": place, "group": group, "words": words}


def _groups(config: Config, names: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    yield "gateway", _("Gateway")
    if config.charge_points:
        yield "matrix", _("Matrices")
    for entry in sorted(config.charge_points, key=lambda entry: entry.number):
        yield f"cp{entry.number}", f"{entry.number} · {names.get(entry.number, '')}"


def shown_as(shown: Shown) -> str:
    """A value for people, with its code's name. A dash: not available."""
    if shown.value is None:
        return "—"
    if shown.code:
        return f"{shown.value} · {shown.code}"
    text = f"{shown.value:.10g}" if isinstance(shown.value, float) else str(shown.value)
    unit = unit_of(shown.listed.point)
    return f"{text} {unit}".strip() if not shown.listed.point.is_text else text


def wanted(rows: str, find: Mapping[tuple[int, int], Listed]) -> list[Listed]:
    """The points of `unit:address,unit:address`, in that order. Raises Refused."""
    found = []
    for text in rows.split(",")[: ROWS_MOST + 1]:
        unit, _colon, address = text.partition(":")
        place = (int(unit), int(address)) if unit.isdecimal() and address.isdecimal() and len(text) < 12 else None
        if place is None or place not in find:
            raise Refused(404, "there is no such point", "Load the page again: the configuration may have changed.")
        found.append(find[place])
    if len(found) > ROWS_MOST:
        raise Refused(400, f"more than {ROWS_MOST} rows at once")
    return found


STATUS_AGE, METER_AGE, MESSAGE_AGE = 36, 37, 38
"""Offsets of the ages in the blocks of a connector and of a charge point."""
METERED: Final = (range(64, 100), range(150, 222))
"""Offsets of what a connector's meter says."""


def age_place(listed: Listed) -> tuple[int, int] | None:
    """Unit id and address of the register that says how old this point is; None: it is made anew all the time."""
    start = listed.address - listed.point.offset
    if listed.point.writable or listed.block not in ("charge_point", "connector"):
        return None
    if listed.block == "charge_point":
        return listed.unit, start + MESSAGE_AGE
    metered = any(listed.point.offset in offsets for offsets in METERED)
    return listed.unit, start + (METER_AGE if metered else STATUS_AGE)


def writers(snapshot: Mapping[str, Any]) -> dict[tuple[int, int], tuple[str, float]]:
    """Unit id and register → who wrote it last, and when. A mailbox is noted at its first register alone."""
    found: dict[tuple[int, int], tuple[str, float]] = {}
    for one in sorted(snapshot["written"], key=lambda one: one["time"]):
        for register in range(one["address"], one["address"] + one["registers"]):
            found[one["unit"], register] = one["client"], one["time"]
    return found


async def points(request: Request) -> Response:
    """The page."""
    words = {
        "tally": _("{shown} of {all} points"), "write": _("Write"), "range": _("{low} to {high}"),
        "counts": _("in {unit}"), "failed": _("The gateway gave no answer that can be read."),
        "summary": _("Now {now}. Unit id {unit}, address {address}, function {code}."),
        "written": _("{name} was written."), "away": _("The gateway does not answer; the values are old."),
    }  # fmt: skip
    return of(request).rendering.page(
        request, "points.html", words=words, base=of(request).gateway.config().modbus.register_base,
        exports=[(kind, f"/points/export/{form}") for kind, form in EXPORTS],
    )  # fmt: skip


async def points_table(request: Request) -> Response:
    """The rows."""
    config = of(request).gateway.config()
    names = {entry.number: entry.identity for entry in config.charge_points}
    return _json(table_file(config, names))


async def points_values(request: Request) -> Response:
    """The values of the rows in sight: text, number to write, age, who wrote it last."""
    gateway = of(request).gateway
    by_place = gateway.table().by_place
    listed = wanted(request.query_params.get("rows", ""), by_place)
    places = {place for one in listed if (place := age_place(one))}
    try:
        read = await gateway.read_many([*listed, *(by_place[place] for place in sorted(places))])
    except ModbusRefused as refused:
        return _json({"fault": _exception(refused)}, 409)
    snapshot = await gateway.snapshot()
    ages = {(one.listed.unit, one.listed.address): one.value for one in read[len(listed) :]}
    now, wrote = float(snapshot["time"]), writers(snapshot)
    return _json({"values": [_told(one, now, wrote, ages) for one in read[: len(listed)]]})


def _told(
    shown: Shown, now: float, wrote: Mapping[tuple[int, int], tuple[str, float]], ages: Mapping[tuple[int, int], Any]
) -> list[Any]:
    listed = shown.listed
    client, at = wrote.get((listed.unit, listed.address), ("", 0.0))
    place = age_place(listed)
    age = moment.span(now - at) if client else moment.span(ages[place]) if place else ""
    return [shown_as(shown), shown.value, age, client]


class Written(msgspec.Struct):
    """What points.js sends."""

    unit_id: int
    address: int
    value: str


async def points_write(request: Request) -> Response:
    """One point written, as the BMS would; and noted who did it."""
    try:
        asked = msgspec.json.decode(request.state.body, type=Written)
    except msgspec.DecodeError as error:
        return _json({"fault": str(error)}, 400)
    gateway = of(request).gateway
    listed = gateway.find(asked.unit_id, asked.address)
    if listed is None:
        return _json({"fault": _("There is no such point.")}, 404)
    try:
        before = await gateway.read(listed)
        await gateway.write(listed, asked.value)
    except BadValue as refused:
        text = str(refused)
        return _json({"fault": text[:1].upper() + text[1:] + "."}, 422)
    except ModbusRefused as refused:
        return _json({"fault": _exception(refused)}, 422)
    client = request.client.host if request.client else ""
    of(request).audit.note(
        request.state.session.user, client, f"register {listed.name} (unit {listed.unit}, address {listed.address})",
        shown_as(before), asked.value,
    )  # fmt: skip
    return _json({"written": listed.name})


def _exception(refused: ModbusRefused) -> str:
    return _("Exception %(code)s: %(why)s.", code=f"{refused.code:02}", why=refused)


def _json(content: object, status: int = 200) -> Response:
    return Response(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")), status, media_type="application/json"
    )


async def points_export(request: Request) -> Response:
    """The points of this site as a document."""
    form = request.path_params["form"]
    if form not in (known for _title, known in EXPORTS):
        raise Refused(404, "there is no such export", "Look for it on the page of the points.")
    from gatewayd.points.export import exported  # holds the makers of PDF and XLSX: only for whoever asks

    host = request.headers["host"].partition(":")[0]
    content = exported(form, of(request).gateway.config(), host)
    name = f'attachment; filename="points.{form}"'
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": name})


ROUTES = (
    Route("/points", points, Role.viewer),
    Route("/points/table.json", points_table, Role.viewer),
    Route("/points/values.json", points_values, Role.viewer),
    Route("/points/write", points_write, Role.installer, "POST"),
    Route("/points/export/{form}", points_export, Role.viewer),
)
