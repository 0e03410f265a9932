"""What stands around every page: the ways to the others, and what the templates may ask. Pure but for the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request

from gatewayd.web.pages.language import LANGUAGE, _
from gatewayd.web.routes import Role

if TYPE_CHECKING:
    from gatewayd.web.app import Webd


@dataclass(frozen=True, slots=True)
class Way:
    """A page in the list of pages. `counted`: the name of a number that stands beside it while it is not 0."""

    path: str
    icon: str
    title: str
    needs: Role = Role.viewer
    counted: str = ""


WAYS: Final = (
    (
        "",
        (
            Way("/", "overview", _("Overview")),
            Way("/charge-points", "charge-point", _("Charge points"), counted="knocking"),
            Way("/why", "why", _("Why does it not connect?"), counted="refusals"),
            Way("/points", "points", _("Points")),
            Way("/frames", "frames", _("OCPP frames")),
        ),
    ),
    (
        _("Settings"),
        (
            Way("/settings", "settings", _("Gateway and Modbus")),
            Way("/network", "network", _("Network")),
            Way("/time", "time", _("Time")),
            Way("/security", "security", _("Security")),
            Way("/users", "users", _("Users")),
            Way("/backup", "backup", _("Backup"), Role.admin),
            Way("/audit", "audit", _("Changes"), Role.admin),
        ),
    ),
    (_("Help"), (Way("/manual", "manual", _("Manual")), Way("/about", "about", _("About")))),
)
"""The list of pages, in groups."""

ROLES: Final = ((Role.viewer, _("viewer")), (Role.installer, _("installer")), (Role.admin, _("admin")))


CARD_OUTCOME_MOST: Final = 4096
"""Characters: five lines, one of which may name several files."""


def card_outcome(request: Request) -> list[str]:
    """What came of a backup that lay on the card when the gateway started, by lines; nothing where none did."""
    try:
        text = of(request).settings.card_outcome.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text[:CARD_OUTCOME_MOST].splitlines()


def of(request: Request) -> Webd:
    """The parts of webd, for a view."""
    found: Webd = request.app.state.webd
    return found


def navigation(role: Role) -> list[tuple[str, list[Way]]]:
    """The pages that this role may open."""
    groups = [(title, [way for way in ways if role >= way.needs]) for title, ways in WAYS]
    return [(title, ways) for title, ways in groups if ways]


def is_here(request: Request, path: str) -> bool:
    """Whether the request's page is this one, or lies below it."""
    here = request.url.path
    return here == path or (path != "/" and here.startswith(path + "/"))


def gateway_name(request: Request) -> str:
    """What the gateway calls itself."""
    return of(request).gateway.table().title


def role_word(role: Role) -> str:
    """A role for people."""
    return dict(ROLES).get(role, role.name)


GLOBALS: Final[dict[str, Any]] = {
    "language": LANGUAGE,
    "navigation": navigation,
    "is_here": is_here,
    "gateway_name": gateway_name,
    "role_word": role_word,
}
"""What every template may ask."""
