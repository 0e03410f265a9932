"""What goes on while the clock is set began as long ago as before: it is dated anew (promises, R23).

A gateway without a battery starts in 1970, or where it was switched off, and gets the time later. Sessions that had
begun by then would last for decades, and the sum of all sessions with them.
"""

from __future__ import annotations

from gatewayd.site.journal import SaveTransaction
from gatewayd.site.model import Site


def attach(site: Site) -> None:
    """Follow this site's clock."""
    site.clock.on_moved = lambda seconds: _moved(site, seconds)


def _moved(site: Site, seconds: float) -> None:
    for charge_point in site.charge_points.values():
        if charge_point.connected_epoch is not None:
            charge_point.connected_epoch = max(0.0, charge_point.connected_epoch + seconds)
        for transaction in charge_point.transactions.open():
            transaction.start_epoch = max(0.0, transaction.start_epoch + seconds)
            site.journal.write(SaveTransaction(charge_point.number, transaction))
        charge_point.touch_all()
