"""Which names a browser may call this gateway by, and whether a page of ours asked (promises, R28). Pure.

A page elsewhere that lets its own name point to the gateway's address (DNS rebinding) brings its own name as Host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")
OWN_ENDINGS: Final = (".local", ".localhost", ".lan", ".home.arpa", ".internal")
"""Endings that nobody can own on the Internet: names that end so belong to the site's own network."""


def is_own(host: str, names: Collection[str] = ()) -> bool:
    """Whether a Host header may be this gateway: an address, a name without a dot, a name of a private ending, or one
    of `names`, which the configuration gives ([web] names)."""
    name = _name(host)
    if name is None:
        return False
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        pass
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return False
    return len(labels) == 1 or name.endswith(OWN_ENDINGS) or name in {each.lower() for each in names}


def _name(host: str) -> str | None:
    """The host without its port."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@/\\?#\s]+))(?::\d{1,5})?", host)
    return (found[1] or found[2]) if found else None


def is_same_origin(origin: str | None, fetch_site: str | None, scheme: str, host: str) -> bool:
    """Whether a request that changes something may come from a page of ours. Programs send neither header."""
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme == scheme and parts.netloc.lower() == host.lower()
