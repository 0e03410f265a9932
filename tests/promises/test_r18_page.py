"""R18, the page's half: whatever becomes of webd, the gateway does not notice.

20 charge points send 20 MeterValues a second each, and a BMS polls: alone, while 20 viewers read live frames from
webd, while webd is killed and started in a loop, and while it stands still (SIGSTOP) with those viewers connected. No
gap between two answers is longer than 100 ms. The best of several turns counts, for the machine is shared; all other
figures are only said. webd weighs as much as its unit says.

Twin: a daemon that waits for webd, which listens on its events.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
import trio

from tests.browser.plant import Plant, standing
from tests.process.daemon import charge_points, executable
from tests.process.page_client import claimed, signed_in
from tests.promises.report import seen
from tests.promises.test_r18_listeners import (
    CHARGE_POINTS,
    GAP_MS,
    MESSAGES_PER_S,
    NAMES,
    WAITING,
    best,
    chatter,
    polled,
)
from tests.rootfs.test_units import UNITS, Unit

pytestmark = pytest.mark.alone

VIEWERS, LIFE_S = 20, 0.1
TURNS_LEAST, TURNS_MOST = 2, 10
"""Of each kind; the first with no gap after the least ends it."""
Figures = dict[str, list[dict[str, float]]]
Turn = Callable[[Plant, str], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def viewers(plant: Plant, token: str) -> AsyncIterator[None]:
    """Twenty of them, who have heard something before anything is measured. They have machines of their own: here they
    take what the others leave."""
    program = ["nice", "-n", "19", sys.executable, "-m", "tests.promises.viewers"]
    many = await trio.lowlevel.open_process(
        [*program, str(plant.web_port), token, str(VIEWERS)], stdin=PIPE, stdout=PIPE
    )
    try:
        assert many.stdout is not None
        with trio.fail_after(60):
            assert (await many.stdout.receive_some()).startswith(b"heard"), "a viewer was turned away"
        yield
        assert many.poll() is None, "a viewer was turned away"
    finally:
        with trio.CancelScope(shield=True):
            many.kill()
            await many.wait()


@asynccontextmanager
async def killed(plant: Plant, _token: str) -> AsyncIterator[None]:
    """Again and again, soon after it was ready."""

    async def loop() -> None:
        while True:
            await plant.kill_web()
            await plant.start_web()
            await trio.sleep(LIFE_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop)
        await trio.sleep(LIFE_S)
        yield
        nursery.cancel_scope.cancel()
    await plant.kill_web()
    await plant.start_web()


@asynccontextmanager
async def starved(plant: Plant, token: str) -> AsyncIterator[None]:
    """It stands still while it listens to all frames, and takes none."""
    assert plant.web is not None
    async with viewers(plant, token):
        plant.web.send_signal(signal.SIGSTOP)
        try:
            await trio.sleep(0.5)  # by then what gatewayd keeps for it is full
            yield
        finally:
            plant.web.send_signal(signal.SIGCONT)


@asynccontextmanager
async def alone(_plant: Plant, _token: str) -> AsyncIterator[None]:
    """Nobody looks at the page."""
    yield


TURN: dict[str, Turn] = {
    "nobody at the page": alone, "twenty viewers": viewers, "webd killed": killed, "webd stopped": starved,
}  # fmt: skip


def as_light_as_its_unit() -> list[str]:
    """How webd is started: among processes of one group, a step of niceness is a fourth of weight."""
    weight = float(Unit(UNITS / "webd.service")["CPUWeight"][0])
    return ["nice", "-n", str(round(math.log(100 / weight, 1.25))), sys.executable, "-m", "gatewayd.web"]


async def measured(
    plant: Plant, which: dict[str, Turn], background: Callable[[], Awaitable[None]], most: int = TURNS_MOST
) -> Figures:
    found: Figures = {name: [] for name in which}
    async with standing(plant, claimed=False), trio.open_nursery() as nursery:
        await claimed(plant.web_port)
        nursery.start_soon(background)
        await trio.sleep(1)
        for number in range(most):
            for name in [each for each in which if number < TURNS_LEAST or best(found[each], "longest") > GAP_MS]:
                token = await signed_in(plant.web_port)  # a webd that was killed has forgotten all sessions
                async with which[name](plant, token):
                    found[name].append(await polled(plant))
        nursery.cancel_scope.cancel()
    return found


def broken(found: Figures) -> list[str]:
    """What of the promise does not hold."""
    longest = {name: best(polls, "longest") for name, polls in found.items()}
    return [f"{name}: a gap of {gap:.1f} ms" for name, gap in longest.items() if gap > GAP_MS]


@pytest.mark.limit(300)
async def test_whatever_becomes_of_the_page_the_bms_is_answered(tmp_path: Path) -> None:
    plant = Plant(tmp_path, charge_points(*NAMES), web_program=as_light_as_its_unit())

    async def everybody() -> None:
        async with trio.open_nursery() as nursery:
            for identity in NAMES:
                nursery.start_soon(chatter, plant, identity)

    found = await measured(plant, TURN, everybody)
    said = "longest {:.1f} ms, p99 {:.2f} ms"  # of the best turn
    figures = (
        f"{name}: {said.format(*(best(polls, what) for what in ('longest', 'p99')))}" for name, polls in found.items()
    )
    seen(
        "R18", f"{CHARGE_POINTS * MESSAGES_PER_S} messages/s; webd killed, stopped and looked at: {'; '.join(figures)}"
    )
    assert broken(found) == []


class Waits(Plant):
    """A gateway that waits for whoever listens."""

    @property
    def arguments(self) -> list[str]:
        return [sys.executable, "-c", WAITING, *super().arguments[len(executable()) :]]


@pytest.mark.twin("R18")
async def test_a_daemon_that_waits_for_the_page_is_found(tmp_path: Path) -> None:
    plant = Waits(tmp_path, charge_points("CP001"))

    async def one() -> None:
        await chatter(plant, "CP001")

    found = await measured(plant, {"twenty viewers": viewers}, one, most=1)
    assert broken(found) != []
