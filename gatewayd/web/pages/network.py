"""Network settings that go back by themselves: tried for 60 s, kept only by whoever still reaches the page.

stewardd has the privilege and the clock of the trial; here is remembered what is on trial, so that confirming saves
exactly that.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ifaddr
import trio
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.editor import Fault
from gatewayd.web.guard import form, see_other
from gatewayd.web.pages import change
from gatewayd.web.pages.change import Form
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.pages.settings import LIST, TEXT, Fields, keys, values, wanted
from gatewayd.web.routes import Role, Route
from gatewayd.web.steward import NotGranted, wish

NETWORK: Final[Fields] = {
    "mode": ("network.mode", TEXT),
    "address": ("network.address", TEXT),
    "router": ("network.router", TEXT),
    "dns": ("network.dns", LIST),
    "ntp": ("network.ntp", LIST),
}
TRIAL_S: Final = 60.0
"""How long stewardd keeps settings that nobody confirms."""


@dataclass(slots=True)
class Trial:
    """What is being tried, and until when (monotonic seconds)."""

    settings: dict[str, Any]
    until: float

    @property
    def left_s(self) -> int:
        return max(0, round(self.until - trio.current_time()))


_TRIALS: Final[dict[int, Trial]] = {}
"""By webd: at most one trial each, and one webd in a program."""


def trial(request: Request) -> Trial | None:
    """What is on trial now."""
    found = _TRIALS.get(id(of(request)))
    return found if found is not None and found.left_s > 0 else None


async def network(request: Request) -> Response:
    """The page."""
    return _page(request, Form(values(of(request).gateway.config(), NETWORK)))


def _page(request: Request, shown: Form, status: int = 200) -> Response:
    response: Response = of(request).rendering.page(
        request, "network.html", status, form=shown, trial=trial(request), facts=_facts()
    )
    return response


def _facts() -> list[tuple[str, str]]:
    found = [(_("Host name"), socket.gethostname())]
    for adapter in ifaddr.get_adapters():
        own = [f"{each.ip}/{each.network_prefix}" for each in adapter.ips if each.is_IPv4]
        if own and adapter.nice_name != "lo":
            found.append((adapter.nice_name, ", ".join(own)))
    return found


async def try_network(request: Request) -> Response:
    """Puts settings on trial."""
    sent = await form(request)
    settings = wanted(sent, NETWORK)
    faults = of(request).editor.judged(settings)
    if not faults:
        try:
            await wish(of(request).settings.steward, "apply_network", network=_as_wish(settings))
        except NotGranted as why:
            faults = [{"key": "network", "what": str(why)}]
    if faults:
        return _page(request, _again(request, sent, faults), 422)
    _TRIALS[id(of(request))] = Trial(settings, trio.current_time() + TRIAL_S)
    of(request).audit.note(*change.author(request), "network settings on trial", "", str(settings["network.mode"]))
    return see_other("/network")


def _again(request: Request, sent: Mapping[str, str], faults: list[Fault]) -> Form:
    """The form as it was sent, with what is wrong; what it left out is as configured."""
    shown = values(of(request).gateway.config(), NETWORK) | {field: sent[field] for field in NETWORK if field in sent}
    return Form(shown, change.placed(faults, keys(NETWORK)))


def _as_wish(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As stewardd takes it: static settings only where they are static."""
    plain = {key.removeprefix("network."): value for key, value in settings.items()}
    return plain if plain["mode"] == "static" else {"mode": plain["mode"], "ntp": plain["ntp"]}


async def confirm_network(request: Request) -> Response:
    """They are kept: first in the configuration, then in force for good."""
    tried = trial(request)
    if tried is None:
        return _refused(request, _("No settings are on trial any more: those before are in force again."))
    faults = await change.save(request, tried.settings)
    if faults:
        return _page(request, _again(request, {}, faults), 422)
    try:
        await wish(of(request).settings.steward, "confirm_network")
    except NotGranted as why:
        return _refused(request, str(why))
    _TRIALS.pop(id(of(request)), None)
    return see_other("/network")


async def revert_network(request: Request) -> Response:
    """Back now."""
    _TRIALS.pop(id(of(request)), None)
    try:
        await wish(of(request).settings.steward, "revert_network")
    except NotGranted as why:
        return _refused(request, str(why))
    return see_other("/network")


def _refused(request: Request, why: str) -> Response:
    shown = Form(values(of(request).gateway.config(), NETWORK), {"": change.sentence(why)})
    return _page(request, shown, 422)


ROUTES = (
    Route("/network", network, Role.viewer),
    Route("/network", try_network, Role.admin, "POST"),
    Route("/network/confirm", confirm_network, Role.admin, "POST"),
    Route("/network/revert", revert_network, Role.admin, "POST"),
)
