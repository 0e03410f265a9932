"""The points as an integrator has copied them into the BMS, by hand, from the gateway's published register map.

On purpose no import of the gateway's own table: what both got from one source could only agree. Addresses are
0-based; `address = 3000·n + 300·block + offset` (modbus.md, Addresses).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

REGISTERS_PER_CHARGE_POINT = 3000
REGISTERS_PER_BLOCK = 300
MATRIX_COLUMNS = 8
FIXED_BLOCKS = {"charge_point": 0, "command": 8, "identity": 9}  # a connector's block is its number

GATEWAY = """
0 map_magic u16, 1 map_version u16, 2 role u16, 3 state u16, 4 word_order u16, 5 charge_point_count u16,
6 word_order_test u32, 8 gateway_heartbeat u16, 9 bms_heartbeat u16, 10 uptime_s u32, 12 watchdog_timeout_s u16,
13 watchdog_state u16, 14 watchdog_action u16, 15 watchdog_limit u16, 16 watchdog_trips u16, 17 decision_timeout u16,
18 decision_default u16, 19 bank_count u16, 20 utc_year u16, 21 utc_month u16, 22 utc_day u16, 23 utc_hour u16,
24 utc_minute u16, 25 utc_second u16, 26 time_commit u16, 27 time_result u16, 28 utc_epoch u32, 30 time_source u16,
32 connected_mask u32, 34 decision_mask u32, 36 command_busy_mask u32, 38 fault_mask u32, 40 charging_mask u32,
42 upstream_mask u32, 44 total_power_w i32, 46 total_session_energy_wh u32, 48 charging_count u16,
49 faulted_count u16, 50 site_limit_w i32, 52 site_limit_result u16, 53 site_limit_u16 u16, 54 modbus_tcp_clients u16,
55 modbus_exceptions u16, 56 ocpp_errors u16, 57 config_checksum u16, 58 disk_state u16, 59 modbus_refused u16,
60 gateway_name str16, 76 gateway_serial str8, 84 gateway_firmware str8, 92 float_test f32, 94 string_test str4,
100 rtu_frames u32, 102 rtu_crc_errors u16, 103 rtu_foreign_frames u16, 104 rtu_collisions u16,
2000 profile_charge_point u16, 2001 profile_connector u16, 2002 profile_operation u16, 2003 profile_purpose u16,
2004 profile_kind u16, 2005 profile_recurrency u16, 2006 profile_stack_level u16, 2007 profile_rate_unit u16,
2008 profile_id i32, 2010 profile_transaction_id i32, 2012 profile_valid_from u32, 2014 profile_valid_to u32,
2016 profile_start_schedule u32, 2018 profile_duration_s u32, 2020 profile_min_rate i32, 2022 profile_phases u16,
2023 profile_period_count u16, 2120 profile_commit u16, 2124 profile_ack u16, 2125 profile_state u16,
2126 profile_result u16, 2127 schedule_rate_unit u16, 2128 schedule_start u32, 2130 schedule_period_count u16,
2131 profile_error u16, 2300 list_operation u16, 2301 list_charge_point u16, 2302 list_version i32,
2304 list_id_tag str10, 2314 list_parent_id_tag str10, 2324 list_status u16, 2325 list_index u16,
2326 list_expiry u32, 2328 list_commit u16, 2332 list_ack u16, 2333 list_state u16, 2334 list_result u16,
2335 list_count u16, 2336 list_error u16
"""

MATRIX = """
1000 status_matrix u16, 1200 state_bits_matrix bits16, 1400 power_matrix_w i32, 1800 limit_matrix u16,
2400 energy_matrix_wh u32
"""

CHARGE_POINT = """
0 connected bit, 1 registered bit, 2 faulted bit, 3 charging bit, 4 comm_error bit, 5 decision_pending bit,
6 command_busy bit, 7 upstream bit, 8 clock_bad bit, 9 simulated bit, 16 allowed bit, 17 operative bit,
18 reset_soft bit, 19 reset_hard bit, 20 clear_cache bit, 21 trigger_boot bit, 22 trigger_status bit,
32 link_state u16, 33 state_bits bits16, 34 status u16, 35 error_code u16, 36 connector_count u16,
37 heartbeat_age_s u16, 38 message_age_s u16, 39 reconnects u16, 40 connected_since u32, 42 security_profile u16,
43 features bits16, 44 quirks bits16, 45 call_timeouts u16, 46 firmware_status u16, 47 diagnostics_status u16,
48 list_version i32, 50 rate_units bits16, 51 max_stack_level u16, 52 round_trip_ms u16, 54 power_w i32,
56 energy_wh u32, 58 security_event u16, 59 update_counter u16, 60 request_sequence u16, 61 request_type u16,
62 request_connector u16, 63 request_time_left u16, 64 request_timestamp u32, 66 request_meter_wh u32,
68 request_transaction_id i32, 70 request_reservation_id i32, 72 request_reason u16, 74 request_id_tag str10,
84 request_session_energy_wh u32, 86 request_transaction_start u32, 88 response_status u16,
89 response_flags bits16, 90 response_expiry u32, 92 response_parent_id_tag str10, 102 response_sequence u16,
103 response_state u16, 104 request_lost u16, 110 trigger_command u16, 111 trigger_state u16,
112 trigger_result u16, 113 trigger_error u16, 114 limit_result u16, 120 request_key str25, 145 request_text str50,
195 response_text str50
"""

CONNECTOR = """
0 plugged bit, 1 charging bit, 2 faulted bit, 3 available bit, 4 reserved bit, 5 transaction_active bit,
6 meter_fresh bit, 7 limit_ok bit, 8 needs_authorization bit, 9 comm_error bit, 16 enable bit, 17 operative bit,
18 start bit, 19 stop bit, 20 unlock bit, 21 refresh bit, 32 status u16, 33 error_code u16, 34 state_bits bits16,
35 stop_reason u16, 36 status_age_s u16, 37 meter_age_s u16, 38 status_time u32, 40 transaction_id i32,
42 transaction_start u32, 44 transaction_duration_s u32, 46 meter_start_wh u32, 48 session_energy_wh u32,
50 meter_stop_wh u32, 52 reservation_id i32, 54 transaction_id_tag str10, 64 energy_active_import_wh u32,
66 power_active_import_w i32, 68 power_offered_w i32, 70 current_offered_ma i32, 72 current_l1_ma i32,
74 current_l2_ma i32, 76 current_l3_ma i32, 78 voltage_l1 i32, 80 voltage_l2 i32, 82 voltage_l3 i32, 84 soc i32,
86 temperature i32, 88 frequency_mhz i32, 90 power_factor i32, 92 energy_active_export_wh u32, 100 limit i32,
102 limit_unit u16, 103 limit_phases u16, 104 limit_active i32, 106 limit_result u16, 107 update_counter u16,
108 start_id_tag str10, 118 limit_u16 u16, 120 vendor_error_code str25, 146 energy_limit_wh u32,
148 energy_limit_u16 u16, 150 power_active_export_w i32, 152 power_reactive_import_var i32,
154 power_reactive_export_var i32, 156 energy_reactive_import_varh u32, 158 energy_reactive_export_varh u32,
160 energy_active_import_interval_wh u32, 162 energy_active_export_interval_wh u32,
164 energy_reactive_import_interval_varh u32, 166 energy_reactive_export_interval_varh u32,
168 current_export_ma i32, 170 current_n_ma i32, 172 power_l1_w i32, 174 power_l2_w i32, 176 power_l3_w i32,
178 voltage_l1_l2 i32, 180 voltage_l2_l3 i32, 182 voltage_l3_l1 i32, 184 rpm i32, 186 current_import_ma i32,
200 energy_active_import_kwh_f f32, 202 power_active_import_kw_f f32, 204 session_energy_kwh_f f32,
206 current_l1_a_f f32, 208 current_l2_a_f f32, 210 current_l3_a_f f32, 212 voltage_l1_v_f f32,
214 voltage_l2_v_f f32, 216 voltage_l3_v_f f32, 218 soc_f f32, 220 limit_active_f f32, 222 trigger_command u16,
223 trigger_state u16, 224 trigger_result u16, 225 trigger_error u16, 226 limit_upstream i32, 228 session_count u32,
230 session_time_total_s u32
"""

COMMAND = """
0 command_code u16, 1 command_connector u16, 2 command_p1 i32, 4 command_p2 i32, 6 command_p3 i32, 8 command_t1 u32,
10 command_id_tag str10, 20 command_parent_id_tag str10, 30 command_key str25, 55 command_value str50,
105 command_sequence u16, 110 command_ack u16, 111 command_state u16, 112 command_result u16, 113 command_error u16,
114 command_r1 i32, 116 command_age_s u16, 120 command_text str50
"""

IDENTITY = (
    "0 identity str24, 24 vendor str10, 34 model str10, 44 serial str13, 57 firmware str25, 82 meter_serial str13"
)


@dataclass(frozen=True, slots=True)
class Point:
    """`kind` is the type as the map writes it: bit, u16, i16, bits16, u32, i32, f32 or strN."""

    block: str
    offset: int
    name: str
    kind: str

    @property
    def registers(self) -> int:
        if self.kind.startswith("str"):
            return int(self.kind[3:])
        return 2 if self.kind.endswith("32") else 1


class PointMap:
    """Points by name. A name that stands in several blocks (`status`, `faulted`) is told apart by the connector."""

    def __init__(self, points: Iterable[Point]) -> None:
        self.points = {(point.block, point.name): point for point in points}

    @classmethod
    def from_csv(cls, text: str) -> PointMap:
        """The register map as the gateway's documentation has it: columns block, offset, type, name at least."""
        rows = csv.DictReader(text.splitlines())
        return cls(Point(row["block"], int(row["offset"]), row["name"], row["type"]) for row in rows)

    def find(self, name: str, charge_point: int = 0, connector: int | None = None) -> tuple[Point, int]:
        """(point, 0-based address). KeyError when the map has no such point there.

        No charge point: the gateway. A connector from 1: that connector's. Matrices take charge point and connector,
        0 (or none) being the charge point itself.
        """
        if not charge_point:
            blocks = ["gateway"]
        elif connector:
            blocks = ["connector", "matrix", "command"]
        else:
            blocks = ["charge_point", "command", "identity", "matrix"]
        for block in blocks:
            if (block, name) in self.points:
                return self.points[block, name], self._address(self.points[block, name], charge_point, connector or 0)
        raise KeyError(f"no point {name} for charge point {charge_point}, connector {connector}")

    def _address(self, point: Point, charge_point: int, connector: int) -> int:
        if point.block == "gateway":
            return point.offset
        if point.block == "matrix":
            return point.offset + ((charge_point - 1) * MATRIX_COLUMNS + connector) * point.registers
        block = FIXED_BLOCKS.get(point.block, connector)
        return REGISTERS_PER_CHARGE_POINT * charge_point + REGISTERS_PER_BLOCK * block + point.offset


def _read(block: str, text: str) -> list[Point]:
    rows = (entry.split() for entry in text.replace("\n", " ").split(","))
    return [Point(block, int(offset), name, kind) for offset, name, kind in rows]


def _periods(base: int, name: str) -> list[Point]:
    """24 pairs of start and limit, as in the profile mailbox and in the composite schedule."""
    return [
        Point("gateway", base + 4 * (number - 1) + 2 * half, f"{name}_period_{number}_{what}", kind)
        for number in range(1, 25)
        for half, (what, kind) in enumerate((("start_s", "u32"), ("limit", "i32")))
    ]


POINTS = PointMap(
    [
        *_read("gateway", GATEWAY),
        *_periods(2024, "profile"),
        *_periods(2132, "schedule"),
        *_read("matrix", MATRIX),
        *_read("charge_point", CHARGE_POINT),
        *_read("connector", CONNECTOR),
        *_read("command", COMMAND),
        *_read("identity", IDENTITY),
    ]
)
