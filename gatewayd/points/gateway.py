"""THE TABLE: block n = 0, the gateway itself, its mailboxes and the matrices (modbus.md, Addresses)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gatewayd.points import charge_point as whole
from gatewayd.points import connector as single
from gatewayd.points.point import Point, Value, any_number
from gatewayd.site import limits
from gatewayd.site.charge_point import CHARGE_POINTS_PER_BANK, ChargePoint
from gatewayd.site.clock import FIELDS
from gatewayd.site.connector import Connector
from gatewayd.site.model import BankRecords
from gatewayd.site.watchdog import timeout_is_valid, write_heartbeat, write_watchdog

MAP_MAGIC = 0x4F43
MAP_VERSION = 1 * 256 + 0
"""1.0: changes only with the contract."""
WORD_ORDER_TEST = 0x12345678
FLOAT_TEST = 12.5
STRING_TEST = "ABCDEFGH"
PERIODS = 24
"""Periods of a charging schedule that the profile mailbox carries."""
WATTS_PER_SITE_STEP = 100
"""`site_limit_u16` counts 100 W."""


def _mask(holds: Callable[[ChargePoint], bool]) -> Callable[[BankRecords], int]:
    """Bit n−1 for each charge point of the bank of which this holds."""

    def mask(bank: BankRecords) -> int:
        return sum(1 << (place - 1) for place, cp in bank.charge_points.items() if holds(cp))

    return mask


def _connectors(bank: BankRecords) -> Iterator[Connector]:
    for charge_point in bank.charge_points.values():
        yield from charge_point.real_connectors


def _total_power(bank: BankRecords) -> Value:
    known = [whole.power_w(cp) for cp in bank.charge_points.values() if bank.holds_lost or not cp.comm_error]
    some = [watts for watts in known if watts is not None]
    return sum(some) if some else 0


def _session_energy(bank: BankRecords) -> int:
    return sum(c.open_transaction.energy_wh for c in _connectors(bank) if c.open_transaction is not None)


def _site(attribute: str) -> str:
    return f"site.{attribute}"


def _utc(offset: int, name: str) -> Point:
    return Point(offset, f"utc_{name}", "u16", "RW", minimum=0, maximum=65535, default=0, wraps=True,
                 source=lambda bank: bank.site.clock.written.get(name, 0),
                 write=lambda bank, value: _write_utc(bank, name, value))  # fmt: skip


def _write_utc(bank: BankRecords, name: str, value: int) -> None:
    site = bank.site
    before = site.clock.deadline()
    site.clock.write(name, value, site.now)
    deadline = site.clock.deadline()
    if deadline is not None and deadline != before:
        site.agenda.at(deadline, lambda now: _judge_by_itself(bank, deadline))
    site.touch()


def _judge_by_itself(bank: BankRecords, deadline: float) -> None:
    """Registers without a commit are judged 15 s after the first, unless they were taken meanwhile: six set the clock,
    fewer are incomplete."""
    if bank.site.clock.deadline() == deadline:
        bank.site.clock.commit(deadline)
        bank.site.touch()


def _write_commit(bank: BankRecords, value: int) -> None:
    if value:
        bank.site.clock.commit(bank.site.now)
        bank.site.touch()


def _write_setting(attribute: str) -> Callable[[BankRecords, int], None]:
    def write(bank: BankRecords, value: int) -> None:
        setattr(bank.site, attribute, value)
        bank.site.touch()

    return write


def _site_limit_steps(bank: BankRecords) -> int:
    watts = bank.site.site_limit_w
    return 65534 if watts < 0 else min(watts // WATTS_PER_SITE_STEP, 65533)


def _write_site_steps(bank: BankRecords, value: int) -> None:
    limits.write_site_limit(bank.site, -1 if value == 65534 else value * WATTS_PER_SITE_STEP)


GATEWAY = [
    Point(0, "map_magic", "u16", "R", description="always 0x4F43, the letters OC", source=lambda _: MAP_MAGIC),
    Point(1, "map_version", "u16", "R", description="major*256+minor of this map; 1.0 = 256",
          source=lambda _: MAP_VERSION),
    Point(2, "role", "u16", "R", enum="role", description="the gateway's role", source=_site("role")),
    Point(3, "state", "u16", "R", enum="gateway_state", source=_site("state")),
    Point(4, "word_order", "u16", "R", enum="word_order", description="echo of the configured 32-bit word order",
          source=_site("word_order")),
    Point(5, "charge_point_count", "u16", "R", description="configured charge points in this bank",
          source=lambda bank: len(bank.charge_points)),
    Point(6, "word_order_test", "u32", "R", description="constant 0x12345678 in the configured word order",
          source=lambda _: WORD_ORDER_TEST),
    Point(8, "gateway_heartbeat", "u16", "R", description="+1 every second, wraps", wraps=True,
          live=lambda bank: int(bank.site.now - bank.site.started)),
    Point(9, "bms_heartbeat", "u16", "RW", minimum=0, maximum=65535, default=0, wraps=True,
          source=_site("bms_heartbeat"), write=write_heartbeat, description="the BMS writes a changing value"),
    Point(10, "uptime_s", "u32", "R", "s", live=lambda bank: int(bank.site.now - bank.site.started)),
    Point(12, "watchdog_timeout_s", "u16", "RW", "s", minimum=0, maximum=3600, default=0,
          source=_site("watchdog_timeout_s"), write=write_watchdog("watchdog_timeout_s"), accepts=timeout_is_valid,
          description="0 = off; 5..3600; 1..4 gives 03"),
    Point(13, "watchdog_state", "u16", "R", enum="watchdog_state", source=_site("watchdog_state")),
    Point(14, "watchdog_action", "u16", "RW", enum="watchdog_action", default=0,
          source=_site("watchdog_action"), write=write_watchdog("watchdog_action"),
          description="what happens on all connectors when the BMS goes silent"),
    Point(15, "watchdog_limit", "u16", "RW", "0.1 A", minimum=0, maximum=10000, default=60,
          source=_site("watchdog_limit"), write=write_watchdog("watchdog_limit"),
          description="fallback limit per phase"),
    Point(16, "watchdog_trips", "u16", "R", description="counter", source=_site("counters.watchdog_trips"),
          wraps=True),
    Point(17, "decision_timeout", "u16", "RW", "0.1 s", minimum=10, maximum=300, default=80,
          source=_site("decision_timeout"), write=_write_setting("decision_timeout"),
          description="10..300: how long the BMS has to answer a decision request"),
    Point(18, "decision_default", "u16", "RW", enum="decision_default", default=2,
          source=_site("decision_default"), write=_write_setting("decision_default"),
          description="what is answered when the BMS stays silent"),
    Point(19, "bank_count", "u16", "R", source=lambda bank: len(bank.site.banks),
          description="banks of 20 charge points; bank b answers at unit_id + b - 1"),
    *(_utc(20 + place, name) for place, name in enumerate(FIELDS)),
    Point(26, "time_commit", "u16", "W", minimum=0, maximum=1, default=0, source=lambda _: 0, write=_write_commit,
          description="write 1: sets the clock if all six were written within the last 15 s"),
    Point(27, "time_result", "u16", "R", enum="time_result", source=_site("clock.result")),
    Point(28, "utc_epoch", "u32", "R", "s", description="gateway clock, seconds since 1970",
          live=lambda b: b.site.epoch),
    Point(30, "time_source", "u16", "R", enum="time_source", source=_site("clock.source")),
    Point(32, "connected_mask", "u32", "R", description="bit n-1 = charge point n", wraps=True,
          source=_mask(lambda cp: cp.connected)),
    Point(34, "decision_mask", "u32", "R", description="bit n-1 = charge point n waits for a decision", wraps=True,
          source=_mask(lambda cp: cp.decisions.pending)),
    Point(36, "command_busy_mask", "u32", "R", description="bit n-1", wraps=True,
          source=_mask(lambda cp: cp.mailbox.busy)),
    Point(38, "fault_mask", "u32", "R", description="bit n-1", wraps=True, source=_mask(whole.faulted)),
    Point(40, "charging_mask", "u32", "R", description="bit n-1", wraps=True, source=_mask(whole.charging)),
    Point(42, "upstream_mask", "u32", "R", wraps=True, source=_mask(lambda cp: cp.upstream),
          description="bit n-1: bridge role, link to the central system is up"),
    Point(44, "total_power_w", "i32", "R", "W", description="sum over connectors", source=_total_power),
    Point(46, "total_session_energy_wh", "u32", "R", "Wh", description="sum of active sessions",
          source=_session_energy),
    Point(48, "charging_count", "u16", "R", source=lambda bank: sum(c.charging for c in _connectors(bank))),
    Point(49, "faulted_count", "u16", "R", source=lambda bank: sum(c.faulted for c in _connectors(bank))),
    Point(50, "site_limit_w", "i32", "RW", "W", minimum=-1, maximum=10_000_000, default=-1,
          source=_site("site_limit_w"), write=lambda bank, value: limits.write_site_limit(bank.site, value),
          description="-1 = none; shared equally between connectors that charge; never above the configured ceiling",
          none=-1),
    Point(52, "site_limit_result", "u16", "R", enum="limit_result", source=_site("site_limit_result")),
    Point(53, "site_limit_u16", "u16", "RW", "100 W", minimum=0, maximum=65534, default=65534,
          source=_site_limit_steps, write=_write_site_steps,
          description="site_limit_w for masters without FC16; 65534 = none", none=65534),
    Point(54, "modbus_tcp_clients", "u16", "R", description="0..6", source=_site("counters.modbus_tcp_clients")),
    Point(55, "modbus_exceptions", "u16", "R", description="counter, wraps", wraps=True,
          source=_site("counters.modbus_exceptions")),
    Point(56, "ocpp_errors", "u16", "R", description="counter, wraps", wraps=True,
          source=_site("counters.ocpp_errors")),
    Point(57, "config_checksum", "u16", "R", description="changes when the configuration changes", wraps=True,
          source=_site("config_checksum")),
    Point(58, "disk_state", "u16", "R", enum="disk_state", source=_site("disk_state")),
    Point(59, "modbus_refused", "u16", "R", description="counter: clients refused", wraps=True,
          source=_site("counters.modbus_refused")),
    Point(60, "gateway_name", "str16", "R", description="32 characters", source=_site("name")),
    Point(76, "gateway_serial", "str8", "R", description="16 characters", source=_site("serial")),
    Point(84, "gateway_firmware", "str8", "R", description="16 characters", source=_site("firmware")),
    Point(92, "float_test", "f32", "R", description="constant 12.5 in the configured word order",
          source=lambda _: FLOAT_TEST),
    Point(94, "string_test", "str4", "R", description="constant ABCDEFGH in the configured string order",
          source=lambda _: STRING_TEST),
    Point(100, "rtu_frames", "u32", "R", description="counter", wraps=True, source=_site("counters.rtu_frames")),
    Point(102, "rtu_crc_errors", "u16", "R", description="counter", wraps=True,
          source=_site("counters.rtu_crc_errors")),
    Point(103, "rtu_foreign_frames", "u16", "R", description="counter", wraps=True,
          source=_site("counters.rtu_foreign_frames")),
    Point(104, "rtu_collisions", "u16", "R", description="counter: another server answered for our unit id", wraps=True,
          source=_site("counters.rtu_collisions")),
]  # fmt: skip


def _schedule(k: int, attribute: int) -> Callable[[BankRecords], Value]:
    def of_period(bank: BankRecords) -> Value:
        periods = bank.profile.schedule_periods
        return periods[k - 1][attribute] if k <= len(periods) else None

    return of_period


PROFILE = [
    Point(2000, "profile_charge_point", "u16", "RW", minimum=0, maximum=20, default=0, description="1..20"),
    Point(2001, "profile_connector", "u16", "RW", minimum=0, maximum=7, default=0, description="0..7"),
    Point(2002, "profile_operation", "u16", "RW", enum="profile_operation"),
    Point(2003, "profile_purpose", "u16", "RW", enum="profile_purpose"),
    Point(2004, "profile_kind", "u16", "RW", enum="profile_kind"),
    Point(2005, "profile_recurrency", "u16", "RW", enum="profile_recurrency"),
    any_number(2006, "profile_stack_level", "u16"),
    Point(2007, "profile_rate_unit", "u16", "RW", enum="rate_unit"),
    any_number(2008, "profile_id", "i32"),
    any_number(2010, "profile_transaction_id", "i32", description="0 = the current transaction"),
    any_number(2012, "profile_valid_from", "u32", "s", description="epoch; 0 = absent"),
    any_number(2014, "profile_valid_to", "u32", "s", description="epoch; 0 = absent"),
    any_number(2016, "profile_start_schedule", "u32", "s", description="epoch; 0 = absent"),
    any_number(2018, "profile_duration_s", "u32", "s", description="0 = absent"),
    any_number(2020, "profile_min_rate", "i32", "0.1", description="0 = absent"),
    Point(2022, "profile_phases", "u16", "RW", minimum=0, maximum=3, default=0, description="0 = absent, 1..3"),
    Point(2023, "profile_period_count", "u16", "RW", minimum=0, maximum=24, default=0, description="1..24"),
    *(
        point
        for k in range(1, PERIODS + 1)
        for point in (
            any_number(2020 + 4 * k, f"profile_period_{k}_start_s", "u32", "s"),
            any_number(2022 + 4 * k, f"profile_period_{k}_limit", "i32", "0.1", "in the rate unit"),
        )
    ),
    any_number(2120, "profile_commit", "u16", description="sequence number; a new value runs the operation"),
    Point(2124, "profile_ack", "u16", "R", description="sequence number last taken", source="profile.ack", wraps=True),
    Point(2125, "profile_state", "u16", "R", enum="command_state", source="profile.state"),
    Point(2126, "profile_result", "u16", "R", enum="result", source="profile.result"),
    Point(2127, "schedule_rate_unit", "u16", "R", enum="rate_unit", description="composite schedule",
          source="profile.schedule_rate_unit"),
    Point(2128, "schedule_start", "u32", "R", "s", description="epoch", source="profile.schedule_start"),
    Point(2130, "schedule_period_count", "u16", "R", source=lambda bank: len(bank.profile.schedule_periods)),
    Point(2131, "profile_error", "u16", "R", enum="command_error", source="profile.error"),
    *(
        point
        for k in range(1, PERIODS + 1)
        for point in (
            Point(2128 + 4 * k, f"schedule_period_{k}_start_s", "u32", "R", "s", source=_schedule(k, 0)),
            Point(2130 + 4 * k, f"schedule_period_{k}_limit", "i32", "R", "0.1", description="in the rate unit",
                  source=_schedule(k, 1), scale=10),
        )
    ),
]  # fmt: skip

LIST = [
    Point(2300, "list_operation", "u16", "RW", enum="list_operation"),
    any_number(2301, "list_charge_point", "u16", description="0 = all"),
    any_number(2302, "list_version", "i32", description="0 = the gateway chooses"),
    Point(2304, "list_id_tag", "str10", "RW", description="20 characters", id_tag=True),
    Point(2314, "list_parent_id_tag", "str10", "RW", description="20 characters", id_tag=True),
    Point(2324, "list_status", "u16", "RW", enum="authorization"),
    any_number(2325, "list_index", "u16", description="position for reading"),
    any_number(2326, "list_expiry", "u32", "s", description="epoch; 0 = none"),
    any_number(2328, "list_commit", "u16", description="sequence number"),
    Point(2332, "list_ack", "u16", "R", source="site.list_mailbox.ack", wraps=True),
    Point(2333, "list_state", "u16", "R", enum="command_state", source="site.list_mailbox.state"),
    Point(2334, "list_result", "u16", "R", enum="result", source="site.list_mailbox.result"),
    Point(2335, "list_count", "u16", "R", description="entries in the gateway's list",
          source=lambda bank: len(bank.site.tags.entries)),
    Point(2336, "list_error", "u16", "R", enum="command_error", source="site.list_mailbox.error"),
]  # fmt: skip


def _of(first: Callable[[ChargePoint], Value], others: Callable[[Connector], Value]) -> Callable[[Connector], Value]:
    """A matrix entry: `first` of the charge point where k = 0, `others` of its connectors."""
    return lambda c: first(c.charge_point) if c.number == 0 else others(c)


MATRIX = [
    Point(1000, "status_matrix", "u16", "R", enum="status", source="status"),
    Point(1200, "state_bits_matrix", "bits16", "R", enum="connector_bits",
          description="charge_point_bits where k = 0", source=_of(whole.state_bits, single.state_bits)),
    Point(1400, "power_matrix_w", "i32", "R", "W", measurement=True,
          source=_of(whole.power_w, lambda c: c.meter.power_active_import_w)),
    Point(1800, "limit_matrix", "u16", "RW", "0.1 A", minimum=0, maximum=65534, default=65534,
          source="limit.in_amperes", write=limits.write_amperes,
          description="65534 = no limit; alias of limit in A; k = 0 caps the whole charge point", none=65534),
    Point(2400, "energy_matrix_wh", "u32", "R", "Wh", description="energy_active_import_wh; k = 0 is energy_wh",
          source=_of(whole.energy_wh, lambda c: c.meter.energy_active_import_wh)),
]  # fmt: skip
"""Offset of entry [1,0]; entry [n,k] stands ((n−1)·8 + k)·registers further. The record is connector k of n."""

MATRIX_COLUMNS = 8
"""k = 0..7."""
MATRIX_PLACES = CHARGE_POINTS_PER_BANK * MATRIX_COLUMNS
