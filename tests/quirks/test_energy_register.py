"""An energy register that counts the session in a transaction and all outside it: row M9, in every order of the two.

What is right is what flowed: a table of what a charge point says, and what `energy_active_import_wh` reads after each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gatewayd.site.codes import QuirkBits
from gatewayd.site.meter import Meter, update
from gatewayd.site.quirk_profile import EnergyRegister
from tests.kit import Kit, WireEnd
from tests.quirks.accepting import booted
from tests.site.test_meter import Sampled

ABB = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\nprofile = "abb-terra-ac"\n'
QUIRKS, CONNECTOR = 3044, 3300
IMPORT, SESSION_ENERGY = CONNECTOR + 64, CONNECTOR + 48

Step = tuple[str, int | None, int | None]
"""What is said (`total`, `session`, `start`, `power`), its reading in Wh, and what is shown after it."""

ORDERS: dict[str, list[Step]] = {
    "total before the session": [
        ("total", 1_000_000, 1_000_000), ("start", 0, 1_000_000), ("session", 700, 1_000_700),
        ("session", 1_500, 1_001_500),
    ],
    "total in the middle": [
        ("total", 1_000_000, 1_000_000), ("start", 0, 1_000_000), ("session", 1_500, 1_001_500),
        ("total", 1_001_500, 1_001_500), ("session", 1_700, 1_001_700),
    ],
    "total in the middle, after some more flowed": [
        ("total", 1_000_000, 1_000_000), ("start", 0, 1_000_000), ("session", 1_500, 1_001_500),
        ("total", 1_001_600, 1_001_600), ("session", 1_700, 1_001_700), ("total", 1_001_700, 1_001_700),
    ],
    "total for the first time in the middle": [  # exact again with the next total
        ("start", 0, None), ("session", 1_500, 1_500), ("total", 1_001_500, 1_001_500),
        ("session", 1_700, 1_001_500), ("total", 1_001_700, 1_001_700), ("session", 1_900, 1_001_700),
    ],
    "total and then a session that went on already": [  # the gateway was restarted; right with the next total
        ("total", 1_001_500, 1_001_500), ("session", 1_700, 1_003_200), ("total", 1_001_700, 1_001_700),
        ("session", 1_900, 1_001_900),
    ],
    "total after the session": [
        ("total", 1_000_000, 1_000_000), ("start", 0, 1_000_000), ("session", 1_500, 1_001_500),
        ("total", 1_001_800, 1_001_800), ("start", 0, 1_001_800), ("session", 200, 1_002_000),
    ],
    "total between sessions, the second one's first reading above the first one's last": [
        ("total", 1_000_000, 1_000_000), ("start", 0, 1_000_000), ("session", 100, 1_000_100),
        ("total", 1_000_100, 1_000_100), ("start", 0, 1_000_100), ("session", 370, 1_000_470),
    ],
    "no total at all": [
        ("start", 0, None), ("session", 100, 100), ("start", 0, 100), ("session", 370, 470), ("session", 500, 600),
    ],
    "no start heard": [
        ("total", 1_000_000, 1_000_000), ("session", 0, 1_000_000), ("session", 900, 1_000_900),
        ("total", 1_000_900, 1_000_900), ("session", 0, 1_000_900), ("session", 50, 1_000_950),
    ],
    "a start that counts all": [
        ("total", 1_000_000, 1_000_000), ("start", 1_000_000, 1_000_000), ("session", 0, 1_000_000),
        ("session", 900, 1_000_900), ("start", 1_000_900, 1_000_900), ("session", 20, 1_000_920),
    ],
}  # fmt: skip


def start(kit: Kit, end: WireEnd, meter: int) -> int:
    stamp = kit.stamp()
    end.send("StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": meter, "timestamp": stamp}, stamp)
    kit.run_for(9)
    return int(end.answer_to(stamp)["transactionId"])


def metered(kit: Kit, end: WireEnd, transaction: int | None, **sample: Any) -> None:
    value = {"timestamp": kit.stamp(), "sampledValue": [sample]}
    payload = {"connectorId": 1, "meterValue": [value]}
    end.send("MeterValues", payload | ({} if transaction is None else {"transactionId": transaction}))


def said(kit: Kit, end: WireEnd, order: list[Step]) -> list[Step]:
    """These steps, with what was shown."""
    found: list[Step] = []
    transaction = None
    for what, reading, _ in order:
        kit.run_for(30)
        if what == "start":
            transaction = start(kit, end, reading or 0)
        else:
            metered(kit, end, None if what == "total" else transaction or 4711, value=str(reading))
        shown = kit.read_32(IMPORT)
        found.append((what, reading, None if shown == 0xFFFFFFFF else shown))
    return found


@pytest.mark.parametrize("order", ORDERS)
def test_m9_a_total_counts_every_session_once(order: str) -> None:
    kit, end = booted(ABB)
    assert said(kit, end, ORDERS[order]) == ORDERS[order]


@pytest.mark.parametrize("order", ["total in the middle", "total after the session", "a start that counts all"])
def test_m9_a_register_of_which_that_is_known_does_not_run_backwards(order: str) -> None:
    kit, end = booted(ABB)
    said(kit, end, ORDERS[order])
    assert not kit.read(QUIRKS) & QuirkBits.energy_backwards


def test_m9_in_a_session_only_its_own_register_counts_for_it() -> None:
    kit, end = booted(ABB)
    metered(kit, end, None, value="1000000")
    given = start(kit, end, 0)
    metered(kit, end, given, value="7000", measurand="Power.Active.Import", unit="W")
    assert kit.read_32(SESSION_ENERGY) == 0  # not a million
    kit.run_for(30)
    metered(kit, end, given, value="300")
    kit.run_for(30)
    metered(kit, end, None, value="1000400")
    metered(kit, end, given, value="7000", measurand="Power.Active.Import", unit="W")
    assert kit.read_32(SESSION_ENERGY) == 300


@pytest.mark.parametrize("other", [EnergyRegister.session, EnergyRegister.total])
def test_m9_another_way_of_counting_forgets_the_last_reading(other: EnergyRegister) -> None:
    kit, end = booted(ABB)
    cp = kit.site.charge_points["CP001"]
    metered(kit, end, 4711, value="1500")
    reading = cp.connectors[1].meter
    cp.take_quirks(replace(cp.quirk_profile, call_timeout_s=90.0))
    assert reading.session_reading_wh == 1500
    cp.take_quirks(replace(cp.quirk_profile, energy_register=other))
    assert reading.session_reading_wh is None
    kit.run_for(30)
    metered(kit, end, 4711, value="1000000")
    assert kit.read_32(IMPORT) == (1_000_000 if other is EnergyRegister.total else 1_001_500)


def test_a_total_that_runs_backwards_is_told_in_a_session_too() -> None:
    meter = Meter()
    update(meter, [Sampled("1000")], 0.0)
    update(meter, [Sampled("500")], 1.0, session_register=True)
    assert update(meter, [Sampled("900")], 2.0) == QuirkBits.energy_backwards
    assert meter.energy_active_import_wh == 900
