"""The guide's Structured Text is Structured Text, says the same as its tables, and does it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.guide import translation
from tests.guide.player import Player, as_told
from tests.guide.reading import Sequence, guide, sequences, structured_text
from tests.guide.structured_text import name, renewed

TEXT = guide()
BLOCKS = structured_text(TEXT)
SEQUENCES = [each for each in sequences(TEXT) if each.structured_text]
WITHOUT = {"command in one"}
"""Its one request has more registers than a step carries."""
CYCLE_S = 0.05


def test_every_sequence_has_its_list_of_steps() -> None:
    assert {each.name for each in sequences(TEXT)} - {each.name for each in SEQUENCES} == WITHOUT
    assert len({name(each) for each in SEQUENCES}) == len(SEQUENCES)
    assert len(BLOCKS) == len(SEQUENCES) + 1


def test_the_lists_are_those_of_the_tables() -> None:
    assert renewed(TEXT) == TEXT, "python -m tests.guide.structured_text writes them anew"


def parsed(path: Path) -> subprocess.CompletedProcess[str]:
    """As a parser of IEC 61131-3 takes it: a program of its own, asked by its command."""
    command = shutil.which("blark", path=str(Path(sys.executable).parent))
    assert command is not None
    return subprocess.run([command, "format", str(path)], capture_output=True, text=True, check=False, timeout=120)


SHAPES = ("the right box", "start by coil", "decide", "profile")
"""Lists that together have everything a list can have; all are written by one function, and parsing takes its time."""


def test_it_is_structured_text(tmp_path: Path) -> None:
    lists = [each for each in SEQUENCES if each.name in SHAPES]
    (tmp_path / "guide.st").write_text("\n".join([BLOCKS[0], *(each.structured_text for each in lists)]))
    done = parsed(tmp_path / "guide.st")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    for sequence in lists:
        assert f"{name(sequence)} : ARRAY" in done.stdout
    assert "FUNCTION_BLOCK FB_HANDSHAKE" in done.stdout


def test_what_is_no_structured_text_is_found(tmp_path: Path) -> None:
    (tmp_path / "broken.st").write_text(BLOCKS[0].replace("END_IF", "", 1))
    assert parsed(tmp_path / "broken.st").returncode != 0


class Registers:
    """FB_REGISTERS: the part that the guide leaves to the PLC, which asks again in the cycle after."""

    def __init__(self, player: Player) -> None:
        self._player, self.Done, self.Error = player, False, False

    def __call__(self, Execute: bool, Data: list[int], Fc: int = 0, Address: int = 0, Count: int = 0) -> None:
        if not Execute:
            self.Done = self.Error = False
        elif Fc == 3:
            request = b"\3" + Address.to_bytes(2, "big") + Count.to_bytes(2, "big")
            answer = self._player.exchange(request)
            Data[:Count] = [int.from_bytes(answer[i : i + 2], "big") for i in range(2, len(answer), 2)]
            self.Done = True
        else:
            self._player.request(Fc, Address, Data[:Count])
            self.Done = True


class Plc:
    """Runs the guide's own program, one cycle after the other."""

    def __init__(self, player: Player, steps: list[translation.StepData], events: dict[int, list[str]]) -> None:
        def clock() -> float:
            return player.kit.now

        self._player, self._events = player, events
        self._cycle = translation.program(BLOCKS[0])
        self.variables = SimpleNamespace(
            Execute=True, Last=len(steps), Steps=[None, *steps], Done=False, Error=False, Current=0, State=0, I=0,
            Same=False, Kept=0, Wanted=[0] * translation.REGISTERS, Registers=[0] * translation.REGISTERS,
            Request=Registers(player), Pause=translation.Timer(clock), Patience=translation.Timer(clock),
        )  # fmt: skip

    def run(self) -> Any:
        """Until it is Done or in Error; its variables."""
        v = self.variables
        while not v.Done and not v.Error:
            if v.State == 1:
                for meaning in self._events.pop(v.Current, []):
                    self._player.happen(meaning)
            self._cycle(v)
            self._player.pass_time(CYCLE_S)
        return v


def events_before(sequence: Sequence) -> dict[int, list[str]]:
    """What happens before the k-th request of a sequence."""
    found: dict[int, list[str]] = {}
    requests = 0
    for step in sequence.steps:
        if step.function is None:
            found.setdefault(requests + 1, []).append(step.meaning)
        else:
            requests += 1
    return found


@pytest.mark.parametrize("sequence", SEQUENCES, ids=[each.name for each in SEQUENCES])
def test_played_by_the_guides_own_function_block(sequence: Sequence) -> None:
    player = Player()
    player.begin(sequence)
    ended = Plc(player, translation.steps(sequence.structured_text), events_before(sequence)).run()
    assert ended.Done, f"step {ended.Current} failed"
    assert as_told(player, player.end(sequence), sequence)


def test_the_function_block_gives_up_in_the_end() -> None:
    player = Player()
    began = player.kit.now
    ended = Plc(player, [translation.StepData(3, 0, 1, [1])], {}).run()
    assert (ended.Done, ended.Error, ended.Current) == (False, True, 1)
    assert player.kit.now - began == pytest.approx(90, abs=2)


def test_the_function_block_can_be_used_again() -> None:
    player = Player()
    plc = Plc(player, [translation.StepData(3, 0, 1, [20291])], {})
    for _ in range(2):
        plc.variables.Execute = True
        assert plc.run().Done
        plc.variables.Execute = False
        plc._cycle(plc.variables)
        assert (plc.variables.Done, plc.variables.State) == (False, 0)


def test_a_sequence_number_is_never_0() -> None:
    player = Player()
    player.kit.site.charge_points["CP001"].mailbox.ack = 65535
    player.kit.site.charge_points["CP001"].touch_mailbox()
    (sequence,) = (each for each in SEQUENCES if each.name == "command")
    player.begin(sequence)
    assert Plc(player, translation.steps(sequence.structured_text), {}).run().Done
    assert player.kit.read(5510) == 1
