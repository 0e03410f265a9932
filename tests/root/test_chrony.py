"""The steward's words to a real chronyd, which controls no clock here (-x): the words are understood, nothing moves."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.appliance import Appliance, CommandFailed


@pytest.fixture
def chrony_log(tmp_path: Path) -> Iterator[Path]:
    log = tmp_path / "log"
    Path("/run/chrony").mkdir(exist_ok=True)
    Path("/run/chrony").chmod(0o750)  # chronyd insists
    configuration = tmp_path / "chrony.conf"
    configuration.write_text(f"port 0\ncmdport 0\nmanual\npidfile {tmp_path / 'pid'}\n")
    with open(log, "w") as output:
        chronyd = subprocess.Popen(["chronyd", "-x", "-d", "-u", "root", "-f", configuration], stderr=output)
    deadline = time.monotonic() + 20
    while "Disabled control of system clock" not in log.read_text() or not Path("/run/chrony/chronyd.sock").exists():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    yield log
    chronyd.terminate()
    chronyd.wait()


def test_chrony_understands_the_time_we_tell(chrony_log: Path, tmp_path: Path) -> None:
    wrong_by_s = 3600
    with pytest.raises(CommandFailed, match="makestep"):  # the step itself, which -x forbids
        Appliance(tmp_path, tmp_path).set_clock(time.time() + wrong_by_s)
    said = chrony_log.read_text()
    (offset,) = [float(row.split()[-1]) for row in said.splitlines() if "Making a slew of" in row]
    assert abs(abs(offset) - wrong_by_s) < 2
