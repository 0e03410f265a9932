"""The quirk profiles that come with the gateway: one TOML file for each, named as the profile.

`gatewayd.quirk_profiles` reads them; here it is only told which there are.
"""

from functools import cache
from pathlib import Path

ENDING = ".toml"
PLACE = Path(__file__).parent


@cache
def names() -> frozenset[str]:
    """The names that `profile` of a charge point may have (interface.md)."""
    found = (each.name for each in PLACE.iterdir())
    return frozenset(name.removesuffix(ENDING) for name in found if name.endswith(ENDING))


def text(name: str) -> str:
    """The file of one that there is."""
    return (PLACE / (name + ENDING)).read_text(encoding="utf-8")
