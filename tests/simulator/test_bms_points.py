"""The map that the BMS was given by hand says the same as the published one: two people have read one document."""

from __future__ import annotations

from pathlib import Path

import pytest

from .bms import POINTS, PointMap

PUBLISHED = Path(__file__).parents[1] / "points" / "register_map.csv"


def test_every_point_stands_where_the_published_map_has_it() -> None:
    published = PointMap.from_csv(PUBLISHED.read_text())
    assert published.points == POINTS.points
    assert len(POINTS.points) == 381


@pytest.mark.parametrize(
    ("name", "charge_point", "connector", "address"),
    [
        ("map_magic", 0, None, 0),
        ("schedule_period_24_limit", 0, None, 2226),
        ("status", 1, None, 3034),
        ("status", 1, 0, 3034),
        ("status", 1, 1, 3332),
        ("power_active_import_w", 7, 2, 21666),
        ("command_sequence", 20, None, 62505),
        ("identity", 20, None, 62700),
        ("limit_matrix", 1, None, 1800),
        ("power_matrix_w", 20, 7, 1718),
    ],
)
def test_addresses(name: str, charge_point: int, connector: int | None, address: int) -> None:
    assert POINTS.find(name, charge_point, connector)[1] == address


@pytest.mark.parametrize("name", ["status", "plugged", "no_such_point"])
def test_the_gateway_has_no_such_point(name: str) -> None:
    with pytest.raises(KeyError):
        POINTS.find(name)
