"""By which names and addresses this machine can be dialled: what its certificate must hold."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

import ifaddr

ALWAYS = ("localhost", "127.0.0.1", "192.168.100.246")
"""The last is where the appliance is found without DHCP (manual 2.1)."""
NAMES_MAX = 60
"""A certificate of more names is larger than small charge points take."""
_LABELS = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def own_names(*called: str) -> list[str]:
    """`called` are names and addresses that others use for it; what can be no name of a host is left out, as are
    addresses that mean another machine to everybody else (link-local ones of IPv6, wildcards)."""
    host = socket.gethostname().lower()
    names = {*ALWAYS, host, f"{host.partition('.')[0]}.local", *(name.strip().lower() for name in called)}
    names |= {str(each.ip if each.is_IPv4 else each.ip[0]) for adapter in ifaddr.get_adapters() for each in adapter.ips}
    return sorted(usable(names))[:NAMES_MAX]


def usable(names: Iterable[str]) -> set[str]:
    """Those of them that can be in a certificate."""
    found = set()
    for name in names:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            if _LABELS.fullmatch(name):
                found.add(name)
            continue
        if not (address.is_unspecified or address.is_multicast or (address.version == 6 and address.is_link_local)):
            found.add(str(address))
    return found
