"""Ignition: tags as JSON for its Tag Browser, "Import Tags".

After docs.inductiveautomation.com/docs/8.1/platform/tags/exporting-and-importing-tags (JSON, folders of tags) and
docs.inductiveautomation.com/docs/8.3/ignition-modules/opc-ua/opc-ua-drivers/modbus/modbus-addressing (the OPC item path
is [device], designator, address; addresses count from 1). That the unit id stands before the designator, as in
[Device]1.HR40085, that HR is signed and HRUS is not, and that HRUI reads the high word first was found by others with
Ignition 8.3.9. The device has to be made by hand under the name below, as "Modbus TCP".
"""

from __future__ import annotations

import json
from typing import Any

from gatewayd.points.exports.listing import ExportRefused, Listed, Listing

DEVICE = "OCPP gateway"
SERVER = "Ignition OPC UA Server"
TYPES = {
    "bit": ("C", "Boolean"),
    "u16": ("HRUS", "Int4"),
    "bits16": ("HRUS", "Int4"),
    "i16": ("HR", "Int2"),
    "u32": ("HRUI", "Int8"),
    "i32": ("HRI", "Int4"),
    "f32": ("HRF", "Float4"),
}
"""Ours → designator and data type of a tag that can hold every value. Texts are left out."""
FIRST = 1
"""What the driver calls the first register, unless its device is set to count from 0."""


def text(listing: Listing) -> str:
    """Raises ExportRefused."""
    if listing.byte_order not in ("ABCD", "CDAB"):
        raise ExportRefused(f"modbus.word_order is {listing.word_order.name}; Ignition can turn words, not bytes")
    folders: dict[str, list[dict[str, Any]]] = {}
    for each in listing.for_tool("Ignition"):
        if each.point.type in TYPES:
            folders.setdefault(each.group, []).append(_tag(each))
    tags = [{"name": group, "tagType": "Folder", "tags": found} for group, found in folders.items()]
    return json.dumps({"name": listing.title, "tagType": "Folder", "tags": tags}, indent=1) + "\n"


def _tag(each: Listed) -> dict[str, Any]:
    unit, address = each.asked
    designator, kind = TYPES[each.point.type]
    said = [each.point.description, f"code: {each.point.enum}" if each.point.enum else ""]
    tag = {
        "name": each.point.name,
        "tagType": "AtomicTag",
        "valueSource": "opc",
        "opcServer": SERVER,
        "opcItemPath": f"ns=1;s=[{DEVICE}]{unit}.{designator}{address + FIRST}",
        "dataType": kind,
        "documentation": "; ".join(filter(None, said)),
    }
    return tag | ({"engUnit": each.point.unit} if each.point.unit else {})
