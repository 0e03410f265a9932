"""Network settings on trial, and the certificate of the gateway's own authority."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web import network_trial
from gatewayd.web.api.asked import accepted, author, of
from gatewayd.web.api.json_body import nothing, said, taken
from gatewayd.web.pages.security import authority_file
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route
from gatewayd.web.steward import NotGranted, StewardAway

Text = Annotated[str, msgspec.Meta(max_length=256)]
Several = Annotated[list[Text], msgspec.Meta(max_length=16)]


class Network(msgspec.Struct, forbid_unknown_fields=True):
    """Settings as in `[network]`."""

    mode: Text
    address: Text = ""
    router: Text = ""
    dns: Several = []
    ntp: Several = []


class OnTrial(msgspec.Struct):
    """Settings that go back by themselves unless `POST /api/v1/network/confirm` comes within `left_s` seconds."""

    settings: Network
    left_s: int


class NetworkNow(msgspec.Struct):
    """What is configured, and what is on trial."""

    configured: Network
    trial: OnTrial | None


def _on_trial(request: Request) -> OnTrial | None:
    found = network_trial.trial(of(request))
    if found is None:
        return None
    plain = {key.removeprefix("network."): value for key, value in found.settings.items()}
    return OnTrial(msgspec.convert(plain, Network), found.left_s)


async def network(request: Request) -> Response:
    one = of(request).gateway.config().network
    configured = Network(one.mode, one.address, one.router, list(one.dns), list(one.ntp))
    return said(NetworkNow(configured, _on_trial(request)))


async def try_network(request: Request) -> Response:
    given: dict[str, Any] = msgspec.structs.asdict(taken(request, Network))
    wanted = {f"network.{name}": value for name, value in given.items()}
    try:
        faults = await network_trial.begin(of(request), author(request), wanted)
    except NotGranted as why:
        raise _refused(why) from None
    accepted(faults, "these settings are wrong, and nothing is on trial")
    return said(_on_trial(request), 202)


async def confirm(request: Request) -> Response:
    try:
        faults = await network_trial.confirm(of(request), author(request))
    except NotGranted as why:
        raise _refused(why) from None
    accepted(faults, "these settings cannot be saved")
    return nothing()


async def revert(request: Request) -> Response:
    try:
        await network_trial.revert(of(request))
    except NotGranted as why:
        raise _refused(why) from None
    return nothing()


def _refused(why: NotGranted) -> Refused:
    if isinstance(why, StewardAway):
        return Refused(503, "the network cannot be changed from here", f"{why}.")
    return Refused(409, "this is not granted", f"{why}.")


ROUTES = (
    Route("/api/v1/network", network, Role.viewer, name="api_network",
          described=Described("Network settings as configured, and those on trial", gives=NetworkNow)),
    Route("/api/v1/network", try_network, Role.admin, "PUT",
          described=Described("Put network settings on trial for 60 s", Network, OnTrial, status=202,
                              refusals=(409,))),
    Route("/api/v1/network/confirm", confirm, Role.admin, "POST", name="api_network_confirm",
          described=Described("Keep what is on trial", status=204, refusals=(409, 422))),
    Route("/api/v1/network/revert", revert, Role.admin, "POST", name="api_network_revert",
          described=Described("Back to the settings before, now", status=204, refusals=(409,))),
    Route("/api/v1/authority", authority_file, Role.viewer, name="api_authority",
          described=Described("The certificate of the gateway's own authority, PEM", gives=str,
                              media_type="application/x-pem-file", refusals=(404,))),
)  # fmt: skip
