"""Steps two to five of the first visit: name, Modbus, the first charge point, a register that moves.

Each may be kept as it is; and each is a page of its own, so that going back and coming again do no harm.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.guard import form, see_other
from gatewayd.web.pages import change, dialling, seen
from gatewayd.web.pages.change import Form
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.pages.seen import Figure
from gatewayd.web.pages.settings import WORD_ORDERS, time_zones
from gatewayd.web.routes import Role, Route

NAME: Final = {"gateway.name": "name", "gateway.time_zone": "time_zone"}
MODBUS: Final = {
    "modbus.unit_id": "unit_id",
    "modbus.word_order": "word_order",
    "modbus.register_base": "register_base",
}


async def name(request: Request) -> Response:
    """Step two."""
    gateway = of(request).gateway.config().gateway
    return _step(request, 2, Form({"name": gateway.name, "time_zone": gateway.time_zone}))


async def save_name(request: Request) -> Response:
    """Step two, done."""
    fields = await form(request)
    wanted = {key: fields.get(field, "").strip() for key, field in NAME.items()}
    faults = await change.save(request, wanted)
    if faults:
        return _step(request, 2, Form(dict(fields), change.placed(faults, NAME)), 422)
    return see_other("/welcome/modbus")


async def modbus(request: Request) -> Response:
    """Step three."""
    one = of(request).gateway.config().modbus
    shown = Form({"unit_id": one.unit_id, "word_order": one.word_order, "register_base": one.register_base})
    return _step(request, 3, shown)


async def save_modbus(request: Request) -> Response:
    """Step three, done."""
    fields = await form(request)
    wanted = {
        key: fields.get(field, "") if field == "word_order" else change.number(fields.get(field, ""))
        for key, field in MODBUS.items()
    }
    faults = await change.save(request, wanted)
    if faults:
        return _step(request, 3, Form(dict(fields), change.placed(faults, MODBUS)), 422)
    return see_other("/welcome/charge-point")


async def charge_point(request: Request) -> Response:
    """Step four: the address to dial, and who knocks."""
    snapshot = await of(request).gateway.snapshot()
    host = dialling.host_of(request.headers["host"])
    dials = dialling.dials(snapshot, of(request).gateway.config(), host)
    return _step(request, 4, Form(), dials=dials, knocking=seen.knocking(snapshot))


async def charge_point_live(request: Request) -> Response:
    """Who knocks now."""
    snapshot = await of(request).gateway.snapshot()
    return of(request).rendering.page(request, "welcome_knocking.html", knocking=seen.knocking(snapshot))


async def moving(request: Request) -> Response:
    """Step five: registers as the BMS reads them, while they move."""
    return _step(request, 5, Form(), **await _moving(request))


async def moving_live(request: Request) -> Response:
    """The registers now."""
    return of(request).rendering.page(request, "welcome_moving.html", **await _moving(request))


SHOWN: Final = (
    ("gateway", "gateway_heartbeat", _("counts every second")),
    ("charge_point", "message_age_s", _("since the charge point's last message")),
    ("connector", "status", _("of connector 1")),
    ("connector", "power_active_import_w", _("of connector 1")),
)
"""Block, point and what to say of it: registers of the first charge point that show that all is well."""


async def _moving(request: Request) -> dict[str, Any]:
    gateway = of(request).gateway
    config, snapshot = gateway.config(), await gateway.snapshot()
    newest = max((one.number for one in config.charge_points), default=0)
    found = seen.find(snapshot, newest)
    listed = []
    for block, point, note in SHOWN:
        one = next(
            (
                one for one in gateway.table().listed
                if one.block == block and one.point.name == point
                and (block == "gateway" or (one.charge_point == newest and one.connector in (None, 1)))
            ),
            None,
        )  # fmt: skip
        if one is not None:
            listed.append((one, note))
    figures = []
    for shown, (one, note) in zip(await gateway.read_many([one for one, _note in listed]), listed, strict=True):
        address = one.address + config.modbus.register_base
        value = shown.code or ("—" if shown.value is None else str(shown.value))
        where = _("register %(address)s, unit id %(unit)s: %(note)s", address=address, unit=one.unit, note=note)
        figures.append(Figure(one.point.name, value, one.point.unit, where))
    waiting = "" if found and found["link"] == "accepted" else _("Waiting for the charge point to dial again …")
    return {"figures": figures, "waiting": waiting}


def _step(request: Request, step: int, shown: Form, status: int = 200, **more: Any) -> Response:
    response: Response = of(request).rendering.page(
        request, "welcome.html", status, step=step, form=shown, time_zones=time_zones(), word_orders=WORD_ORDERS, **more
    )
    return response


ROUTES = (
    Route("/welcome/name", name, Role.admin, name="welcome_name"),
    Route("/welcome/name", save_name, Role.admin, "POST"),
    Route("/welcome/modbus", modbus, Role.admin, name="welcome_modbus"),
    Route("/welcome/modbus", save_modbus, Role.admin, "POST"),
    Route("/welcome/charge-point", charge_point, Role.installer, name="welcome_charge_point"),
    Route("/live/welcome/charge-point", charge_point_live, Role.installer),
    Route("/welcome/moving", moving, Role.viewer, name="welcome_moving"),
    Route("/live/welcome/moving", moving_live, Role.viewer),
)
