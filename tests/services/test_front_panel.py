"""The front panel in virtual time: on the simulated board's files, in memory, and towards paneld's socket."""

import itertools
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gatewayd.services.front_panel import BoardMissing, FrontPanel, factory_reset_at_start, open_board, process_age_s
from hal.contract import HISTORY_FILE, LEDS, OUTPUTS, Line, Words, button_text
from hal.lines import MemoryLines, SimLines

History = list[tuple[float, str, int]]


def history(directory: Path) -> History:
    rows = [json.loads(row) for row in (directory / HISTORY_FILE).read_text().splitlines()]
    return [(row["t"], row["line"], row["value"]) for row in rows]


def of(line: Line, rows: History) -> list[tuple[float, int]]:
    return [(t, value) for t, name, value in rows if name == line]


async def flood(say: Callable[[], None], seconds: float, every_s: float = 0.005) -> None:
    end = trio.current_time() + seconds
    while trio.current_time() < end:
        say()
        await trio.sleep(every_s)


def test_open_board_refuses_what_is_neither(tmp_path: Path) -> None:
    assert open_board(None) is None
    assert isinstance(open_board(f"sim:{tmp_path}/board"), SimLines)
    for spec in ("", "sim", "sim:", "gpio:", "usb:1"):
        with pytest.raises(BoardMissing, match=f"--board {spec}: write sim:DIR or gpio:CHIP"):
            open_board(spec)
    with pytest.raises(BoardMissing, match="--board gpio:/dev/null: "):
        open_board("gpio:/dev/null")


async def test_normal_operation_on_files(tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    (tmp_path / "dip1").write_text("1\n")
    (tmp_path / "dip2").write_text("1\n")
    panel = FrontPanel(open_board(f"sim:{tmp_path}", trio.current_time))
    await nursery.start(panel.run)
    assert {line: (tmp_path / line).read_text() for line in OUTPUTS} == {
        Line.LED_OCPP: "0",
        Line.LED_MODBUS: "0",
        Line.LED_FEEDBACK_RED: "0",
        Line.LED_FEEDBACK_GREEN: "1",
        Line.LED_BUTTON: "1",
        Line.BIAS: "1",
        Line.TERMINATION: "0",
    }
    await trio.sleep(9.9)
    green = of(Line.LED_FEEDBACK_GREEN, history(tmp_path))
    assert len(green) == 20
    assert [round(later[0] - earlier[0], 3) for earlier, later in itertools.pairwise(green)] == [0.5] * 19
    nursery.cancel_scope.cancel()


async def test_traffic_leds_under_continuous_traffic(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    panel = FrontPanel(open_board(f"sim:{tmp_path}", trio.current_time))
    await nursery.start(panel.run)
    panel.ocpp_link(True)
    await trio.sleep(1)
    assert (tmp_path / "led_ocpp").read_text() == "1"
    start = trio.current_time()
    nursery.start_soon(flood, panel.modbus_traffic, 4.0)
    await flood(panel.ocpp_traffic, 4.0)
    await trio.sleep(1)
    for line, rests_at in ((Line.LED_OCPP, 1), (Line.LED_MODBUS, 0)):
        changes = [change for change in of(line, history(tmp_path)) if change[0] >= start]
        assert changes[0][1] == 1 - rests_at
        assert changes[-1][1] == rests_at
        halves = [later[0] - earlier[0] for earlier, later in itertools.pairwise(changes)]
        assert len(halves) >= 48
        assert all(half == pytest.approx(0.08, abs=0.006) for half in halves)
    nursery.cancel_scope.cancel()


async def test_link_goes_down(tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    panel = FrontPanel(open_board(f"sim:{tmp_path}", trio.current_time))
    await nursery.start(panel.run)
    panel.ocpp_link(True)
    await trio.sleep(0.3)
    panel.ocpp_link(False)
    await trio.sleep(0.3)
    assert [value for _, value in of(Line.LED_OCPP, history(tmp_path))] == [0, 1, 0]
    nursery.cancel_scope.cancel()


async def test_identify_blinks_everything_for_ten_seconds(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    panel = FrontPanel(open_board(f"sim:{tmp_path}", trio.current_time))
    await nursery.start(panel.run)
    await trio.sleep(2)
    clicked = trio.current_time()
    panel.identify()
    await trio.sleep(15)
    button = [t - clicked for t, _ in of(Line.LED_BUTTON, history(tmp_path)) if t >= clicked]
    assert button[-1] == pytest.approx(10, abs=0.01)
    assert len(button) >= 38
    assert (tmp_path / "led_button").read_text() == "1"
    nursery.cancel_scope.cancel()


async def test_switches_take_effect_only_at_the_next_start(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    panel = FrontPanel(open_board(f"sim:{tmp_path}", trio.current_time))
    await nursery.start(panel.run)
    (tmp_path / "dip3").write_text("1")
    await trio.sleep(5)
    assert (tmp_path / "termination").read_text() == "0"
    assert panel.facts is not None
    assert panel.facts.dip3 is False
    again = FrontPanel(open_board(f"sim:{tmp_path}", trio.current_time))
    await nursery.start(again.run)
    assert (tmp_path / "termination").read_text() == "1"
    nursery.cancel_scope.cancel()


async def test_switches_that_disagree_warn(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dip1").write_text("1")
    panel = FrontPanel(open_board(f"sim:{tmp_path}", trio.current_time))
    await nursery.start(panel.run)
    await trio.sleep(1.9)
    assert (tmp_path / "bias").read_text() == "0"
    assert [value for _, value in of(Line.LED_FEEDBACK_RED, history(tmp_path))] == [0, 1, 0, 1]
    assert "disagree" in caplog.text
    nursery.cancel_scope.cancel()


async def test_a_board_that_goes_away_does_not_stop_the_gateway(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "board"
    panel = FrontPanel(open_board(f"sim:{directory}", trio.current_time))
    await nursery.start(panel.run)
    directory.rename(tmp_path / "elsewhere")
    await trio.sleep(30)
    assert len([record for record in caplog.records if "does not answer" in record.message]) == 1
    (tmp_path / "elsewhere").rename(directory)
    back_at = trio.current_time()
    await trio.sleep(3.1)
    assert len([t for t, _ in of(Line.LED_FEEDBACK_GREEN, history(directory)) if t >= back_at]) >= 6
    nursery.cancel_scope.cancel()


class CountingLines(MemoryLines):
    """Counts how often the panel task comes by."""

    looks = 0

    def edges(self) -> list[Any]:
        self.looks += 1
        return super().edges()


async def test_thousands_of_frames_a_second_wake_the_panel_a_few_times(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    board = CountingLines(trio.current_time)
    panel = FrontPanel(board)
    await nursery.start(panel.run)
    looks = board.looks
    for _ in range(2000):
        for _ in range(5):
            panel.modbus_traffic()
            panel.ocpp_traffic()
        await trio.sleep(0.0005)
    assert board.looks - looks <= 30
    nursery.cancel_scope.cancel()


# --- the factory reset, manual 5.2


async def press_until(board: MemoryLines, seconds: float) -> None:
    await trio.sleep(seconds)
    board.set_input(Line.BUTTON, False)


async def test_no_board_and_no_finger_return_at_once() -> None:
    assert await factory_reset_at_start(None, pytest.fail) is False
    board = MemoryLines(time.monotonic)
    assert await factory_reset_at_start(board, pytest.fail) is False
    assert all(change.line not in LEDS for change in board.history)


async def test_held_ten_seconds_and_released_erases_and_shows_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    board = MemoryLines(trio.current_time, {Line.BUTTON: True})
    start = trio.current_time()
    wiped: list[float] = []
    nursery.start_soon(press_until, board, 10.2)
    assert await factory_reset_at_start(board, lambda: wiped.append(trio.current_time() - start)) is True
    assert wiped == [pytest.approx(10.2, abs=0.06)]
    red = [(round(e.t - start, 3), e.value) for e in board.history if e.line is Line.LED_FEEDBACK_RED]
    assert red[0] == (0.0, True)
    assert red[-1][0] == pytest.approx(11.2, abs=0.1)
    assert red[-1][1] is False
    button = [(round(e.t - start, 3), e.value) for e in board.history if e.line is Line.LED_BUTTON]
    assert [value for _, value in button] == [True, False, True, False]
    ocpp = [e.t - start for e in board.history if e.line is Line.LED_OCPP and 0 < e.t - start < 10]
    modbus = [e.t - start for e in board.history if e.line is Line.LED_MODBUS and 0 < e.t - start < 10]
    assert ocpp == modbus
    assert len(ocpp) == 19


async def test_released_early_is_a_normal_boot(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    board = MemoryLines(trio.current_time, {Line.BUTTON: True})
    nursery.start_soon(press_until, board, 9.5)
    assert await factory_reset_at_start(board, pytest.fail) is False
    assert not any(board.read(led) for led in LEDS)


async def test_the_age_of_the_process_counts_as_held(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    board = MemoryLines(trio.current_time, {Line.BUTTON: True})
    wiped: list[bool] = []
    nursery.start_soon(press_until, board, 9.5)
    assert await factory_reset_at_start(board, lambda: wiped.append(True), held_before_s=0.6) is True
    assert wiped == [True]


async def test_a_wipe_that_fails_is_not_called_a_reset(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    board = MemoryLines(trio.current_time, {Line.BUTTON: True})
    nursery.start_soon(press_until, board, 11)

    def wipe() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await factory_reset_at_start(board, wipe)


async def test_reset_on_files_the_way_a_person_does_it(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    (tmp_path / "button").write_text("1\n")
    board = open_board(f"sim:{tmp_path}", trio.current_time)

    async def release() -> None:
        await trio.sleep(10)
        (tmp_path / "button").write_text("0\n")

    nursery.start_soon(release)
    assert await factory_reset_at_start(board, lambda: None, held_before_s=0.3) is True
    await nursery.start(FrontPanel(board).run)
    assert (tmp_path / "led_button").read_text() == "1"
    assert (tmp_path / "led_feedback_red").read_text() == "0"
    nursery.cancel_scope.cancel()


def test_process_age_is_that_of_this_process() -> None:
    first = process_age_s()
    assert 0 <= first < 24 * 3600
    time.sleep(0.02)
    assert process_age_s() > first


# --- towards paneld


async def test_words_go_to_paneld(tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    path = str(tmp_path / "words")
    heard: list[tuple[float, Words | None]] = []
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as paneld:
        await paneld.bind(path)

        async def listen() -> None:
            while True:
                datagram = await paneld.recv(256)
                heard.append((trio.current_time(), Words.decode(datagram)))

        panel = FrontPanel(None, path)
        await nursery.start(panel.run)
        nursery.start_soon(listen)
        await trio.sleep(5.5)
        assert [words for _, words in heard] == [Words()] * 6
        heard.clear()
        panel.ocpp_link(True)
        panel.identify()
        await trio.sleep(0.5)
        assert [words for _, words in heard] == [Words(ocpp_link=True, identify=True)]
        heard.clear()
        await flood(panel.modbus_traffic, 0.8, every_s=0.001)
        busy = [words for _, words in heard]
        assert 8 <= len(busy) <= 12
        assert set(busy) == {Words(ocpp_link=True, modbus_traffic=True)}
        nursery.cancel_scope.cancel()


async def test_nobody_hears_and_nothing_happens(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    panel = FrontPanel(None, str(tmp_path / "nobody"))
    await nursery.start(panel.run)
    panel.ocpp_traffic()
    await trio.sleep(60)
    nursery.cancel_scope.cancel()


async def test_a_paneld_that_does_not_read_is_not_waited_for(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "words"))
        panel = FrontPanel(None, str(tmp_path / "words"))
        await nursery.start(panel.run)
        await trio.sleep(3600)
    nursery.cancel_scope.cancel()


def test_the_button_is_seen_on_the_board_or_where_paneld_publishes_it(tmp_path: Path) -> None:
    board = MemoryLines(lambda: 0.0)
    assert FrontPanel(board).button is False
    board.set_input(Line.BUTTON, True)
    assert FrontPanel(board).button is True
    panel = FrontPanel(None, str(tmp_path / "words"))
    assert panel.button is None  # no paneld
    (tmp_path / "button.json").write_text(button_text(held=True))
    assert panel.button is True
    (tmp_path / "button.json").write_text("{half")
    assert panel.button is None
