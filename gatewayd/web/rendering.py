"""Templates into answers. Everything is escaped: what charge points and BMS say is text, no markup (promises, R28)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gatewayd.web.assets import Assets
from gatewayd.web.pages.frame import GLOBALS
from gatewayd.web.routes import Role
from gatewayd.web.sessions import Session

TEMPLATES: Final = Path(__file__).parent / "templates"


class Rendering:
    """The templates of one webd."""

    def __init__(self, assets: Assets, directory: Path = TEMPLATES) -> None:
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(directory),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=["jinja2.ext.i18n"],
        )
        self.environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
        self.environment.globals["asset"] = assets.url
        self.environment.globals["Role"] = Role
        self.environment.globals.update(GLOBALS)

    def has(self, template: str) -> bool:
        """Whether there is such a template."""
        return template in self.environment.list_templates()

    def page(self, request: Request, template: str, status_code: int = 200, **context: Any) -> HTMLResponse:
        """One template as an answer. Besides `context` it has `request`, `user` (name or empty), `role`, `csrf_token`
        (for the field `csrf_token` of forms, and for the header `X-CSRF-Token` of requests by script), `asset(name)`,
        `Role` and `_(text)`."""
        session: Session | None = getattr(request.state, "session", None)
        standing = {
            "request": request,
            "user": session.user if session else "",
            "role": getattr(request.state, "role", Role.anyone),
            "csrf_token": session.proof() if session else "",
        }
        text = self.environment.get_template(template).render({**standing, **context})
        return HTMLResponse(text, status_code)
