"""Who may connect and how: TLS for charge points, the gateway's own authority, the fence around Modbus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.guard import see_other
from gatewayd.web.pages.change import Form
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.pages.settings import FENCE, TLS, Fields, saved, values
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Role, Route


def authority(request: Request) -> bytes | None:
    """The certificate of the gateway's own authority, PEM; None where webd does not see it."""
    settings = of(request).settings
    places = [place / "authority.pem" for place in (settings.gateway_state, settings.run) if place is not None]
    return next((text for place in places if (text := _read(place)) is not None), None)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def facts(certificate: bytes) -> list[tuple[str, str]]:
    """What a person compares: names, dates and fingerprint."""
    found = x509.load_pem_x509_certificate(certificate)
    fingerprint = found.fingerprint(hashes.SHA256()).hex(":").upper()
    return [
        (_("Name"), found.subject.rfc4514_string()),
        (_("Valid until"), found.not_valid_after_utc.strftime("%Y-%m-%d")),
        (_("Fingerprint (SHA-256)"), fingerprint),
    ]


async def security(request: Request) -> Response:
    """The page."""
    return _page(request, Form(values(of(request).gateway.config(), {**TLS, **FENCE})))


def _page(request: Request, shown: Form, status: int = 200) -> Response:
    filled: dict[str, Any] = values(of(request).gateway.config(), {**TLS, **FENCE}) | shown.values
    own = authority(request)
    response: Response = of(request).rendering.page(
        request, "security.html", status, form=Form(filled, shown.faults), authority=facts(own) if own else []
    )
    return response


async def authority_file(request: Request) -> Response:
    """The certificate to install in charge points and browsers. No key is in it, so whoever may look may have it."""
    own = authority(request)
    if own is None:
        raise Refused(404, "the gateway has not made its authority yet", "Look again when it has started.")
    headers = {"Content-Disposition": 'attachment; filename="authority.pem"'}
    return Response(own, media_type="application/x-pem-file", headers=headers)


async def save_tls(request: Request) -> Response:
    """TLS for charge points."""
    return await _save(request, TLS)


async def save_fence(request: Request) -> Response:
    """Who may connect to Modbus, and whether they may write."""
    return await _save(request, FENCE)


async def _save(request: Request, fields: Fields) -> Response:
    _sent, shown = await saved(request, fields)
    return _page(request, shown, 422) if shown.faults else see_other("/security")


ROUTES = (
    Route("/security", security, Role.viewer),
    Route("/security/authority.pem", authority_file, Role.viewer),
    Route("/security/tls", save_tls, Role.admin, "POST"),
    Route("/security/modbus", save_fence, Role.admin, "POST"),
)
