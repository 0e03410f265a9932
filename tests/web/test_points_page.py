"""The table of points as the browser unfolds it is the site's table, address by address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatewayd import config as configuration
from gatewayd.points.exports.listing import listing
from gatewayd.web.pages.points import age_place, shown_as, table_file, wanted, writers
from gatewayd.web.points_table import PointsTable, Shown
from gatewayd.web.refusals import Refused

SITE = configuration.parse(
    "[modbus]\nunit_id = 5\n"
    + "".join(
        f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\nconnectors = {connectors}\n'
        for number, connectors in ((1, 2), (7, 3), (20, 1), (23, 7))
    ),
    "site",
)
NAMES = {entry.number: entry.identity for entry in SITE.charge_points}


def unfolded(file: dict[str, Any]) -> dict[tuple[int, int], list[Any]]:
    """What points.js makes of the file: unit id and address → row."""
    found = {}
    for block in file["blocks"]:
        for row in file["kinds"][block["kind"]]:
            place = block["unit"], block["start"] + row[0]
            assert place not in found, place
            found[place] = row
    return found


def test_the_browser_gets_every_point_at_its_address() -> None:
    rows = unfolded(json.loads(json.dumps(table_file(SITE, NAMES))))
    listed = {(one.unit, one.address): one for one in listing(SITE).listed}
    assert rows.keys() == listed.keys()
    for place, row in rows.items():
        point = listed[place].point
        assert row[1:5] == [point.registers, point.name, point.type, point.access], place
    assert rows[5, 7 * 3000 + 2 * 300 + 66][2] == "power_active_import_w"  # modbus.md's own way to count


def test_a_large_site_is_light() -> None:
    large = configuration.parse(
        "".join(f'[[charge_point]]\nnumber = {n}\nidentity = "CP{n:03}"\nconnectors = 7\n' for n in range(1, 21)), "f"
    )
    file = table_file(large, {})
    assert len(unfolded(file)) >= 15_000
    assert len(json.dumps(file)) < 200_000  # before compression


def test_values_are_said_with_unit_and_name() -> None:
    table = PointsTable(SITE)

    def said(name: str, value: int | float | str | None, code: str = "") -> str:
        return shown_as(Shown(next(one for one in table.listed if one.point.name == name), value, code))

    assert said("watchdog_limit", 6.5) == "6.5 A"
    assert said("role", 0, "central_system") == "0 · central_system"
    assert said("power_active_import_w", None) == "—"
    assert said("start_id_tag", "<b>") == "<b>"


@pytest.mark.parametrize("rows", ["", "5:99999", "x:1", "5:1;drop", "6:0,5:-1", ",".join(["5:0"] * 201)])
def test_rows_that_are_none_are_refused(rows: str) -> None:
    with pytest.raises(Refused):
        wanted(rows, PointsTable(SITE).by_place)


def test_ages_come_from_the_block_that_was_heard() -> None:
    by_place = PointsTable(SITE).by_place
    block = 7 * 3000 + 2 * 300
    assert age_place(by_place[5, block + 66]) == (5, block + 37)  # metered: meter_age_s
    assert age_place(by_place[5, block + 32]) == (5, block + 36)  # status: status_age_s
    assert age_place(by_place[5, block + 100]) is None  # a setpoint: who wrote it, and when
    assert age_place(by_place[5, 8]) is None


def test_the_last_writer_of_a_register_counts() -> None:
    written = [
        {"unit": 5, "address": 10, "registers": 2, "client": "192.0.2.9", "time": 2.0},
        {"unit": 5, "address": 11, "registers": 1, "client": "page", "time": 1.0},
    ]
    assert writers({"written": written}) == {(5, 10): ("192.0.2.9", 2.0), (5, 11): ("192.0.2.9", 2.0)}
