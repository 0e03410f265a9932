"""What a written limit does (modbus.md, Limits)."""

from __future__ import annotations

from gatewayd.site.codes import RateUnit
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.model import Site


def write_limit(connector: Connector, value: int) -> None:
    """`limit`: takes `limit_unit` and `limit_phases` along."""
    limit = connector.limit
    limit.written, limit.written_unit, limit.written_phases = value, limit.unit, limit.phases
    connector.touch()


def write_amperes(connector: Connector, value: int) -> None:
    """`limit_u16` and `limit_matrix`: 0.1 A, 65534 = none."""
    limit = connector.limit
    limit.written, limit.written_unit = NO_LIMIT if value == 65534 else value, RateUnit.A
    connector.touch()


def write_unit(connector: Connector, value: int) -> None:
    connector.limit.unit = value
    connector.touch()


def write_phases(connector: Connector, value: int) -> None:
    connector.limit.phases = value
    connector.touch()


def write_enable(connector: Connector, value: int) -> None:
    connector.enable = value
    connector.touch()


def write_energy_limit(connector: Connector, value: int) -> None:
    connector.energy_limit_wh = value
    connector.touch()


def write_site_limit(site: Site, watts: int) -> None:
    site.site_limit_w = watts
    site.touch()
