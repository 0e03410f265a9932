"""Forms and the configuration: what a form shows, what its fields say in the configuration's own types, what was wrong.

The editor (`gatewayd.web.editor`) keeps comments, validates, saves and has gatewayd read it; here are only the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from gatewayd.quirk_profiles import model
from gatewayd.quirks import names
from gatewayd.web.editor import Author, Fault
from gatewayd.web.entry import address
from gatewayd.web.pages.frame import of
from gatewayd.web.pages.language import _

PLAIN: Final = "standard"
"""The quirk profile of a charge point that needs none."""


@dataclass(slots=True)
class Form:
    """What the fields of a form hold, and what is wrong with them, both by field. A fault of no field shows above."""

    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def number(text: str) -> int | float | str:
    """The number that a field holds; what is none is left for the configuration to refuse with its own words."""
    plain = text.strip().replace(",", ".")
    try:
        return int(plain)
    except ValueError:
        try:
            return float(plain)
        except ValueError:
            return text


def several(text: str) -> list[str]:
    """A list typed into one field: blanks, commas and line ends part it."""
    return text.replace(",", " ").split()


def placed(faults: Iterable[Mapping[str, str]], fields: Mapping[str, str]) -> dict[str, str]:
    """Faults of the configuration beside the fields they are about. `fields`: key of the configuration → field.

    A key inside an array counts by its last part: `charge_point[3].identity` belongs to `identity`.
    """
    found: dict[str, str] = {}
    for fault in faults:
        key, what = fault["key"], fault["what"]
        name = fields.get(key) or fields.get(key.rpartition(".")[2]) or key
        found[name] = sentence(what) if name in fields.values() else f"{key}: {what}"
    return found


def sentence(text: str) -> str:
    """A reason as a sentence."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else _("This cannot be saved.")


def author(request: Request) -> Author:
    """Who changes something, for the trail."""
    return request.state.session.user, address(request)


async def save(request: Request, wanted: Mapping[str, Any]) -> list[Fault]:
    """Keys of the configuration, set. What is wrong; nothing: it is saved and in force."""
    return await of(request).editor.set(author(request), wanted)


async def save_charge_point(request: Request, number: int | None, wanted: Mapping[str, Any]) -> list[Fault]:
    """A charge point changed, or added where `number` is None."""
    return await of(request).editor.set_charge_point(author(request), number, wanted)


async def remove_charge_point(request: Request, number: int) -> list[Fault]:
    """A charge point taken away."""
    return await of(request).editor.remove_charge_point(author(request), number)


def quirk_profiles() -> list[tuple[str, str]]:
    """What `profile` may be, and for which models; the plain one first."""
    listed = [(name, ", ".join(model(name).models)) for name in names() if name != PLAIN]
    return [(PLAIN, PLAIN), *((name, sold or name) for name, sold in sorted(listed, key=lambda one: one[1].lower()))]
