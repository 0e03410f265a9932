"""Settings of the gateway itself: name, role, Modbus; time zone; TLS and who may connect. One table says which field
of which form is which key of the configuration, so that a form is shown, read and refused in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, Final
from zoneinfo import available_timezones

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.config_tables import BAUD_RATES, Config
from gatewayd.web.guard import form, see_other
from gatewayd.web.pages import change, moment
from gatewayd.web.pages.change import Form
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.routes import Role, Route
from gatewayd.web.steward import NotGranted, wish

WORD_ORDERS: Final = (
    ("big", _("big: ABCD")),
    ("word_inverted_big", _("word inverted: CDAB")),
    ("little", _("little: DCBA")),
    ("word_inverted_little", _("word inverted little: BADC")),
)

TEXT, NUMBER, TICK, LIST = "text", "number", "tick", "list"
Fields = Mapping[str, tuple[str, str]]
"""Field of a form → key of the configuration, and how the field says it."""

GATEWAY: Final[Fields] = {
    "name": ("gateway.name", TEXT),
    "role": ("gateway.role", TEXT),
    "upstream_url": ("ocpp.upstream.url", TEXT),
    "local_control": ("ocpp.upstream.local_control", TICK),
    "heartbeat_interval_s": ("ocpp.heartbeat_interval_s", NUMBER),
}
MODBUS: Final[Fields] = {
    "unit_id": ("modbus.unit_id", NUMBER),
    "word_order": ("modbus.word_order", TEXT),
    "register_base": ("modbus.register_base", NUMBER),
    "on_comm_error": ("modbus.on_comm_error", TEXT),
    "rtu": ("modbus.rtu.enabled", TICK),
    "baudrate": ("modbus.rtu.baudrate", NUMBER),
    "parity": ("modbus.rtu.parity", TEXT),
    "stop_bits": ("modbus.rtu.stop_bits", NUMBER),
}
TIME: Final[Fields] = {"time_zone": ("gateway.time_zone", TEXT)}
TLS: Final[Fields] = {
    "tls_port": ("ocpp.tls.port", NUMBER),
    "key_type": ("ocpp.tls.key_type", TEXT),
    "client_ca": ("ocpp.tls.client_ca", TEXT),
}
FENCE: Final[Fields] = {
    "writes": ("modbus.writes", TICK),
    "allow": ("modbus.tcp.allow", LIST),
    "hide_id_tags": ("modbus.hide_id_tags", TICK),
}


@cache
def time_zones() -> tuple[tuple[str, str], ...]:
    """Every zone that the machine knows, by region; without the short names of old."""
    return tuple(
        (zone, zone.replace("_", " ")) for zone in sorted(available_timezones()) if "/" in zone or zone == "UTC"
    )


def values(config: Config, fields: Fields) -> dict[str, Any]:
    """What a form shows of the configuration."""
    found = {}
    for field, (key, kind) in fields.items():
        value = attrgetter(key)(config)
        found[field] = " ".join(value) if kind == LIST else value
    return found


def wanted(sent: Mapping[str, str], fields: Fields) -> dict[str, Any]:
    """What a sent form says, by key and in the configuration's types. A checkbox that is not ticked is not sent."""
    read: dict[str, Callable[[str], Any]] = {
        TEXT: lambda field: sent.get(field, "").strip(),
        NUMBER: lambda field: change.number(sent.get(field, "")),
        TICK: lambda field: sent.get(field) == "true",
        LIST: lambda field: change.several(sent.get(field, "")),
    }
    return {key: read[kind](field) for field, (key, kind) in fields.items()}


def keys(fields: Fields) -> dict[str, str]:
    """Key of the configuration → field, for its faults."""
    return {key: field for field, (key, _kind) in fields.items()}


async def saved(request: Request, fields: Fields) -> tuple[dict[str, str], Form]:
    """Saves a sent form. What was sent, and the form with its faults; none: it is saved and in force."""
    sent = await form(request)
    faults = await change.save(request, wanted(sent, fields))
    shown = values(of(request).gateway.config(), fields) | {
        field: sent.get(field, "") for field, (_key, kind) in fields.items() if kind != TICK or field in sent
    }
    return sent, Form(shown, change.placed(faults, keys(fields)))


async def settings(request: Request) -> Response:
    """Gateway and Modbus."""
    return _settings(request, Form(values(of(request).gateway.config(), {**GATEWAY, **MODBUS})))


def _settings(request: Request, shown: Form, status: int = 200) -> Response:
    config = of(request).gateway.config()
    filled = Form(values(config, {**GATEWAY, **MODBUS}) | shown.values, shown.faults)
    response: Response = of(request).rendering.page(
        request,
        "settings.html",
        status,
        form=filled,
        word_orders=WORD_ORDERS,
        baud_rates=[(r, str(r)) for r in BAUD_RATES],
    )
    return response


async def save_gateway(request: Request) -> Response:
    """The half about the gateway."""
    _sent, shown = await saved(request, GATEWAY)
    return _settings(request, shown, 422) if shown.faults else see_other("/settings")


async def save_modbus(request: Request) -> Response:
    """The half about Modbus."""
    _sent, shown = await saved(request, MODBUS)
    return _settings(request, shown, 422) if shown.faults else see_other("/settings")


async def time(request: Request) -> Response:
    """The clock."""
    return await _time(request, Form(values(of(request).gateway.config(), TIME)))


CLOCKS: Final = {
    "none": _("nobody: it counts from the last time that it knew"),
    "rtc": _("the clock chip"),
    "ntp": _("time servers"),
    "bms": _("the BMS"),
    "central_system": _("the central system"),
    "host": _("this machine"),
}


async def _time(request: Request, shown: Form, status: int = 200) -> Response:
    snapshot = await of(request).gateway.snapshot()
    zone = of(request).gateway.config().gateway.time_zone
    clock = str(snapshot["gateway"]["clock"])
    facts = [
        (_("Local time"), moment.clock(snapshot["time"], zone)),
        (_("UTC"), moment.clock(snapshot["time"], "UTC")),
        (_("Set by"), CLOCKS.get(clock, clock)),
    ]
    response: Response = of(request).rendering.page(
        request, "time.html", status, form=shown, facts=facts, time_zones=time_zones()
    )
    return response


async def save_time(request: Request) -> Response:
    """The time zone."""
    _sent, shown = await saved(request, TIME)
    return await _time(request, shown, 422) if shown.faults else see_other("/time")


async def set_time(request: Request) -> Response:
    """The clock, as whoever asks has it; stewardd decides, because a time server wins."""
    epoch = change.number((await form(request)).get("epoch_s", ""))
    try:
        if isinstance(epoch, str):
            raise NotGranted(_("the browser has not said its time"))
        await wish(of(request).settings.steward, "set_clock", epoch_s=epoch)
    except NotGranted as why:
        shown = Form(values(of(request).gateway.config(), TIME), {"": change.sentence(str(why))})
        return await _time(request, shown, 422)
    of(request).audit.note(*change.author(request), "clock", "", str(epoch))
    return see_other("/time")


ROUTES = (
    Route("/settings", settings, Role.viewer),
    Route("/settings/gateway", save_gateway, Role.admin, "POST"),
    Route("/settings/modbus", save_modbus, Role.admin, "POST", name="settings_modbus"),
    Route("/time", time, Role.viewer),
    Route("/time", save_time, Role.admin, "POST"),
    Route("/time/set", set_time, Role.admin, "POST", name="time_set"),
)
