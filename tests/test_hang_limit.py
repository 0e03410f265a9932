"""A test that hangs ends the run, is named, and leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.test_processes import gone

HANGS = """
import subprocess, time, pytest

pytestmark = pytest.mark.limit(1.5)

def test_quick():
    pass

def test_that_hangs():
    child = subprocess.Popen(["sleep", "3600"])
    print("in vain", flush=True)
    open({notes!r}, "w").write(str(child.pid))
    time.sleep(3600)

def test_behind_it():
    pass
"""


def test_a_test_that_hangs_is_named_and_ends_the_run(tmp_path: Path) -> None:
    notes, module = tmp_path / "child", tmp_path / "test_module.py"
    module.write_text(HANGS.format(notes=str(notes)))
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path), str(module)]
    environment = os.environ | {"PYTEST_ADDOPTS": ""}  # that of this run is no part of that one
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "test_module.py::test_that_hangs hangs: more than 1.5 s" in run.stderr
    assert "in test_that_hangs" in run.stderr
    child, ends = int(notes.read_text()), time.monotonic() + 20.0
    while not gone(child):
        assert time.monotonic() < ends
        time.sleep(0.01)
