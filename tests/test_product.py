"""The release is said in two places, so that a start need not look it up."""

import tomllib
from pathlib import Path

from gatewayd.product import VERSION


def test_the_program_is_of_the_release_that_the_package_says() -> None:
    package = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert package["project"]["version"] == VERSION
