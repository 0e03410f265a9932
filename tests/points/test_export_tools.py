"""Imports for other people's tools, read by those tools' own rules from the registers of a running site.

The rules stand here a second time, written from the documents that the modules under gatewayd/points/exports cite: each
export is followed register by register and must come to what the contract's address says.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import struct
import subprocess
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import voluptuous as vol
import yaml

from gatewayd.points import export
from tests.kit import Kit
from tests.points.contract import BY_NAME, FOLDER
from tests.points.site import Truth, Value, place, running, toml

ORDERS = {"big": "ABCD", "little": "DCBA", "word_inverted_big": "CDAB", "word_inverted_little": "BADC"}
SITES = [
    toml(),
    toml(order="little", strings="little", own=100),
    toml(order="word_inverted_big", own=100),
    toml(order="word_inverted_little", strings="little"),
]
every_site = pytest.mark.parametrize("text", SITES, ids=lambda text: "-".join(re.findall(r'r = "(\w+)"', text)))


def straight(data: bytes, order: str) -> bytes:
    """The bytes of a value on the wire, brought to ABCD by the name that integrators give the order."""
    return bytes(data[order.index(letter)] for letter in "ABCD") if len(data) == 4 else data


def close(found: Value, said: Value) -> bool:
    """Equal, but for the last digits of a scaled number."""
    if isinstance(found, float) and isinstance(said, int | float):
        return found == pytest.approx(said, rel=1e-6, abs=1e-9)
    return found == said


def units() -> dict[tuple[str, str], float]:
    """What one count is worth, from the contract's column `unit`."""
    with (FOLDER / "register_map.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["block"], row["name"]): float(row["unit"].split()[0]) if row["unit"][:1].isdigit() else 1
            for row in csv.DictReader(file)
        }


UNITS = units()


def factor(name: str) -> float:
    row = place(name).row
    return UNITS[row.block, row.name]


def wanted(kit: Kit, keep: Callable[[str, str], bool]) -> set[str]:
    """Names of the points that a tool polls: no matrices, no mailboxes, and what `keep` (type, access) says."""
    names = set()
    for (block, name), row in BY_NAME.items():
        if block == "matrix" or row.in_mailbox or not keep(row.type, row.access):
            continue
        if block == "gateway":
            names |= {name, f"bank2_{name}"}
        for entry in kit.config.charge_points if block != "gateway" else ():
            ks = [f"c{k}_" for k in range(1, entry.connectors + 1)] if block == "connector" else [""]
            names |= {f"cp{entry.number:02}_{k}{name}" for k in ks}
    return names


# --- Telegraf -----------------------------------------------------------------------------------------------------

TELEGRAF_TYPES = {"UINT16": ">H", "INT16": ">h", "UINT32": ">I", "INT32": ">i", "FLOAT32": ">f"}


def telegraf_field(kit: Kit, request: dict[str, Any], field: dict[str, Any]) -> Value:
    code = TELEGRAF_TYPES[field["type"]]
    data = kit.bank(request["slave_id"]).read(field["address"], struct.calcsize(code) // 2)
    if len(data) == 2 and request["byte_order"] in ("DCBA", "BADC"):  # type_conversions16.go
        data = data[::-1]
    (value,) = struct.unpack(code, straight(data, request["byte_order"]))
    scaled: Value = value * field["scale"] if "scale" in field else value
    return scaled


@every_site
def test_telegraf(text: str) -> None:
    kit = running(text)
    truth = Truth(kit)
    (plugin,) = tomllib.loads(export.exported("telegraf", kit.config).decode())["inputs"]["modbus"]
    assert (plugin["controller"], plugin["configuration_type"]) == ("tcp://192.0.2.7:1502", "request")
    seen = set()
    for request in plugin["request"]:
        assert set(request) <= {"slave_id", "byte_order", "register", "measurement", "optimization", "fields", "tags"}
        assert request["register"] == "holding"
        addresses = [field["address"] for field in request["fields"]]
        assert max(addresses) - min(addresses) < 125
        tags = request.get("tags", {})
        prefix = "bank2_" if request["slave_id"] == 6 and not tags else ""
        if tags:
            prefix = f"cp{int(tags['charge_point']):02}_" + (f"c{tags['connector']}_" if "connector" in tags else "")
        for field in request["fields"]:
            assert set(field) <= {"address", "name", "type", "scale", "output"}
            name = prefix + field["name"]
            seen.add(name)
            said = truth.value(name)
            found = telegraf_field(kit, request, field)
            if said is None:
                raw = truth.number(name)
                assert found != found or round(float(found or 0) / factor(name)) == raw, name
            else:
                assert close(float(found or 0), float(said) * factor(name)), name
    assert seen == wanted(kit, lambda kind, access: not kind.startswith("str") and access != "W")


# --- Home Assistant -----------------------------------------------------------------------------------------------

ENTITY = {
    vol.Required("name"): str,
    vol.Required("address"): vol.All(int, vol.Range(0)),
    vol.Exclusive("device_address", "slave_addr"): vol.All(int, vol.Range(0)),
    vol.Exclusive("slave", "slave_addr"): vol.All(int, vol.Range(0)),
    vol.Optional("scan_interval"): vol.All(int, vol.Range(0)),
    vol.Optional("unique_id"): str,
}
SENSOR = ENTITY | {
    vol.Optional("input_type"): vol.In(["holding", "input"]),
    vol.Optional("count"): vol.All(int, vol.Range(0)),
    vol.Optional("data_type"): vol.In(["int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "float32",
                                       "float64", "string", "custom"]),
    vol.Optional("scale"): vol.All(vol.Coerce(float), vol.NotIn([0])),
    vol.Optional("precision"): vol.All(int, vol.Range(0)),
    vol.Optional("swap"): vol.In(["byte", "word", "word_byte"]),
    vol.Optional("device_class"): vol.In(["power", "energy", "current", "voltage", "temperature", "frequency",
                                          "reactive_power"]),
    vol.Optional("state_class"): vol.In(["measurement", "total", "total_increasing"]),
    vol.Optional("unit_of_measurement"): str,
    vol.Optional("nan_value"): int,
}  # fmt: skip
HOME_ASSISTANT = vol.Schema(
    {
        vol.Required("modbus"): [
            {
                vol.Optional("name"): str,
                vol.Required("type"): vol.Any("tcp", "udp", "rtuovertcp"),
                vol.Required("host"): str,
                vol.Required("port"): vol.All(int, vol.Range(1, 65535)),
                vol.Optional("timeout"): int,
                vol.Optional("sensors"): [SENSOR],
                vol.Optional("binary_sensors"): [
                    ENTITY | {vol.Optional("input_type"): vol.In(["coil", "discrete_input", "holding", "input"])}
                ],
                vol.Optional("switches"): [
                    ENTITY
                    | {
                        vol.Optional("write_type"): vol.In(["holding", "coil", "coils", "holdings"]),
                        vol.Optional("verify"): vol.Maybe(dict),
                    }
                ],
            }
        ]
    }
)
"""After `schemas.py` of its Modbus integration."""
STRUCTS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}


def home_assistant_sensor(kit: Kit, sensor: dict[str, Any]) -> str | None:
    """Its state, as `entity.py` makes it."""
    kind, swap = sensor["data_type"], sensor.get("swap", "")
    assert (kind == "string") == ("count" in sensor)  # validators.py: demanded, else illegal
    assert "word" not in swap or kind in ("int32", "uint32", "float32")
    quantity = sensor["count"] if kind == "string" else struct.calcsize(STRUCTS[kind]) // 2
    data = kit.bank(sensor["slave"]).read(sensor["address"], quantity)
    registers = [data[i : i + 2] for i in range(0, len(data), 2)]
    if swap in ("byte", "word_byte"):
        registers = [register[::-1] for register in registers]
    if swap in ("word", "word_byte"):
        registers.reverse()
    data = b"".join(registers)
    if kind == "string":
        return data.decode()
    (entry,) = struct.unpack(STRUCTS[kind], data)
    nan = sensor.get("nan_value")
    if entry != entry or (nan and entry in (nan, -nan)):
        return None
    value, scale = sensor.get("scale", 1) * entry, sensor.get("scale", 1)
    precision = sensor.get("precision", 2 if kind == "float32" else 0)
    whole = kind != "float32" and precision == 0 and scale == int(scale)
    return str(round(value)) if whole or precision == 0 else f"{float(value):.{precision}f}"


def entity_name(entity: dict[str, Any]) -> str:
    identifier: str = entity["unique_id"]
    return identifier.removeprefix("east-wing_")


@every_site
def test_home_assistant(text: str) -> None:
    kit = running(text)
    truth = Truth(kit)
    content = HOME_ASSISTANT(yaml.safe_load(export.exported("home-assistant", kit.config)))
    (hub,) = content["modbus"]
    assert (hub["host"], hub["port"]) == ("192.0.2.7", 1502)
    entities = [*hub["sensors"], *hub["binary_sensors"], *hub["switches"]]
    for key in ("name", "unique_id"):
        assert len({entity[key] for entity in entities}) == len(entities)
    for sensor in hub["sensors"]:
        name = entity_name(sensor)
        found, said = home_assistant_sensor(kit, sensor), truth.value(name)
        if place(name).row.is_text:
            assert (found or "").rstrip("\0") == (said or ""), name
        elif said is None:
            assert found is None, name
        else:
            scale = 0.001 if place(name).row.name == "frequency_mhz" else factor(name)
            assert float(found or "nan") == pytest.approx(float(said) * scale, abs=0.0005), name
    for switch in [*hub["binary_sensors"], *hub["switches"]]:
        bits = kit.bank(switch["slave"]).read_bits(switch["address"], 1)
        assert bits[0] == truth.value(entity_name(switch))
    assert {entity_name(each) for each in hub["switches"]} == wanted(kit, lambda kind, a: (kind, a) == ("bit", "RW"))
    assert {entity_name(each) for each in entities} == wanted(kit, lambda _, access: access != "W")


def test_home_assistant_knows_units_and_kinds() -> None:
    sensors = {}
    for sensor in yaml.safe_load(export.exported("home-assistant"))["modbus"][0]["sensors"]:
        sensors[sensor["unique_id"].removeprefix("example-site_cp01_c1_")] = sensor
    said = {
        name: tuple(sensors[name].get(key) for key in ("unit_of_measurement", "device_class", "state_class", "scale"))
        for name in ("power_active_import_w", "energy_active_import_wh", "voltage_l1", "soc", "frequency_mhz", "status")
    }
    assert said == {
        "power_active_import_w": ("W", "power", "measurement", None),
        "energy_active_import_wh": ("Wh", "energy", "total", None),
        "voltage_l1": ("V", "voltage", "measurement", 0.1),
        "soc": ("%", None, None, 0.1),
        "frequency_mhz": ("Hz", "frequency", "measurement", 0.001),
        "status": (None, None, None, None),
    }


# --- Ignition -----------------------------------------------------------------------------------------------------

DESIGNATORS = {"HR": ">h", "HRUS": ">H", "HRI": ">i", "HRUI": ">I", "HRF": ">f"}
HOLDS = {"Boolean": {"C"}, "Int2": {"HR"}, "Int4": {"HR", "HRUS", "HRI"}, "Int8": {"HRUI"}, "Float4": {"HRF"}}
"""Data type of a tag → designators of which it can hold every value."""


def ignition_tag(kit: Kit, path: str, *, words_reversed: bool) -> Value:
    found = re.fullmatch(r"ns=1;s=\[OCPP gateway\](\d+)\.([A-Z]+)(\d+)", path)
    assert found is not None, path
    unit, designator, address = int(found[1]), found[2], int(found[3]) - 1
    if designator == "C":
        bits: bytes = kit.bank(unit).read_bits(address, 1)
        return bits[0]
    code = DESIGNATORS[designator]
    data = kit.bank(unit).read(address, struct.calcsize(code) // 2)
    (value,) = struct.unpack(code, straight(data, "CDAB" if words_reversed else "ABCD"))
    number: Value = value
    return number


def flat(tag: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    if tag["tagType"] != "Folder":
        return [((*path, tag["name"]), tag)]
    names = [inner["name"] for inner in tag["tags"]]
    assert len(set(names)) == len(names)
    return [each for inner in tag["tags"] for each in flat(inner, (*path, tag["name"]))]


@pytest.mark.parametrize("own", [0, 100])
@pytest.mark.parametrize("order", ["big", "word_inverted_big"])
def test_ignition(order: str, own: int) -> None:
    kit = running(toml(order=order, own=own))
    truth = Truth(kit)
    tags = flat(json.loads(export.exported("ignition", kit.config)))
    seen = set()
    for (root, group, point), tag in tags:
        assert root == "east-wing"
        assert (tag["tagType"], tag["valueSource"], tag["opcServer"]) == (
            "AtomicTag", "opc", "Ignition OPC UA Server")  # fmt: skip
        number = re.match(r"Charge point (\d+)(?: connector (\d))?", group)
        name = f"bank2_{point}" if group == "Gateway bank 2" else point
        if number:
            name = f"cp{int(number[1]):02}_" + (f"c{number[2]}_" if number[2] else "") + point
        seen.add(name)
        designator = re.sub(r".*\.([A-Z]+)\d+", r"\1", tag["opcItemPath"])
        assert designator in HOLDS[tag["dataType"]]
        found, said = ignition_tag(kit, tag["opcItemPath"], words_reversed=order != "big"), truth.value(name)
        assert found != found if said is None and designator == "HRF" else close(
            found, truth.number(name) if said is None else said), name  # fmt: skip
    assert seen == wanted(kit, lambda kind, _: not kind.startswith("str"))


# --- Node-RED -----------------------------------------------------------------------------------------------------

NODE = shutil.which("node")
RUN_FUNCTIONS = """
const jobs = JSON.parse(require("fs").readFileSync(0));
const results = jobs.map(({code, payload}) => new Function("msg", code)({payload}).payload);
console.log(JSON.stringify(results));
"""


def registers(kit: Kit, node: dict[str, Any]) -> list[int]:
    assert node["dataType"] == "HoldingRegister"
    data = kit.bank(int(node["unitid"])).read(int(node["adr"]), int(node["quantity"]))
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


@pytest.mark.skipif(NODE is None, reason="the flow's functions are JavaScript: there is no node to run them")
@pytest.mark.parametrize("text", [*SITES, toml(signed="ones", order="little")])
def test_node_red(text: str) -> None:
    kit = running(text)
    truth = Truth(kit)
    nodes = {node["id"]: node for node in json.loads(export.exported("node-red", kit.config))}
    reads = [node for node in nodes.values() if node["type"] == "modbus-read"]
    jobs = []
    for read in reads:
        (function,) = (nodes[each] for each in read["wires"][0])
        jobs.append({"code": function["func"], "payload": registers(kit, read)})
    done = subprocess.run([str(NODE), "-e", RUN_FUNCTIONS], input=json.dumps(jobs), capture_output=True, text=True,
                          check=True, timeout=60)  # fmt: skip
    seen = set()
    for read, values in zip(reads, json.loads(done.stdout), strict=True):
        group = re.match(r"Charge point (\d+)(?: connector (\d))?", read["topic"])
        prefix = "bank2_" if read["topic"] == "Gateway bank 2" else ""
        if group:
            prefix = f"cp{int(group[1]):02}_" + (f"c{group[2]}_" if group[2] else "")
        for point, found in values.items():
            name = prefix + point
            seen.add(name)
            said = truth.value(name)
            row = place(name).row
            if row.type == "bit":
                assert found is bool(said), name
            elif isinstance(said, int | float):
                units = factor(name)
                assert found == pytest.approx(said * units, rel=1e-6), name
            else:
                assert found == said, name
    assert seen == wanted(kit, lambda _, access: access != "W")


def test_node_red_joins_its_nodes_and_writes_where_a_connector_is_steered() -> None:
    kit = running(toml(own=100))
    nodes = json.loads(export.exported("node-red", kit.config))
    known = {node["id"]: node for node in nodes}
    assert len(known) == len(nodes)
    (tab,) = (node for node in nodes if node["type"] == "tab")
    (client,) = (node for node in nodes if node["type"] == "modbus-client")
    assert (client["tcpHost"], client["tcpPort"]) == ("192.0.2.7", "1502")
    written = {}
    for node in nodes:
        assert node["type"] in ("tab", "modbus-client") or node["z"] == tab["id"]
        assert node.get("server", client["id"]) == client["id"]
        for port in node.get("wires", []):
            assert all(target in known for target in port)
        if node["type"] == "inject":
            (target,) = (known[each] for each in node["wires"][0])
            assert (target["type"], target["quantity"]) == ("modbus-write", "1")
            written[target["name"]] = (target["unitid"], target["adr"], node["payload"])
    assert written["cp07_c1_start"] == ("107", "318", "1")
    assert written["cp21_c1_enable"] == ("6", "3316", "0")
    assert len(written) == 4 * 4  # four connectors
    for unit, address, value in written.values():
        kit.write(int(address), int(value), unit=int(unit))
