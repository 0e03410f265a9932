"""A certificate of the user's own authority, as somebody brings it, and what it has to fit. No library is needed for
that: the one that looks into certificates is the largest that webd could load, and is loaded by whoever looks."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

CERTIFICATE, KEY, NAME = "certificate", "key", "name"
"""Parts of what is brought, by which its faults are named."""
PEM_MARK: Final = "-----BEGIN"
PEM_TYPE: Final = "application/x-pem-file"
CHAIN_LONGEST, KEY_LONGEST, NAME_LONGEST = 32 * 1024, 8 * 1024, 253
"""Characters; a chain of five certificates with RSA keys of 4096 bits has a third of it."""


@dataclass(frozen=True, slots=True)
class Own:
    """What gatewayd says of itself: its request, PEM; its names; where the key of the request lies, for the
    configuration."""

    request: str
    names: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Brought:
    """What somebody wants the gateway to show. `key` empty: that of the gateway's own request. `name`: what charge
    points dial; empty: any of the gateway's own names."""

    certificate: str
    key: str = ""
    name: str = ""


def covers(covered: Collection[str], name: str) -> bool:
    """RFC 9525: a wildcard stands for one whole label, the first; addresses only for themselves."""
    try:
        return str(ipaddress.ip_address(name)) in covered
    except ValueError:
        _, dot, rest = name.partition(".")
        return name in covered or (bool(dot) and f"*.{rest}" in covered)
