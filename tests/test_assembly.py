"""A state that comes from a backup: what may never be given twice goes on beyond what nobody knows."""

from __future__ import annotations

import pytest

from gatewayd.assembly import IDS_SINCE, build_site, restore_site
from gatewayd.config import parse
from gatewayd.services.ledger.database import Restored
from gatewayd.site.backlog import Message
from gatewayd.site.journal import SaveFact
from gatewayd.site.model import Site

EPOCH = 1_796_000_000.0
CONFIG = parse('[[charge_point]]\nnumber = 1\nidentity = "CP001"\n', "f")


def started(facts: dict[str, int | str], backup: str) -> tuple[Site, dict[str, int | str]]:
    """The site of a gateway that starts with these facts, and the facts as they are then."""
    site = build_site(CONFIG, 0.0, EPOCH, "serial")
    restore_site(site, Restored(facts=dict(facts)), backup)
    return site, facts | {each.name: each.value for each in site.journal.waiting if isinstance(each, SaveFact)}


def test_numbers_go_on_where_they_were() -> None:
    site, facts = started({"next_transaction_id": 17}, "")
    assert site.next_transaction_id == 17
    assert facts == {"next_transaction_id": 17}


def test_after_a_restore_they_go_on_beyond_it_once_and_for_good() -> None:
    beyond = int(EPOCH) - IDS_SINCE
    site, facts = started({"next_transaction_id": 17}, "first")
    assert site.next_transaction_id == beyond
    # The next start, before anybody charged, and any later one.
    site, facts = started(facts, "first")
    assert site.next_transaction_id == beyond
    facts["next_transaction_id"] = beyond + 5
    site, facts = started(facts, "first")
    assert site.next_transaction_id == beyond + 5


def test_another_backup_of_the_same_gateway_counts_anew() -> None:
    site, _ = started({"next_transaction_id": 17, "restored_from": "first"}, "second")
    assert site.next_transaction_id > 17


def test_what_waits_of_a_charge_point_that_is_gone_is_said(caplog: pytest.LogCaptureFixture) -> None:
    kept = [Message(number, number, "StopTransaction", "text") for number in (1, 2)]
    restore_site(build_site(CONFIG, 0.0, EPOCH, "serial"), Restored(messages=kept))
    assert caplog.messages == ["1 messages for central systems wait of charge points that are configured no more"]
