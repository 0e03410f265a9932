"""THE TABLE: blocks 1..7 of a charge point, its connectors (modbus.md, Addresses)."""

from __future__ import annotations

from collections.abc import Callable

from gatewayd.points.point import Point, Value
from gatewayd.site import limits
from gatewayd.site.codes import CommandCode, ConnectorBits, LimitResult, RateUnit, Status, TriggerCode
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.limit_policy import converted
from gatewayd.site.setpoint import command_trigger, write_operative, write_start, write_start_id_tag

WH_PER_ENERGY_STEP = 100
"""`energy_limit_u16` counts 0.1 kWh."""


def age(attribute: str) -> Callable[[Connector], Value]:
    """Seconds since the monotonic time in an attribute; not available = never."""

    def seconds(connector: Connector) -> Value:
        at = getattr(connector, attribute)
        return None if at is None else max(0, int(connector.charge_point.bank.site.now - at))

    return seconds


def needs_authorization(c: Connector) -> bool:
    return c.status == Status.Preparing and c.open_transaction is None


def limit_ok(c: Connector) -> bool:
    return c.limit.result == LimitResult.accepted


def state_bits(c: Connector) -> int:
    bits = ConnectorBits(0)
    for bit, holds in (
        (ConnectorBits.plugged, c.plugged),
        (ConnectorBits.charging, c.charging),
        (ConnectorBits.faulted, c.faulted),
        (ConnectorBits.available, c.status == Status.Available),
        (ConnectorBits.reserved, c.status == Status.Reserved),
        (ConnectorBits.transaction_active, c.open_transaction is not None),
        (ConnectorBits.meter_fresh, meter_fresh(c)),
        (ConnectorBits.limit_ok, limit_ok(c)),
        (ConnectorBits.needs_authorization, needs_authorization(c)),
        (ConnectorBits.comm_error, c.charge_point.comm_error),
    ):
        if holds:
            bits |= bit
    return int(bits)


def meter_fresh(c: Connector) -> bool:
    """Meter values came lately, over a link that is up."""
    return c.meter_fresh and not c.charge_point.comm_error


def _transaction(attribute: str) -> Callable[[Connector], Value]:
    def of_last(c: Connector) -> Value:
        return None if c.transaction is None else getattr(c.transaction, attribute)

    return of_last


def _transaction_id(c: Connector) -> int:
    return 0 if c.open_transaction is None else c.open_transaction.id


def _duration(c: Connector) -> Value:
    return None if c.transaction is None else c.transaction.duration_s(c.charge_point.bank.site.epoch)


def _energy_limit_steps(c: Connector) -> int:
    return min(c.energy_limit_wh // WH_PER_ENERGY_STEP, 65534)


def _limit_upstream(c: Connector) -> Value:
    """In the unit in which `limit` was written, as `limit_active`."""
    limit = c.limit
    if limit.upstream == NO_LIMIT:
        return NO_LIMIT
    per_ampere = limit.supply.watts_per_ampere(limit.written_phases)
    return converted(limit.upstream, RateUnit(limit.upstream_unit), RateUnit(limit.written_unit), per_ampere)


def _limit_active(c: Connector) -> Value:
    return c.limit.active


def measurand(
    offset: int, name: str, unit: str, field: str, description: str, scale: float = 1, *, holds: bool = False
) -> Point:
    """A row that shows one field of the connector's meter. Energies hold while the link is down (`holds`)."""
    kind = "u32" if holds else "i32"
    return Point(offset, name, kind, "R", unit, description=description, source=f"meter.{field}", scale=scale,
                 measurement=not holds)  # fmt: skip


def float_copy(offset: int, name: str, unit: str, source: str, scale: float = 1, *, holds: bool = False) -> Point:
    return Point(offset, name, "f32", "R", unit, description="float copy", source=source, scale=scale,
                 measurement=not holds)  # fmt: skip


CONNECTOR = [
    Point(0, "plugged", "bit", "R", description="Preparing, Charging, Suspended* or Finishing", source="plugged"),
    Point(1, "charging", "bit", "R", source="charging"),
    Point(2, "faulted", "bit", "R", source="faulted"),
    Point(3, "available", "bit", "R", source=lambda c: c.status == Status.Available),
    Point(4, "reserved", "bit", "R", source=lambda c: c.status == Status.Reserved),
    Point(5, "transaction_active", "bit", "R", source=lambda c: c.open_transaction is not None),
    Point(6, "meter_fresh", "bit", "R", source=meter_fresh),
    Point(7, "limit_ok", "bit", "R", description="last limit was accepted", source=limit_ok),
    Point(8, "needs_authorization", "bit", "R", description="Preparing without a transaction",
          source=needs_authorization),
    Point(9, "comm_error", "bit", "R", description="as the charge point's", source="charge_point.comm_error"),
    Point(16, "enable", "bit", "RW", minimum=0, maximum=1, default=1, source="enable",
          write=limits.write_enable, description="0 = limit 0 A: pause"),
    Point(17, "operative", "bit", "RW", minimum=0, maximum=1, default=1, source="operative",
          write=write_operative, description="ChangeAvailability"),
    *(
        Point(offset, name, "bit", "W", minimum=0, maximum=1, default=0, description=description, source=lambda _: 0,
              write=action)
        for offset, name, description, action in (
            (18, "start", "RemoteStartTransaction with start_id_tag", write_start),
            (19, "stop", "RemoteStopTransaction of the current transaction",
             command_trigger("stop", CommandCode.RemoteStopTransaction)),
            (20, "unlock", "UnlockConnector", command_trigger("unlock", CommandCode.UnlockConnector)),
            (21, "refresh", "TriggerMessage StatusNotification and MeterValues",
             command_trigger("refresh", CommandCode.TriggerMessage,
                             TriggerCode.StatusNotification, TriggerCode.MeterValues)),
        )
    ),
    Point(32, "status", "u16", "R", enum="status", source="status"),
    Point(33, "error_code", "u16", "R", enum="error_code", source="error_code"),
    Point(34, "state_bits", "bits16", "R", enum="connector_bits", source=state_bits),
    Point(35, "stop_reason", "u16", "R", enum="stop_reason", description="last transaction",
          source=_transaction("stop_reason")),
    Point(36, "status_age_s", "u16", "R", "s", description="65535 = never", live=age("status_at")),
    Point(37, "meter_age_s", "u16", "R", "s", description="65535 = never", live=age("meter_at")),
    Point(38, "status_time", "u32", "R", "s", description="epoch", source="status_time"),
    Point(40, "transaction_id", "i32", "R", description="0 = none", source=_transaction_id),
    Point(42, "transaction_start", "u32", "R", "s", description="epoch", source=_transaction("start_epoch")),
    Point(44, "transaction_duration_s", "u32", "R", "s", live=_duration),
    Point(46, "meter_start_wh", "u32", "R", "Wh", source=_transaction("meter_start_wh")),
    Point(48, "session_energy_wh", "u32", "R", "Wh", source=_transaction("energy_wh")),
    Point(50, "meter_stop_wh", "u32", "R", "Wh", description="last transaction",
          source=_transaction("meter_stop_wh")),
    Point(52, "reservation_id", "i32", "R", description="0 = none", source="reservation_id"),
    Point(54, "transaction_id_tag", "str10", "R", description="20 characters", source=_transaction("id_tag"),
          id_tag=True),
    measurand(64, "energy_active_import_wh", "Wh", "energy_active_import_wh", "Energy.Active.Import.Register",
              holds=True),
    measurand(66, "power_active_import_w", "W", "power_active_import_w", "Power.Active.Import"),
    measurand(68, "power_offered_w", "W", "power_offered_w", "Power.Offered"),
    measurand(70, "current_offered_ma", "mA", "current_offered_a", "Current.Offered", 1000),
    measurand(72, "current_l1_ma", "mA", "current_l1_a", "Current.Import L1", 1000),
    measurand(74, "current_l2_ma", "mA", "current_l2_a", "Current.Import L2", 1000),
    measurand(76, "current_l3_ma", "mA", "current_l3_a", "Current.Import L3", 1000),
    measurand(78, "voltage_l1", "0.1 V", "voltage_l1_v", "Voltage L1 or L1-N", 10),
    measurand(80, "voltage_l2", "0.1 V", "voltage_l2_v", "Voltage L2 or L2-N", 10),
    measurand(82, "voltage_l3", "0.1 V", "voltage_l3_v", "Voltage L3 or L3-N", 10),
    measurand(84, "soc", "0.1 %", "soc_percent", "SoC", 10),
    measurand(86, "temperature", "0.1 Cel", "temperature_celsius", "Temperature", 10),
    measurand(88, "frequency_mhz", "mHz", "frequency_hz", "Frequency", 1000),
    measurand(90, "power_factor", "0.001", "power_factor", "Power.Factor", 1000),
    measurand(92, "energy_active_export_wh", "Wh", "energy_active_export_wh", "Energy.Active.Export.Register",
              holds=True),
    Point(100, "limit", "i32", "RW", "0.1 A or 0.1 W", minimum=NO_LIMIT, maximum=100_000_000, default=NO_LIMIT,
          late=True, source="limit.written", write=limits.write_limit, description="-1 = none", none=NO_LIMIT),
    Point(102, "limit_unit", "u16", "RW", enum="rate_unit", default=0, source="limit.unit",
          write=limits.write_unit),
    Point(103, "limit_phases", "u16", "RW", minimum=0, maximum=3, default=0, source="limit.phases",
          write=limits.write_phases, description="0 = absent"),
    Point(104, "limit_active", "i32", "R", "0.1 A or 0.1 W", description="last accepted", source=_limit_active,
          none=NO_LIMIT),
    Point(106, "limit_result", "u16", "R", enum="limit_result", source="limit.result"),
    Point(107, "update_counter", "u16", "R", description="+1 per change in this block",
          live=lambda c: c.update_counter, wraps=True),
    Point(108, "start_id_tag", "str10", "RW", source="start_id_tag", write=write_start_id_tag, id_tag=True,
          description="20 characters; blank = the charge point's default tag"),
    Point(118, "limit_u16", "u16", "RW", "0.1 A", minimum=0, maximum=65534, default=65534, source="limit.in_amperes",
          write=limits.write_amperes, description="limit for masters without FC16; 65534 = none", none=65534),
    Point(120, "vendor_error_code", "str25", "R", description="50 characters", source="vendor_error_code"),
    Point(146, "energy_limit_wh", "u32", "RW", "Wh", minimum=0, maximum=4294967294, default=0,
          source="energy_limit_wh", write=limits.write_energy_limit,
          description="0 = none; the gateway stops the session when it is reached"),
    Point(148, "energy_limit_u16", "u16", "RW", "0.1 kWh", minimum=0, maximum=65534, default=0,
          source=_energy_limit_steps, description="energy_limit_wh for masters without FC16; 0 = none",
          write=lambda c, value: limits.write_energy_limit(c, value * WH_PER_ENERGY_STEP)),
    measurand(150, "power_active_export_w", "W", "power_active_export_w", "Power.Active.Export"),
    measurand(152, "power_reactive_import_var", "var", "power_reactive_import_var", "Power.Reactive.Import"),
    measurand(154, "power_reactive_export_var", "var", "power_reactive_export_var", "Power.Reactive.Export"),
    measurand(156, "energy_reactive_import_varh", "varh", "energy_reactive_import_varh",
              "Energy.Reactive.Import.Register", holds=True),
    measurand(158, "energy_reactive_export_varh", "varh", "energy_reactive_export_varh",
              "Energy.Reactive.Export.Register", holds=True),
    measurand(160, "energy_active_import_interval_wh", "Wh", "energy_active_import_interval_wh",
              "Energy.Active.Import.Interval", holds=True),
    measurand(162, "energy_active_export_interval_wh", "Wh", "energy_active_export_interval_wh",
              "Energy.Active.Export.Interval", holds=True),
    measurand(164, "energy_reactive_import_interval_varh", "varh", "energy_reactive_import_interval_varh",
              "Energy.Reactive.Import.Interval", holds=True),
    measurand(166, "energy_reactive_export_interval_varh", "varh", "energy_reactive_export_interval_varh",
              "Energy.Reactive.Export.Interval", holds=True),
    measurand(168, "current_export_ma", "mA", "current_export_a", "Current.Export", 1000),
    measurand(170, "current_n_ma", "mA", "current_n_a", "Current.Import N", 1000),
    measurand(172, "power_l1_w", "W", "power_l1_w", "Power.Active.Import L1"),
    measurand(174, "power_l2_w", "W", "power_l2_w", "Power.Active.Import L2"),
    measurand(176, "power_l3_w", "W", "power_l3_w", "Power.Active.Import L3"),
    measurand(178, "voltage_l1_l2", "0.1 V", "voltage_l1_l2_v", "Voltage L1-L2", 10),
    measurand(180, "voltage_l2_l3", "0.1 V", "voltage_l2_l3_v", "Voltage L2-L3", 10),
    measurand(182, "voltage_l3_l1", "0.1 V", "voltage_l3_l1_v", "Voltage L3-L1", 10),
    measurand(184, "rpm", "rpm", "rpm", "RPM"),
    measurand(186, "current_import_ma", "mA", "current_import_a",
              "Current.Import without phase, or the sum of the phases", 1000),
    float_copy(200, "energy_active_import_kwh_f", "kWh", "meter.energy_active_import_wh", 0.001, holds=True),
    float_copy(202, "power_active_import_kw_f", "kW", "meter.power_active_import_w", 0.001),
    Point(204, "session_energy_kwh_f", "f32", "R", "kWh", description="float copy", source=_transaction("energy_wh"),
          scale=0.001),
    float_copy(206, "current_l1_a_f", "A", "meter.current_l1_a"),
    float_copy(208, "current_l2_a_f", "A", "meter.current_l2_a"),
    float_copy(210, "current_l3_a_f", "A", "meter.current_l3_a"),
    float_copy(212, "voltage_l1_v_f", "V", "meter.voltage_l1_v"),
    float_copy(214, "voltage_l2_v_f", "V", "meter.voltage_l2_v"),
    float_copy(216, "voltage_l3_v_f", "V", "meter.voltage_l3_v"),
    float_copy(218, "soc_f", "%", "meter.soc_percent"),
    Point(220, "limit_active_f", "f32", "R", "A or W", description="float copy", source=_limit_active, scale=0.1,
          none=NO_LIMIT),
    Point(222, "trigger_command", "u16", "R", enum="command", source="outcome.command",
          description="the last trigger or setpoint of this block as a command"),
    Point(223, "trigger_state", "u16", "R", enum="command_state", source="outcome.state"),
    Point(224, "trigger_result", "u16", "R", enum="result", source="outcome.result"),
    Point(225, "trigger_error", "u16", "R", enum="command_error", source="outcome.error"),
    Point(226, "limit_upstream", "i32", "R", "0.1 A or 0.1 W", source=_limit_upstream,
          description="bridge role: what the central system set; -1 = none", none=NO_LIMIT),
    Point(228, "session_count", "u32", "R", description="transactions since the last factory reset",
          source="session_count"),
    Point(230, "session_time_total_s", "u32", "R", "s", description="their duration", source="session_time_total_s"),
]  # fmt: skip
