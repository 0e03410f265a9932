"""Texts that a hostile or broken charge point might send, without end, from one seed.

Most begin as a good Call of one of the operations that charge points may ask for and are bent at one to three places;
so they get past the first guard more often than noise would. Used by the tests of the session, and by longer runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

STAMP = "2026-01-01T00:00:00Z"
SAMPLE = {"value": "12.5", "context": "Sample.Periodic", "measurand": "Voltage", "phase": "L1", "unit": "V"}
VALUES = [{"timestamp": STAMP, "sampledValue": [SAMPLE, {"value": "1000"}]}]

GOOD: dict[str, dict[str, Any]] = {
    "Authorize": {"idTag": "TAG", "connectorId": 1},
    "BootNotification": {
        "chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1", "chargePointSerialNumber": "S",
        "meterSerialNumber": "N",
    },
    "DataTransfer": {"vendorId": "V", "messageId": "M", "data": "text"},
    "DiagnosticsStatusNotification": {"status": "Uploading"},
    "FirmwareStatusNotification": {"status": "Installed"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "UploadFailure", "requestId": 1},
    "MeterValues": {"connectorId": 1, "transactionId": 1, "meterValue": VALUES},
    "SecurityEventNotification": {"type": "FirmwareUpdated", "timestamp": STAMP, "techInfo": "x"},
    "SignCertificate": {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
    "SignedFirmwareStatusNotification": {"status": "Installed", "requestId": 1},
    "StartTransaction": {
        "connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": STAMP, "reservationId": 5,
    },
    "StatusNotification": {
        "connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": STAMP, "vendorErrorCode": "E1",
        "info": "i", "vendorId": "V",
    },
    "StopTransaction": {
        "transactionId": 1, "meterStop": 200, "timestamp": STAMP, "idTag": "TAG", "reason": "Local",
        "transactionData": VALUES,
    },
}  # fmt: skip
"""One full payload for every operation that a charge point may ask for."""

NUMBERS: list[Any] = [
    0, -1, 1, 2, 3, 7, 8, 65535, 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**53, 2**53 + 1, -(2**53), 2**63, 2**64,
    10**400, 0.5, -0.0, 1e308, 1e-320, 5.0, True, False,
]  # fmt: skip
TEXTS = [
    "", " ", "null", "0x0000", "x" * 20, "x" * 21, "x" * 255, "x" * 5000, "é" * 30, "\x00", "\n[forged]",
    "\U0001f50c", "\ud83d", "NaN", "INF", "-inf", "1e999", "1" * 400, "1,5", "0x10", "-5", "1970-01-01T00:00:00Z",
    "2999-01-01T00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "2026-02-30T00:00:00Z", STAMP,
    "Available", "Charging", "Faulted", "Reserved", "Accepted",
    "Energy.Active.Import.Register", "Power.Active.Import", "kWh", "Wh", "W", "kW",
    "A", "Percent", "L1-N", "L2", "N", "Outlet", "SignedData", "Transaction.Begin", "K", "Fahrenheit",
]  # fmt: skip
RAW = [
    "NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 5000, '"\\ud800"', '"\\udc00\\ud800"', "[" * 5000,
    '{"a":' * 500, "'x'", "undefined", '{"idTag":"A","idTag":"B"}', '"\x01"', "{}", "[]", "[[]]", '"unclosed', "01",
    "+1", ".5", "// x",
]  # fmt: skip
FRAMES = [
    "", "[]", "[2]", "null", "[2,null,null,null]", '[2,"","Heartbeat",{}]', '[3,"1-0-1",{}]',
    '[3,"1-0-1",{"status":[]}]', '[4,"1-0-1","GenericError","",{}]', '[4,"1-0-1"]',
    '[3,"1-0-1",{"status":"Accepted","configurationKey":[{}]}]',
    '[5,"x","y",{}]', '[2,7,"Heartbeat",{}]', '[2,"x","../../etc",{}]', '[2,"x","RemoteStartTransaction",{}]',
    "\ufeff[]",
]  # fmt: skip


def texts(seed: int) -> Iterator[str | bytes]:
    """One hostile text after the other, for ever."""
    random = Random(seed)
    kinds: list[tuple[Callable[[Random], str | bytes], int]] = [
        (_bent_call, 60), (_bent_text, 20), (_answer, 10), (lambda r: r.choice(FRAMES), 5), (_noise, 5),
    ]  # fmt: skip
    makers, weights = zip(*kinds, strict=True)
    while True:
        yield random.choices(makers, weights)[0](random)


def _bent_call(random: Random) -> str:
    action = random.choice(list(GOOD))
    payload = json.loads(json.dumps(GOOD[action]))
    for _ in range(random.randint(0, 3)):
        payload = _bent(random, payload)
    return json.dumps([2, f"{random.getrandbits(24):x}", action, payload], ensure_ascii=random.random() < 0.8)


def _bent(random: Random, value: Any) -> Any:
    """The same value, something in it changed, gone, doubled or put where it does not belong."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        what = random.random()
        if what < 0.15:
            return {k: v for k, v in value.items() if k != key}
        if what < 0.25:
            return value | {random.choice(["", "x", "customData", key.upper()]): _strange(random)}
        return value | {key: _bent(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.9:
        place = random.randrange(len(value))
        if random.random() < 0.2:
            return value * random.choice([0, 2, 50])
        return [*value[:place], _bent(random, value[place]), *value[place + 1 :]]
    return _strange(random)


def _strange(random: Random) -> Any:
    nested: Any = random.choice([None, [], {}, [[]], [{}], {"value": {}}, [None]])
    return random.choice([random.choice(NUMBERS), random.choice(TEXTS), random.choice(TEXTS), nested])


def _bent_text(random: Random) -> str | bytes:
    text = json.dumps([2, "1", *random.choice(list(GOOD.items()))])
    at = random.randrange(len(text))
    what = random.random()
    if what < 0.3:
        return text[:at]
    if what < 0.6:
        return text[:at] + random.choice(RAW) + text[at:]
    if what < 0.8:
        return text[:at] + random.choice(RAW) + text[at + random.randint(1, 20) :]
    data = bytearray(text.encode())
    data[at] = random.randrange(256)
    return bytes(data)


def _answer(random: Random) -> str:
    """An answer to a Call that may be open: the session numbers them one after the other."""
    payload = _bent(random, {"status": random.choice(["Accepted", "Rejected", "x"]), "listVersion": 1, "data": "d"})
    frame = [3, f"1-0-{random.randint(1, 40)}", payload]
    if random.random() < 0.3:
        frame = [
            4,
            frame[1],
            random.choice(["NotImplemented", "NotSupported", "x", 5, None]),
            _strange(random),
            payload,
        ]
    return json.dumps(frame)


def _noise(random: Random) -> bytes:
    return random.randbytes(random.randint(0, 200))
