"""What is derived from a good configuration: its checksum, and what differs from the one before."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gatewayd.config import (
    Changes,
    ChargePoint,
    Config,
    Gateway,
    Modbus,
    ModbusTcp,
    Ocpp,
    OcppUpstream,
    Slot,
    changed,
    checksum,
    describe,
    parse,
)

CP1 = ChargePoint(number=1, identity="CP001")
CP3 = ChargePoint(number=3, identity="CP003")
SLOT = Slot(number=1, url="ftp://server/")

OTHERS: dict[str, Callable[[Any], Any]] = {
    "bool": lambda value: not value,
    "number": lambda value: value + 1,
    "text": lambda value: value + "x",
    "list": lambda value: (*value, "x"),
}


def every_change(config: Config) -> dict[str, Config]:
    """The configuration with each key in turn changed, valid or not."""

    def changes(record: Any, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in type(record).__dataclass_fields__:
            value, here = getattr(record, name), f"{path}.{name}".strip(".")
            if hasattr(value, "__dataclass_fields__"):
                found |= {key: replace(record, **{name: inner}) for key, inner in changes(value, here).items()}
            elif isinstance(value, tuple) and value and hasattr(value[0], "__dataclass_fields__"):
                rest = value[1:]
                found |= {
                    key: replace(record, **{name: (inner, *rest)}) for key, inner in changes(value[0], here).items()
                }
            else:
                kind = {bool: "bool", int: "number", float: "number", str: "text", tuple: "list"}.get(
                    type(value), "bool"
                )
                found[here] = replace(record, **{name: OTHERS[kind](value)})
        return found

    return changes(config, "")


def test_the_checksum_sees_a_change_of_every_key() -> None:
    config = Config(charge_points=(CP1, CP3), slots=(SLOT,))
    others = every_change(config)
    assert len(others) == len(describe())
    assert [key for key, other in others.items() if checksum(other) == checksum(config)] == []


def test_the_checksum_is_the_same_for_the_same_configuration() -> None:
    """A promise to those who noted the number: it does not change with how a file is written."""
    written = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
    assert checksum(parse(written, "f.toml")) == checksum(Config(charge_points=(CP1,)))
    assert checksum(Config(charge_points=(CP1, CP3), slots=(SLOT,))) == checksum(
        Config(charge_points=(CP3, CP1), slots=(SLOT,))
    )
    whole = replace(CP1, max_current_a=16)
    assert checksum(Config(charge_points=(whole,))) == checksum(
        Config(charge_points=(replace(whole, max_current_a=16.0),))
    )


def test_the_checksum_fits_its_register_and_never_reads_not_available() -> None:
    sums = {checksum(Config(gateway=Gateway(name=f"room {n}"))) for n in range(500)}
    assert len(sums) > 490
    assert all(0 <= each < 65535 for each in sums)


def test_nothing_changed() -> None:
    config = Config(charge_points=(CP1, CP3), slots=(SLOT,))
    again = Config(charge_points=(CP3, CP1), slots=(SLOT,))
    assert changed(config, again) == Changes(frozenset(), frozenset())


def test_each_key_changes_its_table_or_its_charge_point_and_nothing_else() -> None:
    config = Config(charge_points=(CP1, CP3), slots=(SLOT,))
    for key, other in every_change(config).items():
        table = key.rpartition(".")[0]
        if key == "charge_points.number":
            expected = Changes(frozenset({1, 2}), frozenset())  # 1 became another 2
        elif table in ("charge_points", "charge_points.quirks"):
            expected = Changes(frozenset({1}), frozenset())
        else:
            expected = Changes(frozenset(), frozenset({"slot" if table == "slots" else table}))
        assert changed(config, other) == expected, key


@pytest.mark.parametrize(
    ("old", "new", "numbers", "tables"),
    [
        (Config(), Config(charge_points=(CP1,)), {1}, set()),
        (Config(charge_points=(CP1, CP3)), Config(charge_points=(CP1,)), {3}, set()),
        (Config(charge_points=(CP1,)), Config(charge_points=(replace(CP1, password="x"), CP3)), {1, 3}, set()),
        (Config(), Config(slots=(SLOT,)), set(), {"slot"}),
        (Config(), Config(modbus=Modbus(tcp=ModbusTcp(port=1502))), set(), {"modbus.tcp"}),
        (
            Config(),
            Config(modbus=Modbus(unit_id=2), ocpp=Ocpp(upstream=OcppUpstream(local_control=True))),
            set(),
            {"modbus", "ocpp.upstream"},
        ),
    ],
)
def test_what_changed(old: Config, new: Config, numbers: set[int], tables: set[str]) -> None:
    assert changed(old, new) == Changes(frozenset(numbers), frozenset(tables))
    assert changed(new, old) == changed(old, new)
