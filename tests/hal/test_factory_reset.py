"""The one-shot before the data partition is mounted: as a function in virtual time, and as the program it is."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal import data_partition, factory_reset
from hal.contract import LEDS, Line
from hal.data_partition import MARK, Condition, FileDevice, condition
from hal.lines import MemoryLines
from hal.reset_sequence import Phase

SIZE = 8 * 1024 * 1024
SECRET = b"a secret that a factory reset takes away"


class World:
    """A board, a clock that only sleeping moves, and a finger that lets go at a time."""

    def __init__(self, release_at: float, steps: int = 3) -> None:
        self.now = 0.0
        self.release_at = release_at
        self.lines = MemoryLines(lambda: self.now, {Line.BUTTON: release_at > 0})
        self.erasings = 0
        self.steps = steps

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)
        if self.now >= self.release_at:
            self.lines.set_input(Line.BUTTON, False)

    def erasing(self) -> Iterator[float]:
        self.erasings += 1
        for step in range(self.steps):
            self.now += 0.7
            yield step / self.steps

    def run(self) -> Phase:
        return factory_reset.button(self.lines, self.erasing, lambda: self.now, self.sleep)


def test_button_up_touches_nothing() -> None:
    world = World(release_at=0)
    assert world.run() is Phase.NORMAL_BOOT
    assert world.now == 0
    assert all(change.line not in LEDS for change in world.lines.history)


def test_the_manual_step_by_step() -> None:
    world = World(release_at=10.4, steps=5)
    assert world.run() is Phase.RESET
    assert world.erasings == 1
    pair = [(c.t, c.line, c.value) for c in world.lines.history if c.line in (Line.LED_OCPP, Line.LED_MODBUS)]
    assert len(pair) >= 2 * 2 * 13  # twice a second for 13 s: the lights went on while erasing
    button = [change.value for change in world.lines.history if change.line is Line.LED_BUTTON]
    assert button == [True, False, True, False]


def test_released_early() -> None:
    world = World(release_at=9)
    assert world.run() is Phase.NORMAL_BOOT
    assert world.erasings == 0


def test_stuck() -> None:
    world = World(release_at=1e9)
    assert world.run() is Phase.STUCK
    assert world.erasings == 0


def test_a_disk_that_fails_never_shows_the_blink() -> None:
    world = World(release_at=11)

    def failing() -> Iterator[float]:
        yield 0.0
        raise OSError("the card is broken")

    with pytest.raises(OSError, match="broken"):
        factory_reset.button(world.lines, failing, lambda: world.now, world.sleep)
    assert world.lines.read(Line.LED_FEEDBACK_RED) is True
    assert [c.value for c in world.lines.history if c.line is Line.LED_FEEDBACK_GREEN] == [False]


# --- the program, on a file that stands for the partition


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(SECRET * (SIZE // len(SECRET)) + bytes(SIZE % len(SECRET)))
    return path


def program(*arguments: str | Path, start: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hal.factory_reset", *map(str, arguments)], stderr=subprocess.PIPE, text=True
    )


def found(path: Path) -> Condition:
    device = FileDevice(path)
    try:
        return condition(device)
    finally:
        device.close()


def test_now_erases_and_says_so(partition: Path, tmp_path: Path) -> None:
    run = program("now", "--board", f"sim:{tmp_path / 'board'}", "--data", partition)
    assert "done" in run.communicate(timeout=30)[1]
    assert run.returncode == 0
    assert SECRET not in partition.read_bytes()
    assert found(partition) is Condition.FILE_SYSTEM
    assert (tmp_path / "board" / "led_feedback_red").read_text() == "0"


def test_killed_in_the_middle_the_next_boot_heals(tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    partition = tmp_path / "data"
    partition.write_bytes(SECRET * (size // len(SECRET)) + bytes(size % len(SECRET)))
    run = program("now", "--board", f"sim:{tmp_path / 'board'}", "--data", partition)
    while found(partition) is not Condition.ERASING and run.poll() is None:
        time.sleep(0.001)
    run.kill()
    run.communicate(timeout=30)
    assert found(partition) is Condition.ERASING
    assert SECRET in partition.read_bytes()
    heal = program("heal", "--data", partition)
    assert "unfinished factory reset: made anew" in heal.communicate(timeout=30)[1]
    assert heal.returncode == 0
    assert SECRET not in partition.read_bytes()
    assert found(partition) is Condition.FILE_SYSTEM


def test_heal_makes_a_blank_partition_and_keeps_a_good_one(tmp_path: Path) -> None:
    partition = tmp_path / "data"
    partition.write_bytes(bytes(SIZE))
    assert factory_reset.heal(partition) == "blank: made anew"
    before = partition.read_bytes()
    assert factory_reset.heal(partition) == "file system: kept"
    assert partition.read_bytes() == before


def test_heal_finds_a_file_system_by_a_copy_of_its_first_block(tmp_path: Path) -> None:
    size = 160 * 1024 * 1024  # a copy stands at the second group of blocks, 128 MiB in
    partition = tmp_path / "data"
    with open(partition, "wb") as file:
        file.truncate(size)
    assert factory_reset.heal(partition) == "blank: made anew"
    with open(partition, "r+b") as file:
        file.write(b"\xff" * 4096)
    assert factory_reset.heal(partition) == "unknown content: kept"
    assert found(partition) is Condition.FILE_SYSTEM


def test_heal_of_garbage_makes_it_anew(partition: Path) -> None:
    assert factory_reset.heal(partition) == "unknown content: made anew"
    assert found(partition) is Condition.FILE_SYSTEM


def test_an_unfinished_reset_is_finished_even_over_a_good_file_system(tmp_path: Path) -> None:
    partition = tmp_path / "data"
    partition.write_bytes(bytes(SIZE))
    factory_reset.heal(partition)
    with open(partition, "r+b") as file:
        file.seek(SIZE // 2)
        file.write(SECRET)
        file.seek(-len(MARK), os.SEEK_END)
        file.write(MARK)
    assert factory_reset.heal(partition) == "an unfinished factory reset: made anew"
    assert SECRET not in partition.read_bytes()


def test_a_mounted_partition_is_refused(partition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mounted(path: Path) -> FileDevice:
        raise data_partition.Mounted(f"{path} is mounted at /data")

    monkeypatch.setattr(data_partition, "FileDevice", mounted)
    before = partition.read_bytes()
    assert factory_reset.main(["heal", "--data", str(partition)]) == 1
    assert partition.read_bytes() == before


HEAVY = {"asyncio", "cryptography", "gatewayd", "gpiod", "msgspec", "trio"}
"""What costs a boot more than all the rest of the program; gpiod where there is a board to drive, and only there."""


def test_button_up_costs_little_of_the_boot(tmp_path: Path) -> None:
    """Told by what it loads: that is its whole run time, and no busy machine changes it."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hal.factory_reset", "button", "--board", f"sim:{tmp_path}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in run.stderr.splitlines() if "|" in line}
    assert "hal" in loaded
    assert not loaded & HEAVY


def test_no_board_is_said_and_does_not_stop_the_boot(tmp_path: Path) -> None:
    run = program("button", "--board", f"gpio:{tmp_path}/none", "--data", tmp_path / "none")
    assert "none" in run.communicate(timeout=30)[1]
    assert run.returncode == 1
