"""`offline = "buffer"` at the edge, in virtual time: served at once, dialled again and again, told later (ocpp.md)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from gatewayd.ocpp.telling import ASIDE_MAX_S, TOLD_TIMEOUT_S
from gatewayd.services.ocpp_upstream import DIAL_TIMEOUT_S, LONGEST_PAUSE_S
from gatewayd.site.codes import DecisionDefault, LinkState, Role
from tests.services.test_ocpp_upstream import DROPPED_S, UPSTREAM_BIT, Gate, House, house
from tests.simulator.charge_point import ChargePoint

BUFFER = 'offline = "buffer"\n'


async def charging_without_a_central_system(all_of: House) -> ChargePoint:
    """For ten minutes, with leave of the gateway's decision policy."""
    all_of.it.charge_points["CP001"].bank.site.decision_default = DecisionDefault.accept
    all_of.central.accepting = False
    cp = await all_of.charge_point()
    await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
    cp.plug(1)
    await cp.present_tag("TAG", 1)
    await trio.sleep(600)
    return cp


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


async def test_a_central_system_that_is_there_answers_the_boot_itself(autojump_clock: MockClock) -> None:
    async with house(BUFFER) as all_of:
        all_of.central.boot_status = "Pending"
        await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.pending])
        await trio.sleep(300)
        assert all_of.it.read(3032) == [LinkState.pending]
        all_of.central.boot_status = "Accepted"
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted], 120)
        assert all_of.central.strays == all_of.central.violations == []


async def test_one_that_does_not_answer_the_dial_keeps_a_charge_point_waiting_no_longer_than_that(
    autojump_clock: MockClock,
) -> None:
    async def hang() -> Any:
        ours, _theirs = memory_stream_pair()
        return ours

    async with house(BUFFER, opener=hang) as all_of:
        began = trio.current_time()
        status, peer = await all_of.peer()
        assert trio.current_time() - began == pytest.approx(DIAL_TIMEOUT_S)
        assert status == 101
        assert (await peer.boot())["status"] == "Accepted"


async def test_a_live_start_that_a_hung_central_system_does_not_answer_is_answered_and_told_later(
    autojump_clock: MockClock,
) -> None:
    async with house(BUFFER) as all_of:
        all_of.it.charge_points["CP001"].bank.site.decision_default = DecisionDefault.accept
        cp = await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        all_of.central.script.drop("StartTransaction", acts=False)
        cp.plug(1)
        await cp.present_tag("TAG", 1)
        record = all_of.it.charge_points["CP001"].connectors[1]
        await all_of.until(lambda: record.open_transaction is not None)
        await trio.sleep(3600)
        all_of.central.script.forget()
        await cp.present_tag("TAG", 1)
        await all_of.until(lambda: bool(all_of.central.books), ASIDE_MAX_S + TOLD_TIMEOUT_S)
        await all_of.until(lambda: all(each.stopped_at is not None for each in all_of.central.books.values()))
        (mine,), (theirs,) = cp.books, all_of.central.books.values()
        assert (theirs.meter_start_wh, theirs.meter_stop_wh) == (mine.meter_start_wh, mine.meter_stop_wh)
        assert all_of.central.strays == all_of.central.violations == []


async def test_what_waits_is_told_after_a_change_of_the_policy_too(autojump_clock: MockClock) -> None:
    """Then the charge point goes with its central system, as that policy wants."""
    async with house(BUFFER, first_transaction_id=4711) as all_of:
        record = all_of.it.charge_points["CP001"]
        cp = await charging_without_a_central_system(all_of)
        record.buffered = False
        assert record.link is not None
        record.link.close(1012, "configuration changed")
        await trio.sleep(60)
        assert not cp.connected
        all_of.central.accepting = True
        await all_of.until(lambda: 4711 in all_of.central.books, 300)
        await cp.present_tag("TAG", 1)
        await all_of.until(lambda: all_of.central.books[4711].stopped_at is not None)
        assert len(record.bank.site.backlog) == 0
        await all_of.central.go_away()
        await all_of.until(lambda: not cp.connected, DROPPED_S)
        assert all_of.central.strays == all_of.central.violations == []


async def test_a_central_system_that_falls_silent_is_noticed_and_the_charge_point_stays(
    autojump_clock: MockClock,
) -> None:
    """A cable is pulled: no close, no reset, not one byte more."""
    gates: list[Gate] = []
    async with house(BUFFER) as all_of:

        async def open_stream(_host: str, _port: int) -> Any:
            if gates and gates[0].shut:
                await trio.sleep_forever()
            gates.append(Gate(await all_of.central.open_stream()))
            return gates[-1]

        all_of.upstreams.open_stream = open_stream
        all_of.it.charge_points["CP001"].bank.site.decision_default = DecisionDefault.accept
        cp = await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        await trio.sleep(100)
        gates[0].shut = True
        await all_of.until(lambda: all_of.it.read(UPSTREAM_BIT) == [0], DROPPED_S)
        cp.plug(1)
        assert await cp.present_tag("TAG", 1) == "Accepted"
        await trio.sleep(600)
        assert cp.connected
        gates[0].shut = False
        await all_of.until(lambda: bool(all_of.central.books), LONGEST_PAUSE_S + DIAL_TIMEOUT_S + 1)
        assert all_of.it.read(UPSTREAM_BIT) == [1]
        assert cp.session.close_codes == []


async def test_what_waits_is_told_after_the_charge_point_left_the_bridge_role_too(autojump_clock: MockClock) -> None:
    async with house(BUFFER, first_transaction_id=4711) as all_of:
        record = all_of.it.charge_points["CP001"]
        cp = await charging_without_a_central_system(all_of)
        await cp.present_tag("TAG", 1)
        await all_of.until(lambda: record.connectors[1].open_transaction is None)
        record.role, record.buffered = Role.central_system, False
        assert record.link is not None
        record.link.close(1012, "configuration changed")
        await all_of.until(lambda: cp.connected and record.registered, 300)
        await trio.sleep(300)
        assert all_of.central.books == {}
        all_of.central.accepting = True
        await all_of.until(lambda: len(record.bank.site.backlog) == 0, LONGEST_PAUSE_S + 60)
        (mine,), (theirs,) = cp.books, all_of.central.books.values()
        assert (theirs.meter_start_wh, theirs.meter_stop_wh) == (mine.meter_start_wh, mine.meter_stop_wh)
        await all_of.until(lambda: not all_of.central.links)
        dialled = len(all_of.dialled)
        await trio.sleep(300)
        assert (cp.connected, len(all_of.dialled)) == (True, dialled), "and then it is left in peace"
        assert all_of.central.strays == all_of.central.violations == []
