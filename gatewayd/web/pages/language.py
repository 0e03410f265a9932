"""The language of the pages. English is what stands in the code; another is a gettext catalogue named `pages`.

Every text that a person reads goes through `_` or `ngettext`, in the templates too, where `pybabel extract` finds it.
"""

from __future__ import annotations

import gettext
from typing import Final

LANGUAGE: Final = "en"
"""What the pages say in `lang`; the first of the languages there are."""

_catalogue: Final = gettext.NullTranslations()


def _(text: str, **parts: object) -> str:
    """The text in the pages' language; `%(name)s` is filled from `parts`."""
    said = _catalogue.gettext(text)
    return said % parts if parts else said


def ngettext(one: str, several: str, num: int, **parts: object) -> str:
    """The form that the number asks for; `%(num)s` is the number."""
    return _catalogue.ngettext(one, several, num) % {"num": num, **parts}
