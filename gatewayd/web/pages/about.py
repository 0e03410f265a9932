"""What this gateway is and what it is made with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.pages import moment
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.routes import Role, Route


@dataclass(frozen=True, slots=True)
class Software:
    """Something that others wrote."""

    name: str
    version: str
    licence: str


HTMX = Software("htmx", "4.0.1", "0BSD")
OWN = "ocpp-modbus-gateway"
LICENCE_LONGEST = 60
"""Some packages put the licence's whole text where its name belongs."""


@cache
def software() -> tuple[Software, ...]:
    """What is installed beside us, by name; development's tools too, where it is a clone."""
    found = {}
    for one in metadata.distributions():
        said = one.metadata
        name = said["Name"]
        told = dict(said.items())  # type: ignore[attr-defined]
        licence = told.get("License-Expression") or told.get("License") or ""
        if not licence or len(licence) > LICENCE_LONGEST or "\n" in licence:
            classes = [text for text in said.get_all("Classifier") or () if text.startswith("License ::")]
            licence = classes[-1].rpartition(":: ")[2] if classes else ""
        if name and name != OWN:
            found[name] = Software(name, one.version, licence)
    return tuple(sorted([*found.values(), HTMX], key=lambda one: one.name.lower()))


async def about(request: Request) -> Response:
    """The page."""
    snapshot = await of(request).gateway.snapshot()
    gateway, zone = snapshot["gateway"], of(request).gateway.config().gateway.time_zone
    facts = [
        (_("Name"), gateway["name"]),
        (_("Serial number"), gateway["serial"]),
        (_("Firmware"), gateway["firmware"]),
        (_("Python"), gateway["python"]),
        (_("Role"), gateway["role"].replace("_", " ")),
        (_("Running since"), moment.clock(gateway["started"], zone)),
        (_("Licence"), "Apache-2.0"),
    ]
    return of(request).rendering.page(request, "about.html", facts=facts, software=software())


ROUTES = (Route("/about", about, Role.viewer),)
