"""The configuration as TOML, whole; and the trail of who changed what."""

from __future__ import annotations

from typing import Any, Final

import tomlkit
from starlette.requests import Request
from starlette.responses import Response

from gatewayd import config as configured
from gatewayd.web.api.asked import accepted, author, of, whole
from gatewayd.web.api.json_body import nothing, said
from gatewayd.web.audit import SECRET, Change
from gatewayd.web.differences import SECRETS
from gatewayd.web.editor import Fault
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route

TOML: Final = "application/toml"
FILE_MOST_BYTES: Final = 256 * 1024
"""Forty charge points with every key and a comment to each have 60 kB; certificates are 16 KiB each."""
TRAIL_MOST: Final = 500
TRAIL_SKIP_MOST: Final = 100_000


def hidden(text: bytes, name: str) -> str:
    """The configuration for whoever may not see its secrets: they are marks, and comments, which may hold an old one,
    are left out. Raises ConfigError for a file in which nobody can tell what is secret."""
    configured.parse(text, name)
    return tomlkit.dumps(_hidden(tomlkit.parse(text).unwrap(), ""))


def _hidden(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(each, f"{path}.{key}".removeprefix(".")) for key, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each, path) for each in value]
    return SECRET if path in SECRETS and value else value


def marked(value: Any, path: str = "") -> list[Fault]:
    """Marks of hidden secrets in a configuration: saved, they would be the passwords."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}".removeprefix("."), each) for key, each in value.items()]
        return [fault for key, each in pairs for fault in marked(each, key)]
    if isinstance(value, list):
        return [fault for at, each in enumerate(value, 1) for fault in marked(each, f"{path}[{at}]")]
    return [{"key": path, "what": "is the mark of a hidden secret: give the secret itself"}] if value == SECRET else []


async def configuration(request: Request) -> Response:
    file = of(request).settings.config
    text = file.read_bytes()
    if request.state.role is Role.admin:
        return Response(text, media_type=TOML)
    try:
        return Response(hidden(text, file.name), media_type=TOML)
    except configured.ConfigError:
        raise Refused(409, "the file has faults, and its secrets cannot be told", "An admin may read it.") from None


async def replace(request: Request) -> Response:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != TOML:
        raise Refused(415, "the body is not TOML", f"Send it as Content-Type: {TOML}.")
    text: bytes = request.state.body
    why = "this configuration is refused, and the one before stays in force"
    try:
        configured.parse(text, of(request).settings.config.name)
    except configured.ConfigError as error:
        accepted([{"key": fault.key, "what": fault.what} for fault in error.faults], why)
    accepted(marked(tomlkit.parse(text).unwrap()), why)
    accepted(await of(request).editor.replace(author(request), text), why)
    return nothing()


async def audit(request: Request) -> Response:
    most, skip = whole(request, "most", 100, TRAIL_MOST), whole(request, "skip", 0, TRAIL_SKIP_MOST)
    assert most is not None
    assert skip is not None
    return said(of(request).audit.newest(skip + most)[skip:])


ROUTES = (
    Route("/api/v1/configuration", configuration, Role.viewer, name="api_configuration",
          described=Described("The configuration file; for all but admins without comments, and secrets are •••",
                              gives=str, media_type=TOML, refusals=(409,))),
    Route("/api/v1/configuration", replace, Role.admin, "PUT", body_max_bytes=FILE_MOST_BYTES,
          described=Described("Replace the configuration file; what is wrong is listed by key and nothing is saved",
                              str, status=204, takes_media_type=TOML)),
    Route("/api/v1/audit", audit, Role.admin, name="api_audit",
          described=Described(
              "Who changed what, newest first", gives=list[Change], refusals=(422,),
              query=(("most", f"how many, {TRAIL_MOST} at most; 100 if left out"), ("skip", "how many to pass over")))),
)  # fmt: skip
