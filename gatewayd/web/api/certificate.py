"""The certificate that charge points see over TLS: which it is, a request for another, the user's own."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web import own_certificate
from gatewayd.web.api.asked import accepted, author, of
from gatewayd.web.api.json_body import nothing, said, taken
from gatewayd.web.brought_certificate import CHAIN_LONGEST, KEY_LONGEST, NAME_LONGEST, PEM_TYPE, Brought
from gatewayd.web.routes import Described, Role, Route

Host = Annotated[str, msgspec.Meta(max_length=NAME_LONGEST)]


class Upload(msgspec.Struct, forbid_unknown_fields=True):
    """What charge points shall see, PEM, the gateway's own certificate first. Without `key` it must answer to the
    gateway's own request, whose key never leaves it. `name`: what charge points dial, where that is none of the
    gateway's names."""

    certificate: Annotated[str, msgspec.Meta(max_length=CHAIN_LONGEST)]
    key: Annotated[str, msgspec.Meta(max_length=KEY_LONGEST)] = ""
    name: Host = ""


class Shown(msgspec.Struct):
    """What charge points see. Not `own`: the gateway's own authority made it, and the rest is empty."""

    own: bool
    names: list[str] = []
    issuer: str = ""
    valid_until: float = 0.0
    fingerprint: str = ""


async def certificate(request: Request) -> Response:
    found = own_certificate.configured(of(request))
    if found is None:
        return said(Shown(own_certificate.is_configured(of(request))))
    return said(Shown(True, [*found.names], found.issuer, found.until.timestamp(), found.fingerprint))


async def signing_request(request: Request) -> Response:
    name = request.query_params.get("name", "")
    own = await own_certificate.request(of(request), author(request), name)
    return Response(own.request, media_type=PEM_TYPE)


async def take(request: Request) -> Response:
    given = taken(request, Upload)
    brought = Brought(given.certificate, given.key, given.name)
    wrong = await own_certificate.take(of(request), author(request), brought)
    accepted(wrong, "this certificate cannot be used, and nothing is changed")
    return nothing()


async def withdraw(request: Request) -> Response:
    accepted(await own_certificate.withdraw(of(request), author(request)), "the configuration cannot be changed")
    return nothing()


ROUTES = (
    Route("/api/v1/certificate", certificate, Role.viewer, name="api_certificate",
          described=Described("The certificate that charge points see over TLS", gives=Shown)),
    Route("/api/v1/certificate", take, Role.admin, "PUT", name="api_certificate_take",
          described=Described("A certificate of your own authority; `faults` says what is wrong, and nothing changes",
                              Upload, status=204)),
    Route("/api/v1/certificate", withdraw, Role.admin, "DELETE", name="api_certificate_withdraw",
          described=Described("The certificate of the gateway's own authority again", status=204, refusals=(422,))),
    Route("/api/v1/certificate/request", signing_request, Role.admin, name="api_certificate_request",
          described=Described("A signing request (PKCS #10, PEM) for the key of the gateway", gives=str,
                              media_type=PEM_TYPE, refusals=(409, 422),
                              query=(("name", "a host name that charge points dial, besides the gateway's own"),))),
)  # fmt: skip
