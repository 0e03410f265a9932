"""Two names for one transaction."""

from __future__ import annotations

from gatewayd.site.journal import DropUpstreamId, Journal, SaveUpstreamId
from gatewayd.site.upstream_ids import FIRST, KEPT_MAX, UpstreamIds


def test_both_directions_and_everything_else_as_it_is() -> None:
    ids, journal = UpstreamIds(3), Journal()
    ids.learn(FIRST, -5, journal, lambda _id: False)
    assert (ids.upstream(FIRST), ids.at_charge_point(-5)) == (-5, FIRST)
    assert (ids.upstream(8), ids.at_charge_point(8)) == (8, 8)
    assert FIRST in ids
    assert journal.waiting == [SaveUpstreamId(3, FIRST, -5)]


def test_of_several_that_the_central_system_calls_the_same_the_latest_is_meant() -> None:
    ids, journal = UpstreamIds(1), Journal()
    for own in (10, 11):
        ids.learn(own, 0, journal, lambda _id: False)
    assert ids.at_charge_point(0) == 11
    assert (ids.upstream(10), ids.upstream(11)) == (0, 0)


def test_old_pairs_are_forgotten_but_not_of_what_goes_on() -> None:
    ids, journal = UpstreamIds(1), Journal()
    for number in range(3 * KEPT_MAX):
        ids.learn(FIRST + number, number, journal, lambda upstream: upstream == 2)
    assert len(ids) == KEPT_MAX
    assert ids.upstream(FIRST + 2) == 2
    assert FIRST + 1 not in ids
    assert DropUpstreamId(1, FIRST) in journal.waiting


def test_a_restart_brings_them_back() -> None:
    ids = UpstreamIds(1)
    ids.restore(FIRST, 4)
    assert ids.at_charge_point(4) == FIRST
