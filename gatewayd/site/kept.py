"""Settings that are kept over a restart (modbus.md, Types: "Kept over a restart"), by the attribute that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.connector import Connector
from gatewayd.site.journal import SaveFact
from gatewayd.site.model import Site

KEPT: dict[type, tuple[str, ...]] = {
    Site: (
        "watchdog_timeout_s",
        "watchdog_action",
        "watchdog_limit",
        "decision_timeout",
        "decision_default",
        "site_limit_w",
    ),
    ChargePoint: ("allowed", "certificate_until", "limit_strategy.learned", "fallback.installed", "fallback.confirmed"),
    Connector: (
        "enable",
        "operative",
        "start_id_tag",
        "energy_limit_wh",
        "limit.written",
        "limit.unit",
        "limit.phases",
        "limit.written_unit",
        "limit.written_phases",
        "limit.own.installed",
        "withheld",
        "session_count",
        "session_time_total_s",
    ),
}
"""The table of kept settings; acks, sequences, transactions and the list are journalled where they change."""

Record = Site | ChargePoint | Connector


def prefix(record: Record) -> str:
    """Under which name a record's settings are kept: `site`, `7` for charge point 7, `7/2` for its connector 2."""
    if isinstance(record, Connector):
        return f"{record.charge_point.number}/{record.number}"
    return str(record.number) if isinstance(record, ChargePoint) else "site"


def keep(record: Record) -> None:
    """Journal what changed among the kept settings of this record; connector 0 is part of its charge point."""
    if isinstance(record, ChargePoint):
        keep(record.whole)
    site = record if isinstance(record, Site) else record.charge_point.bank.site
    due = {
        site.journal.keep(f"{prefix(record)}/{attribute}", attrgetter(attribute)(record), site.now)
        for attribute in KEPT[type(record)]
    }
    for when in due:
        if when is not None:
            site.agenda.at(when, site.journal.settle)


def keep_at_once(record: Record, *attributes: str) -> None:
    """Journal these now, to be as durable as what caused them."""
    site = record if isinstance(record, Site) else record.charge_point.bank.site
    for attribute in attributes:
        name, value = f"{prefix(record)}/{attribute}", attrgetter(attribute)(record)
        site.journal.known(name, value)
        site.journal.write(SaveFact(name, value))


def records(site: Site) -> list[Record]:
    """Everything that has kept settings."""
    found: list[Record] = [site]
    for charge_point in site.by_number():
        found += [charge_point, *charge_point.connectors]
    return found


def restore(site: Site, facts: Mapping[str, int | str]) -> None:
    """Put kept settings back, before anything can read them. A fact that does not fit is left out: the ledger was
    written by another version of the gateway."""
    for record in records(site):
        for attribute in KEPT[type(record)]:
            name = f"{prefix(record)}/{attribute}"
            present = attrgetter(attribute)(record)
            site.journal.known(name, present)
            value = facts.get(name)
            if value is None or isinstance(value, str) != isinstance(present, str):
                continue
            try:
                fitting = type(present)(value)
            except ValueError:  # no member of its enumeration
                continue
            *path, last = attribute.split(".")
            holder = attrgetter(".".join(path))(record) if path else record
            setattr(holder, last, fitting)
            site.journal.known(name, value)
