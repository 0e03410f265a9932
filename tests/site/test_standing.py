"""What a central system is told first when it is back."""

from __future__ import annotations

from gatewayd.site.journal import Journal, SaveFact
from gatewayd.site.standing import Standing

BOOT, ONE, TWO = "BootNotification", "StatusNotification/1", "StatusNotification/2"


def said(*heard: bool) -> tuple[Standing, Journal]:
    standing, journal = Standing(7), Journal()
    for about, known in zip((TWO, BOOT, ONE), heard, strict=True):
        standing.said(about, f"{about} said", journal, heard=known)
    return standing, journal


def test_who_it_is_comes_first_and_of_each_only_the_newest() -> None:
    standing, journal = said(False, False, False)
    standing.said(ONE, "newer", journal, heard=False)
    told = []
    while (about := standing.next()) is not None:
        told.append(standing.texts[about])
        standing.heard(about, standing.texts[about], journal)
    assert told == [f"{BOOT} said", "newer", f"{TWO} said"]


def test_what_passed_live_is_told_only_after_an_absence() -> None:
    standing, journal = said(True, True, True)
    assert standing.next() is None
    assert journal.waiting == [], "nothing to keep"
    standing.to_be_heard_again()
    assert standing.next() == BOOT


def test_something_newer_said_meanwhile_is_not_taken_for_heard() -> None:
    standing, journal = said(True, True, False)
    standing.said(ONE, "newer", journal, heard=False)
    standing.heard(ONE, f"{ONE} said", journal)
    assert standing.next() == ONE


def test_a_restart_brings_back_what_was_not_heard() -> None:
    standing, journal = said(False, True, False)
    standing.heard(TWO, f"{TWO} said", journal)
    facts = {each.name: each.value for each in journal.waiting if isinstance(each, SaveFact)}
    again = Standing(7)
    again.restore(facts | {"standing/70/StatusNotification/1": "another's"})
    assert again.texts == {ONE: f"{ONE} said"}
    again.said(ONE, "newer", journal, heard=True)
    assert journal.waiting[-1] == SaveFact(f"standing/7/{ONE}", "")
