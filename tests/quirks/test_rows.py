"""Every row of the list of habits is a test, or stands here with the reason why a gateway cannot meet it; and every
profile's file is sound, and names rows that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatewayd import config, quirk_profiles, quirks
from gatewayd.config import ConfigError
from tests.kit import Kit

TESTS = Path(__file__).parents[1]
COUNTS = {"H": 10, "C": 9, "B": 7, "M": 11, "T": 12, "S": 10}
"""Chapter → how many rows it has."""
ROWS = {f"{chapter}{number}" for chapter, count in COUNTS.items() for number in range(1, count + 1)}
ELSEWHERE = {
    "H8": "TLS: tests/test_certificates.py (RSA by default), tests/services/test_security_profiles.py (why it fails)",
}
"""Rows whose tests go by another name, and where."""
NAMED = re.compile(r"def test_([hcbmts][0-9]+)_")


def named_rows() -> set[str]:
    return {row.upper() for path in TESTS.rglob("test_*.py") for row in NAMED.findall(path.read_text())}


def test_every_row_is_tested_or_listed() -> None:
    assert ROWS - named_rows() - ELSEWHERE.keys() == set()
    assert named_rows() & ELSEWHERE.keys() == set(), "named twice"


def test_profiles_name_rows_that_there_are() -> None:
    for name in quirks.names():
        for habit in quirk_profiles.model(name).habits:
            assert set(habit.rows) <= ROWS, name


def test_there_are_a_dozen_models_and_a_standard() -> None:
    assert len(quirks.names()) > 12
    assert "standard" in quirks.names()
    assert quirk_profiles.model("standard").habits == ()


@pytest.mark.parametrize("name", sorted(quirks.names()))
def test_every_habit_cites_where_it_was_seen_and_the_profile_can_be_configured(name: str) -> None:
    model = quirk_profiles.model(name)
    assert all(habit.threads for habit in model.habits)
    kit = Kit(f'[[charge_point]]\nnumber = 1\nidentity = "CP001"\nprofile = "{name}"\n')
    assert kit.site.charge_points["CP001"].quirk_profile.name == name
    assert kit.connect().boot()["status"] == "Accepted"


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="wallbox-pulsar"):
        config.parse('[[charge_point]]\nnumber = 1\nidentity = "A"\nprofile = "wallbox"\n', "f.toml")
