"""The effective limit: the lowest of all that applies (modbus.md, Limits). Arithmetic only.

Limits are rounded down to 0.1 of their unit, so that no conversion lets through more than was meant (quirk S5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from gatewayd.site.codes import RateUnit, Status, WatchdogAction, WatchdogState
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.model import Site
from gatewayd.site.supply import NOMINAL_WATTS_PER_AMPERE

TENTHS = 10
_ROUNDING = 1e-6
"""Parts of a tenth that binary fractions lose: 16.1 A are 161 tenths, not 160."""
NOT_YET_CHARGING = frozenset({Status.unknown, Status.Preparing, Status.unlisted})
"""Statuses in which an open transaction is about to draw, or does so unsaid."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What bounds one connector. `limit` and `upstream` count 0.1 of their unit, NO_LIMIT = none; a share or the
    watchdog that does not apply is None."""

    ceiling_a: float
    limit: int = NO_LIMIT
    unit: int = RateUnit.A
    upstream: int = NO_LIMIT
    upstream_unit: int = RateUnit.A
    enabled: bool = True
    whole_share_a: float | None = None
    site_share_w: float | None = None
    watchdog_a: float | None = None
    watts_per_ampere: float = NOMINAL_WATTS_PER_AMPERE

    @property
    def asked(self) -> bool:
        """Somebody limits: more than the ceiling applies, which alone is never sent. What a central system upstream
        set, it told the charge point itself."""
        shared = self.whole_share_a is not None or self.site_share_w is not None
        return self.limit != NO_LIMIT or shared or self.watchdog_a is not None or not self.enabled

    @property
    def shown_unit(self) -> RateUnit:
        """The unit in which the result is given: that of the written limit."""
        return RateUnit(self.unit) if self.limit != NO_LIMIT else RateUnit.A


def effective(bounds: Bounds) -> int:
    """The lowest of the bounds, 0.1 of `shown_unit`, 0 or more."""
    unit, per_ampere = bounds.shown_unit, bounds.watts_per_ampere
    amperes = [bounds.ceiling_a]
    amperes += [share for share in (bounds.whole_share_a, bounds.watchdog_a) if share is not None]
    if not bounds.enabled:
        amperes.append(0.0)
    watts = [] if bounds.site_share_w is None else [bounds.site_share_w]
    if unit == RateUnit.A:
        lowest = min([tenths(a) for a in amperes] + [tenths(w / per_ampere) for w in watts])
    else:
        lowest = min([tenths(a * per_ampere) for a in amperes] + [tenths(w) for w in watts])
    for limit, its_unit in ((bounds.limit, bounds.unit), (bounds.upstream, bounds.upstream_unit)):
        if limit != NO_LIMIT:
            lowest = min(lowest, converted(limit, RateUnit(its_unit), unit, per_ampere))
    return max(0, lowest)


def tenths(value: float) -> int:
    """Whole tenths, rounded down."""
    return floor(value * TENTHS + _ROUNDING)


def converted(limit: int, unit: RateUnit, to: RateUnit, watts_per_ampere: float) -> int:
    """A limit of 0.1 A as 0.1 W or the other way, rounded down; as it is in its own unit."""
    if unit == to:
        return limit
    factor = watts_per_ampere if to == RateUnit.W else 1 / watts_per_ampere
    return tenths(limit / TENTHS * factor)


# --- shares -------------------------------------------------------------------------------------------------------


def charges(connector: Connector) -> bool:
    """Whether it counts among the connectors that charge, when a limit is shared. A car that takes nothing by its own
    choice does not: full cars would starve the others for hours. One that waits for more current does."""
    if connector.status in (Status.Charging, Status.SuspendedEVSE):
        return True
    return connector.open_transaction is not None and connector.status in NOT_YET_CHARGING


def share(total: float, count: int, connector: Connector) -> float | None:
    """The equal part of this connector, `count` connectors charging. A car that is plugged in but does not charge gets
    what it would have if it began, so that it does not begin with the ceiling; without a car no share applies."""
    if connector.limit.shares:
        return total / max(1, count)
    return total / (count + 1) if connector.plugged else None


def watchdog_a(site: Site) -> float | None:
    """What a tripped watchdog allows each connector, in A; None: it limits nothing."""
    if site.watchdog_state != WatchdogState.tripped:
        return None
    if site.watchdog_action == WatchdogAction.apply_watchdog_limit:
        return site.watchdog_limit / TENTHS
    return 0.0 if site.watchdog_action == WatchdogAction.limit_zero else None
