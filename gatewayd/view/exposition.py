"""The figures for Prometheus, as text (docs/interfaces.md, Metrics; format 0.0.4). No I/O, no clock.

In pieces, a bank's charge points at a time: whoever sends them lets others have their turn in between, so that a scrape
of fifty banks delays no Modbus client. What names a series is spelled once and kept; a scrape fills in values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import RateUnit
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.model import Site
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
    yield family("gateway_events_dropped_total", total, dropped, "Lines that listeners did not get.")


@dataclass(frozen=True, slots=True)
class Column:
    """A metric that every charge point, or every connector, has."""

    name: str
    kind: str
    help: str
    value: Callable[[Any], Value]

    @property
    def head(self) -> str:
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"


def _energy(c: Connector) -> Value:
    return c.meter.energy_active_import_wh


def _power(c: Connector) -> Value:
    return c.meter.power_active_import_w


CHARGE_POINT = (
    Column("gateway_charge_point_connected", "gauge", "Its link is up.", lambda cp: 1 if cp.link is not None else 0),
    Column("gateway_charge_point_link_state", "gauge", "As the register link_state.", lambda cp: int(cp.link_state)),
    Column("gateway_charge_point_reconnects_total", "counter", "Links after the first.", lambda cp: cp.reconnects),
    Column(
        "gateway_charge_point_call_timeouts_total", "counter", "Calls it did not answer.", lambda cp: cp.call_timeouts
    ),
)
CONNECTOR = (
    Column("gateway_connector_status", "gauge", "As the register status.", lambda c: int(c.status)),
    Column("gateway_connector_power_watts", "gauge", "Active power imported.", _power),
    Column("gateway_connector_energy_watthours_total", "counter", "Its meter, active energy imported.", _energy),
    Column(
        "gateway_connector_transaction_active", "gauge", "A transaction is open.",
        lambda c: 1 if c.transaction is not None and c.transaction.stop_epoch is None else 0,
    ),
)  # fmt: skip
LIMIT = Column("gateway_connector_limit", "gauge", "What the charge point accepted last.", lambda c: c.limit.active)
"""Its unit is a label, so it is spelled by itself."""


@dataclass(slots=True)
class Spelling:
    """The labels of charge points and connectors, spelled once for each."""

    _known: dict[tuple[int, str, int], tuple[str, list[str]]] = field(default_factory=dict)

    def of(self, cp: ChargePoint) -> tuple[str, list[str]]:
        """Of the charge point, and of its connectors 1.. in order."""
        key = (cp.number, cp.name, cp.connector_count)
        known = self._known.get(key)
        if known is None:
            if len(self._known) > KEPT_SPELLINGS:
                self._known.clear()
            connectors = [labelled({"charge_point": cp.number, "connector": c.number}) for c in cp.real_connectors]
            known = self._known[key] = (labelled({"charge_point": cp.number, "identity": cp.name}), connectors)
        return known


KEPT_SPELLINGS = 5000
"""More than can be configured (20 for each of 247 unit ids); renamed ones make room by beginning anew."""


def plant(site: Site, spelling: Spelling) -> Iterator[str]:
    """All charge points and connectors, in pieces. What goes meanwhile is left out of the pieces to come."""
    banks = list(site.banks)
    for column in CHARGE_POINT:
        yield column.head
        for bank in banks:
            yield "".join(
                [f"{column.name}{spelling.of(cp)[0]} {column.value(cp)}\n" for cp in tuple(bank.charge_points.values())]
            )
    for column in CONNECTOR:
        yield column.head
        name, value_of = column.name, column.value
        for bank in banks:
            rows = []
            for cp in tuple(bank.charge_points.values()):
                for labels, c in zip(spelling.of(cp)[1], cp.real_connectors, strict=False):
                    value = value_of(c)
                    if value is not None:
                        rows.append(f"{name}{labels} {value}\n")
            yield "".join(rows)
    yield LIMIT.head
    for bank in banks:
        yield "".join(_limits(cp, spelling.of(cp)[1]) for cp in tuple(bank.charge_points.values()))


def _limits(cp: ChargePoint, spelled: list[str]) -> str:
    rows = []
    for labels, c in zip(spelled, cp.real_connectors, strict=False):
        active = c.limit.active
        if active is not None and active != NO_LIMIT:
            unit = RateUnit(c.limit.active_unit).name
            rows.append(f'{LIMIT.name}{labels[:-1]},unit="{unit}"}} {active / 10}\n')
    return "".join(rows)
