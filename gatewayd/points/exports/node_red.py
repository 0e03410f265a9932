"""Node-RED: a flow of node-red-contrib-modbus that reads the whole site and gives every value its name.

After the flows under examples/1-getting-started of github.com/BiancoRoyal/node-red-contrib-modbus, release 5
(`modbus-client`, `modbus-read`, `modbus-write`; a read gives `msg.payload`, an array of registers), and
nodered.org/docs/user-guide/editor/workspace/import-export (JSON, an array of nodes).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from gatewayd.points.exports.listing import Listed, Listing, Poll, polls
from gatewayd.points.point import not_available

POLL_S = 5
LEFT, COLUMN, ROW = 160, 300, 60
"""Where nodes stand on the sheet."""
BUTTONS = {"start": 1, "stop": 1, "enable": 0, "limit_u16": 160}
"""What a connector gets a button for, and what pressing it writes: start, stop, pause, 16 A."""

DECODER = """// Registers as numbers in, names with values out; null is "not available".
const order = {order}, swapped = {swapped}, ones = {ones};
const points = {points};
const raw = Buffer.alloc(2 * msg.payload.length);
msg.payload.forEach((register, i) => raw.writeUInt16BE(register, 2 * i));
const result = {{}};
for (const [name, offset, type, factor, nothing] of points) {{
    const at = 2 * offset;
    if (type.startsWith("str")) {{
        const bytes = Buffer.from(raw.subarray(at, at + 2 * Number(type.slice(3))));
        result[name] = (swapped ? bytes.swap16() : bytes).toString("latin1").replace(/\\0+$/, "") || null;
        continue;
    }}
    const wide = ["u32", "i32", "f32"].includes(type);
    const bytes = wide ? Buffer.from(order.map((i) => raw[at + i])) : raw.subarray(at, at + 2);
    const whole = wide ? bytes.readUInt32BE() : bytes.readUInt16BE();
    let value = whole;
    if (type === "f32") value = bytes.readFloatBE();
    else if (type === "i32" && whole >= 0x80000000) value = whole - 0x100000000 + ones;
    else if (type === "bit") value = Boolean(whole & 1);
    result[name] = whole === nothing || Number.isNaN(value) ? null : type === "bit" ? value : value * factor;
}}
msg.payload = result;
return msg;
"""


def text(listing: Listing) -> str:
    """Raises ExportRefused."""
    points = list(listing.for_tool("Node-RED", ones_complement=True))
    tab = {"id": _id("tab"), "type": "tab", "label": listing.title, "disabled": False, "info": ""}
    nodes = [tab, _client(listing)]
    for row, poll in enumerate(polls(each for each in points if each.point.access != "W")):
        nodes += _reading(listing, poll, row)
    buttons = [each for each in points if each.block == "connector" and each.point.name in BUTTONS]
    for row, each in enumerate(buttons):
        nodes += _button(each, row)
    return json.dumps(nodes, indent=1) + "\n"


def _id(name: str) -> str:
    """The same node has the same id in every export: importing again replaces it."""
    return f"0c99{zlib.crc32(name.encode()):08x}"


def _client(listing: Listing) -> dict[str, Any]:
    return {
        "id": _id("client"),
        "type": "modbus-client",
        "name": listing.title,
        "clienttype": "tcp",
        "bufferCommands": True,
        "stateLogEnabled": False,
        "queueLogEnabled": False,
        "failureLogEnabled": True,
        "tcpHost": listing.host,
        "tcpPort": str(listing.port),
        "tcpType": "DEFAULT",
        "unit_id": str(listing.listed[0].unit),
        "commandDelay": "1",
        "clientTimeout": "3000",
        "reconnectOnTimeout": True,
        "reconnectTimeout": "2000",
        "parallelUnitIdsAllowed": True,
    }


def _reading(listing: Listing, poll: Poll, row: int) -> Iterator[dict[str, Any]]:
    name = f"{poll.points[0].group} {poll.unit}/{poll.address}"
    read, decode, show = (_id(f"{kind} {name}") for kind in ("read", "decode", "show"))
    yield {
        "id": read, "type": "modbus-read", "z": _id("tab"), "name": name, "topic": poll.points[0].group,
        "showStatusActivities": True, "logIOActivities": False, "showErrors": True, "showWarnings": True,
        "unitid": str(poll.unit), "dataType": "HoldingRegister", "adr": str(poll.address),
        "quantity": str(poll.quantity), "rate": str(POLL_S), "rateUnit": "s", "delayOnStart": False,
        "startDelayTime": "", "server": _id("client"), "useIOFile": False, "ioFile": "", "useIOForPayload": False,
        "emptyMsgOnFail": False, "x": LEFT, "y": ROW * (row + 1), "wires": [[decode], []],
    }  # fmt: skip
    yield {
        "id": decode, "type": "function", "z": _id("tab"), "name": "names", "func": _decoder(listing, poll),
        "outputs": 1, "timeout": 0, "noerr": 0, "initialize": "", "finalize": "", "libs": [],
        "x": LEFT + COLUMN, "y": ROW * (row + 1), "wires": [[show]],
    }  # fmt: skip
    yield {
        "id": show, "type": "debug", "z": _id("tab"), "name": poll.points[0].group, "active": False, "tosidebar": True,
        "console": False, "tostatus": False, "complete": "payload", "targetType": "msg",
        "x": LEFT + 2 * COLUMN, "y": ROW * (row + 1), "wires": [],
    }  # fmt: skip


def _decoder(listing: Listing, poll: Poll) -> str:
    return DECODER.format(
        order=json.dumps(["ABCD".index(letter) for letter in _inverse(listing.byte_order)]),
        swapped=json.dumps(listing.string_little),
        ones=int(listing.ones_complement),
        points=json.dumps([_row(each, poll) for each in poll.points]),
    )


def _inverse(order: str) -> str:
    """Where each byte of the number stands on the wire."""
    return "".join("ABCD"[order.index(letter)] for letter in "ABCD")


def _row(each: Listed, poll: Poll) -> list[str | int | float | None]:
    point = each.point
    number = not (point.is_text or point.type in ("bit", "f32", "bits16") or point.wraps)
    nothing = not_available(point, wraps=point.wraps) if number else None
    # Where 0 is a code with a name of its own (none, unknown), the name says more than null.
    return [point.name, each.asked[1] - poll.address, point.type, each.measure.factor, nothing or None]


def _button(each: Listed, row: int) -> Iterator[dict[str, Any]]:
    unit, address = each.asked
    value = BUTTONS[each.point.name]
    write, x, y = _id(f"write {each.name}"), LEFT + 3 * COLUMN, ROW * (row + 1)
    yield {
        "id": _id(f"button {each.name}"), "type": "inject", "z": _id("tab"), "name": f"{each.name} = {value}",
        "props": [{"p": "payload"}], "repeat": "", "crontab": "", "once": False, "onceDelay": 0.1, "topic": "",
        "payload": str(value), "payloadType": "num", "x": x, "y": y, "wires": [[write]],
    }  # fmt: skip
    yield {
        "id": write, "type": "modbus-write", "z": _id("tab"), "name": each.name, "showStatusActivities": True,
        "showErrors": True, "showWarnings": True, "unitid": str(unit), "dataType": "HoldingRegister",
        "adr": str(address), "quantity": "1", "server": _id("client"), "emptyMsgOnFail": False,
        "keepMsgProperties": False, "delayOnStart": False, "startDelayTime": "",
        "x": x + COLUMN, "y": y, "wires": [[], []],
    }  # fmt: skip
