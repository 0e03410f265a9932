"""A calm look at the registers of a running gateway: a small table on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

from .bms import Bms, Value, codes

TABLE_EVERY_S = 1.0
LINE_EVERY_S = 5.0
EVENTS = 6  # the latest lines below the table
CLEAR_TO_END = "\x1b[J"
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One connector, as its registers say."""

    charge_point: int
    connector: int
    status: str
    power_w: Value
    limit: Value
    session_wh: Value
    tag: Value


class LiveView:
    """`say` adds an event, from anybody; `run` draws until cancelled. `show` prints."""

    def __init__(self, terminal: bool, show: Callable[[str], None]) -> None:
        self._terminal = terminal
        self._show = show
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._drawn = 0

    def say(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')}  {text}"
        if self._terminal and self._drawn:
            self._events.append(line)
        else:
            self._show(line)

    async def run(self, bms: Bms, places: list[tuple[int, int]]) -> None:
        """`places`: (charge point, connector) to look at. Raises what the BMS raises."""
        while True:
            heartbeat = await bms.read("gateway_heartbeat")
            total_w = await bms.read("total_power_w")
            rows = [await self._row(bms, *place) for place in places]
            if self._terminal:
                self._draw(heartbeat, total_w, rows)
                await trio.sleep(TABLE_EVERY_S)
            else:
                busy = [_short(row) for row in rows if row.status not in ("Available", "unknown")]
                self.say(f"heartbeat {heartbeat}, {_kilo(total_w, 'kW')}  " + "  |  ".join(busy))
                await trio.sleep(LINE_EVERY_S)

    async def _row(self, bms: Bms, charge_point: int, connector: int) -> Row:
        place = (charge_point, connector)
        return Row(
            *place,
            codes.name_of(codes.STATUSES, await bms.read("status", *place)),
            await bms.read("power_active_import_w", *place),
            await bms.read("limit", *place),
            await bms.read("session_energy_wh", *place),
            await bms.read("transaction_id_tag", *place) if await bms.read("transaction_active", *place) else "",
        )

    def _draw(self, heartbeat: Value, total_w: Value, rows: list[Row]) -> None:
        lines = [
            f"gateway_heartbeat {heartbeat:>5}    total_power_w {_kilo(total_w, 'kW'):>9}",
            f"{'charge point':<16}{'status':<15}{'power':>9}{'limit':>9}{'session':>12}  tag",
        ]
        for row in rows:
            name = f"{row.charge_point}, connector {row.connector}"
            tail = f"{_kilo(row.power_w, 'kW'):>9}{_limit(row.limit):>9}{_kilo(row.session_wh, 'kWh'):>12}  {row.tag}"
            lines.append(f"{name:<16}{row.status:<15}{tail}")
        lines += ["", *self._events]
        back = f"\x1b[{self._drawn}A\r{CLEAR_TO_END}" if self._drawn else ""
        self._drawn = len(lines)
        self._show(back + "\n".join(line[:WIDTH] for line in lines))


def _short(row: Row) -> str:
    name = f"{row.charge_point}.{row.connector} {row.status}"
    return f"{name} {_kilo(row.power_w, 'kW')} limit {_limit(row.limit)} {_kilo(row.session_wh, 'kWh')}"


def _kilo(value: Value, unit: str) -> str:
    return "-" if value is None else f"{float(value) / 1000:.2f} {unit}"


def _limit(value: Value) -> str:
    return "none" if value in (None, -1) else f"{float(value) / 10:.1f} A"
