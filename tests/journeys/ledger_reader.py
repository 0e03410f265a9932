"""The ledger's transactions as somebody with another program sees them in the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple


class Booked(NamedTuple):
    """One row; energies in Wh, times as epoch seconds."""

    charge_point: int
    id: int
    connector: int
    id_tag: str
    start_epoch: float
    meter_start_wh: int
    stop_epoch: float | None
    meter_stop_wh: int | None
    incomplete: bool

    @property
    def energy_wh(self) -> int | None:
        return None if self.meter_stop_wh is None else self.meter_stop_wh - self.meter_start_wh


def transactions(path: Path) -> list[Booked]:
    """All of them, by charge point and id."""
    database = sqlite3.connect(path)
    try:
        rows = database.execute(
            f"SELECT {','.join(Booked._fields)} FROM charging_transaction ORDER BY charge_point, id"
        ).fetchall()
    finally:
        database.close()
    return [Booked._make((*row[:-1], bool(row[-1]))) for row in rows]
