"""An independent judge: the JSON schemas that ship with the `ocpp` package, read with jsonschema itself (that package's
own validator is known to err), and payloads made from them."""

import json
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from hypothesis import strategies as st
from jsonschema.validators import validator_for

ACTIONS = {
    "from charge point": [
        *("Authorize", "BootNotification", "Heartbeat", "MeterValues", "StartTransaction", "StatusNotification"),
        *("StopTransaction", "DiagnosticsStatusNotification", "FirmwareStatusNotification"),
        *("SecurityEventNotification", "LogStatusNotification", "SignedFirmwareStatusNotification", "SignCertificate"),
    ],
    "to charge point": [
        *("ChangeAvailability", "ChangeConfiguration", "GetConfiguration", "ClearCache", "RemoteStartTransaction"),
        *("RemoteStopTransaction", "Reset", "UnlockConnector", "GetDiagnostics", "UpdateFirmware"),
        *("GetLocalListVersion", "SendLocalList", "ReserveNow", "CancelReservation", "SetChargingProfile"),
        *("ClearChargingProfile", "GetCompositeSchedule", "TriggerMessage", "ExtendedTriggerMessage", "GetLog"),
        *("SignedUpdateFirmware", "InstallCertificate", "DeleteCertificate", "GetInstalledCertificateIds"),
        "CertificateSigned",
    ],
    "both": ["DataTransfer"],
}
ALL = sorted(action for actions in ACTIONS.values() for action in actions)

WHEN = "2026-11-22T10:17:30Z"

# Erratum 3.84: some editions of the schemas have this unit, some do not. Taken, never sent.
NOT_EVERYWHERE = "Hertz"


def is_valid(name: str, payload: Any) -> bool:
    """What the standard's schema of that name says. Numbers are held as decimals on both sides: as binary fractions
    8.1 is no multiple of 0.1."""
    return bool(_validator(name).is_valid(json.loads(json.dumps(payload), parse_float=Decimal)))


@cache
def _validator(name: str) -> Any:
    text = files("ocpp.v16").joinpath("schemas", f"{name}.json").read_text("utf-8-sig")
    schema = json.loads(text, parse_float=Decimal)
    return validator_for(schema)(schema)


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema with its references put in place."""
    root = deepcopy(_validator(name).schema)

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolved(root["definitions"][node["$ref"].rpartition("/")[2]])
        return {key: resolved(value) for key, value in node.items() if key != "definitions"}

    found: dict[str, Any] = resolved(root)
    return found


class Node(NamedTuple):
    """One field of a schema: where it stands in the payload that `full` makes, and what it must be."""

    path: tuple[str | int, ...]
    rule: dict[str, Any]
    required: bool

    @property
    def name(self) -> str:
        """As a decoder names it: `meterValue[0].timestamp`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).lstrip(".")


def nodes(name: str) -> Iterator[Node]:
    """Every field, and the first element of every list."""

    def walk(rule: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Node]:
        for key, inner in rule.get("properties", {}).items():
            yield Node((*path, key), inner, key in rule.get("required", ()))
            yield from walk(inner, (*path, key))
        if "items" in rule:
            yield Node((*path, 0), rule["items"], True)
            yield from walk(rule["items"], (*path, 0))

    yield from walk(schema(name), ())


def full(rule: dict[str, Any], name: str = "") -> Any:
    """A payload with every field of the schema present."""
    if "enum" in rule:
        return rule["enum"][0]
    kind = rule["type"]
    if kind == "object":
        return {key: full(inner, key) for key, inner in rule.get("properties", {}).items()}
    if kind == "array":
        return [full(rule["items"])]
    if kind == "string":
        return WHEN if rule.get("format") == "date-time" else "x"
    return {"integer": 1, "number": 8.1, "boolean": True}[kind]


def changed(payload: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The payload with another value at that place."""
    payload = deepcopy(payload)
    inner = payload
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return payload


def without(payload: Any, path: tuple[str | int, ...]) -> Any:
    """The payload without the field at that place."""
    payload = deepcopy(payload)
    inner = payload
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return payload


def payloads(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Every payload that the schema allows and that means something: positive numbers, times as they are sent."""
    if "enum" in rule:
        return st.sampled_from([text for text in rule["enum"] if text != NOT_EVERYWHERE])
    kind = rule["type"]
    if kind == "object":
        properties = rule.get("properties", {})
        required = rule.get("required", ())
        return st.fixed_dictionaries(
            {key: payloads(properties[key]) for key in required},
            optional={key: payloads(inner) for key, inner in properties.items() if key not in required},
        )
    if kind == "array":
        return st.lists(payloads(rule["items"]), min_size=1, max_size=3)
    if kind == "string":
        if rule.get("format") == "date-time":
            return st.datetimes().map(lambda when: when.isoformat(timespec="seconds") + "Z")
        # Texts that say "absent" have tests of their own.
        return st.text(
            st.characters(exclude_categories=["Cs"]), min_size=1, max_size=rule.get("maxLength", 600)
        ).filter(lambda text: text not in ("null", "0x0000"))
    if kind == "number":
        return st.integers(0, 10**7).map(lambda tenths: tenths / 10)
    return st.booleans() if kind == "boolean" else st.integers(1, 2**53)
