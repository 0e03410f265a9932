"""R25 and R2 on the whole image: two cards started for the first time and compared; one card cut again and again."""

from __future__ import annotations

import random
from typing import Any, Final

import trio

from tests.powercut import secrets
from tests.powercut.report import BUILD, Report
from tests.powercut.whole import Bricked, Whole
from tests.vm.machine import PROJECT

CARDS: Final = {"a": "67:61:74", "b": "65:77:61"}
"""Two cards, and the addresses of the modules that they are put into."""

OWN: Final = ("serial", "machine-id", "host-name")
"""What differs from one gateway to the next and is no file."""

EARLY: Final = 0.3
"""The share of cuts while it still starts."""
TRAFFIC_S: Final = (1.0, 40.0)
EARLY_S: Final = (1.0, 60.0)


def first_starts(report: Report) -> list[str]:
    """Starts both cards once. What they share, and what is in the root of both; empty: nothing."""
    cards = {name: Whole(BUILD / f"card-{name}", address) for name, address in CARDS.items()}
    facts: dict[str, dict[str, bytes]] = {}
    try:
        for card in cards.values():
            card.start()
        for name, card in cards.items():
            facts[name] = {each: trio.run(_asked, card, each).encode() for each in OWN}
            trio.run(card.said, "written")
    finally:
        for card in cards.values():
            card.cut()
    equal = [f"{what} is {value.decode()} on both" for what, value in facts["a"].items() if facts["b"][what] == value]
    files = {name: card.files() for name, card in cards.items()}
    found = equal + secrets.shared(files["a"], files["b"]) + secrets.baked_in(PROJECT / "build/root/target")
    report.parts["R25"] = {"files": len(files["a"]), "shared": found, "facts": {
        name: {what: value.decode() for what, value in each.items()} for name, each in facts.items()
    }}  # fmt: skip
    report.save()
    return found


async def _asked(card: Whole, what: str) -> str:
    return await (card.serial() if what == "serial" else card.said(what))


def kills(report: Report, count: int, seconds: float) -> str:
    """So many cuts more of one card, or so many seconds; why it is broken, or nothing."""
    kept: dict[str, Any] = report.parts.setdefault("R2", {"early": 0, "under traffic": 0, "polls": 0, "starts": 0})
    card = Whole(BUILD / "card-cut", CARDS["a"], keep=bool(kept["starts"]))
    try:
        return trio.run(_kills, card, report, kept, count, seconds)
    except Bricked as why:
        kept["bricked"] = kept.get("bricked", 0) + 1
        report.save()
        return str(why)
    finally:
        card.cut()


async def _kills(card: Whole, report: Report, kept: dict[str, Any], count: int, seconds: float) -> str:
    until = trio.current_time() + seconds
    if not kept["starts"]:
        await _answers(card, report, kept)
        await card.said("written")
        card.cut()
        card.configure()
    done = 0
    while done < count and trio.current_time() < until:
        chance = random.Random(f"cut {kept['early'] + kept['under traffic']}")
        if chance.random() < EARLY:
            card.start()
            await trio.sleep(chance.uniform(*EARLY_S))
            card.cut()
            kept["early"] += 1
        else:
            await _answers(card, report, kept)
            kept["polls"] += await card.traffic(chance.uniform(*TRAFFIC_S))
            card.cut()
            kept["under traffic"] += 1
        done += 1
        report.save()
    await _answers(card, report, kept)  # the last cut is survived, too
    return ""


async def _answers(card: Whole, report: Report, kept: dict[str, Any]) -> None:
    card.start()
    await card.serial()
    kept["starts"] += 1
    report.save()
