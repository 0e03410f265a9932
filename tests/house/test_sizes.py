"""A module that passes 400 lines has two nouns in it."""

from pathlib import Path

from tests.house.sources import PROJECT, expect_none, plant, programs

MAX_LINES = 400
"""What one person reads in one sitting. A list of test cases may be as long as its cases."""

# module -> why its one noun is so large
LARGER = {
    "gatewayd.site.codes": "one list: every enumeration of the Modbus table, code by code, and nothing else",
}


def oversized(root: Path, larger: dict[str, str]) -> list[str]:
    """Modules over the limit without a reason, and reasons whose module is no longer over it."""
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in programs(root)}
    wrong = [
        f"{name} has {count} lines, {MAX_LINES} at most: find its second noun"
        for name, count in lines.items()
        if count > MAX_LINES and not larger.get(name)
    ]
    stale = [f"{name} needs no exception any more" for name in larger if lines.get(name, 0) <= MAX_LINES]
    return wrong + stale


def test_modules_are_small() -> None:
    expect_none(oversized(PROJECT, LARGER))


def test_a_large_module_is_named_and_so_is_a_stale_exception(tmp_path: Path) -> None:
    long = "x = 1\n" * (MAX_LINES + 1)
    plant(tmp_path, {"gatewayd/a.py": long, "gatewayd/b.py": long, "hal/c.py": "x = 1\n" * MAX_LINES, "hal/d.py": long})
    assert oversized(tmp_path, {"gatewayd.b": "one table", "hal.c": "one table", "hal.d": ""}) == [
        "gatewayd.a has 401 lines, 400 at most: find its second noun",
        "hal.d has 401 lines, 400 at most: find its second noun",
        "hal.c needs no exception any more",
    ]
