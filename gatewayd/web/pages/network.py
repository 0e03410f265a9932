"""Network settings that go back by themselves (network_trial), as a form."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any, Final

import ifaddr
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web import network_trial
from gatewayd.web.editor import Fault
from gatewayd.web.guard import form, see_other
from gatewayd.web.pages import change
from gatewayd.web.pages.change import Form
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.pages.settings import LIST, TEXT, Fields, keys, values, wanted
from gatewayd.web.routes import Role, Route
from gatewayd.web.steward import NotGranted

NETWORK: Final[Fields] = {
    "mode": ("network.mode", TEXT),
    "address": ("network.address", TEXT),
    "router": ("network.router", TEXT),
    "dns": ("network.dns", LIST),
    "ntp": ("network.ntp", LIST),
}

SOURCES: Final = {
    "lease": _("the DHCP server"),
    "fallback": _("nobody: the fallback address"),
    "static": _("these settings"),
    "none": _("nobody yet"),
}
"""Whom the address comes from, by netd's word."""


async def network(request: Request) -> Response:
    """The page."""
    return _page(request, Form(values(of(request).gateway.config(), NETWORK)))


def _page(request: Request, shown: Form, status: int = 200) -> Response:
    response: Response = of(request).rendering.page(
        request, "network.html", status, form=shown, trial=network_trial.trial(of(request)), facts=_facts(request)
    )
    return response


def _facts(request: Request) -> list[tuple[str, str]]:
    """As netd says it; on a machine without one, what this machine says itself."""
    found = [(_("Host name"), socket.gethostname())]
    try:
        facts = json.loads(of(request).settings.network_facts.read_bytes())
        return found + _told(facts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    for adapter in ifaddr.get_adapters():
        own = [f"{each.ip}/{each.network_prefix}" for each in adapter.ips if each.is_IPv4]
        if own and adapter.nice_name != "lo":
            found.append((adapter.nice_name, ", ".join(own)))
    return found


def _told(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of netd's facts; what there is none of is left out, but for the address."""
    source = SOURCES.get(facts["source"], str(facts["source"]))
    if facts["source"] == "lease" and facts["dhcp_server"]:
        source = f"{source} {facts['dhcp_server']}"
    rows = [
        (_("Cable"), _("plugged in") if facts["carrier"] else _("not plugged in")),
        (_("Address"), ", ".join(map(str, facts["addresses"])) or "—"),
        (_("Given by"), source),
        (_("Router"), facts["router"] or ""),
        (_("Name servers"), ", ".join(map(str, facts["dns"]))),
        (_("Time servers"), ", ".join(map(str, facts["ntp"]))),
        (_("In conflict with"), ", ".join(f"{each['address']}: {each['mac']}" for each in facts["conflicts"])),
        (_("Network address"), str(facts["mac"])),
        (_("Fault"), str(facts["fault"])),
    ]
    return [(name, str(value)) for name, value in rows if value]


async def try_network(request: Request) -> Response:
    """Puts settings on trial."""
    sent = await form(request)
    settings = wanted(sent, NETWORK)
    try:
        faults = await network_trial.begin(of(request), change.author(request), settings)
    except NotGranted as why:
        faults = [{"key": "network", "what": str(why)}]
    if faults:
        return _page(request, _again(request, sent, faults), 422)
    return see_other("/network")


def _again(request: Request, sent: Mapping[str, str], faults: list[Fault]) -> Form:
    """The form as it was sent, with what is wrong; what it left out is as configured."""
    shown = values(of(request).gateway.config(), NETWORK) | {field: sent[field] for field in NETWORK if field in sent}
    return Form(shown, change.placed(faults, keys(NETWORK)))


async def confirm_network(request: Request) -> Response:
    """They are kept."""
    try:
        faults = await network_trial.confirm(of(request), change.author(request))
    except NotGranted as why:
        return _refused(request, str(why))
    if faults:
        return _page(request, _again(request, {}, faults), 422)
    return see_other("/network")


async def revert_network(request: Request) -> Response:
    """Back now."""
    try:
        await network_trial.revert(of(request))
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
