"""Bridge role: from a configuration to whose central system is where, and what a change of it changes."""

from __future__ import annotations

from gatewayd.certificates import upstream_context
from gatewayd.config_tables import ChargePoint, Config
from gatewayd.ocpp.upstream_place import Place
from gatewayd.services.ocpp_upstream import Upstreams


def places(config: Config) -> dict[str, Place]:
    """Identity → where the central system of each charge point is (interface.md, [ocpp.upstream]). One that left the
    bridge role may have something to tell it still."""
    return {
        entry.identity: Place(
            entry.upstream_url or config.ocpp.upstream.url,
            entry.upstream_identity or entry.identity,
            entry.upstream_password,
            config.ocpp.upstream,
        )
        for entry in config.charge_points
        if entry.upstream_url or config.ocpp.upstream.url
    }


def changed(before: Config, after: Config) -> frozenset[int]:
    """The numbers of the charge points that are bridged otherwise than before, or no longer; they dial again."""
    old, new = _ways(before), _ways(after)
    return frozenset(number for number, way in new.items() if number in old and old[number] != way)


def _bridged(config: Config, entry: ChargePoint) -> bool:
    return (entry.role or config.gateway.role) == "bridge"


def _ways(config: Config) -> dict[int, object]:
    found, upstream = places(config), config.ocpp.upstream
    return {
        entry.number: (found[entry.identity], entry.local_control, upstream.local_control, upstream.offline)
        if _bridged(config, entry)
        else None
        for entry in config.charge_points
    }


def upstreams(config: Config) -> Upstreams:
    """Who dials them."""
    return Upstreams(places(config), upstream_context, max_message_bytes=config.ocpp.max_message_bytes)
