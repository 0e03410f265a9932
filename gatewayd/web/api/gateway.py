"""What is true now, who was turned away and why, and the blinking lights."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.api.asked import of
from gatewayd.web.api.json_body import nothing, said
from gatewayd.web.pages import seen
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route


class Light(msgspec.Struct):
    """A light of the gateway's front."""

    title: str
    colour: str
    lit: bool


class Snapshot(msgspec.Struct):
    """What is true now; members as docs/interfaces.md describes the snapshot of events.sock. Times are seconds since
    1970. `gateway.faults` says what is missing, `lights` what shines, wherever it is driven."""

    time: float
    gateway: dict[str, Any]
    ports: dict[str, Any]
    configuration: dict[str, Any]
    panel: dict[str, Any]
    charge_points: list[dict[str, Any]]
    knocking: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    refused: dict[str, int]
    modbus_clients: list[dict[str, Any]]
    written: list[dict[str, Any]]
    lights: list[Light] = []


class Refusal(msgspec.Struct):
    """One who was turned away, and what to do. Times are seconds since 1970."""

    cause: str
    why: str
    remedy: str
    identity: str
    address: str
    status: int
    first: float
    last: float
    count: int
    adoptable: bool = False
    """It knocks, and `POST /api/v1/charge-points/adopt` takes it in."""


async def snapshot(request: Request) -> Response:
    found = await of(request).gateway.snapshot()
    told = msgspec.convert(found, Snapshot)
    told.lights = [Light(one.title, one.colour, one.lit) for one in seen.front(found)]
    return said(told)


async def refusals(request: Request) -> Response:
    found = await of(request).gateway.snapshot()
    knocking = {one["identity"] for one in found["knocking"]}
    told = msgspec.convert(found["refusals"], list[Refusal])
    for one in told:
        one.adoptable = one.cause == "unknown_identity" and one.identity in knocking
    return said(told)


async def identify(request: Request) -> Response:
    answer = await of(request).gateway.identify()
    if not answer.get("ok", False):
        raise Refused(409, "the lights cannot blink", str(answer.get("error", "")))
    return nothing()


ROUTES = (
    Route("/api/v1/snapshot", snapshot, Role.viewer, name="api_snapshot",
          described=Described("What is true now: charge points, who knocks, BMS clients, faults, lights",
                              gives=Snapshot)),
    Route("/api/v1/refusals", refusals, Role.viewer, name="api_refusals",
          described=Described("Why does it not connect: who was turned away, newest first", gives=list[Refusal])),
    Route("/api/v1/identify", identify, Role.installer, "POST", name="api_identify",
          described=Described("All lights blink for 10 s", status=204, refusals=(409,))),
)  # fmt: skip
