"""A DHCP lease, and how the client's script (`hal/lease_facts.sh`) writes it down.

A DHCP server is whoever answers first: what it says is checked like any other input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

from hal.network_settings import MAX_SERVERS, usable

MIN_LEASE_S: Final = 60.0
"""A shorter lease is taken as this long: the client asks again at half time, and netd looks once a second."""

MAX_LEASE_S: Final = 0xFFFFFFFF
"""The protocol's "for ever"."""

_DOMAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


@dataclass(frozen=True, slots=True)
class Lease:
    """`at` is when it was given or confirmed, in seconds since the machine started (CLOCK_BOOTTIME)."""

    at: float
    address: IPv4Interface
    duration_s: float
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[str, ...] = ()
    domain: str = ""
    server: str = ""

    @property
    def ends_at(self) -> float:
        return self.at + self.duration_s


@dataclass(frozen=True, slots=True)
class Refused:
    """The server said that our address is not ours (DHCPNAK)."""

    at: float


def parse(text: str) -> Lease | Refused:
    """What the script wrote: lines `name=value`. Raises ValueError for what cannot be used; the lease is then none."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    at = _number(values, "at")
    if values.get("event") == "nak":
        return Refused(at)
    if values.get("event") not in ("bound", "renew"):
        raise ValueError(f"event {values.get('event')!r}")
    address = IPv4Interface(f"{values.get('ip', '')}/{values.get('mask') or '24'}")
    if not usable(address.ip) or not 1 <= address.network.prefixlen <= 32:
        raise ValueError(f"a lease of {address}")
    routers = [router for router in _addresses(values, "router") if router != address.ip]
    domain = values.get("domain", "")
    return Lease(
        at,
        address,
        min(max(_number(values, "lease"), MIN_LEASE_S), MAX_LEASE_S),
        routers[0] if routers else None,
        _addresses(values, "dns")[:MAX_SERVERS],
        tuple(str(server) for server in _addresses(values, "ntpsrv")[:MAX_SERVERS]),
        domain if _DOMAIN.fullmatch(domain) else "",
        values.get("serverid", "") if re.fullmatch(r"[0-9.]{7,15}", values.get("serverid", "")) else "",
    )


def _number(values: dict[str, str], name: str) -> float:
    text = values.get(name, "")
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        raise ValueError(f"{name} is {text!r}")
    return float(text)


def _addresses(values: dict[str, str], name: str) -> tuple[IPv4Address, ...]:
    found = []
    for text in values.get(name, "").split():
        try:
            address = IPv4Address(text)
        except ValueError:
            continue
        if usable(address):
            found.append(address)
    return tuple(found)
