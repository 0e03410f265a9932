"""Showing what became of a limit: `limit_result` of a connector or charge point, and `site_limit_result` of all."""

from __future__ import annotations

from gatewayd.site.codes import LimitResult
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.model import Site

WORST_FIRST = (
    LimitResult.rejected,
    LimitResult.not_supported,
    LimitResult.no_effect,
    LimitResult.no_answer,
    LimitResult.call_error,
    LimitResult.blocked_by_role,
    LimitResult.offline,
    LimitResult.pending,
)
"""Of several results the site shows the first of these that it meets; accepted only where nothing else is left."""


def show(connector: Connector, result: LimitResult) -> None:
    """Put a result into the register, and what follows from it for the site."""
    if connector.limit.result == result:
        return
    connector.limit.result = result
    connector.touch()
    if connector.number and connector.limit.shares:
        show_site(connector.charge_point.bank.site)


def show_site(site: Site) -> None:
    """`site_limit_result`: of the connectors that share the limit."""
    found = LimitResult.none if site.site_limit_w == NO_LIMIT else LimitResult.accepted
    if found is LimitResult.accepted:
        sharing = [c for cp in site.charge_points.values() for c in cp.real_connectors if c.limit.shares]
        results = {c.limit.result for c in sharing}
        found = next((result for result in WORST_FIRST if result in results), found)
    if site.site_limit_result != found:
        site.site_limit_result = found
        site.touch()
