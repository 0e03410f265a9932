"""The charge point's own books: every transaction to the Wh, to compare the gateway's with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Transaction:
    """Times are seconds since 1970 by the charge point's clock, meters are what was (or will be) sent, in Wh.

    `transaction_id` is None until StartTransaction was answered. `start_acknowledged` and `stop_acknowledged` say
    that the central system has answered; `given_up` that it refused for good (TransactionMessageAttempts).
    """

    connector: int
    id_tag: str
    started_at: float
    meter_start_wh: int
    parent_id_tag: str | None = None
    reservation_id: int | None = None
    transaction_id: int | None = None
    stopped_at: float | None = None
    meter_stop_wh: int | None = None
    reason: str | None = None
    start_acknowledged: bool = False
    stop_acknowledged: bool = False
    given_up: bool = False
    authorization: str | None = None  # idTagInfo.status of the answer to StartTransaction
    begin_samples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.stopped_at is None

    @property
    def energy_wh(self) -> int:
        """0 while it runs; meter_stop - meter_start to the Wh afterwards."""
        return 0 if self.meter_stop_wh is None else self.meter_stop_wh - self.meter_start_wh
