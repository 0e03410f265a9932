"""The packet filter: from the TCP ports that are open to nftables' rules. Pure. promises R31.

It is a second fence: nobody but our own programs listens anyway. So a port that is closed says so (a reset), as it
would without any filter, and whoever typed a wrong one is not kept waiting. Addresses are not looked at: gatewayd
itself turns away those that `[modbus.tcp] allow` does not name, counts them and names them on the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_RULES: Final = """\
# Replaced as a whole: either all of this holds from now on, or what held before.
table inet gateway
delete table inet gateway
table inet gateway {
    set served {
        type inet_service
        SERVED
    }
    # Connections to what is served are not kept in a table, which a flood of them could fill.
    chain untracked_in {
        type filter hook prerouting priority raw; policy accept;
        tcp dport @served notrack
    }
    chain untracked_out {
        type filter hook output priority raw; policy accept;
        tcp sport @served notrack
    }
    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        tcp dport @served accept
        # Answers to what the gateway asked: central systems, name servers, time servers, DHCP.
        ct state established,related accept
        udp sport 67 udp dport 68 accept
        # Multicast DNS; and who asks which groups are listened to, or switches stop passing them on.
        udp dport 5353 accept
        ip protocol igmp accept
        icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept
        icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, mld-listener-query } accept
        meta l4proto tcp reject with tcp reset
    }
}
"""


def ruleset(ports: Iterable[int]) -> str:
    """What `nft -f` reads, for these TCP ports (1 to 65535; any order, doubled or none)."""
    served = ", ".join(str(port) for port in sorted(set(ports)))
    return _RULES.replace("SERVED", f"elements = {{ {served} }}" if served else "# nothing")
