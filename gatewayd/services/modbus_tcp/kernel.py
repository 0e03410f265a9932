"""What Modbus TCP asks of the kernel: listening sockets, dead peers found, and who a peer is."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from struct import Struct

from gatewayd.modbus.places import Place

# Completed handshakes the kernel may keep for us between two wake-ups.
BACKLOG = 64

# Keep-alive frees a dead peer's place within a minute (modbus.md, Six TCP clients): after `keep_alive_s` of silence so
# many probes, spread over what is left. The kernel's long timers run up to a tenth late, hence six seconds less.
# Answers that stay unacknowledged end the connection a little earlier still: where this option is set, a probe that
# finds nobody closes only if the option's time is over.
DEAD_PEER_S = 54
KEEP_ALIVE_PROBES = 3
USER_TIMEOUT_S = 50

# struct tcp_info up to tcpi_last_ack_recv: state, 7 bytes, 4 words, unacked, 6 words, last_data_recv, last_ack_recv.
_tcp_info = Struct("B7x16xI24xII")
_TCP_ESTABLISHED = 1


def open_listener(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`, all on one port; port 0 takes a free one.

    Raises OSError, with errno EADDRINUSE or EACCES where the port cannot be had.
    """
    listeners: list[socket.socket] = []
    addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, kind, protocol, _, address in addresses:
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # "::" alone serves IPv4 too; beside 0.0.0.0 it must not
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, len(addresses) > 1)
            listener.bind((address[0], port, *address[2:]))
            port = listener.getsockname()[1]
            listener.listen(BACKLOG)
            listener.setblocking(False)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def keep_alive(sock: socket.socket, idle_s: int) -> None:
    interval_s = max(1, (DEAD_PEER_S - idle_s) // KEEP_ALIVE_PROBES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_S * 1000)


def place(sock: socket.socket, address: str, last_request_s: float) -> Place:
    """What the kernel knows of a connection's peer.

    While an answer is unacknowledged, the peer has been silent since its last acknowledgement or its last data,
    whichever is later: a client that asks once a minute acknowledges nothing between two requests and is still alive.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _tcp_info.size)
    state, unacked, since_data_ms, since_ack_ms = _tcp_info.unpack(info)
    return Place(
        address=address,
        last_request_s=last_request_s,
        half_closed=state != _TCP_ESTABLISHED,
        unacknowledged_s=min(since_data_ms, since_ack_ms) / 1000 if unacked else 0.0,
    )


def plain(address: str) -> str:
    """An IPv4 client of a dual-stack listener by its IPv4 address, as in the configuration."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return address


def allowed(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in networks)
