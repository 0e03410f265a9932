"""Every key of the configuration alone: its type, its limits, the values just inside and just outside of them."""

import dataclasses
import json
import re
from typing import Any

import pytest

from gatewayd.config import ChargePoint, Config, ConfigError, Described, Slot, describe, parse
from gatewayd.config_values import declared, shown

PEM = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"
CHAIN = PEM + "\n" + PEM
PEM_KEY = "-----BEGIN PRIVATE KEY-----\nTUlJQg==\n-----END PRIVATE KEY-----\n"
EC_KEY = (
    "-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n"
    "-----BEGIN EC PRIVATE KEY-----\nTUlJQg==\n-----END EC PRIVATE KEY-----\n"
)
LOCKED_KEY = PEM_KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
PORTS = ([0, 1, 502, 65535], [-1, 65536])
PORTS_OR_OFF = ([-1, 0, 1, 65535], [-2, 65536])
HOSTS = (
    ["0.0.0.0", "::", "127.0.0.1", "fe80::1", "localhost", "gate-way.example", "a_b", "9to5.example", "x" * 63],
    ["", " ", "0.0.0.0 ", "300.1.1.1", "a..b", "-a", "a-", "a/b", "x" * 64, ".".join(["x" * 50] * 6), "ü.example"],
)
BOOLS: tuple[list[Any], list[Any]] = ([True, False], [])
PRIVATE_KEYS = (
    ["", PEM_KEY, EC_KEY, PEM_KEY.replace("PRIVATE", "RSA PRIVATE"), "/etc/ssl/private/server.key"],
    [
        "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n",
        PEM_KEY + PEM_KEY.replace("PRIVATE", "EC PRIVATE"),
        LOCKED_KEY,
        PEM_KEY[:-9],
        "two\nlines",
        EC_KEY[:80],
        "x" * 4097,
    ],
)
CERTIFICATES = (
    ["", PEM, CHAIN, "/etc/ssl/server.pem", "server.pem", "x" * 4096],
    [
        PEM[:-8],
        "text\n" + PEM,
        "two\nlines",
        "x" * 4097,
        PEM_KEY,
        PEM + PEM_KEY,
        PEM.replace("CERTIFICATE", "X509 CRL"),
    ],
)
UPSTREAM_URLS = (
    [
        "",
        "ws://central/ocpp",
        "wss://central.example:8443/ocpp/",
        "ws://10.0.0.1",
        "ws://[fe80::1]:80/x",
        "WS://central",
    ],
    [
        "http://central/ocpp",
        "central/ocpp",
        "ws:///ocpp",
        "ws://",
        "ws://central:port/",
        "ws://central:65536/",
        "ws://central:0/",
        "ws://central/a b",
        "ws://central/\n",
        "ws://central/ü",
        "ws://user:pass@central/",
        "ws://user@central/",
        "ws://central/?a=b",
        "ws://central/#a",
        "ws://[fe80::1/",
        "ws://a..b/",
        "ws://central/" + "x" * 500,
    ],
)
IDENTITIES = (
    ["CP001", "a", "RDAM 123", "x" * 48, "a?b#c", "100%", "a%zz", "a:b", "...", "~!@$&'()*+,;="],
    ["x" * 49, "a/b", "/", ".", "..", " a", "a ", "é", "a\tb", "a\x7f", "RDAM%20123", "a%2Fb"],
)
ADDRESSES = (["192.168.1.1", "8.8.8.8", "2001:db8::1"], ["", "dns.example", "1.2.3", "1.2.3.4/24"])

# key -> (values that are good, the limits among them; values of the right type that are refused)
CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "gateway.name": (["a", "x" * 32, "Plant room, 1"], ["", "x" * 33, "sala técnica", "a\nb", " a", "a "]),
    "gateway.role": (["central_system", "bridge"], ["", "Bridge", "brigde"]),
    "gateway.time_zone": (
        ["UTC", "Europe/Madrid", "America/Argentina/Buenos_Aires"],
        ["", "Europe", "Europe/Madird", "../etc/passwd", "/etc/localtime", "tzdata.zi", "a\0b", "x" * 5000, "ü"],
    ),
    "network.mode": (["dhcp", "static"], ["", "manual"]),
    "network.address": (
        ["", "192.168.1.20/24", "10.0.0.1/8", "10.0.0.1/30"],
        [
            "192.168.1.20",
            "192.168.1.20/255.255.255.0",
            "192.168.1.20/",
            "192.168.1.20/31",
            "11.0.0.1/7",
            "192.168.1.0/24",
            "192.168.1.255/24",
            "127.0.0.1/8",
            "224.0.0.5/24",
            "0.0.0.0/8",
            "fe80::1/64",
            "hello",
        ],
    ),
    "network.router": (["", "192.168.1.1"], ["192.168.1.1/24", "fe80::1", "router"]),
    "network.dns": (
        [[], ["192.168.1.1"], ["1.1.1.1"] * 3, [*ADDRESSES[0]]],
        [["1.1.1.1"] * 4, *([bad] for bad in ADDRESSES[1])],
    ),
    "network.ntp": ([[], ["pool.example"], ["1.1.1.1"] * 4], [["a"] * 5, *([bad] for bad in HOSTS[1])]),
    "modbus.unit_id": ([1, 247], [0, 248, -1]),
    "modbus.word_order": (["big", "little", "word_inverted_big", "word_inverted_little"], ["", "BIG", "middle"]),
    "modbus.signed": (["twos_complement", "ones_complement"], ["", "C2"]),
    "modbus.charge_point_units": ([0, 100, 246], [-1, 247]),
    "modbus.string_order": (["big", "little"], ["", "word_inverted_big"]),
    "modbus.on_comm_error": (["sentinel", "hold", "zero"], ["", "last"]),
    "modbus.register_base": ([0, 1], [-1, 2]),
    "modbus.notify": (["change", "always"], ["", "never"]),
    "modbus.writes": BOOLS,
    "modbus.hide_id_tags": BOOLS,
    "modbus.tcp.enabled": BOOLS,
    "modbus.tcp.host": HOSTS,
    "modbus.tcp.port": PORTS,
    "modbus.tcp.max_clients": ([1, 6], [0, 7]),
    "modbus.tcp.keep_alive_s": ([1, 7200], [0, 7201]),
    "modbus.tcp.allow": (
        [[], ["10.0.0.1"], ["10.0.0.0/8", "fe80::/10", "::1"], ["10.0.0.1"] * 64],
        [["10.0.0.1/8"], ["host"], [""], ["10.0.0.1"] * 65],
    ),
    "modbus.rtu.enabled": BOOLS,
    "modbus.rtu.device": (
        ["/dev/ttyAMA0", "/dev/pts/3", "/" + "x" * 4095],
        ["", "ttyAMA0", "/dev/tty\n", "/" + "x" * 4096],
    ),
    "modbus.rtu.baudrate": ([1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200], [0, 600, 9601, 230400, -9600]),
    "modbus.rtu.parity": (["none", "even", "odd"], ["", "mark", "N"]),
    "modbus.rtu.stop_bits": ([1, 2], [0, 3]),
    "modbus.rtu.unit_id": ([0, 1, 247], [-1, 248]),
    "modbus.rtu.response_delay_ms": ([-1, 0, 1000], [-2, 1001]),
    "modbus.rtu.direction": (["hardware", "rts"], ["", "dtr"]),
    "ocpp.host": HOSTS,
    "ocpp.port": PORTS_OR_OFF,
    "ocpp.path": (
        ["/", "/ocpp", "/a/b-c/", "/" + "x" * 127],
        ["", "ocpp", "/a b", "/a?b", "/a#b", "/a//b", "/ü", "/a\n", "/" + "x" * 128],
    ),
    "ocpp.heartbeat_interval_s": ([1, 86400], [0, 86401]),
    "ocpp.call_timeout_s": ([1, 1.0, 1.5, 600], [0, 0.99, 600.1, float("nan"), float("inf"), 10**400]),
    "ocpp.ping_interval_s": ([1, 0.5 + 0.5, 3600], [0, 0.5, 3601, float("nan")]),
    "ocpp.max_message_bytes": ([1024, 1048576], [1023, 1048577]),
    "ocpp.ask_bms": (
        [[], ["DataTransfer"], ["SignCertificate", "DataTransfer"]],
        [["Authorize"], [""], ["DataTransfer", "SignCertificate", "DataTransfer"]],
    ),
    "ocpp.min_limit_interval_s": ([0, 0.1, 2, 3600], [-0.1, 3600.1, float("-inf")]),
    "ocpp.tls.port": PORTS_OR_OFF,
    "ocpp.tls.certificate": CERTIFICATES,
    "ocpp.tls.key": PRIVATE_KEYS,
    "ocpp.tls.client_ca": CERTIFICATES,
    "ocpp.tls.key_type": (["rsa", "ec"], ["", "RSA", "dsa"]),
    "ocpp.upstream.url": UPSTREAM_URLS,
    "ocpp.upstream.local_control": BOOLS,
    "ocpp.upstream.offline": (["disconnect", "buffer"], ["", "drop"]),
    "ocpp.upstream.ca": CERTIFICATES,
    "ocpp.upstream.certificate": CERTIFICATES,
    "ocpp.upstream.key": PRIVATE_KEYS,
    "charge_point.number": ([1, 20, 21, 4940], [0, 4941, -1]),
    "charge_point.identity": (IDENTITIES[0], ["", *IDENTITIES[1]]),
    "charge_point.connectors": ([1, 7], [0, 8]),
    "charge_point.password": (
        ["", "secret", "x" * 40, "é" * 20, "pass word", HASH, "$argon2i$", HASH + "A" * (256 - len(HASH))],
        [
            "x" * 41,
            "é" * 21,
            "a\nb",
            "a\x00",
            "\x7f",
            "$argon2id$",
            HASH[:-20],
            HASH + "A" * (257 - len(HASH)),
            HASH + "\n",
        ],
    ),
    "charge_point.min_security_profile": ([0, 1, 2, 3], [-1, 4]),
    "charge_point.default_id_tag": (["A", "x" * 20, "04:A2:B9"], ["", "x" * 21, "é", "a\n", " a"]),
    "charge_point.profile": (["standard"], ["", "Standard", "nobody"]),
    "charge_point.role": (["", "central_system", "bridge"], ["both"]),
    "charge_point.upstream_url": UPSTREAM_URLS,
    "charge_point.upstream_identity": (["", *IDENTITIES[0]], IDENTITIES[1]),
    "charge_point.upstream_password": (["", "secret", "x" * 40], ["x" * 41, "a\rb", HASH]),
    "charge_point.local_control": BOOLS,
    "charge_point.simulated": BOOLS,
    "charge_point.max_current_a": ([1, 6.5, 32, 1000], [0, 0.9, -1, 1000.1, float("nan")]),
    "charge_point.quirks.assume_subprotocol": BOOLS,
    "charge_point.quirks.ping": BOOLS,
    "charge_point.quirks.call_timeout_s": ([1, 90.5, 600], [0, 601, float("nan")]),
    "charge_point.quirks.heartbeat_interval_s": ([10, 86400], [0, 9, 86401]),
    "charge_point.quirks.repair_json": BOOLS,
    "charge_point.quirks.time_fraction": BOOLS,
    "charge_point.quirks.own_questions": BOOLS,
    "charge_point.quirks.own_triggers": BOOLS,
    "charge_point.quirks.availability_on_connect": BOOLS,
    "charge_point.quirks.energy_register": (["total", "session", "session_in_transaction"], ["", "sessions"]),
    "charge_point.quirks.start_may_mean_end": BOOLS,
    "charge_point.quirks.start_pause_s": ([0, 120, 600], [-1, 601]),
    "charge_point.quirks.hex_id_tags": BOOLS,
    "charge_point.quirks.limit_purposes": (
        [[], ["TxProfile"], ["TxDefaultProfile", "TxProfile", "ChargePointMaxProfile"]],
        [["txprofile"], ["TxProfile"] * 4],
    ),
    "charge_point.quirks.limit_kind": (["Absolute", "Relative"], ["", "Recurring"]),
    "charge_point.quirks.limit_stack_level": ([-1, 0, 100], [-2, 101]),
    "charge_point.quirks.limit_unit": (["A", "W"], ["", "w"]),
    "charge_point.quirks.limit_clearing": (["by_id", "by_purpose", "ceiling"], ["never"]),
    "charge_point.quirks.when_zero_refused": (["nothing", "minimum", "stop", "inoperative"], ["6"]),
    "slot.number": ([1, 65535], [0, 65536]),
    "slot.url": (
        [
            "",
            "ftp://server/firmware.bin",
            "ftps://u:p@server/",
            "http://server",
            "https://server:443/?a=b",
            "sftp://server/x",
        ],
        [
            "server/firmware.bin",
            "file:///etc/passwd",
            "ws://server/",
            "ftp:///x",
            "ftp://server:x/",
            "ftp://a b/",
            "ftp://x/" + "x" * 505,
        ],
    ),
    "slot.certificate": (["", PEM, CHAIN, "/data/ca.pem"], [PEM_KEY, PEM[:-8], PEM * 200]),
    "slot.certificate_type": (
        ["", "CentralSystemRootCertificate", "ManufacturerRootCertificate"],
        ["V2GRootCertificate"],
    ),
    "slot.signature": (["", "aGVsbG8=", "x" * 800], ["not base64!", "x" * 801]),
    "web.host": HOSTS,
    "web.port": PORTS_OR_OFF,
    "web.names": ([[], ["gateway.example"], ["a.example"] * 16], [["a"] * 17, *([bad] for bad in HOSTS[1])]),
    "metrics.host": HOSTS,
    "metrics.port": PORTS_OR_OFF,
}
KEYS = {row.path: row for row in describe()}
SLOT = {"number": "1", "url": '"ftp://x/"', "certificate": '"x.pem"'}
WRONG_TYPES: dict[str, list[Any]] = {
    "text": [1, 1.5, True, ["a"]],
    "a whole number": ["1", 1.0, True, [1]],
    "a number": ["1", True, [1]],
    "true or false": ["true", 1, 0, []],
    "a list of texts": ["a", 1, True],
}


def toml(value: Any) -> str:
    """A value as TOML; JSON's texts, numbers and lists are TOML too, but for the names of what is no number."""
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def document(key: str, value: str) -> str:
    """A file in which one key is set and everything else is good."""
    table, _, name = key.rpartition(".")
    if table not in ("charge_point", "slot"):
        around = document("charge_point.number", "1") if table.startswith("charge_point.") else ""
        return f"{around}[{table}]\n{name} = {value}\n"
    needed = {"charge_point": {"number": "1", "identity": '"CP001"'}, "slot": SLOT}[table].copy()
    needed[name] = value
    return f"[[{table}]]\n" + "".join(f"{each} = {text}\n" for each, text in needed.items())


def own_faults(key: str, text: str) -> list[str]:
    """The faults of a file that name the key itself, an entry of it, or nothing else."""
    try:
        parse(text, "f.toml")
    except ConfigError as error:
        path = re.sub(r"^(charge_point|slot)\b", r"\1[1]", key)
        return [fault.what for fault in error.faults if fault.key == path or fault.key.startswith(f"{path}[")]
    return []


def test_every_key_has_its_cases() -> None:
    assert sorted(CASES) == sorted(KEYS)


def test_every_number_has_a_range_and_every_list_an_end() -> None:
    for row in describe():
        if row.type in ("a whole number", "a number", "a list of texts"):
            assert any(sign.isdigit() for sign in row.allowed), row.path


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (good, _) in CASES.items() for value in good])
def test_a_good_value_is_taken(key: str, value: Any) -> None:
    assert own_faults(key, document(key, toml(value))) == []


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (_, bad) in CASES.items() for value in bad])
def test_a_value_outside_is_one_fault_of_its_key(key: str, value: Any) -> None:
    faults = own_faults(key, document(key, toml(value)))
    assert len(faults) == 1
    assert "\n" not in faults[0]
    assert len(faults[0]) < 600  # the longest lists all quirk profiles


@pytest.mark.parametrize("row", describe(), ids=lambda row: row.path)
def test_a_wrong_type_says_which_type_is_right(row: Described) -> None:
    for value in [*WRONG_TYPES[row.type], {}]:
        [fault] = own_faults(row.path, document(row.path, toml(value)))
        assert fault.startswith(f"must be {row.type.removesuffix(' of texts')}"), fault
    [fault] = own_faults(row.path, document(row.path, "2026-11-22"))
    assert "not a date or time" in fault


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("modbus.tcp.port", "65536", "must be 0..65535, not 65536"),
        ("modbus.tcp.port", "0x" + "f" * 5000, "must be 0..65535, not a number of many digits"),
        ("modbus.writes", "1", "must be true or false, not a whole number"),
        ("modbus.tcp.port", "true", "must be a whole number, not true or false"),
        ("modbus.tcp.port", '"502"', "must be a whole number, not text"),
        ("modbus.tcp.allow", '"10.0.0.1"', 'must be a list, as in ["..."], not text'),
        ("modbus.tcp.allow", "[4]", "must be text, not a whole number"),
        ("network.mode", '"statik"', 'must be "dhcp" or "static", not "statik"; did you mean "static"?'),
        ("modbus.register_base", "2", "must be 0 or 1, not 2"),
        ("gateway.name", '""', "must not be empty"),
        ("gateway.name", f'"{"x" * 33}"', "must be at most 32 characters, not 33"),
        ("ocpp.call_timeout_s", "0.5", "must be 1..600, not 0.5"),
        ("ocpp.max_message_bytes", "2000000", "must be 1024..1048576, not 2000000"),
        ("ocpp.ask_bms", '["Data"]', 'must be "DataTransfer" or "SignCertificate", not "Data"'),
        ("network.dns", '["1.1.1.1", "1.1.1.1", "1.1.1.1", "1.1.1.1"]', "must have at most 3 entries, not 4"),
        (
            "modbus.tcp.allow",
            '["10.0.0.1/8"]',
            '"10.0.0.1/8" is an address inside a network; write 10.0.0.0/8 for all of it, or the address alone',
        ),
        ("ocpp.upstream.url", '"http://central/"', "must begin with ws:// or wss://"),
        (
            "network.address",
            '"192.168.1.20/31"',
            "must have a prefix length of 8..30: others leave no room for a router",
        ),
        ("network.address", '"192.168.1.20"', "needs its prefix length, as in 192.168.1.20/24"),
    ],
)
def test_the_words_of_a_fault(key: str, value: str, what: str) -> None:
    assert own_faults(key, document(key, value)) == [what]


def test_a_refused_entry_of_a_list_is_counted_from_one() -> None:
    with pytest.raises(ConfigError) as caught:
        parse('[modbus.tcp]\nallow = ["10.0.0.1", "x"]\n', "f.toml")
    assert [fault.key for fault in caught.value.faults] == ["modbus.tcp.allow[2]"]


def test_whole_numbers_are_taken_where_numbers_are_asked() -> None:
    config = parse("[ocpp]\ncall_timeout_s = 5\n", "f.toml")
    assert config.ocpp.call_timeout_s == 5.0
    assert type(config.ocpp.call_timeout_s) is float


def test_tables_are_frozen_and_have_slots() -> None:
    config = Config(charge_points=(ChargePoint(number=1, identity="A"),), slots=(Slot(number=1),))
    tables: list[Any] = [config]
    for record in tables:
        for row in declared(record.__class__):
            value = getattr(record, row.field)
            if row.key is None:
                tables.extend(value if row.many else [value])
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(record, row.field, value)
        assert not hasattr(record, "__dict__")
    assert len(tables) == 14


def test_the_manual_gets_a_row_for_each_key() -> None:
    assert KEYS["modbus.tcp.max_clients"] == Described(
        path="modbus.tcp.max_clients",
        type="a whole number",
        default="6",
        allowed="1..6",
        comment="connections at a time",
        why="manual 2.2: six; modbus_tcp_clients counts no further",
        secret=False,
    )
    assert KEYS["gateway.name"].default == '"plant-room-1"'
    assert KEYS["gateway.name"].allowed == "printable ASCII, 1..32 characters"
    assert KEYS["ocpp.call_timeout_s"].default == "60"
    assert KEYS["ocpp.max_message_bytes"].allowed == "1024..1048576"
    assert KEYS["network.dns"].default == '["192.168.1.1"]'
    assert KEYS["charge_point.local_control"].default == "absent"
    assert KEYS["charge_point.identity"].default == "must be written"
    assert all(row.comment for row in KEYS.values())
    assert {path for path, row in KEYS.items() if row.secret} == {
        "ocpp.tls.key",
        "ocpp.upstream.key",
        "charge_point.password",
        "charge_point.upstream_password",
        "slot.url",
    }


def test_a_refused_value_is_shown_short_in_one_line_and_without_a_password() -> None:
    assert shown("a\nb") == r'"a\nb"'
    assert shown("x" * 41) == '"' + "x" * 40 + '..."'
    assert shown("ntp://user:hunter2@host") == '"ntp://...@host"'
    assert shown(10**12) == "a number of many digits"
    assert shown(-(10**12) + 1) == "-999999999999"
    assert shown(True) == "true"
