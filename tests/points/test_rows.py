"""Every row of the contract as a BMS meets it: empty, at its limits, beyond them (modbus.md, Types)."""

from __future__ import annotations

import pytest

from gatewayd.points.bank import IllegalAddress, IllegalValue
from tests.kit import EPOCH, Kit
from tests.points.contract import ENUMS, MAILBOXES, ROWS, Row, not_available

TOML = """
[gateway]
name = "plant"
[[charge_point]]
number = 1
identity = "CP001"
connectors = 2
"""

ZERO = (
    # counters and sums of nothing
    "gateway_heartbeat", "uptime_s", "watchdog_trips", "total_power_w", "total_session_energy_wh", "charging_count",
    "faulted_count", "modbus_tcp_clients", "modbus_exceptions", "ocpp_errors", "modbus_refused", "rtu_frames",
    "rtu_crc_errors", "rtu_foreign_frames", "rtu_collisions", "schedule_period_count", "list_count", "reconnects",
    "call_timeouts", "update_counter", "request_lost", "session_count", "session_time_total_s",
    # masks, acks, states that are known to be idle
    "connected_mask", "decision_mask", "command_busy_mask", "fault_mask", "charging_mask", "upstream_mask",
    "profile_ack", "profile_state", "list_ack", "list_state", "command_ack", "command_state", "trigger_state",
    "watchdog_state", "role", "state", "word_order", "response_state",
    # nobody asks: all of request_* is 0
    "request_sequence", "request_connector", "request_time_left", "request_timestamp", "request_meter_wh",
    "request_transaction_id", "request_reservation_id", "request_session_energy_wh", "request_transaction_start",
    # 0 = none, says the table
    "transaction_id", "reservation_id",
    # mailbox registers without a default, and what a mailbox says before its first command
    "profile_rate_unit", "command_r1", "command_age_s",
)  # fmt: skip

KNOWN: dict[str, bytes] = {
    "map_magic": b"\x4f\x43",
    "map_version": b"\1\0",
    "charge_point_count": b"\0\1",
    "bank_count": b"\0\1",
    "connector_count": b"\0\2",
    "word_order_test": b"\x12\x34\x56\x78",
    "float_test": b"\x41\x48\0\0",
    "string_test": b"ABCDEFGH",
    "utc_epoch": int(EPOCH).to_bytes(4, "big"),
    "time_source": b"\0\5",  # host
    "comm_error": b"\0\1",
    "charge_point.state_bits": b"\0\x10",
    "connector.state_bits": b"\2\0",
    "state_bits_matrix": b"\2\0",
    "limit_upstream": b"\xff" * 4,  # -1 = none
    "gateway_name": b"plant".ljust(32, b"\0"),
    "gateway_serial": b"KIT".ljust(16, b"\0"),
    "identity": b"CP001".ljust(48, b"\0"),
}
"""What is known although no charge point ever came."""

NOT_FIXED = ("config_checksum", "gateway_firmware")


def on_empty_site(row: Row) -> bytes:
    size = 2 * row.registers
    for name in (str(row), row.name):
        if name in KNOWN:
            return KNOWN[name]
    if row.name in ZERO:
        return bytes(size)
    if row.default is not None:
        return (row.default % (1 << 8 * size)).to_bytes(size, "big")
    return not_available(row)


@pytest.fixture(scope="module")
def empty() -> Kit:
    return Kit(TOML)


@pytest.fixture
def kit() -> Kit:
    return Kit(TOML)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in NOT_FIXED], ids=str)
def test_on_an_empty_site(row: Row, empty: Kit) -> None:
    assert empty.bank_1.read(row.address, row.registers).hex() == on_empty_site(row).hex()


def test_every_name_above_is_a_row() -> None:
    names = {row.name for row in ROWS} | {str(row) for row in ROWS}
    assert {*ZERO, *KNOWN, *NOT_FIXED} <= names


# --- writing ------------------------------------------------------------------------------------------------------


def written(kit: Kit, row: Row, value: int) -> None:
    size = 2 * row.registers
    kit.bank_1.write(row.address, (value % (1 << 8 * size)).to_bytes(size, "big"), "bms", kit.now)


def shown(kit: Kit, row: Row) -> int:
    number = int.from_bytes(kit.bank_1.read(row.address, row.registers), "big")
    bits = 16 * row.registers
    return number - (1 << bits) if row.type == "i32" and number >> (bits - 1) else number


NUMBERS = [row for row in ROWS if row.written_whole and row.access == "RW" and not row.is_text]
LIMITED = [row for row in NUMBERS if row.minimum is not None]
CODED = [row for row in NUMBERS if row.enum]
TEXTS = [row for row in ROWS if row.written_whole and row.is_text]
TRIGGERS = [row for row in ROWS if row.access == "W"]
READ_ONLY = [row for row in ROWS if row.access == "R"]
IN_MAILBOXES = [row for row in ROWS if row.in_mailbox]


def test_every_writable_row_is_tested_below() -> None:
    writable = {row for row in ROWS if row.access != "R"}
    assert writable == {*LIMITED, *CODED, *TEXTS, *TRIGGERS, *IN_MAILBOXES}
    assert set(READ_ONLY) == set(ROWS) - writable


@pytest.mark.parametrize("end", ["minimum", "maximum"])
@pytest.mark.parametrize("row", LIMITED, ids=str)
def test_a_setpoint_takes_its_limits(row: Row, end: str, kit: Kit) -> None:
    value = getattr(row, end)
    written(kit, row, value)
    assert shown(kit, row) == value


@pytest.mark.parametrize("row", LIMITED, ids=str)
def test_a_setpoint_refuses_what_is_beyond(row: Row, kit: Kit) -> None:
    assert row.minimum is not None
    assert row.maximum is not None
    top = (1 << 16 * row.registers) - 1 if row.type != "i32" else (1 << 31) - 1
    bottom = 0 if row.type != "i32" else -(1 << 31)
    before = shown(kit, row)
    for beyond in {row.minimum - 1, row.maximum + 1, top, bottom}:
        if bottom <= beyond <= top and not row.minimum <= beyond <= row.maximum:
            with pytest.raises(IllegalValue):
                written(kit, row, beyond)
    assert shown(kit, row) == before


@pytest.mark.parametrize("row", CODED, ids=str)
def test_an_enumeration_takes_its_codes_and_no_others(row: Row, kit: Kit) -> None:
    codes = set(ENUMS[row.enum].values())
    for code in sorted(codes):
        written(kit, row, code)
        assert shown(kit, row) == code
    for code in {max(codes) + 1, 0x7FFF, 0xFFFF} - codes:
        with pytest.raises(IllegalValue):
            written(kit, row, code)
    assert shown(kit, row) == max(codes)


def test_the_watchdog_has_a_gap_in_its_range(kit: Kit) -> None:
    for seconds in (1, 2, 3, 4):
        with pytest.raises(IllegalValue):
            kit.write(12, seconds)
    kit.write(12, 5)
    assert kit.read(12) == 5


@pytest.mark.parametrize("row", TEXTS, ids=str)
def test_a_text_takes_all_its_characters(row: Row, kit: Kit) -> None:
    whole = "".join(chr(33 + i) for i in range(2 * row.registers))
    for text in (whole, "short", ""):
        kit.write_text(row.address, text, row.registers)
        assert kit.read_text(row.address, row.registers) == text


@pytest.mark.parametrize("bad", [b"\x1f", b"\x7f", b"\x80", b"\xff", b"A\0B"], ids=repr)
@pytest.mark.parametrize("row", TEXTS, ids=str)
def test_a_text_is_printable_ascii(row: Row, bad: bytes, kit: Kit) -> None:
    kit.write_text(row.address, "before", row.registers)
    with pytest.raises(IllegalValue):
        kit.bank_1.write(row.address, bad.ljust(2 * row.registers, b"\0"), "bms", kit.now)
    assert kit.read_text(row.address, row.registers) == "before"


def test_blanks_pad_a_text_as_well_as_zeros(kit: Kit) -> None:
    kit.bank_1.write(3300 + 108, b"TAG1".ljust(20), "bms", kit.now)
    assert kit.bank_1.read(3300 + 108, 10) == b"TAG1".ljust(20, b"\0")


@pytest.mark.parametrize("row", TRIGGERS, ids=str)
def test_a_trigger_takes_0_and_1_and_reads_back_0(row: Row, kit: Kit) -> None:
    for value in (0, 1):
        kit.write(row.address, value)
        assert kit.read(row.address) == 0
    for value in (2, 0x100, 0xFF00, 0xFFFF):
        with pytest.raises(IllegalValue):
            kit.write(row.address, value)


@pytest.mark.parametrize("row", READ_ONLY, ids=str)
def test_a_read_only_row_takes_nothing(row: Row, kit: Kit) -> None:
    before = kit.bank_1.read(row.address, row.registers)
    with pytest.raises(IllegalAddress):
        kit.write(row.address, *[0] * row.registers)
    assert kit.bank_1.read(row.address, row.registers) == before


# --- mailboxes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", IN_MAILBOXES, ids=str)
def test_a_mailbox_row_takes_anything_one_register_at_a_time(row: Row, kit: Kit) -> None:
    for value in (0x8001, 0xFFFF, 0):
        for register in reversed(range(row.address, row.address + row.registers)):
            kit.write(register, value)
            assert kit.read(register) == value


@pytest.mark.parametrize(("block", "first", "last"), MAILBOXES)
def test_a_mailbox_has_no_holes(block: str, first: int, last: int) -> None:
    inside = {
        register
        for row in ROWS
        if row.block == block and row.access == "RW"
        for register in range(row.offset, row.offset + row.registers)
    }
    assert set(range(first, last + 1)) <= inside


def test_holes_read_0_and_take_nothing(kit: Kit) -> None:
    taken = {
        row.address + k
        for row in ROWS
        if row.block != "matrix"
        for k in range(row.registers)
    } | {
        row.offset + k
        for row in ROWS
        if row.block == "matrix"
        for k in range(160 * row.registers)
    }  # fmt: skip
    blocks = [range(3000), range(3000, 3600), range(5400, 6000)]
    holes = [address for block in blocks for address in block if address not in taken]
    assert len(holes) > 1000
    for address in holes:
        assert kit.read(address) == 0, address
        with pytest.raises(IllegalAddress):
            kit.write(address, 0)
