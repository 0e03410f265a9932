"""The queue of what a charge point still has to say, at its limits."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from .charge_point import Offline, outbox
from .conftest import Plant
from .ocpp_link import CallFailed, NoAnswer


async def test_a_full_queue_drops_the_oldest_meter_values_only(
    plant: Plant, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING_METER_VALUES", 5)
    cp = await plant.registered()
    await plant.central.go_away()
    await trio.sleep(1)
    cp.plug(1)
    await cp.present_tag("TAG1")
    await trio.sleep(20 * 60 + 30)
    cp.unplug(1)
    assert cp.outbox.dropped_meter_values == 15
    assert cp.outbox.waiting_durable == 7
    plant.central.come_back()
    await cp.until(lambda: cp.books[0].stop_acknowledged)
    kept = [r.action for r in plant.central.received if r.action == "MeterValues" or "Transaction" in r.action]
    assert kept == ["StartTransaction", *["MeterValues"] * 5, "StopTransaction"]


async def test_the_wait_grows_with_every_attempt(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered(configuration={"TransactionMessageAttempts": "4"})
    plant.central.script.error("StartTransaction", times=3)
    frames: list[float] = []
    trace = plant.judge.trace

    def timed(direction: str, text: str) -> None:
        if direction == "sent" and "StartTransaction" in text:
            frames.append(trio.current_time())
        trace(direction, text)

    assert cp.session.link is not None
    cp.session.link._trace = timed
    cp.plug(1)
    await cp.present_tag("TAG1")
    await cp.until(lambda: cp.books[0].start_acknowledged, 120)
    waits = [round(b - a) for a, b in pairwise(frames)]
    assert waits == [10, 20, 30]


async def test_what_is_asked_fails_when_the_link_goes(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    plant.central.script.drop("DataTransfer", times=2)
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await cp.data_transfer("Vendor")
        except (Offline, NoAnswer, CallFailed) as error:
            outcomes.append(type(error).__name__)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)  # on the wire when the link goes
        nursery.start_soon(ask)  # still waiting for its turn
        await trio.sleep(1)
        await cp.cut()
    assert outcomes == ["Offline", "Offline"]
    await cp.until(lambda: cp.registered)
    await ask()
    assert outcomes[2:] == ["NoAnswer"]
