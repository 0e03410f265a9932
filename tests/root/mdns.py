"""Asks multicast DNS one question, as any machine in the local network may, and prints the answers as JSON. RFC 6762.

usage: mdns.py OWN_ADDRESS NAME TYPE     prints [[name, type, data], ...]: A an address, PTR a name, SRV port and name
"""

import json
import socket
import struct
import sys
from ipaddress import IPv4Address

GROUP = ("224.0.0.251", 5353)
TYPES = {"A": 1, "PTR": 12, "TXT": 16, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}
PATIENCE_S = 2.0


def question(name: str, kind: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 1, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", TYPES[kind], 1)


def read_name(packet: bytes, at: int) -> tuple[str, int]:
    """The name there, and where what follows it begins."""
    labels: list[str] = []
    after = None
    while length := packet[at]:
        if length >= 0xC0:  # the rest stands elsewhere in the packet
            after = after or at + 2
            at = (length & 0x3F) << 8 | packet[at + 1]
        else:
            labels.append(packet[at + 1 : at + 1 + length].decode())
            at += 1 + length
    return ".".join(labels), after or at + 1


def answers(packet: bytes) -> list[tuple[str, str, str]]:
    asked, *counts = struct.unpack_from(">4H", packet, 4)
    at = 12
    for _ in range(asked):
        at = read_name(packet, at)[1] + 4
    found = []
    for _ in range(sum(counts)):
        name, at = read_name(packet, at)
        kind, _, _, length = struct.unpack_from(">2HIH", packet, at)
        at += 10
        found.append((name, NAMES.get(kind, str(kind)), read_data(packet, at, length, kind)))
        at += length
    return found


def read_data(packet: bytes, at: int, length: int, kind: int) -> str:
    if kind == TYPES["A"]:
        return str(IPv4Address(packet[at : at + 4]))
    if kind == TYPES["PTR"]:
        return read_name(packet, at)[0]
    if kind == TYPES["SRV"]:
        return f"{struct.unpack_from('>H', packet, at + 4)[0]} {read_name(packet, at + 6)[0]}"
    return packet[at + 1 : at + length].decode(errors="replace")


def main(own: str, name: str, kind: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        asking.bind((own, 0))
        asking.settimeout(PATIENCE_S)
        asking.sendto(question(name, kind), GROUP)
        try:
            print(json.dumps(answers(asking.recv(9000))))
        except TimeoutError:
            print("[]")


if __name__ == "__main__":
    main(*sys.argv[1:])
