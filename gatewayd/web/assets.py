"""What browsers fetch once: style, scripts and pictures, under names that change with their content, and compressed.

Read and compressed at the start: they are small, and a file that is named by its content never changes under a name.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

STATIC: Final = Path(__file__).parent / "static"
HASH_CHARACTERS: Final = 12
"""48 bits: enough that two versions of one file never share a name."""
FOREVER: Final = "public, max-age=31536000, immutable"
SAVES_ENOUGH: Final = 0.95
"""What compresses to less than this is kept compressed; pictures and fonts do not."""
TYPES: Final = {".woff2": "font/woff2", ".js": "text/javascript", ".svg": "image/svg+xml", ".ico": "image/x-icon",
                ".webmanifest": "application/manifest+json"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    name: str
    """`app.css` or `icons/plug.svg`, as the templates say it."""
    path: str
    """Where the browser fetches it."""
    media_type: str
    content: bytes
    compressed: bytes | None
    tag: str


class Assets:
    """All files of one directory."""

    def __init__(self, directory: Path = STATIC) -> None:
        found = [_asset(directory, path) for path in sorted(directory.rglob("*")) if path.is_file()]
        self.by_name = {each.name: each for each in found}
        self._by_path = {each.path: each for each in found}

    def url(self, name: str) -> str:
        """Where a template finds `name`. Raises KeyError: a page with a broken link is a bug."""
        return self.by_name[name].path

    async def serve(self, request: Request) -> Response:
        """The view of /static/{path}."""
        asset = self._by_path.get(request.url.path)
        if asset is None:
            return Response("no such file\n", 404, media_type="text/plain")
        headers = {"Cache-Control": FOREVER, "ETag": asset.tag, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == asset.tag:
            return Response(status_code=304, headers=headers)
        if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                asset.compressed, media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"}
            )
        return Response(asset.content, media_type=asset.media_type, headers=headers)


def _asset(directory: Path, path: Path) -> Asset:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:HASH_CHARACTERS]
    name = str(path.relative_to(directory))
    stem, suffix = name[: len(name) - len(path.suffix)], path.suffix
    compressed = gzip.compress(content, 9, mtime=0)
    return Asset(
        name, f"/static/{stem}.{digest}{suffix}",
        TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream"),
        content, compressed if len(compressed) < SAVES_ENOUGH * len(content) else None, f'"{digest}"',
    )  # fmt: skip
