"""What an interface has and what it should have: the difference as `ip` commands, pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

METRIC: Final = 100
"""Of our default route; a route without our mark is somebody else's and left alone."""

PROTOCOL: Final = "static"
"""How our routes are marked in the kernel's table."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as `ip -json` shows it; addresses are IPv4 and global."""

    up: bool
    addresses: tuple[IPv4Interface, ...] = ()
    router: IPv4Address | None = None


def parse(addr_json: str, route_json: str) -> Interface:
    """From `ip -json addr show dev X` and `ip -json route show default dev X`. ValueError when it is something else."""
    try:
        (link,) = json.loads(addr_json)
        addresses = tuple(
            IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")
            for entry in link.get("addr_info", [])
            if entry.get("family") == "inet" and entry.get("scope") == "global"
        )
        routes = [route for route in json.loads(route_json or "[]") if route.get("metric") == METRIC]
        router = IPv4Address(routes[0]["gateway"]) if routes and "gateway" in routes[0] else None
        return Interface("UP" in link["flags"], addresses, router)
    except (KeyError, TypeError, ValueError) as wrong:
        raise ValueError(f"ip -json: {wrong!r}") from wrong


def repairs(device: str, has: Interface, wants: Sequence[IPv4Interface], router: IPv4Address | None) -> list[list[str]]:
    """The arguments of the `ip` commands, in order, that make the interface as wanted; none when it is.

    New addresses come before old ones go, so that there is no moment without any; the first wanted address is the one
    that the default route speaks from.
    """
    commands: list[list[str]] = []
    if not has.up:
        commands.append(["link", "set", "dev", device, "up"])
    added = [address for address in wants if address not in has.addresses]
    # Within one network the kernel keeps the order of coming; removing the first may take the others with it.
    commands += [["addr", "add", str(address), "broadcast", "+", "dev", device, "scope", "global"] for address in added]
    removed = [address for address in has.addresses if address not in wants]
    commands += [["addr", "del", str(address), "dev", device] for address in removed]
    lost_with_it = has.router is not None and any(has.router in address.network for address in removed)
    mark = ["dev", device, "metric", str(METRIC), "proto", PROTOCOL]
    if router is not None and (router != has.router or added or removed or not has.up):
        source = ["src", str(wants[0].ip)] if wants else []
        onlink = [] if wants and router in wants[0].network else ["onlink"]
        commands.append(["route", "replace", "default", "via", str(router), *mark, *source, *onlink])
    elif router is None and has.router is not None and not lost_with_it:
        commands.append(["route", "del", "default", *mark])
    return commands
