"""The BMS watchdog: a silent BMS must not leave cars charging without bounds (modbus.md, Watchdog)."""

from __future__ import annotations

from collections.abc import Callable

from gatewayd.site.model import BankRecords, Site

SHORTEST_S = 5
"""1..4 s would trip on an ordinary poll cycle; 0 is off (the table)."""


def timeout_is_valid(value: int) -> bool:
    """0 = off, else 5..3600 s."""
    return value == 0 or value >= SHORTEST_S


def write_heartbeat(bank: BankRecords, value: int) -> None:
    """The BMS shows that it lives; only a changed value counts."""
    bank.site.bms_heartbeat = value
    bank.site.touch()


def write_watchdog(attribute: str) -> Callable[[BankRecords, int], None]:
    """The action of `watchdog_timeout_s`, `watchdog_action` and `watchdog_limit`."""

    def write(bank: BankRecords, value: int) -> None:
        site: Site = bank.site
        setattr(site, attribute, value)
        site.touch()

    return write
