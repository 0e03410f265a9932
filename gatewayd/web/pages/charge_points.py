"""Charge points: who is configured, who knocks; adopt, add, edit, test, remove, simulate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.config_tables import ChargePoint, Config
from gatewayd.web.entry import target
from gatewayd.web.guard import form, see_other
from gatewayd.web.pages import change, dialling, refused, seen
from gatewayd.web.pages.change import Form
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Role, Route

TEXTS: Final = ("identity", "default_id_tag", "profile")
NUMBERS: Final = ("number", "connectors", "max_current_a")
FIELDS: Final = (*NUMBERS, *TEXTS, "password", "simulated")
SIMULATED_IDENTITY: Final = "SIMULATED"
"""What a charge point is called that stands in until the electrician has been there."""


async def charge_points(request: Request) -> Response:
    """The list."""
    snapshot = await of(request).gateway.snapshot()
    return of(request).rendering.page(request, "charge_points.html", **_listed(request, snapshot),
                                      dials=_dials(request, snapshot))  # fmt: skip


async def charge_points_live(request: Request) -> Response:
    """The list as it is now."""
    snapshot = await of(request).gateway.snapshot()
    return of(request).rendering.page(request, "charge_points_live.html", **_listed(request, snapshot))


def _listed(request: Request, snapshot: seen.Snapshot) -> dict[str, Any]:
    base = of(request).gateway.config().modbus.register_base
    return {"charge_points": seen.charge_points(snapshot, base), "knocking": seen.knocking(snapshot)}


def _dials(request: Request, snapshot: seen.Snapshot, identity: str = "") -> list[dialling.Dial]:
    host = dialling.host_of(request.headers["host"])
    return dialling.dials(snapshot, of(request).gateway.config(), host, identity)


async def charge_point(request: Request) -> Response:
    """One of them: its settings, its address, its test."""
    entry = _configured(request)
    return await _page(request, entry, Form({name: getattr(entry, name) for name in FIELDS} | {"password": ""}))


async def new_charge_point(request: Request) -> Response:
    """The form for one more, with what is free filled in."""
    return await _page(request, None, Form(_proposed(of(request).gateway.config(), "")))


def _proposed(config: Config, identity: str) -> dict[str, Any]:
    """A new charge point: the lowest number that is free, and two connectors."""
    taken = {entry.number for entry in config.charge_points}
    free = next(number for number in range(1, len(taken) + 2) if number not in taken)
    plain = ChargePoint(number=free, identity=identity)
    return {name: getattr(plain, name) for name in FIELDS}


async def _page(request: Request, entry: ChargePoint | None, shown: Form, status: int = 200) -> Response:
    snapshot = await of(request).gateway.snapshot()
    found = seen.find(snapshot, entry.number) if entry else None
    listed = next((one for one in seen.charge_points(snapshot) if entry and one.number == entry.number), None)
    response: Response = of(request).rendering.page(
        request, "charge_point.html", status,
        heading=f"{entry.number} · {entry.identity}" if entry else _("Add a charge point"),
        form=shown,
        cp=listed,
        has_password=bool(entry and entry.password),
        password_hint=_("One is set. Leave this empty to keep it.") if entry and entry.password
        else _("Empty: none is asked for. With one, the charge point must use security profile 1 or 2."),
        number_hint=_("Its registers begin at number × 3000."),
        profiles=_profiles(shown),
        dials=_dials(request, snapshot, entry.identity) if entry else [],
        checks=refused.checks(snapshot, found) if found else [],
        facts=facts(found) if found else [],
    )  # fmt: skip
    return response


def _profiles(shown: Form) -> list[tuple[str, str]]:
    """The quirk profiles there are; what a form named wrongly stays to be seen."""
    listed = change.quirk_profiles()
    chosen = str(shown.values.get("profile", change.PLAIN))
    return listed if chosen in dict(listed) else [*listed, (chosen, chosen)]


def facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What one tells of itself, and what of it waits or was lost: name, text."""
    told: tuple[tuple[str, str], ...] = (
        (_("Maker"), found["vendor"]), (_("Model"), found["model"]), (_("Serial number"), found["serial"]),
        (_("Firmware"), found["firmware"]), (_("Address"), found["address"] or ""),
        (_("Security profile"), str(found["security_profile"])), (_("Features"), ", ".join(found["features"])),
        (_("Habits seen"), ", ".join(found["quirks"]).replace("_", " ")),
        (_("Reconnects"), str(found["reconnects"])), (_("Calls without an answer"), str(found["call_timeouts"])),
    )  # fmt: skip
    if found["upstream"] is not None or found["upstream_waiting"]:
        waiting = str(found["upstream_waiting"])
        if found["upstream_aside"]:
            waiting = _("%(all)s, refused for now: %(aside)s", all=waiting, aside=found["upstream_aside"])
        told += (
            (_("Messages for its central system"), waiting),
            (_("Lost to its central system"), str(found["upstream_lost"])),
        )
    return [(name, value or "—") for name, value in told]


async def checks_live(request: Request) -> Response:
    """The test of one, as it is now."""
    snapshot = await of(request).gateway.snapshot()
    found = seen.find(snapshot, request.path_params["number"])
    checks = refused.checks(snapshot, found) if found else []
    return of(request).rendering.page(request, "checks.html", checks=checks)


async def save_charge_point(request: Request) -> Response:
    """One of them, changed."""
    entry = _configured(request)
    fields = await form(request)
    wanted = _wanted(fields)
    if not fields.get("password") and fields.get("remove_password") != "true":
        wanted.pop("password")
    faults = await change.save_charge_point(request, entry.number, wanted)
    if faults:
        return await _page(request, entry, Form(_again(fields), change.placed(faults, _BY_KEY)), 422)
    return see_other(f"/charge-points/{wanted['number']}")


async def add_charge_point(request: Request) -> Response:
    """One more."""
    fields = await form(request)
    wanted = _wanted(fields)
    faults = await change.save_charge_point(request, None, wanted)
    if faults:
        return await _page(request, None, Form(_again(fields), change.placed(faults, _BY_KEY)), 422)
    return see_other(f"/charge-points/{wanted['number']}")


_BY_KEY: Final = {name: name for name in FIELDS}


def _wanted(fields: Mapping[str, str]) -> dict[str, Any]:
    """The form's fields in the configuration's types. A checkbox that is not ticked is not sent."""
    numbers = {name: change.number(fields.get(name, "")) for name in NUMBERS}
    texts = {name: fields.get(name, "").strip() for name in TEXTS}
    return numbers | texts | {"password": fields.get("password", ""), "simulated": fields.get("simulated") == "true"}


def _again(fields: Mapping[str, str]) -> dict[str, Any]:
    return {"simulated": False} | dict(fields) | {"password": ""}


async def adopt(request: Request) -> Response:
    """Whoever knocks becomes a charge point: one click."""
    fields = await form(request)
    identity = fields.get("identity", "")
    snapshot = await of(request).gateway.snapshot()
    if identity not in {one["identity"] for one in snapshot["knocking"]}:
        raise Refused(409, "nobody with this identity is knocking any more", "Look at the list again.")
    await _add(request, identity)
    return see_other(target(fields.get("next", "/charge-points")))


async def simulate(request: Request) -> Response:
    """A charge point that the gateway plays itself until a real one of its name dials."""
    fields = await form(request)
    names = {entry.identity for entry in of(request).gateway.config().charge_points}
    if SIMULATED_IDENTITY not in names:
        await _add(request, SIMULATED_IDENTITY, simulated=True)
    return see_other(target(fields.get("next", "/charge-points")))


async def _add(request: Request, identity: str, **more: object) -> None:
    """Raises Refused with the faults that the configuration found."""
    proposed = _proposed(of(request).gateway.config(), identity)
    wanted = {name: proposed[name] for name in ("number", "identity", "connectors")} | more
    faults = await change.save_charge_point(request, None, wanted)
    if faults:
        raise Refused(422, "this charge point cannot be added", "Add it by hand.", faults=faults)


async def remove_charge_point(request: Request) -> Response:
    """One less."""
    faults = await change.remove_charge_point(request, _configured(request).number)
    if faults:
        raise Refused(422, "this charge point cannot be removed", "Look at what is wrong.", faults=faults)
    return see_other("/charge-points")


def _configured(request: Request) -> ChargePoint:
    number = request.path_params["number"]
    found = next((one for one in of(request).gateway.config().charge_points if one.number == number), None)
    if found is None:
        raise Refused(404, "there is no such charge point", "Look for it in the list.")
    return found


ROUTES = (
    Route("/charge-points", charge_points, Role.viewer),
    Route("/live/charge-points", charge_points_live, Role.viewer),
    Route("/charge-points/new", new_charge_point, Role.installer),
    Route("/charge-points/new", add_charge_point, Role.installer, "POST"),
    Route("/charge-points/adopt", adopt, Role.installer, "POST"),
    Route("/charge-points/simulate", simulate, Role.installer, "POST"),
    Route("/charge-points/{number:int}", charge_point, Role.viewer),
    Route("/charge-points/{number:int}", save_charge_point, Role.installer, "POST"),
    Route("/charge-points/{number:int}/remove", remove_charge_point, Role.installer, "POST"),
    Route("/live/charge-points/{number:int}", checks_live, Role.viewer),
)
