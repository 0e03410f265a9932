"""ARP probes and announcements as bytes (RFC 5227): who else has this address?"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

ETHERTYPE: Final = 0x0806
_FRAME: Final = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_BROADCAST: Final = b"\xff" * 6
_ETHERNET_IPV4: Final = (1, 0x0800, 6, 4)
_REQUEST: Final = 1
_REPLY: Final = 2


@dataclass(frozen=True, slots=True)
class Claimed:
    """Somebody on the wire has `address` (`probing` False), or is asking whether he may take it (True)."""

    address: IPv4Address
    by: str
    probing: bool = False


def probe(mac: bytes, address: IPv4Address) -> bytes:
    """The Ethernet frame that asks who has the address without claiming it."""
    return _frame(mac, bytes(4), address)


def announcement(mac: bytes, address: IPv4Address) -> bytes:
    """The Ethernet frame that tells everybody that the address is ours."""
    return _frame(mac, address.packed, address)


def claimed(frame: bytes, own_mac: bytes) -> Claimed | None:
    """What a received frame says about an address, or None: no ARP, cut short, or our own frame come back."""
    if len(frame) < _FRAME.size:
        return None
    _, _, ethertype, *kind, operation, mac, sender, _, target = _FRAME.unpack_from(frame)
    if ethertype != ETHERTYPE or tuple(kind) != _ETHERNET_IPV4 or mac == own_mac or operation not in (_REQUEST, _REPLY):
        return None
    by = mac.hex(":")
    if sender != bytes(4):
        return Claimed(IPv4Address(sender), by)
    return Claimed(IPv4Address(target), by, probing=True) if operation == _REQUEST else None


def _frame(mac: bytes, sender: bytes, target: IPv4Address) -> bytes:
    return _FRAME.pack(_BROADCAST, mac, ETHERTYPE, *_ETHERNET_IPV4, _REQUEST, mac, sender, bytes(6), target.packed)
