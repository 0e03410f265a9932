"""Clock faults are harmless (promises, R23): no duration is negative, and nothing that waits is over early.

The gateway's wall clock fails in the middle of a session: it was in 1970 and is put right, it jumps a day ahead or
back, summer time begins or ends. The charge point follows it, as charge points do, at its next Heartbeat.

Twin: a gateway that does not date anew what goes on while its clock is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
import trio
from trio.testing import MockClock

from gatewayd import host_clock
from gatewayd.site import redating
from tests.journeys.ledger_reader import transactions
from tests.journeys.plant import Plant, charge_points
from tests.simulator.bms import Bms
from tests.simulator.charge_point import ChargePoint, Traits, Vehicle
from tests.simulator.clock import DEFAULT_OFFSET_S, Clock

CP = 1
DAY_S = 86_400.0
DECISION_S = 8.0
CALL_TIMEOUT_S = 20.0
WATCHDOG_S = 40
TOML = f'[gateway]\ntime_zone = "Europe/Madrid"\n[ocpp]\ncall_timeout_s = {CALL_TIMEOUT_S:.0f}\n' + charge_points(1)
QUIET = {"MeterValueSampleInterval": "10", "WebSocketPingInterval": "0"}


def until_spring_s() -> float:
    """From the plant's Monday morning to the last second before summer time begins in Madrid."""
    return datetime(2027, 3, 28, 1, tzinfo=UTC).timestamp() - DEFAULT_OFFSET_S - 60.0


def until_autumn_s() -> float:
    return datetime(2027, 10, 31, 1, tzinfo=UTC).timestamp() - DEFAULT_OFFSET_S - 60.0


@dataclass(frozen=True)
class Fault:
    """How wrong the gateway's wall clock is when it starts, and how wrong from the middle of the session on, seconds;
    `moment_s` is how far both clocks are from the plant's usual Monday."""

    before_s: float
    after_s: float
    moment_s: float = 0.0
    by_bms: bool = False
    """The BMS sets the clock, on a host that nobody keeps the time of."""


FAULTS = {
    "in 1970, then put right": Fault(-DEFAULT_OFFSET_S, 0.0),
    "right, then in 1970": Fault(0.0, -DEFAULT_OFFSET_S),
    "a day ahead": Fault(0.0, DAY_S),
    "a day back": Fault(0.0, -DAY_S),
    "the BMS sets it a day ahead": Fault(0.0, DAY_S, by_bms=True),
    "the BMS sets it a day back": Fault(0.0, -DAY_S, by_bms=True),
    "summer time begins": Fault(0.0, 0.0, until_spring_s()),
    "summer time begins, and the clock with it": Fault(0.0, 3600.0, until_spring_s()),
    "summer time ends, and the clock with it": Fault(0.0, -3600.0, until_autumn_s()),
}


class Faulty(Plant):
    """A plant whose gateway has a wall clock of its own."""

    fault = Fault(0.0, 0.0)
    failed = False

    @property
    def error_s(self) -> float:
        return self.fault.after_s if self.failed else self.fault.before_s

    def wall(self) -> float:
        return super().wall() + self.fault.moment_s + self.error_s


async def story(plant: Faulty, nursery: trio.Nursery) -> list[str]:
    """What went wrong in a session in the middle of which the clock fails."""
    fault = plant.fault
    keeper = "/nobody" if fault.by_bms else str(plant.paths.state)  # whatever is there stands for who keeps the time
    with patch.object(host_clock, "STEWARD_SOCKET", keeper):
        await plant.start()
    bms = await plant.bms()
    clock = Clock(DEFAULT_OFFSET_S + fault.moment_s)
    traits = Traits(call_timeout_s=60.0)
    cp = await plant.charge_point(clock=clock, traits=traits, configuration=QUIET)
    await cp.until(lambda: cp.registered)
    await _watched(bms)
    nursery.start_soon(_beats, bms)
    cp.plug(1, Vehicle(capacity_wh=1e6))
    await bms.until("plugged", True, CP, 1)
    await bms.set_limit(CP, 1, 13.0)
    await bms.trigger("start", CP, 1)
    await bms.until("charging", True, CP, 1)
    began = trio.current_time()
    await trio.sleep(60)

    cp.present_tag_soon("SOMEBODY", 2)  # a decision waits while the clock fails
    asked = await bms.next_request(CP)
    asked_at = trio.current_time()
    await trio.sleep(1)
    if fault.by_bms:
        assert await bms.set_time(round(plant.wall() + fault.after_s)) == "set"
    plant.failed = True
    wrong = await _waits(bms, asked_at, asked.sequence)
    for _ in range(12):
        wrong += await _durations(bms, began)
        await trio.sleep(10)
    if cp.effective_limit_a(1) != 13.0:
        wrong.append(f"the watchdog bit: the limit is {cp.effective_limit_a(1)}")
    if not cp.connected:
        wrong.append("the link was given up")
    wrong += await _closed(plant, bms, cp, began)
    return wrong


async def _watched(bms: Bms) -> None:
    """A watchdog that would be noticed."""
    await bms.write("watchdog_action", 1)
    await bms.write("watchdog_limit", 60)
    await bms.write("watchdog_timeout_s", WATCHDOG_S)


async def _beats(bms: Bms) -> None:
    while True:
        await bms.heartbeat()
        await trio.sleep(WATCHDOG_S / 4)


async def _waits(bms: Bms, asked_at: float, sequence: int) -> list[str]:
    """The decision that waits is taken by nobody before its time is over, nor much later."""
    while (request := await bms.request(CP)) is not None and request.sequence == sequence:  # noqa: ASYNC110  as a BMS does
        await trio.sleep(0.2)
    taken_s = trio.current_time() - asked_at
    return [] if DECISION_S - 0.5 <= taken_s <= DECISION_S + 1 else [f"the decision was taken after {taken_s:.1f} s"]


async def _durations(bms: Bms, began: float) -> list[str]:
    elapsed_s = trio.current_time() - began
    wrong = []
    duration_s = await bms.number("transaction_duration_s", CP, 1)
    if abs(duration_s - elapsed_s) > 3:
        wrong.append(f"transaction_duration_s is {duration_s} after {elapsed_s:.0f} s")
    for name, connector, most_s in (
        ("message_age_s", 0, 15),
        ("meter_age_s", 1, 15),
        ("status_age_s", 1, elapsed_s + 5),
    ):
        age_s = await bms.number(name, CP, connector)
        if not 0 <= age_s <= most_s:
            wrong.append(f"{name} is {age_s}")
    return wrong


async def _closed(plant: Plant, bms: Bms, cp: ChargePoint, began: float) -> list[str]:
    """The session ends, and what is remembered of it is right."""
    wrong = []
    cp.unplug(1)
    await cp.until(lambda: cp.books[0].stop_acknowledged, 60)
    elapsed_s = trio.current_time() - began
    total_s = await bms.number("session_time_total_s", CP, 1)
    if abs(total_s - elapsed_s) > 3:
        wrong.append(f"session_time_total_s is {total_s} after {elapsed_s:.0f} s")
    await plant.stop()
    (row,) = transactions(plant.paths.ledger)
    if row.meter_stop_wh != cp.books[0].meter_stop_wh:
        wrong.append(f"the ledger says {row}")
    return wrong


@pytest.fixture
def faulty(nursery: trio.Nursery, tmp_path: Path, autojump_clock: MockClock) -> Faulty:
    return Faulty(nursery, tmp_path, TOML)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_clock_that_fails_in_a_session_is_harmless(
    name: str, faulty: Faulty, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    faulty.fault = FAULTS[name]
    assert await story(faulty, nursery) == []


async def test_the_twin_that_does_not_date_anew_is_caught(
    faulty: Faulty, nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redating, "attach", lambda _site: None)
    faulty.fault = FAULTS["in 1970, then put right"]
    wrong = await story(faulty, nursery)
    assert any("transaction_duration_s" in what for what in wrong), wrong
