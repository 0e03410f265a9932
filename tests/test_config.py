"""The configuration as a whole: files in, faults out, secrets kept, and what is derived from a good one."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatewayd
from gatewayd.config import (
    ChargePoint,
    Config,
    ConfigError,
    Fault,
    Slot,
    checksum,
    describe,
    parse,
)

EXAMPLE = (Path(gatewayd.__file__).parent / "example.toml").read_text()
CP1 = ChargePoint(number=1, identity="CP001")
CP3 = ChargePoint(number=3, identity="CP003")
SLOT = Slot(number=1, url="ftp://server/")


def outcome(text: str | bytes) -> Config | ConfigError:
    try:
        return parse(text, "f.toml")
    except ConfigError as error:
        return error


def lines(text: str | bytes) -> list[str]:
    error = outcome(text)
    assert isinstance(error, ConfigError)
    return [str(fault) for fault in error.faults]


# --- files


def test_an_empty_file_is_all_defaults() -> None:
    assert parse("", "f.toml") == Config()
    assert parse(b"\xef\xbb\xbf", "f.toml") == Config()


def test_the_smallest_useful_file() -> None:
    text = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
    assert parse(text, "f.toml") == Config(charge_points=(CP1,))
    assert parse(text.replace("\n", "\r\n").encode(), "f.toml") == Config(charge_points=(CP1,))


def test_charge_points_and_slots_keep_the_order_of_the_file() -> None:
    text = "".join(f'[[charge_point]]\nnumber = {n}\nidentity = "CP{n}"\n' for n in (7, 3, 25))
    assert [each.number for each in parse(text, "f.toml").charge_points] == [7, 3, 25]


def test_lists_become_tuples() -> None:
    config = parse('[ocpp]\nask_bms = ["DataTransfer"]\n[network]\nntp = ["a", "b"]\n', "f.toml")
    assert config.ocpp.ask_bms == ("DataTransfer",)
    assert config.network.ntp == ("a", "b")


def test_a_key_that_may_be_absent_has_three_states() -> None:
    for text, value in (("", None), ("local_control = true", True), ("local_control = false", False)):
        config = parse(f'[[charge_point]]\nnumber = 1\nidentity = "A"\n{text}\n', "f.toml")
        assert config.charge_points[0].local_control is value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\na = 2\n", "f.toml: line 2: Cannot overwrite a value"),
        ("\n[gateway]\n\n[gateway]\n", "f.toml: line 4: Cannot declare gateway twice"),
        ("[modbus.tcp]\n[modbus.tcp]\n", "f.toml: line 2: Cannot declare modbus.tcp twice"),
        ("[gateway]\nname = plant\n", "f.toml: line 2: Invalid value"),
        ('[gateway]\nname = "a', "f.toml: line 2: Unterminated string"),
        ("\n\n]", "f.toml: line 3: Invalid statement"),
        ("x = [\n", "f.toml: line 1: Invalid value"),
        ("\nx = " + "9" * 5000, "f.toml: line 2: a number has too many digits"),
        ("\na = 1\nx = " + "[" * 5000, "f.toml: line 3: brackets are nested too deeply"),
        (f"x = [[[]]]\ny = {'[' * 3000}\n{']' * 3000}\nz = [{{}}]\n", "f.toml: line 2: brackets are nested too deeply"),
        (b"a = 1\n\nb = '\xff'\n", "f.toml: line 3: is not UTF-8; save the file as UTF-8"),
        ("a = 1\n'\udc80' = 2\n", "f.toml: line 2: is not UTF-8; save the file as UTF-8"),
        ("#" * (1024 * 1024 + 1), "f.toml: line 1: the file is longer than 1048576 bytes"),
    ],
)
def test_what_is_no_toml_is_one_fault_that_names_the_line(text: str | bytes, line: str) -> None:
    assert lines(text) == [line]


def test_the_longest_file_is_still_read() -> None:
    assert parse("#" * 1024 * 1024, "f.toml") == Config()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[gateway]\nnmae = 1\n", 'f.toml: gateway.nmae: unknown key; did you mean "name"?'),
        ("[gatewy]\n", 'f.toml: gatewy: unknown key; did you mean "gateway"?'),
        ("[modbus]\nbaudrate = 9600\n", "f.toml: modbus.baudrate: unknown key; it belongs in [modbus.rtu]"),
        ("[gateway]\nport = 1\n", "f.toml: gateway.port: unknown key"),
        ("[web]\nzzz = 1\n", "f.toml: web.zzz: unknown key"),
        ('"a b" = 1\n', 'f.toml: "a b": unknown key'),
        ('"a\\nb" = 1\n', 'f.toml: "a\\nb": unknown key'),
        ('"" = 1\n', 'f.toml: "": unknown key'),
        ("é = 1".replace("é", '"é"'), 'f.toml: "\\u00e9": unknown key'),
        ("x" * 100 + " = 1\n", 'f.toml: "' + "x" * 64 + '": unknown key'),
        ("gateway = 4\n", "f.toml: gateway: must be a table, not a whole number"),
        ("[[gateway]]\n", "f.toml: gateway: must be a table, not a list"),
        ("[modbus]\ntcp = []\n", "f.toml: modbus.tcp: must be a table, not a list"),
        (
            "[charge_point]\n",
            "f.toml: charge_point: must be written [[charge_point]], with two brackets, once for each",
        ),
        ("slot = [1]\n", "f.toml: slot[1]: must be a table, not a whole number"),
        ("[[charge_point]]\nnumber = 1\n", "f.toml: charge_point[1].identity: is missing (charge point number 1)"),
        ('[[charge_point]]\nidentity = "A"\n', "f.toml: charge_point[1].number: is missing"),
        (
            '[[charge_point]]\nnumber = 5\nidentity = "A"\nconnector = 1\n',
            'f.toml: charge_point[1].connector: unknown key; did you mean "connectors"? (charge point number 5)',
        ),
    ],
)
def test_a_key_that_is_unknown_missing_or_no_table(text: str, line: str) -> None:
    assert lines(text) == [line]


def test_all_faults_come_at_once_one_line_each() -> None:
    found = lines(
        """
        [gateway]
        role = "brigde"
        nmae = "x"
        [modbus]
        unit_id = 300
        [modbus.tcp]
        port = 8887
        [[charge_point]]
        number = 1
        identity = "a/b"
        connectors = 8
        [[charge_point]]
        number = 1
        identity = "CP2"
        [[slot]]
        number = 0
        url = "ftp://x/"
        """
    )
    assert [line.split(": ")[1] for line in found] == [
        "gateway.role",
        "gateway.nmae",
        "modbus.unit_id",
        "charge_point[1].identity",
        "charge_point[1].connectors",
        "slot[1].number",
        "charge_point[2].number",
        "ocpp.port",
    ]


def test_a_file_of_noise_is_refused_without_guessing_at_each_line() -> None:
    found = lines("".join(f"nam{n} = 1\n" for n in range(5000)))
    assert len(found) == 5000
    assert found[-1] == "f.toml: nam4999: unknown key"


def test_the_error_reads_as_its_faults() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("a = 1\nb = 2\n", "gateway.toml")
    assert str(caught.value) == "gateway.toml: a: unknown key\ngateway.toml: b: unknown key"
    assert caught.value.faults == (
        Fault("gateway.toml", "a", "unknown key"),
        Fault("gateway.toml", "b", "unknown key"),
    )


# --- any text at all

LEAVES = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([choice for row in describe() for choice in re.findall(r'"(\w*)"', row.allowed)])
    | st.sampled_from(["10.0.0.1/24", "ws://u:p@h/", "ws://central/", "-----BEGIN KEY-----", 0, 1, 2, -1, 502])
)
VALUES = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=5), LEAVES, max_size=2)


def tables() -> st.SearchStrategy[dict[str, Any]]:
    """Documents of the right shape: known keys in known tables, with any values; and now and then something else."""
    names: dict[str, list[str]] = {}
    for row in describe():
        table, _, name = row.path.rpartition(".")
        names.setdefault(table, []).append(name)
    shaped: dict[str, st.SearchStrategy[Any]] = {}
    for table, known in names.items():
        one = st.dictionaries(st.sampled_from(known), VALUES, max_size=3)
        shaped[table] = (st.lists(one, max_size=3) if table in ("charge_point", "slot") else one) | VALUES
    return st.fixed_dictionaries({}, optional=shaped)


def as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(name)} = {as_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(each) for each in value) + "]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf").replace("\x7f", "\\u007f")


@settings(deadline=None, max_examples=200, database=None, derandomize=True)
@given(tables())
def test_no_document_raises_anything_but_faults(document: dict[str, Any]) -> None:
    text = "".join(f"{name} = {as_toml(value)}\n" for name, value in document.items() if "." not in name)
    text += "".join(f"{name} = {as_toml(value)}\n" for name, value in document.items() if "." in name)
    read = outcome(text)
    if isinstance(read, ConfigError):
        assert read.faults
        assert all("\n" not in str(fault) for fault in read.faults)
    else:
        assert outcome(text) == read
        assert 0 <= checksum(read) < 65535


@settings(deadline=None, max_examples=300, database=None, derandomize=True)
@given(st.text() | st.binary() | st.text(alphabet="[]{}=\"'\\.,#\n\r ax0-_:T"))
def test_no_text_raises_anything_but_faults(text: str | bytes) -> None:
    read = outcome(text)
    assert isinstance(read, Config) or read.faults


# --- secrets

CANARY = "hunter2canary"
PEM_KEY = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"
# key -> a value with a secret in it, and whether it is good
LEAKS: list[tuple[str, Any, bool]] = [
    ("charge_point.password", CANARY, True),
    ("charge_point.password", CANARY * 9, False),
    ("charge_point.password", f"{CANARY}\n", False),
    ("charge_point.password", f"$argon2id${CANARY}", False),
    ("charge_point.password", [CANARY], False),
    ("charge_point.password", {CANARY: 1}, False),
    ("charge_point.upstream_password", CANARY, True),
    ("charge_point.upstream_password", CANARY * 9, False),
    ("charge_point.upstream_password", f"$argon2id${CANARY}", False),
    ("charge_point.upstream_url", f"ws://user:{CANARY}@central/", False),
    ("charge_point.upstream_url", f"http://user:{CANARY}@central/", False),
    ("ocpp.upstream.url", f"ws://user:{CANARY}@central/", False),
    ("ocpp.upstream.url", f"ws://user:{CANARY}@central:port/", False),
    ("ocpp.upstream.url", f"ws://central/?token={CANARY}", False),
    ("ocpp.host", f"ws://user:{CANARY}@central/", False),
    ("network.ntp", [f"ntp://user:{CANARY}@server"], False),
    ("ocpp.tls.key", PEM_KEY, True),
    ("ocpp.tls.key", PEM_KEY[:-3], False),
    ("ocpp.tls.key", [PEM_KEY], False),
    ("ocpp.tls.certificate", PEM_KEY, False),
    ("ocpp.tls.client_ca", PEM_KEY, False),
    ("slot.certificate", PEM_KEY, False),
    ("slot.url", f"ftp://user:{CANARY}@server/fw.bin", True),
    ("slot.url", f"file://user:{CANARY}@server/fw.bin", False),
    ("slot.url", f"ftp://user:{CANARY}@server:port/fw.bin", False),
    ("slot.url", f"ftp://user:{CANARY} @server/fw.bin", False),
]


@pytest.mark.parametrize(("key", "value", "expected"), LEAKS)
def test_a_secret_is_in_no_fault_and_no_repr(key: str, value: Any, expected: bool) -> None:
    table, _, name = key.rpartition(".")
    needed = {"charge_point": {"number": 1, "identity": "A"}, "slot": {"number": 1, "url": "ftp://x/"}}.get(table, {})
    heading = f"[[{table}]]" if needed else f"[{table}]"
    text = "\n".join([heading, *(f"{each} = {as_toml(given)}" for each, given in {**needed, name: value}.items())])
    if key == "ocpp.tls.key":
        text += '\ncertificate = "server.pem"'
    read = outcome(text)
    said = repr(read) + str(read)
    assert CANARY not in said
    assert expected is isinstance(read, Config)


def test_a_secret_is_in_no_fault_of_broken_toml() -> None:
    for text in (
        f"password = {CANARY}",
        f'password = "{CANARY}',
        f"password = '{CANARY}\n'",
        f'x = "{CANARY}" "{CANARY}"',
    ):
        assert CANARY not in lines(text)[0]


# --- the example


def test_the_example_is_the_defaults_and_one_charge_point() -> None:
    assert parse(EXAMPLE, "example.toml") == Config(charge_points=(CP1,))


def test_the_example_names_every_key_in_the_order_of_the_tables() -> None:
    """Also those that are commented out, which are good when they are not."""
    text = re.sub(r"^# (?=\[\[slot|[a-z_]+ += )", "", EXAMPLE, flags=re.MULTILINE)
    named, table = [], ""
    for line in text.splitlines():
        if heading := re.match(r"\[+([a-z_.]+)\]", line):
            table = heading[1]
        elif key := re.match(r"([a-z_]+) = ", line):
            named.append(f"{table}.{key[1]}")
    assert sorted(named) == sorted(row.path for row in describe())
    assert parse(text, "example.toml").slots == (Slot(number=1, url="ftp://server/firmware.bin"),)


def test_the_example_writes_the_values_that_the_manual_will() -> None:
    written = tomllib.loads(EXAMPLE)
    for row in describe():
        if row.default not in ("absent", "must be written") and not row.path.startswith("slot."):
            value: Any = written
            for part in row.path.split("."):
                value = value[part][0] if part == "charge_point" else value[part]
            assert json.dumps(value) == row.default, row.path
