"""`offline = "buffer"` at the edge, in virtual time: served at once, dialled again and again, told later (ocpp.md)."""

from __future__ import annotations

import itertools

import trio
from trio.testing import MockClock

from gatewayd.ocpp.telling import ASIDE_MAX_S, TOLD_TIMEOUT_S
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


async def test_a_central_system_that_hangs_is_dialled_with_growing_pauses_and_loses_nothing(
    autojump_clock: MockClock,
) -> None:
    """It takes the link and the BootNotification, and answers no StartTransaction."""
    async with house(BUFFER, first_transaction_id=4711) as all_of:
        all_of.central.accepting = False
        all_of.it.charge_points["CP001"].bank.site.decision_default = DecisionDefault.accept
        cp = await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        for _ in range(3):
            cp.plug(1)
            await cp.present_tag("TAG", 1)
            await trio.sleep(300)
            await cp.present_tag("TAG", 1)
            cp.unplug(1)
        all_of.central.script.drop("StartTransaction", acts=False)
        all_of.central.accepting = True
        times: list[float] = []
        for _ in range(8):
            before = len(all_of.dialled)
            with trio.fail_after(3 * (TOLD_TIMEOUT_S + LONGEST_PAUSE_S)):
                while len(all_of.dialled) == before:  # noqa: ASYNC110  nobody announces it
                    await trio.sleep(0.1)
            times.append(trio.current_time())
        pauses = [later - earlier - TOLD_TIMEOUT_S for earlier, later in itertools.pairwise(times)]
        assert max(pauses) > LONGEST_PAUSE_S / 2
        assert all_of.central.books == {}
        assert not all_of.central.calls("StopTransaction"), "none goes up without its start"
        all_of.central.script.forget()
        await all_of.until(lambda: len(all_of.central.books) == 3, ASIDE_MAX_S)
        theirs = sorted((each.meter_start_wh, each.meter_stop_wh) for each in all_of.central.books.values())
        assert theirs == sorted((each.meter_start_wh, each.meter_stop_wh) for each in cp.books)
        assert all_of.it.charge_points["CP001"].bank.site.backlog.lost == 0
        assert all_of.central.strays == all_of.central.violations == []


async def test_a_central_system_that_hangs_up_at_once_is_not_dialled_without_pause(autojump_clock: MockClock) -> None:
    async with house(BUFFER) as all_of:
        await all_of.charge_point()
        ends = trio.current_time() + 600
        while trio.current_time() < ends:
            for link in list(all_of.central.links.values()):
                await link.close()
            await trio.sleep(0.1)
        assert 20 <= len(all_of.dialled) <= 50
