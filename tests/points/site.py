"""A site of two banks in any format, and what its points say, known without our exports."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from gatewayd.points.bank import Bank
from gatewayd.points.block import Format
from tests.kit import Kit
from tests.points.contract import BY_NAME, Row

SITE = """
[gateway]
name = "east-wing"
[modbus]
unit_id = 5
register_base = {base}
word_order = "{order}"
string_order = "{strings}"
signed = "{signed}"
charge_point_units = {own}
[modbus.tcp]
host = "192.0.2.7"
port = 1502
[[charge_point]]
number = 1
identity = "CP001"
connectors = 2
[[charge_point]]
number = 7
identity = "CP007"
connectors = 1
[[charge_point]]
number = 21
identity = "CP021"
connectors = 1
"""
CONNECTORS = {1: 2, 7: 1, 21: 1}
FIRST_UNIT = 5
BLOCKS = {"charge_point": 0, "command": 8, "identity": 9}

Value = int | float | str | None


def toml(*, base: int = 0, order: str = "big", strings: str = "big", signed: str = "twos", own: int = 0) -> str:
    return SITE.format(base=base, order=order, strings=strings, signed=f"{signed}_complement", own=own)


def running(text: str) -> Kit:
    """The gateway of this site, with a car that charges at each charge point and one that feeds back."""
    kit = Kit(text)
    kit.write(18, 3, unit=FIRST_UNIT)  # list_then_accept: nobody waits for a BMS
    for number in CONNECTORS:
        end = kit.connect(f"CP{number:03}")
        end.boot(chargePointSerialNumber=f"S-{number}")
        end.status(1, "Charging")
        stamp = kit.stamp()
        end.send("StartTransaction", {"connectorId": 1, "idTag": f"TAG{number}", "meterStart": 100, "timestamp": stamp})
        sampled = [
            {"value": str(5_000_000 + number), "unit": "Wh"},
            {"value": str(number * -1000), "measurand": "Power.Active.Import", "unit": "W"},
            {"value": "230.5", "measurand": "Voltage", "phase": "L1", "unit": "V"},
            {"value": "49.98", "measurand": "Frequency"},
        ]
        end.send("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": stamp, "sampledValue": sampled}]})
    kit.write(3300 + 118, 65, unit=FIRST_UNIT)
    return kit


class Place(NamedTuple):
    """Where the contract puts a point of the site."""

    row: Row
    number: int
    """Charge point, 0 the gateway."""
    k: int | None
    unit: int
    address: int


def place(name: str) -> Place:
    """By the names that the exports give: power_w of charge point 7 is cp07_power_w."""
    found = re.fullmatch(r"(?:bank(\d)_|cp(\d\d)_(?:c(\d)_)?)?(\w+)", name)
    assert found is not None
    bank, number, k = int(found[1] or 1) - 1, int(found[2] or 0), found[3]
    if not number:
        row = BY_NAME["gateway", found[4]]
        return Place(row, 0, None, FIRST_UNIT + bank, row.offset)
    bank, local = (number - 1) // 20, (number - 1) % 20 + 1
    if k is not None and ("matrix", found[4]) in BY_NAME:
        row = BY_NAME["matrix", found[4]]
        at = row.offset + ((local - 1) * 8 + int(k)) * row.registers
        return Place(row, number, int(k), FIRST_UNIT + bank, at)
    kinds = ["connector"] if k is not None else list(BLOCKS)
    row = next(BY_NAME[kind, found[4]] for kind in kinds if (kind, found[4]) in BY_NAME)
    block = int(k) if k is not None else BLOCKS[row.block]
    at = 3000 * local + 300 * block + row.offset
    return Place(row, number, int(k) if k is not None else None, FIRST_UNIT + bank, at)


class Truth:
    """What every point says, read in the plain order from the contract's address."""

    def __init__(self, kit: Kit) -> None:
        self._banks = {FIRST_UNIT + i: Bank(records, Format()) for i, records in enumerate(kit.site.banks)}

    def number(self, name: str) -> int:
        """The registers as one number, sign and all."""
        at = place(name)
        raw = int.from_bytes(self._banks[at.unit].read(at.address, at.row.registers), "big")
        bits = 16 * at.row.registers
        return raw - (1 << bits) if at.row.type in ("i16", "i32") and raw >> (bits - 1) else raw

    def value(self, name: str) -> Value:
        """None where it is not available; a code that has a name is never that."""
        at = place(name)
        data = self._banks[at.unit].read(at.address, at.row.registers)
        if at.row.is_text:
            return data.rstrip(b"\0").decode("ascii") or None
        if at.row.type == "f32":
            (single,) = struct.unpack(">f", data)
            return None if single != single else float(single)
        number = self.number(name)
        nothing = {"u16": 0xFFFF, "u32": 0xFFFFFFFF, "i32": -0x80000000}.get(at.row.type)
        counted = at.row.name in COUNTERS
        return None if number == nothing and not counted else number


COUNTERS = ("gateway_heartbeat", "bms_heartbeat", "update_counter", "modbus_exceptions", "ocpp_errors", "session_count",
            "config_checksum", "watchdog_trips", "modbus_refused")  # fmt: skip
