"""THE TABLE: blocks 0, 8 and 9 of a charge point (modbus.md, Addresses)."""

from __future__ import annotations

from collections.abc import Callable

from gatewayd.points.point import Point, Value, any_number
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import ChargePointBits, CommandCode, TriggerCode
from gatewayd.site.connector import Connector
from gatewayd.site.setpoint import command_trigger, write_allowed, write_operative


def age(attribute: str) -> Callable[[ChargePoint], Value]:
    """Seconds since the monotonic time in an attribute; not available = never."""

    def seconds(cp: ChargePoint) -> Value:
        at = getattr(cp, attribute)
        return None if at is None else max(0, int(cp.bank.site.now - at))

    return seconds


def on_whole(act: Callable[[Connector, int], None]) -> Callable[[ChargePoint, int], None]:
    """The action of connector 0 as one of the charge point's."""
    return lambda cp, value: act(cp.whole, value)


def state_bits(cp: ChargePoint) -> int:
    bits = ChargePointBits(0)
    if cp.connected:
        bits |= ChargePointBits.connected
    if cp.registered:
        bits |= ChargePointBits.registered
    if faulted(cp):
        bits |= ChargePointBits.faulted
    if charging(cp):
        bits |= ChargePointBits.charging
    if cp.comm_error:
        bits |= ChargePointBits.comm_error
    if cp.decisions.pending:
        bits |= ChargePointBits.decision_pending
    if cp.mailbox.busy:
        bits |= ChargePointBits.command_busy
    if cp.upstream:
        bits |= ChargePointBits.upstream
    if cp.clock_bad:
        bits |= ChargePointBits.clock_bad
    if cp.simulated:
        bits |= ChargePointBits.simulated
    return int(bits)


def faulted(cp: ChargePoint) -> bool:
    return any(connector.faulted for connector in cp.connectors)


def charging(cp: ChargePoint) -> bool:
    return any(connector.charging for connector in cp.connectors)


def power_w(cp: ChargePoint) -> float | None:
    """Sum over the connectors that say something."""
    known = [c.meter.power_active_import_w for c in cp.real_connectors if c.meter.power_active_import_w is not None]
    return sum(known) if known else None


def energy_wh(cp: ChargePoint) -> float | None:
    """The connector-0 meter where there is one, else the sum of the connectors'."""
    whole: float | None = cp.whole.meter.energy_active_import_wh
    if whole is not None:
        return whole
    known = [c.meter.energy_active_import_wh for c in cp.real_connectors]
    some = [wh for wh in known if wh is not None]
    return sum(some) if some else None


def _time_left(cp: ChargePoint) -> Value:
    if not cp.decisions.pending:
        return 0
    return max(0, round((cp.decisions.current.deadline - cp.bank.site.now) * 10))


CHARGE_POINT = [
    Point(0, "connected", "bit", "R", description="WebSocket is up", source="connected"),
    Point(1, "registered", "bit", "R", source="registered",
          description="BootNotification accepted, or a known charge point that came back"),
    Point(2, "faulted", "bit", "R", description="any connector Faulted", source=faulted),
    Point(3, "charging", "bit", "R", description="any connector Charging", source=charging),
    Point(4, "comm_error", "bit", "R", source="comm_error",
          description="1 = values are not to be trusted: the link is down or silent"),
    Point(5, "decision_pending", "bit", "R", source="decisions.pending"),
    Point(6, "command_busy", "bit", "R", source="mailbox.busy"),
    Point(7, "upstream", "bit", "R", description="bridge role: central-system link is up", source="upstream"),
    Point(8, "clock_bad", "bit", "R", source="clock_bad",
          description="its timestamps are replaced: over 60 s ahead, before 2020 or unreadable"),
    Point(9, "simulated", "bit", "R", description="a built-in simulated charge point stands in", source="simulated"),
    Point(16, "allowed", "bit", "RW", minimum=0, maximum=1, default=1, source="allowed", write=write_allowed,
          description="0 = the connection is refused"),
    Point(17, "operative", "bit", "RW", minimum=0, maximum=1, default=1, source="whole.operative",
          write=on_whole(write_operative), description="ChangeAvailability connector 0"),
    *(
        Point(offset, name, "bit", "W", minimum=0, maximum=1, default=0, description=description, source=lambda _: 0,
              write=on_whole(action))
        for offset, name, description, action in (
            (18, "reset_soft", "trigger", command_trigger("reset_soft", CommandCode.ResetSoft)),
            (19, "reset_hard", "trigger", command_trigger("reset_hard", CommandCode.ResetHard)),
            (20, "clear_cache", "trigger", command_trigger("clear_cache", CommandCode.ClearCache)),
            (21, "trigger_boot", "TriggerMessage BootNotification",
             command_trigger("trigger_boot", CommandCode.TriggerMessage, TriggerCode.BootNotification)),
            (22, "trigger_status", "TriggerMessage StatusNotification, all connectors",
             command_trigger("trigger_status", CommandCode.TriggerMessage, TriggerCode.StatusNotification)),
        )
    ),
    Point(32, "link_state", "u16", "R", enum="link_state", source="link_state"),
    Point(33, "state_bits", "bits16", "R", enum="charge_point_bits", source=state_bits),
    Point(34, "status", "u16", "R", enum="status", description="connector 0", source="whole.status"),
    Point(35, "error_code", "u16", "R", enum="error_code", description="connector 0", source="whole.error_code"),
    Point(36, "connector_count", "u16", "R", description="configured", source="connector_count"),
    Point(37, "heartbeat_age_s", "u16", "R", "s", description="65535 = never", live=age("heartbeat_at")),
    Point(38, "message_age_s", "u16", "R", "s", description="65535 = never", live=age("message_at")),
    Point(39, "reconnects", "u16", "R", description="counter", source="reconnects", wraps=True),
    Point(40, "connected_since", "u32", "R", "s", description="epoch", source="connected_epoch"),
    Point(42, "security_profile", "u16", "R", description="0..3", source="security_profile"),
    Point(43, "features", "bits16", "R", enum="feature_bits", source="features"),
    Point(44, "quirks", "bits16", "R", enum="quirk_bits", description="tolerated deviations seen", source="quirks"),
    Point(45, "call_timeouts", "u16", "R", description="counter", source="call_timeouts", wraps=True),
    Point(46, "firmware_status", "u16", "R", enum="firmware_status", source="firmware_status"),
    Point(47, "diagnostics_status", "u16", "R", enum="diagnostics_status", source="diagnostics_status"),
    Point(48, "list_version", "i32", "R", description="-1 = unsupported", source="list_version"),
    Point(50, "rate_units", "bits16", "R", description="bit 0 = A, bit 1 = W", source="rate_units"),
    Point(51, "max_stack_level", "u16", "R", source="max_stack_level"),
    Point(52, "round_trip_ms", "u16", "R", "ms", live=lambda cp: cp.round_trip_ms),
    Point(54, "power_w", "i32", "R", "W", description="sum over connectors", source=power_w, measurement=True),
    Point(56, "energy_wh", "u32", "R", "Wh", description="connector-0 meter, else sum", source=energy_wh),
    Point(58, "security_event", "u16", "R", enum="security_event", source="security_event",
          description="last SecurityEventNotification"),
    Point(59, "update_counter", "u16", "R", description="+1 per change in this block",
          live=lambda cp: cp.whole.update_counter, wraps=True),
    Point(60, "request_sequence", "u16", "R", description="0 = none", source="decisions.current.sequence"),
    Point(61, "request_type", "u16", "R", enum="request_type", source="decisions.current.type"),
    Point(62, "request_connector", "u16", "R", source="decisions.current.connector"),
    Point(63, "request_time_left", "u16", "R", "0.1 s", live=_time_left),
    Point(64, "request_timestamp", "u32", "R", "s", description="epoch", source="decisions.current.timestamp"),
    Point(66, "request_meter_wh", "u32", "R", "Wh", source="decisions.current.meter_wh"),
    Point(68, "request_transaction_id", "i32", "R", source="decisions.current.transaction_id"),
    Point(70, "request_reservation_id", "i32", "R", source="decisions.current.reservation_id"),
    Point(72, "request_reason", "u16", "R", enum="stop_reason", source="decisions.current.reason"),
    Point(74, "request_id_tag", "str10", "R", description="20 characters", source="decisions.current.id_tag",
          id_tag=True),
    Point(84, "request_session_energy_wh", "u32", "R", "Wh", description="StopTransaction",
          source="decisions.current.session_energy_wh"),
    Point(86, "request_transaction_start", "u32", "R", "s", description="StopTransaction; epoch",
          source="decisions.current.transaction_start"),
    Point(88, "response_status", "u16", "RW", enum="response_status"),
    Point(89, "response_flags", "bits16", "RW", minimum=0, maximum=65535, default=0,
          description="bit 0 = remember the tag in the gateway's list"),
    any_number(90, "response_expiry", "u32", "s", description="epoch; 0 = none"),
    Point(92, "response_parent_id_tag", "str10", "RW", description="20 characters", id_tag=True),
    any_number(102, "response_sequence", "u16", description="write request_sequence to commit"),
    Point(103, "response_state", "u16", "R", enum="response_state", source="decisions.state"),
    Point(104, "request_lost", "u16", "R", source="decisions.lost", wraps=True,
          description="counter of informative requests dropped because the BMS never confirmed"),
    Point(110, "trigger_command", "u16", "R", enum="command", source="whole.outcome.command",
          description="the last trigger or setpoint of this block as a command"),
    Point(111, "trigger_state", "u16", "R", enum="command_state", source="whole.outcome.state"),
    Point(112, "trigger_result", "u16", "R", enum="result", source="whole.outcome.result"),
    Point(113, "trigger_error", "u16", "R", enum="command_error", source="whole.outcome.error"),
    Point(114, "limit_result", "u16", "R", enum="limit_result", description="of limit_matrix[n,0]",
          source="whole.limit.result"),
    Point(120, "request_key", "str25", "R", description="DataTransfer: vendorId/messageId",
          source="decisions.current.key"),
    Point(145, "request_text", "str50", "R", description="DataTransfer: data; SignCertificate: subject",
          source="decisions.current.text"),
    Point(195, "response_text", "str50", "RW", description="DataTransfer: data of the answer"),
]  # fmt: skip

COMMAND = [
    Point(0, "command_code", "u16", "RW", enum="command"),
    Point(1, "command_connector", "u16", "RW", minimum=0, maximum=7, default=0, description="0..7"),
    any_number(2, "command_p1", "i32"),
    any_number(4, "command_p2", "i32"),
    any_number(6, "command_p3", "i32"),
    any_number(8, "command_t1", "u32", "s", description="epoch"),
    Point(10, "command_id_tag", "str10", "RW", description="20 characters", id_tag=True),
    Point(20, "command_parent_id_tag", "str10", "RW", description="20 characters", id_tag=True),
    Point(30, "command_key", "str25", "RW", description="50 characters"),
    Point(55, "command_value", "str50", "RW", description="100 characters"),
    any_number(105, "command_sequence", "u16", description="a new non-zero value runs the command"),
    Point(110, "command_ack", "u16", "R", description="sequence number last taken", source="mailbox.ack", wraps=True),
    Point(111, "command_state", "u16", "R", enum="command_state", source="mailbox.state"),
    Point(112, "command_result", "u16", "R", enum="result", source="mailbox.result"),
    Point(113, "command_error", "u16", "R", enum="command_error", source="mailbox.error"),
    Point(114, "command_r1", "i32", "R", source="mailbox.r1"),
    Point(116, "command_age_s", "u16", "R", "s",
          live=lambda cp: 0 if cp.mailbox.since is None else max(0, int(cp.bank.site.now - cp.mailbox.since))),
    Point(120, "command_text", "str50", "R", description="100 characters of answer", source="mailbox.text"),
]  # fmt: skip

IDENTITY = [
    Point(0, "identity", "str24", "R", description="48 characters", source="name"),
    Point(24, "vendor", "str10", "R", description="20 characters", source="identity.vendor"),
    Point(34, "model", "str10", "R", description="20 characters", source="identity.model"),
    Point(44, "serial", "str13", "R", description="25 characters", source="identity.serial"),
    Point(57, "firmware", "str25", "R", description="50 characters", source="identity.firmware"),
    Point(82, "meter_serial", "str13", "R", description="25 characters", source="identity.meter_serial"),
]  # fmt: skip
