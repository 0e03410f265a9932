"""The manual on the device: `docs/` as pages, with the register map. Drawn once, when a chapter is opened first."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Role, Route

if TYPE_CHECKING:
    from markdown_it.token import Token

PLACES: Final = (Path(__file__).parents[1] / "docs", Path(__file__).parents[3] / "docs")
"""Beside the program where it is installed; in a clone, the clone's own."""

CHAPTERS: Final = {
    "page": ("manual/page.md", _("This page")),
    "backup": ("manual/backup.md", _("Backup and restore")),
    "installing": ("manual/installing.md", _("Installing")),
    "certificates": ("manual/certificates.md", _("Certificates")),
    "board": ("manual/board.md", _("The board")),
    "bms": ("manual/bms.md", _("Programming the BMS")),
    "programmers-guide": ("manual/programmers-guide.md", _("Programmer's guide")),
    "bridge": ("manual/bridge.md", _("Bridge role")),
    "exports": ("manual/exports.md", _("Exports")),
    "registers": ("registers.md", _("Register map")),
    "configuration": ("configuration.md", _("Configuration")),
    "interfaces": ("interfaces.md", _("Interfaces")),
}
"""By the name in the address: file and title."""
FIRST: Final = "page"


@dataclass(frozen=True, slots=True)
class Chapter:
    """One page of the manual."""

    name: str
    title: str
    html: Markup


def docs() -> Path | None:
    """Where the documents are."""
    return next((place for place in PLACES if (place / "registers.md").exists()), None)


def chapters(place: Path) -> list[tuple[str, str]]:
    """Name and title of those that are there."""
    return [(name, title) for name, (file, title) in CHAPTERS.items() if (place / file).exists()]


@cache
def chapter(place: Path, name: str) -> Chapter:
    """One chapter drawn. Raises OSError."""
    file, title = CHAPTERS[name]
    return Chapter(name, title, drawn((place / file).read_text(encoding="utf-8"), file, place))


def drawn(text: str, file: str, place: Path | None = None) -> Markup:
    """Markdown as HTML. Markup inside the text stays text; links to other chapters lead to their pages.

    Pictures of `place` are put into the page: a document has few, and they need no address of their own.
    """
    from markdown_it import MarkdownIt  # sixty modules, and few ever read the manual on the device

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL))
    taken: dict[str, int] = {}
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and before is not None and before.type == "heading_open":
            before.attrSet("id", _anchor(token.content, taken))
        for inner in token.children or ():
            _lead(inner, Path(file).parent)
            if place is not None:
                _picture(inner, (place / file).parent)
    html: str = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="wide" tabindex="0" role="group" aria-label="'
                        f'{_("Table")}"><table>').replace("</table>", "</table></div>")  # fmt: skip
    return Markup(html.replace("<pre>", '<pre tabindex="0">'))


def _anchor(heading: str, taken: dict[str, int]) -> str:
    plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).strip().replace(" ", "-")
    taken[plain] = taken.get(plain, -1) + 1
    return f"{plain}-{taken[plain]}" if taken[plain] else plain


def _picture(token: Token, folder: Path) -> None:
    source = folder / str(token.attrGet("src") or "")
    if token.type == "image" and source.suffix == ".svg" and source.is_file():
        token.attrSet("src", "data:image/svg+xml;base64," + base64.b64encode(source.read_bytes()).decode("ascii"))


def _lead(token: Token, folder: Path) -> None:
    """A link to another document leads to its chapter; to what is not on the device, nowhere."""
    if token.type != "link_open":
        return
    target, hash_, anchor = str(token.attrGet("href") or "").partition("#")
    if re.match(r"[a-z]+:", target) or not target:
        return
    parts: list[str] = []
    for part in (folder / target).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    name = next((name for name, (file, _title) in CHAPTERS.items() if file == "/".join(parts)), None)
    token.attrSet("href", f"/manual/{name}{hash_}{anchor}" if name else "/manual")


async def manual(request: Request) -> Response:
    """The first chapter."""
    return RedirectResponse(f"/manual/{FIRST}", 303)


async def manual_chapter(request: Request) -> Response:
    """One chapter."""
    name, place = request.path_params["name"], docs()
    if place is None or name not in CHAPTERS or not (place / CHAPTERS[name][0]).exists():
        raise Refused(404, "there is no such chapter", "Open /manual.")
    return of(request).rendering.page(
        request, "manual.html", chapter=chapter(place, name),
        chapters=[{"name": one, "title": title} for one, title in chapters(place)],
    )  # fmt: skip


ROUTES = (Route("/manual", manual, Role.viewer), Route("/manual/{name}", manual_chapter, Role.viewer))
