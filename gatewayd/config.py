"""The typed configuration: TOML in, frozen records out, refused with the key's path.

Serves interface.md, Configuration. Pure: whoever calls reads the file. The keys are declared in config_tables.py, the
rules between keys stand in config_rules.py. Entries of arrays are counted from 1, as a person counts them in the
file: `charge_point[2]` is the second `[[charge_point]]`, whatever its number, which the fault names too.
"""

import dataclasses
import json
import re
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from gatewayd import config_rules, quirks
from gatewayd.config_quirks import Quirks
from gatewayd.config_rules import Draft, entry_path
from gatewayd.config_tables import (
    ChargePoint,
    Config,
    Gateway,
    Metrics,
    Modbus,
    ModbusRtu,
    ModbusTcp,
    Network,
    Ocpp,
    OcppTls,
    OcppUpstream,
    Slot,
    Web,
)
from gatewayd.config_values import Declared, declared, did_you_mean

__all__ = [
    "Changes",
    "ChargePoint",
    "Config",
    "ConfigError",
    "Described",
    "Fault",
    "Gateway",
    "Metrics",
    "Modbus",
    "ModbusRtu",
    "ModbusTcp",
    "Network",
    "Ocpp",
    "OcppTls",
    "OcppUpstream",
    "Quirks",
    "Slot",
    "Web",
    "changed",
    "checksum",
    "describe",
    "parse",
    "parse_table",
]

TEXT_LONGEST_BYTES = 1024 * 1024  # all charge points that can be numbered need half of it; the rest is certificates
KEY_LONGEST = 64  # of an unknown key in a fault; our own have at most 25 characters
HINTED_FAULTS = (
    50  # "did you mean" is searched for this many faults: a file of nothing but noise must not stop the loop
)

Table = TypeVar("Table")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to say about a configuration: `FILE: key.path: what`, or `FILE: line N: what` for broken TOML."""

    file: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.what}"


class ConfigError(Exception):
    """A refused configuration, with all its faults; as text, one line each."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


def parse(text: str | bytes, file: str, known_profiles: frozenset[str] | None = None) -> Config:
    """The configuration that a TOML text spells. `file` is only its name in the faults; `known_profiles` the quirk
    profiles there are, None: those that come with the gateway.

    Raises ConfigError, and nothing else whatever the text, with every fault of the file at once.
    """
    reader = _Reader()
    config: Config = reader.table(Config, _toml(text, file), "")
    known = quirks.names() if known_profiles is None else known_profiles
    draft = Draft(config, frozenset(path for path, _ in reader.found), frozenset(reader.written), known)
    found = [*reader.found, *config_rules.faults(draft)]
    if found:
        raise ConfigError(tuple(Fault(file, path, what + _number(config, path)) for path, what in found))
    return config


def parse_table(kind: type[Table], text: str | bytes, file: str) -> Table:
    """The one table that a whole TOML text is, as its dataclass. Raises ConfigError with every fault at once."""
    reader = _Reader()
    table: Table = reader.table(kind, _toml(text, file), "")
    if reader.found:
        raise ConfigError(tuple(Fault(file, path, what) for path, what in reader.found))
    return table


def _number(config: Config, path: str) -> str:
    """Which charge point or slot a path is about, as the end of a fault; empty when it is about none."""
    entry = re.match(r"(charge_point|slot)\[(\d+)\]\.(?!number$)", path)
    if not entry:
        return ""
    entries: tuple[ChargePoint | Slot, ...] = config.charge_points if entry[1] == "charge_point" else config.slots
    number = entries[int(entry[2]) - 1].number
    return f" ({entry[1].replace('_', ' ')} number {number})" if number else ""


def _toml(text: str | bytes, file: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises ConfigError with one fault that names the line."""
    try:
        data = text.encode() if isinstance(text, str) else text
        if len(data) > TEXT_LONGEST_BYTES:
            raise ConfigError((Fault(file, "line 1", f"the file is longer than {TEXT_LONGEST_BYTES} bytes"),))
        return tomllib.loads(data.decode("utf-8-sig"))  # -sig: Windows' editor writes a mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError((Fault(file, f"line {line}", "is not UTF-8; save the file as UTF-8"),)) from None
    except UnicodeEncodeError as error:
        line = str(text).count("\n", 0, error.start) + 1
        raise ConfigError((Fault(file, f"line {line}", "is not UTF-8; save the file as UTF-8"),)) from None
    except RecursionError:
        line, what = _deepest_line(data), "brackets are nested too deeply"
        raise ConfigError((Fault(file, f"line {line}", what),)) from None
    except ValueError as error:
        raise ConfigError((_toml_fault(str(error), data, file),)) from None


def _toml_fault(message: str, data: bytes, file: str) -> Fault:
    """A fault from the words of tomllib, which name keys and single characters and never a value."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if not place:  # Python's own limit on the digits of a number
        digits = re.search(rb"[0-9_]{4000}", data)
        line = data.count(b"\n", 0, digits.start()) + 1 if digits else 1
        return Fault(file, f"line {line}", "a number has too many digits")
    line = int(place[1]) if place[1] else data.rstrip().count(b"\n") + 1
    words = re.sub(r"\(((?:'[^']*'(?:, )?)+),?\)", lambda keys: keys[1].replace("', '", ".").strip("',"), message)
    return Fault(file, f"line {line}", words[: words.rindex(" (at ")])


def _deepest_line(data: bytes) -> int:
    depth, deepest, line = 0, 0, 1
    for number, row in enumerate(data.split(b"\n"), 1):
        depth += row.count(b"[") + row.count(b"{")
        if depth > deepest:
            deepest, line = depth, number
        depth -= row.count(b"]") + row.count(b"}")
    return line


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table"}


def _kind(value: object) -> str:
    return _WORDS.get(type(value), "a date or time")


class _Reader:
    """Reads tables into their dataclasses and gathers faults; what is refused keeps its default."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self.written: set[str] = set()

    def table(self, kind: type, given: dict[str, Any], path: str) -> Any:
        rows = declared(kind)
        values = {row.field: self.field(row, given, _join(path, row.toml_name)) for row in rows}
        names = [row.toml_name for row in rows]
        for name in given:
            if name not in names:
                self.found.append((_join(path, name), "unknown key" + self.hint(name, names)))
        return kind(**values)

    def hint(self, name: str, names: list[str]) -> str:
        if len(self.found) >= HINTED_FAULTS:
            return ""
        homes = [row.path.rpartition(".")[0] for row in describe() if row.path.rpartition(".")[2] == name]
        return did_you_mean(name, names) or (f"; it belongs in [{homes[0]}]" if len(homes) == 1 else "")

    def field(self, row: Declared, given: dict[str, Any], path: str) -> Any:
        if row.toml_name in given:
            self.written.add(path)
        if row.key is None:
            return self.entries(row, given, path) if row.many else self.inner(row, given.get(row.toml_name, {}), path)
        if row.toml_name not in given:
            if row.default is dataclasses.MISSING:
                self.found.append((path, "is missing"))
            return _default(row)
        value = given[row.toml_name]
        if row.many:
            return self.texts(row, value, path)
        good = self.value(row, value, path)
        return _default(row) if good is None else good

    def inner(self, row: Declared, value: object, path: str) -> Any:
        if not isinstance(value, dict):
            self.found.append((path, f"must be a table, not {_kind(value)}"))
            return row.kind(**{each.field: _default(each) for each in declared(row.kind) if each.key})
        return self.table(row.kind, value, path)

    def entries(self, row: Declared, given: dict[str, Any], path: str) -> tuple[Any, ...]:
        value = given.get(row.toml_name, [])
        if not isinstance(value, list):
            self.found.append((path, f"must be written [[{path}]], with two brackets, once for each"))
            return ()
        return tuple(self.inner(row, entry, entry_path(path, at)) for at, entry in enumerate(value))

    def texts(self, row: Declared, value: object, path: str) -> tuple[Any, ...]:
        assert row.key is not None
        if not isinstance(value, list):
            self.found.append((path, f'must be a list, as in ["..."], not {_kind(value)}'))
            return ()
        if len(value) > row.key.most:
            self.found.append((path, f"must have at most {row.key.most} entries, not {len(value)}"))
        return tuple(self.value(row, each, entry_path(path, at)) for at, each in enumerate(value))

    def value(self, row: Declared, value: object, path: str) -> Any:
        """The value as its declared type, or None after a fault."""
        assert row.key is not None
        if row.kind is float and type(value) is int:
            value = float(value) if abs(value) < 2**53 else float("inf")  # beyond, a float is not the number written
        if type(value) is not row.kind:
            fault: str | None = f"must be {_WORDS[row.kind]}, not {_kind(value)}"
        else:
            fault = row.key.fault(value)
        if fault:
            self.found.append((path, fault))
            return None
        return value


def _default(row: Declared) -> Any:
    """What stands in for a key that is missing or refused; a key that must be written has 0 or an empty text."""
    return row.kind() if row.default is dataclasses.MISSING else row.default


def _join(path: str, name: str) -> str:
    """The path of a key in a table; a name that is not bare, or too long to show, is quoted and cut."""
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{KEY_LONGEST}}}", name):
        name = json.dumps(name[:KEY_LONGEST])
    return f"{path}.{name}" if path else name


@dataclass(frozen=True, slots=True)
class Described:
    """One row of the manual's table of keys. `type`, `default` and `allowed` are words for people."""

    path: str
    type: str
    default: str
    allowed: str
    comment: str
    why: str
    secret: bool


def describe() -> tuple[Described, ...]:
    """Every key in the order of the contract; those of arrays as `charge_point.number`."""
    return tuple(_described(Config, ""))


def _described(kind: type, path: str) -> Iterator[Described]:
    for row in declared(kind):
        here = _join(path, row.toml_name)
        if row.key is None:
            yield from _described(row.kind, here)
        else:
            words = "a list of texts" if row.many else _WORDS[row.kind]
            default = "must be written" if row.default is dataclasses.MISSING else _toml_value(row.default)
            allowed = row.key.allowed() + (f", at most {row.key.most} entries" if row.many else "")
            yield Described(here, words, default, allowed, row.key.comment, row.key.why, row.key.secret)


def _toml_value(value: object) -> str:
    if value is None:
        return "absent"
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def _settings(record: Any, path: str = "") -> Iterator[tuple[str, Declared, Any]]:
    """Every key of a configuration with its path and value, defaults included."""
    for row in declared(record.__class__):
        here, value = _join(path, row.toml_name), getattr(record, row.field)
        if row.key is not None:
            yield here, row, float(value) if row.kind is float and value is not None else value
        elif row.many:
            for at, entry in enumerate(value):
                yield from _settings(entry, entry_path(here, at))
        else:
            yield from _settings(value, here)


def checksum(config: Config) -> int:
    """0..65534 for the register config_checksum: another number, but for one chance in 65535, when a key changes.

    A default that is written and one that is not count the same, and so does another order of charge points or
    slots. 65535 would read "not available". Passwords count too, so that a change of one is seen.
    """
    ordered = dataclasses.replace(
        config,
        charge_points=tuple(sorted(config.charge_points, key=lambda each: each.number)),
        slots=tuple(sorted(config.slots, key=lambda each: each.number)),
    )
    canonical = "\n".join(f"{path} = {json.dumps(value)}" for path, _, value in _settings(ordered))
    return zlib.crc32(canonical.encode()) % 0xFFFF


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two configurations: numbers of charge points, and tables by name, as `modbus.tcp`.

    A table does not count the tables inside it; all slots together are the table `slot`.
    """

    charge_points: frozenset[int]
    tables: frozenset[str]


def changed(old: Config, new: Config) -> Changes:
    """What a new configuration touches, so that everything else may stay (interface.md, SIGHUP)."""
    before = {each.number: each for each in old.charge_points}
    after = {each.number: each for each in new.charge_points}
    numbers = {number for number in before | after if before.get(number) != after.get(number)}
    bare = [dataclasses.replace(config, charge_points=(), slots=()) for config in (old, new)]
    pairs = zip(_settings(bare[0]), _settings(bare[1]), strict=True)
    names = {path.rpartition(".")[0] for (path, _, was), (_, _, now) in pairs if was != now}
    if {each.number: each for each in old.slots} != {each.number: each for each in new.slots}:
        names.add("slot")
    return Changes(frozenset(numbers), frozenset(names))
