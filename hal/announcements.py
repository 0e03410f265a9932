"""What the gateway says of itself by multicast DNS (DNS-SD): from the TCP ports that are open to avahi's file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TYPES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "https": (("_https._tcp", "path=/"),),
    # The first is what devices and tools use, the second what IANA gave port 502.
    "modbus_tcp": (("_modbus._tcp", ""), ("_mbap._tcp", "")),
}
"""Service → its types in DNS-SD, each with its text record. Charge points look for nobody: their URL is typed in."""


def service_group(ports: Mapping[str, int]) -> str:
    """avahi's service file for these open ports; every service under the machine's name."""
    services = [
        "  <service>\n"
        f"    <type>{kind}</type>\n"
        f"    <port>{ports[name]}</port>\n"
        + (f"    <txt-record>{text}</txt-record>\n" if text else "")
        + "  </service>\n"
        for name, types in TYPES.items()
        if name in ports
        for kind, text in types
    ]
    return (
        '<?xml version="1.0" standalone="no"?>\n<!DOCTYPE service-group SYSTEM "avahi-service.dtd">\n'
        '<service-group>\n  <name replace-wildcards="yes">%h</name>\n' + "".join(services) + "</service-group>\n"
    )
