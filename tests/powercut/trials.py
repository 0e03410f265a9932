"""R25 and R2 on the whole card: two started for the first time and compared; one cut again and again.

Each has a twin that must be noticed: a gateway whose card was copied from one that was started already, and a card of
which neither root is what was built.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import trio

from hal import boot_state
from tests.card.card import CARD
from tests.card.flashed import flip, set_state, unpacked
from tests.powercut import secrets
from tests.powercut.report import BUILD, Report
from tests.powercut.whole import Bricked, Whole

CARDS: Final = {"a": "67:61:74", "b": "65:77:61"}
"""Two cards, and the addresses of the modules that they are put into."""

OWN: Final = ("serial", "host-name")
"""What differs from one gateway to the next and is no file."""
ANEW: Final = "machine-id"
"""What differs from one start to the next, and so lies on no card: two that are equal are one that was kept."""

EARLY: Final = 0.3
"""The share of cuts while it still starts."""
TRAFFIC_S: Final = (1.0, 40.0)
EARLY_S: Final = (1.0, 60.0)

Seen = tuple[dict[str, str], dict[str, bytes]]
"""Of one card after a start: what it says of itself (OWN, ANEW), and its files."""


def first_starts(report: Report) -> list[str]:
    """Starts both cards once. What they share, and what is on every card; empty: nothing. And the twin, if missed."""
    cards = [Whole(BUILD / f"card-{name}", address) for name, address in CARDS.items()]
    one, other = trio.run(_all_started, cards)
    # Whoever starts a card before copying it for others gives them all the same keys.
    (copied,) = trio.run(_all_started, [Whole(BUILD / "card-copied", CARDS["b"], source=cards[0].disk)])
    twin = in_common(one, copied)
    found = (
        in_common(one, other)
        + kept_from_start_to_start(one, copied)
        + secrets.baked_in_card(unpacked(BUILD / "card-unpacked"))
    )
    if not twin:
        found.append("NOT CAUGHT: a card that was copied after its first start")
    report.parts["R25"] = {
        "image": image(), "files": len(one[1]), "shared": found, "twin": len(twin), "facts": [one[0], other[0]]
    }  # fmt: skip
    report.save()
    return found


def in_common(one: Seen, other: Seen) -> list[str]:
    """What should be each gateway's own, and is not."""
    equal = [f"{what} is {one[0][what]} on both" for what in OWN if one[0][what] == other[0][what]]
    return equal + secrets.shared(one[1], other[1])


def kept_from_start_to_start(first: Seen, second: Seen) -> list[str]:
    """Of two starts of the same card: what should be made anew at each, in memory."""
    return [f"{ANEW} is kept on the card"] if first[0][ANEW] == second[0][ANEW] else []


async def _all_started(cards: Sequence[Whole]) -> list[Seen]:
    """Each for the first time in its module, all at once; then their power is taken away."""
    facts: list[dict[str, str]] = [{} for _ in cards]
    try:
        async with trio.open_nursery() as nursery:
            for card, found in zip(cards, facts, strict=True):
                card.start()
                nursery.start_soon(_told, card, found)
    finally:
        for card in cards:
            card.cut()
    return [(found, card.files()) for card, found in zip(cards, facts, strict=True)]


async def _told(card: Whole, found: dict[str, str]) -> None:
    found["serial"] = await card.serial()
    for what in (*OWN, ANEW):
        if what not in found:
            found[what] = await card.said(what)
    await card.said("written")


def image() -> str:
    """The checksum of the card that is tried."""
    (path,) = CARD.glob("gateway-*.sha256")
    return path.read_text().split()[0]


def kills(report: Report, count: int, seconds: float) -> str:
    """So many cuts more of one card, or so many seconds; why it is broken, or nothing."""
    kept: dict[str, Any] = report.parts.get("R2", {})
    if kept.get("image") != image():  # what another image has survived says nothing of this one
        kept = {
            "image": image(),
            "early": 0,
            "under traffic": 0,
            "polls": 0,
            "starts": 0,
            "twin": "",
            "configured": False,
        }
    report.parts["R2"] = kept
    kept["twin"] = kept["twin"] or _twin()
    report.save()
    if not kept["twin"]:
        return "NOT CAUGHT: a card that cannot start"
    card = Whole(BUILD / "card-cut", CARDS["a"], keep=kept["configured"])
    try:
        trio.run(_kills, card, report, kept, count, seconds)
    except Bricked as why:
        kept["bricked"] = kept.get("bricked", 0) + 1
        report.save()
        return str(why)
    finally:
        card.cut()
    return ""


def _twin() -> str:
    """Starts a card of which both roots are damaged; how it was noticed, or nothing."""
    card = Whole(BUILD / "card-twin", CARDS["b"])
    for name in ("root-a", "root-b"):
        flip(card.disk, name)
    # One try of each, or it would take three times as long.
    set_state(card.disk, {**boot_state.NEW, "BOOT_A_LEFT": "1", "BOOT_B_LEFT": "1"})
    try:
        card.start()
        trio.run(card.serial)
    except Bricked as why:
        return "caught" if card.given_up[0] in str(why) else ""  # not for an emulator that does not run
    finally:
        card.cut()
    return ""


async def _kills(card: Whole, report: Report, kept: dict[str, Any], count: int, seconds: float) -> None:
    until = trio.current_time() + seconds
    if card.new:
        await _answers(card, report, kept)
        await card.said("written")
        card.cut()
        card.configure()
        kept["configured"] = True
        report.save()
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


async def _answers(card: Whole, report: Report, kept: dict[str, Any]) -> None:
    card.start()
    await card.serial()
    kept["starts"] += 1
    report.save()
