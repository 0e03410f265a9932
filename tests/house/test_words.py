"""The house speaks the field's words: see ARCHITECTURE.md, Words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.sources import PROJECT, dotted, expect_none, files, parse, plant, programs

# A name that says nothing about what is inside.
EMPTY_NAMES = {
    "util",
    "utils",
    "helper",
    "helpers",
    "common",
    "core",
    "manager",
    "misc",
    "stuff",
    "base",
    "lib",
    "tools",
}

# word -> what the house says instead
FOREIGN_WORDS = {
    "evse": "connector or charge point",
    "station": "charge point",
    "charger": "charge point",
    "csms": "central system",
    "backend": "central system",
    "slave": "Modbus server",
    "master": "Modbus client",
    "polarization": "bias",
    "tag_id": "id_tag",
}

# Names that others gave and we only repeat: identifier -> whose it is
NOT_OURS = {
    "SuspendedEVSE": "a ChargePointStatus of OCPP 1.6",
}


def empty_names(root: Path) -> list[str]:
    """Modules and folders whose name is no noun of the field."""
    return [
        f"{path.relative_to(root)}: {part!r} says nothing about what is inside"
        for path in files(root, "*.py")
        for part in dotted(path.relative_to(root)).split(".")
        if part.removeprefix("test_").strip("_") in EMPTY_NAMES
    ]


def identifiers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name that the module gives: what it only uses is the giver's business."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, 0


def words(identifier: str) -> str:
    """`ChargePointID` and `CHARGE_POINT_ID` alike as `_charge_point_id_`, so that a word is found only whole."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", identifier)
    return f"_{spaced.lower().strip('_')}_"


def foreign_words(root: Path, not_ours: dict[str, str]) -> list[str]:
    """Identifiers made of a word that the house has another word for, and permissions that nobody uses."""
    wrong, used = [], set()
    for name, path in programs(root):
        given = [(name.split(".")[-1], 1), *identifiers(parse(path))]
        for identifier, line in given:
            for word, ours in FOREIGN_WORDS.items():
                if not re.search(f"_{word}s?_", words(identifier)):
                    continue
                used.add(identifier)
                if not not_ours.get(identifier):
                    wrong.append(f"{path.relative_to(root)}:{line} {identifier}: here it is called {ours}")
    return wrong + [f"{identifier} needs no permission any more" for identifier in not_ours if identifier not in used]


def test_names_say_what_is_inside() -> None:
    expect_none(empty_names(PROJECT))


def test_identifiers_use_our_words() -> None:
    expect_none(foreign_words(PROJECT, NOT_OURS))


def test_an_empty_name_is_found(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"gatewayd/utils.py": "", "hal/common/x.py": "", "tests/test_helpers.py": "", "gatewayd/encore.py": ""},
    )
    assert empty_names(tmp_path) == [
        "gatewayd/utils.py: 'utils' says nothing about what is inside",
        "hal/common/x.py: 'common' says nothing about what is inside",
        "tests/test_helpers.py: 'test_helpers' says nothing about what is inside",
    ]


def test_a_foreign_word_is_found(tmp_path: Path) -> None:
    text = """
class EVSEState:
    chargingStation: int
def find(slave_id, workstation, stationary): pass
MASTERS = 1
x = Request(station="wire names in calls and strings are the wire's")
WireName = 1
station_of_others = 1
"""
    plant(tmp_path, {"gatewayd/site/model.py": text})
    assert foreign_words(tmp_path, {"station_of_others": "theirs", "evse_gone": "theirs"}) == [
        "gatewayd/site/model.py:2 EVSEState: here it is called connector or charge point",
        "gatewayd/site/model.py:5 MASTERS: here it is called Modbus client",
        "gatewayd/site/model.py:3 chargingStation: here it is called charge point",
        "gatewayd/site/model.py:4 slave_id: here it is called Modbus server",
        "evse_gone needs no permission any more",
    ]
