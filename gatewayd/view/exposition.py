"""The figures for Prometheus, as text (docs/interfaces.md, Metrics; format 0.0.4). No I/O, no clock.

In pieces, a bank's charge points at a time: whoever sends them lets others have their turn in between, so that a scrape
of fifty banks delays no Modbus client. What names a series is spelled once and kept; a scrape fills in values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import RateUnit
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.model import BankRecords, Site
from gatewayd.view.lines import EXCEPTIONS

Labels = Mapping[str, object]
Value = float | int | None

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def labelled(labels: Labels) -> str:
    """`{name="value",…}`, or nothing without labels."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    text = text.encode("utf-8", "replace").decode("utf-8")  # half a character has no place in UTF-8
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def family(name: str, kind: str, samples: Mapping[str, Value] | Value, help_text: str) -> str:
    """One metric with all its series: labels as `labelled` spells them → value; None is left out."""
    pairs = samples if isinstance(samples, Mapping) else {"": samples}
    rows = [f"{name}{labels} {value}\n" for labels, value in pairs.items() if value is not None]
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n{''.join(rows)}"


HEARD = {
    "request": "rtu_frames",
    "foreign": "rtu_foreign_frames",
    "collision": "rtu_collisions",
    "bad_crc": "rtu_crc_errors",
}
"""What was heard on the serial line → its counter."""


def gateway(
    site: Site,
    *,
    python: str,
    now: float,
    answered: Mapping[str, int],
    exceptions: Mapping[int, int],
    messages: Mapping[tuple[int, str], int],
    dropped: int,
) -> Iterator[str]:
    """What there is once. `answered`: by transport; `exceptions`: by code; `messages`: by charge point and way."""
    gauge, total, counters, journal = "gauge", "counter", site.counters, site.journal
    info = {
        "name": site.name, "firmware": site.firmware, "serial": site.serial, "role": site.role.name, "python": python,
    }  # fmt: skip
    names = {cp.number: cp.name for cp in site.charge_points.values()}
    ocpp = {
        labelled({"charge_point": number, "identity": names[number], "direction": direction}): count
        for (number, direction), count in messages.items()
        if number in names
    }
    refusals = {labelled({"cause": cause.value}): count for cause, count in site.refusals.counts.items()}
    yield family("gateway_info", gauge, {labelled(info): 1}, "What it is.")
    yield family("gateway_state", gauge, int(site.state), "As the register state.")
    yield family("gateway_fault", gauge, {labelled({"fault": each}): 1 for each in sorted(site.troubles)}, "Missing.")
    until = site.certificate_until
    yield family("gateway_certificate_expiry_timestamp_seconds", gauge, until, "Of the site's own authority.")
    yield family("gateway_uptime_seconds", gauge, round(now - site.started, 3), "Since the start.")
    yield family("gateway_disk_state", gauge, int(site.disk_state), "As the register disk_state.")
    yield family("gateway_ledger_waiting", gauge, journal.written - journal.committed, "Entries not on the disk yet.")
    yield family("gateway_ledger_written_total", total, journal.written, "Entries since the start.")
    yield family("gateway_watchdog_state", gauge, int(site.watchdog_state), "As the register watchdog_state.")
    yield family("gateway_refusals_total", total, refusals, "Who was turned away.")
    yield family("gateway_modbus_clients", gauge, counters.modbus_tcp_clients, "On TCP.")
    requests = {labelled({"transport": name}): count for name, count in answered.items()}
    yield family("gateway_modbus_requests_total", total, requests, "Answered.")
    refused = {labelled({"exception": EXCEPTIONS.get(code, str(code))}): n for code, n in exceptions.items()}
    yield family("gateway_modbus_exceptions_total", total, refused, "Answered with an exception.")
    yield family("gateway_modbus_refused_total", total, counters.modbus_refused, "TCP clients turned away.")
    heard = {labelled({"heard": name}): getattr(counters, counter) for name, counter in HEARD.items()}
    yield family("gateway_rtu_frames_total", total, heard, "On the serial line.")
    yield family("gateway_ocpp_messages_total", total, ocpp, "To and from charge points.")
    yield family("gateway_ocpp_errors_total", total, counters.ocpp_errors, "Faults in messages of charge points.")
    yield family("gateway_upstream_waiting", gauge, len(site.backlog), "Messages for central systems that are away.")
    yield family("gateway_upstream_aside", gauge, site.backlog.all_aside, "Of these, set aside: refused three times.")
    stranded = site.stranded.total()
    yield family("gateway_upstream_stranded", gauge, stranded, "Of these, of charge points that are gone.")
    yield family("gateway_upstream_lost_total", total, site.backlog.lost, "Lost for want of room, or refused.")
    yield family("gateway_events_dropped_total", total, dropped, "Lines that listeners did not get.")


class Column(Struct, frozen=True):
    """A metric that every charge point, or every connector, has."""

    name: str
    kind: str
    help: str
    values: Callable[[Sequence[Any]], list[Any]]
    """Of all records of one bank at once: a call for each would cost more than the value."""

    @property
    def head(self) -> str:
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"


CHARGE_POINT = (
    Column(
        "gateway_charge_point_connected", "gauge", "Its link is up.",
        lambda cps: [0 if cp.link is None else 1 for cp in cps],
    ),
    Column(
        "gateway_charge_point_link_state", "gauge", "As the register link_state.",
        lambda cps: [int(cp.link_state) for cp in cps],
    ),
    Column(
        "gateway_charge_point_reconnects_total", "counter", "Links after the first.",
        lambda cps: [cp.reconnects for cp in cps],
    ),
    Column(
        "gateway_charge_point_call_timeouts_total", "counter", "Calls it did not answer.",
        lambda cps: [cp.call_timeouts for cp in cps],
    ),
)  # fmt: skip
CONNECTOR = (
    Column("gateway_connector_status", "gauge", "As the register status.", lambda cs: [int(c.status) for c in cs]),
    Column(
        "gateway_connector_power_watts", "gauge", "Active power imported.",
        lambda cs: [c.meter.power_active_import_w for c in cs],
    ),
    Column(
        "gateway_connector_energy_watthours_total", "counter", "Its meter, active energy imported.",
        lambda cs: [c.meter.energy_active_import_wh for c in cs],
    ),
    Column(
        "gateway_connector_transaction_active", "gauge", "A transaction is open.",
        lambda cs: [1 if c.transaction is not None and c.transaction.stop_epoch is None else 0 for c in cs],
    ),
)  # fmt: skip
LIMIT = Column(
    "gateway_connector_limit", "gauge", "What the charge point accepted last.", lambda cs: [_limit(c) for c in cs]
)
"""Its values bring their own label, the unit."""


def _limit(c: Connector) -> tuple[float, str] | None:
    active = c.limit.active
    return None if active is None or active == NO_LIMIT else (active / 10, RateUnit(c.limit.active_unit).name)


@dataclass(slots=True)
class _Bank:
    """The records of one bank at a scrape, and their labels."""

    key: tuple[object, ...]
    charge_points: list[ChargePoint]
    connectors: list[Connector]
    charge_point_labels: list[str]
    connector_labels: list[str]
    texts: dict[str, tuple[list[Any], str]] = field(default_factory=dict)
    """Column → its values at the last scrape, and their text: most do not change from one to the next."""

    def column(self, column: Column, records: Sequence[Any], labels: list[str]) -> str:
        values = column.values(records)
        known = self.texts.get(column.name)
        if known is None or known[0] != values:
            known = self.texts[column.name] = (values, _rows(column, labels, values))
        return known[1]


def _rows(column: Column, labels: list[str], values: list[Any]) -> str:
    name, pairs = column.name, zip(labels, values, strict=True)
    if column is LIMIT:
        return "".join(
            f'{name}{label[:-1]},unit="{value[1]}"}} {value[0]}\n' for label, value in pairs if value is not None
        )
    return "".join([f"{name}{label} {value}\n" for label, value in pairs if value is not None])


class Plant:
    """All charge points and connectors of a site; remembers from scrape to scrape what stays the same."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._banks: dict[int, _Bank] = {}

    def pieces(self) -> Iterator[str]:
        """A bank's column at a time. What is configured meanwhile shows at the next scrape."""
        numbers = {bank.number for bank in self._site.banks}
        self._banks = {number: bank for number, bank in self._banks.items() if number in numbers}
        banks = []
        for records in list(self._site.banks):
            banks.append(self._bank(records))
            yield ""
        for column in CHARGE_POINT:
            yield column.head
            for bank in banks:
                yield bank.column(column, bank.charge_points, bank.charge_point_labels)
        for column in (*CONNECTOR, LIMIT):
            yield column.head
            for bank in banks:
                yield bank.column(column, bank.connectors, bank.connector_labels)

    def _bank(self, records: BankRecords) -> _Bank:
        found = list(records.charge_points.values())
        key = tuple((cp.name, *cp.connectors) for cp in found)  # the very records: they are made anew at times
        known = self._banks.get(records.number)
        if known is not None and known.key == key:
            return known
        connectors = [c for cp in found for c in cp.real_connectors]
        made = self._banks[records.number] = _Bank(
            key,
            found,
            connectors,
            [labelled({"charge_point": cp.number, "identity": cp.name}) for cp in found],
            [labelled({"charge_point": c.charge_point.number, "connector": c.number}) for c in connectors],
        )
        return made
