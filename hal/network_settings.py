"""The `[network]` table of the configuration, checked: what netd follows and what stewardd lets pass.

interface.md, "Configuration". Every refusal names the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from typing import Final

MAX_SERVERS: Final = 3
"""Name servers: the resolver asks no more than three."""
MAX_TIME_SERVERS: Final = 4
"""Four are enough to outvote a wrong one; the configuration allows as many."""

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_KEYS: Final = frozenset({"mode", "address", "router", "dns", "ntp"})


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`address` and `router` are set in static mode only; `dns` and `ntp` override what a lease brings."""

    mode: str = "dhcp"
    address: IPv4Interface | None = None
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[str, ...] = ()

    def to_table(self) -> dict[str, object]:
        """The table that `parse` reads to the same settings."""
        table: dict[str, object] = {"mode": self.mode, "dns": [str(server) for server in self.dns]}
        table["ntp"] = list(self.ntp)
        return table | {
            key: str(value) for key, value in asdict(self).items() if key in ("address", "router") and value
        }


def parse(table: object) -> NetworkSettings:
    """The settings of a `[network]` table as TOML or JSON gives it. ValueError: `network.key: what is wrong`."""
    if not isinstance(table, Mapping):
        raise ValueError("network: not a table")
    unknown = sorted(str(key) for key in table if key not in _KEYS)
    if unknown:
        raise ValueError(f"network.{unknown[0]}: unknown key")
    mode = table.get("mode", "dhcp")
    if mode not in ("dhcp", "static"):
        raise ValueError("network.mode: neither dhcp nor static")
    dns = tuple(_ipv4("dns", server) for server in _texts(table, "dns", MAX_SERVERS))
    ntp = tuple(_host(server) for server in _texts(table, "ntp", MAX_TIME_SERVERS))
    if mode == "dhcp":
        return NetworkSettings("dhcp", dns=dns, ntp=ntp)
    address = _interface(table.get("address"))
    router = _ipv4("router", table["router"]) if table.get("router", "") != "" else None
    if router is not None and (router not in address.network or router == address.ip):
        raise ValueError(f"network.router: {router} is no neighbour of {address}")
    return NetworkSettings("static", address, router, dns, ntp)


def _interface(value: object) -> IPv4Interface:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("network.address: static mode needs an address and its prefix, as in 192.168.1.20/24")
    try:
        address = IPv4Interface(value)
    except (AddressValueError, NetmaskValueError) as wrong:
        raise ValueError(f"network.address: {wrong}") from wrong
    network = address.network
    if not usable(address.ip) or not 8 <= network.prefixlen <= 30:
        raise ValueError(f"network.address: {value} is no address for a machine")
    if address.ip in (network.network_address, network.broadcast_address):
        raise ValueError(f"network.address: {value} names the network or everybody in it")
    return address


def usable(address: IPv4Address) -> bool:
    """An address that one machine may have on an interface."""
    return not (
        address.is_loopback
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or address.packed[0] == 0
    )


def _ipv4(key: str, value: object) -> IPv4Address:
    try:
        address = IPv4Address(value if isinstance(value, str) else "")
    except AddressValueError as wrong:
        raise ValueError(f"network.{key}: {value!r} is no IPv4 address") from wrong
    if not usable(address):
        raise ValueError(f"network.{key}: {address} is no address of a machine")
    return address


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(f"network.ntp: {value!r} is no host name or address")
    return value


def _texts(table: Mapping[str, object], key: str, most: int) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"network.{key}: not a list of texts")
    if len(value) > most:
        raise ValueError(f"network.{key}: more than {most}")
    return value
