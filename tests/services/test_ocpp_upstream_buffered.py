"""`offline = "buffer"` at the edge, in virtual time: served at once, dialled again and again, told later (ocpp.md)."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gatewayd.services.ocpp_upstream import LONGEST_PAUSE_S
from gatewayd.site.codes import DecisionDefault, LinkState
from tests.services.test_ocpp_upstream import UPSTREAM_BIT, house

BUFFER = 'offline = "buffer"\n'


async def test_a_session_without_the_central_system_stands_in_its_books_later(autojump_clock: MockClock) -> None:
    async with house(BUFFER, first_transaction_id=4711) as all_of:
        all_of.central.accepting = False
        all_of.it.charge_points["CP001"].bank.site.decision_default = DecisionDefault.accept
        cp = await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        assert all_of.it.read(UPSTREAM_BIT) == [0]
        cp.plug(1)
        await cp.present_tag("TAG", 1)
        await trio.sleep(3600)
        await cp.present_tag("TAG", 1)
        await trio.sleep(10)
        assert all_of.central.books == {}
        all_of.central.accepting = True
        await all_of.until(lambda: 4711 in all_of.central.books, LONGEST_PAUSE_S + 10)
        await all_of.until(lambda: all_of.central.books[4711].stopped_at is not None)
        (mine,), (theirs,) = cp.books, all_of.central.books.values()
        assert (theirs.meter_start_wh, theirs.meter_stop_wh) == (mine.meter_start_wh, mine.meter_stop_wh)
        assert all_of.it.read(UPSTREAM_BIT) == [1]
        assert len(all_of.it.charge_points["CP001"].bank.site.backlog) == 0
        assert all_of.central.strays == all_of.central.violations == []


async def test_the_charge_point_stays_when_its_central_system_goes(autojump_clock: MockClock) -> None:
    async with house(BUFFER) as all_of:
        cp = await all_of.charge_point()
        await all_of.until(lambda: bool(all_of.central.calls("BootNotification")))
        session = cp.session
        for _ in range(3):
            await all_of.until(lambda: all_of.it.read(UPSTREAM_BIT) == [1])
            all_of.central.accepting = False
            await all_of.central.links["CP001"].close()
            await all_of.until(lambda: all_of.it.read(UPSTREAM_BIT) == [0])
            await trio.sleep(20)
            assert all_of.it.read(3032) == [LinkState.accepted]
            all_of.central.accepting = True
        assert session.close_codes == []


async def test_a_gateway_that_bridges_nobody_any_more_dials_nobody(autojump_clock: MockClock) -> None:
    async with house(BUFFER) as all_of:
        all_of.upstreams.places = {}
        await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        await trio.sleep(300)
        assert all_of.dialled == []
