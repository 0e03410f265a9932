"""The configuration of `make run` where none is named: written once, and kept, whatever is adopted and changed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import tomlkit
import tomlkit.exceptions

DEFAULT_PORTS = {"modbus": 1502, "ocpp": 8887, "web": 8080, "metrics": 9100}
PORT_KEYS = {"modbus": ("modbus", "tcp"), "ocpp": ("ocpp",), "web": ("web",), "metrics": ("metrics",)}
DEFAULT_CONFIGURATION = """# Written by `make run`, which keeps what is changed here; remove the file for a new one.
# make run CONFIG=your.toml takes another.
[gateway]
name = "demonstration"

[modbus.tcp]
host = "127.0.0.1"
port = {modbus}

[ocpp]
host = "127.0.0.1"
port = {ocpp}

[web]
host = "127.0.0.1"
port = {web}

[metrics]
host = "127.0.0.1"
port = {metrics}

[[charge_point]]
number = 1
identity = "CP001"
connectors = 2

[[charge_point]]
number = 2
identity = "CP002"
connectors = 2
"""


def own_configuration(kept: str, say: Callable[[str], None]) -> str:
    """The configuration that stands where none was named: as the page or a person left it, `kept`, and with ports that
    are free now. One that cannot be read is left for the gateway to complain of."""
    if not kept:
        ports = {name: free_port(name, port, say) for name, port in DEFAULT_PORTS.items()}
        return DEFAULT_CONFIGURATION.format(**ports)
    try:
        document = tomlkit.parse(kept)
    except tomlkit.exceptions.ParseError:
        return kept
    for name, path in PORT_KEYS.items():
        table: Any = document
        for key in path:
            table = table.setdefault(key, tomlkit.table())
        wanted = int(table.get("port", DEFAULT_PORTS[name])) or DEFAULT_PORTS[name]
        if wanted > 0 and (free := free_port(name, wanted, say)) != table.get("port"):
            table["port"] = free
    return tomlkit.dumps(document)


def free_port(name: str, wanted: int, say: Callable[[str], None]) -> int:
    """The wanted port, or 0 for any when somebody has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            say(f"port {wanted} ({name}) is taken by another program; a free one is used instead")
            return 0
    return wanted
