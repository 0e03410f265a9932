"""The tools root: its list is one that can be read, and its door says what is missing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

IMAGE = Path(__file__).parents[2] / "image"


def faults(text: str) -> list[str]:
    """Lines that are no `package  why`, and packages that stand there twice."""
    wrong, seen = [], set()
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip() or row.startswith("#"):
            continue
        found = re.fullmatch(r"([a-z0-9][a-z0-9+.-]+) {1,}(\S.*)", row)
        if found is None:
            wrong.append(f"line {number}: no package with its reason")
        elif found[1] in seen:
            wrong.append(f"line {number}: {found[1]} again")
        else:
            seen.add(found[1])
    return wrong


def test_every_package_has_its_reason() -> None:
    assert faults((IMAGE / "packages-tools.txt").read_text()) == []


def test_a_list_without_reasons_is_found() -> None:
    """The twin."""
    assert faults("make  builds\nkmod\n\n# a word\nmake  again\n") == [
        "line 2: no package with its reason",
        "line 5: make again",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "true"], "image: there is no tools root yet: make tools\n"),
        ([], "image: usage: tools.sh make | run COMMAND ...\n"),
        (["fly"], "image: usage: tools.sh make | run COMMAND ...\n"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, words: list[str], said: str) -> None:
    shutil.copytree(IMAGE, tmp_path / "image")
    done = subprocess.run([tmp_path / "image/tools.sh", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
