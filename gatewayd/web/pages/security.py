"""Who may connect and how: TLS for charge points, the gateway's own authority, the fence around Modbus."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web import own_certificate
from gatewayd.web.brought_certificate import (
    CERTIFICATE,
    CHAIN_LONGEST,
    KEY,
    KEY_LONGEST,
    NAME,
    NAME_LONGEST,
    PEM_TYPE,
    Brought,
)  # fmt: skip
from gatewayd.web.guard import form, see_other, upload
from gatewayd.web.pages.change import Form, author, sentence
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.pages.settings import FENCE, TLS, Fields, saved, values
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Role, Route

PARTS = (CERTIFICATE, KEY, NAME)
"""Fields of the form with a certificate."""


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
    from gatewayd.web import certificate_judge

    found = certificate_judge.seen(certificate)
    return [
        (_("Name"), found.subject),
        (_("Valid until"), found.until.strftime("%Y-%m-%d")),
        (_("Fingerprint (SHA-256)"), found.fingerprint),
    ]


def own_facts(request: Request) -> list[tuple[str, str]]:
    """The user's own certificate, where one is configured."""
    if not own_certificate.is_configured(of(request)):
        return []
    found = own_certificate.configured(of(request))
    if found is None:
        return [(_("File"), of(request).gateway.config().ocpp.tls.certificate)]
    return [
        (_("For"), ", ".join(found.names)),
        (_("Issued by"), found.issuer),
        (_("Valid until"), found.until.strftime("%Y-%m-%d")),
        (_("Fingerprint (SHA-256)"), found.fingerprint),
    ]


def ends(request: Request) -> str:
    """What is to be said of the end of the user's own certificate; empty: it is far away, or there is none."""
    found = own_certificate.configured(of(request))
    if found is None or found.until - datetime.now(UTC) > own_certificate.WARNED_BEFORE:
        return ""
    return _("It ends on %(day)s. Have the request signed once more.", day=f"{found.until:%Y-%m-%d}")


async def security(request: Request) -> Response:
    """The page."""
    return _page(request, Form(values(of(request).gateway.config(), {**TLS, **FENCE})))


def _page(request: Request, shown: Form, status: int = 200) -> Response:
    filled: dict[str, Any] = (
        values(of(request).gateway.config(), {**TLS, **FENCE}) | dict.fromkeys(PARTS, "") | shown.values
    )
    own = authority(request)
    response: Response = of(request).rendering.page(
        request, "security.html", status, form=Form(filled, shown.faults), authority=facts(own) if own else [],
        own=own_facts(request), ends=ends(request),
    )  # fmt: skip
    return response


async def authority_file(request: Request) -> Response:
    """The certificate to install in charge points and browsers. No key is in it, so whoever may look may have it."""
    own = authority(request)
    if own is None:
        raise Refused(404, "the gateway has not made its authority yet", "Look again when it has started.")
    headers = {"Content-Disposition": 'attachment; filename="authority.pem"'}
    return Response(own, media_type=PEM_TYPE, headers=headers)


async def save_tls(request: Request) -> Response:
    """TLS for charge points."""
    return await _save(request, TLS)


async def save_fence(request: Request) -> Response:
    """Who may connect to Modbus, and whether they may write."""
    return await _save(request, FENCE)


async def signing_request(request: Request) -> Response:
    """A request for a certificate of somebody else's authority, as a file."""
    name = request.query_params.get("name", "")
    own = await own_certificate.request(of(request), author(request), name)
    headers = {"Content-Disposition": 'attachment; filename="gateway.csr"'}
    return Response(own.request, media_type=PEM_TYPE, headers=headers)


async def take_certificate(request: Request) -> Response:
    """The user's own certificate, and its key where that is not the gateway's."""
    name = (await form(request)).get("name", "")
    sent = [await upload(request, part) or b"" for part in ("certificate", "key")]
    certificate, key = (each.decode("latin-1") for each in sent)
    if len(certificate) > CHAIN_LONGEST or len(key) > KEY_LONGEST or len(name) > NAME_LONGEST:
        raise Refused(413, "a certificate, its key and name are shorter", f"{CHAIN_LONGEST} characters at most.")
    faults = await own_certificate.take(of(request), author(request), Brought(certificate, key, name))
    if not faults:
        return see_other("/security")
    told = {each["key"] if each["key"] in PARTS else "": sentence(each["what"]) for each in reversed(faults)}
    return _page(request, Form({"name": name}, told), 422)


async def withdraw_certificate(request: Request) -> Response:
    """The gateway's own authority's certificate again."""
    faults = await own_certificate.withdraw(of(request), author(request))
    return _page(request, Form({}, {"": sentence(faults[0]["what"])}), 422) if faults else see_other("/security")


async def _save(request: Request, fields: Fields) -> Response:
    _sent, shown = await saved(request, fields)
    return _page(request, shown, 422) if shown.faults else see_other("/security")


ROUTES = (
    Route("/security", security, Role.viewer),
    Route("/security/authority.pem", authority_file, Role.viewer),
    Route("/security/request.csr", signing_request, Role.admin, name="security_request"),
    Route("/security/certificate", take_certificate, Role.admin, "POST"),
    Route("/security/certificate/remove", withdraw_certificate, Role.admin, "POST"),
    Route("/security/tls", save_tls, Role.admin, "POST"),
    Route("/security/modbus", save_fence, Role.admin, "POST"),
)
