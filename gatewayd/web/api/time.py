"""The gateway's clock: what it says and who sets it, and setting it where no time server does."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.api.asked import author, of
from gatewayd.web.api.json_body import nothing, said, taken
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route
from gatewayd.web.steward import NotGranted, StewardAway, wish
from hal.contract import EARLIEST_EPOCH_S, LATEST_EPOCH_S


class Clock(msgspec.Struct):
    """`time`: seconds since 1970; `set_by`: as the register time_source, for example ntp or modbus."""

    time: float
    set_by: str
    time_zone: str


class Now(msgspec.Struct, forbid_unknown_fields=True):
    """The time, in seconds since 1970."""

    epoch_s: Annotated[float, msgspec.Meta(ge=EARLIEST_EPOCH_S, lt=LATEST_EPOCH_S)]


async def clock(request: Request) -> Response:
    snapshot, zone = await of(request).gateway.snapshot(), of(request).gateway.config().gateway.time_zone
    return said(Clock(snapshot["time"], str(snapshot["gateway"]["clock"]), zone))


async def set_clock(request: Request) -> Response:
    epoch_s = taken(request, Now).epoch_s
    try:
        await wish(of(request).settings.steward, "set_clock", epoch_s=epoch_s)
    except StewardAway as why:
        raise Refused(503, "the clock cannot be set from here", f"{why}.") from None
    except NotGranted as why:
        raise Refused(409, "the clock is not set", f"{why}.") from None
    of(request).audit.note(*author(request), "clock", "", str(epoch_s))
    return nothing()


ROUTES = (
    Route("/api/v1/time", clock, Role.viewer, name="api_time",
          described=Described("What the gateway's clock says, and who sets it", gives=Clock)),
    Route("/api/v1/time", set_clock, Role.admin, "PUT",
          described=Described("Set the clock; a time server that is heard wins", Now, status=204, refusals=(409,))),
)  # fmt: skip
