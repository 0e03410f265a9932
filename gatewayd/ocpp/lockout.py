"""Who guessed passwords too often has to wait (ocpp.md, Who may connect: 429; promises, R26). Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, IPv6Network, ip_address

TRIES = 10
"""Wrong passwords from one address, or for one identity, within a minute; the next try is not even looked at."""
WINDOW_S = 60.0
ADDRESSES_MAX = 1024
"""Addresses remembered; a whole building dials from fewer, and an attacker gains nothing: the oldest goes."""
NEIGHBOURS_PREFIX = 64
"""Bits of an IPv6 address that tell one household from another; every device has all the rest for itself."""


def household(address: str) -> str:
    """The address as far as guesses are counted by it; one IPv6 device has more addresses than anybody can count."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    mapped = found.ipv4_mapped
    return str(mapped or IPv6Network((found, NEIGHBOURS_PREFIX), strict=False))


class Lockout:
    """Wrong passwords by address, or by whatever else text names."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """How long this address has to wait before its next try; 0 = it may."""
        wrong = self._wrong.get(address)
        if wrong is None or len(wrong) < TRIES:
            return 0.0
        return max(0.0, wrong[0] + WINDOW_S - now)

    def note_wrong(self, address: str, now: float) -> None:
        """A password from this address was wrong. A right one later does not make up for it: whoever knows one could
        guess the others."""
        wrong = self._wrong.setdefault(address, deque(maxlen=TRIES))
        wrong.append(now)
        self._wrong.move_to_end(address)
        if len(self._wrong) > ADDRESSES_MAX:
            self._wrong.popitem(last=False)
