"""What the observers keep of what they hear, and what they are asked, in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gatewayd.config import Changes, Fault
from gatewayd.modbus.server import Server, TcpSession
from gatewayd.observers import MISFIT_EVERY_S, MISFITS_MAX, SNAPSHOT_AGE_S, SNAPSHOT_PAUSE_S, Observers, Reading
from gatewayd.ocpp.stand_in import StandIn
from gatewayd.services.front_panel import FrontPanel
from gatewayd.services.modbus_tcp import Client
from gatewayd.services.ocpp_listener.listener import End
from gatewayd.site.codes import DiskState
from gatewayd.site.refusal import Cause
from gatewayd.view.publisher import Subscriber
from gatewayd.view.requests import Do
from tests.kit import Kit

BMS = Client("192.0.2.7", 5000, 1)


class Watched:
    """A gateway in virtual time, somebody who listens to everything, and what is said on reload."""

    def __init__(self) -> None:
        self.kit = Kit()
        self.reading = Reading()
        self.observers = self.watching()
        self.ear = Subscriber()
        self.observers.publisher.enter(self.ear)
        self.listen("events", "frames", "modbus", "status")

    def watching(self) -> Observers:
        """What observes this gateway from now on."""
        return Observers(self.kit.site, FrontPanel(None), self.kit.config, "gateway.toml", self.reload, self.sign)

    async def sign(self, name: str) -> dict[str, str]:
        await trio.lowlevel.checkpoint()
        if name == "no name":
            raise ValueError("no name is no name of a host")
        return {"request": f"a request for {name}"}

    async def reload(self) -> Reading:
        await trio.lowlevel.checkpoint()
        return self.reading

    def listen(self, *streams: str) -> None:
        self.observers.publisher.subscribe(self.ear, frozenset(streams), None)

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in iter(self.ear.take, b"") for row in row.splitlines()]

    def events(self) -> list[str]:
        return [row["event"] for row in self.heard() if row["type"] == "event"]


async def test_everything_that_happens_is_told(autojump_clock: MockClock) -> None:
    it = Watched()
    cp = it.kit.site.charge_points["CP001"]
    it.observers.link(cp, None)
    it.observers.link(cp, End(1000, "bye"))
    it.kit.site.trouble("modbus_rtu", there=True)
    it.kit.site.trouble("modbus_rtu", there=False)
    it.observers.disk(DiskState.failing)
    it.observers.roster[BMS] = TcpSession(Server(it.kit.units, writes=True, on_exception=lambda _: None), BMS, 0.0)
    it.observers.clients()
    it.observers.roster.clear()
    it.observers.clients()
    it.observers.configuration_read(Reading((Fault("f", "a.b", "is wrong"),)), it.kit.config)
    told = it.heard()
    assert [row["event"] for row in told] == [
        "connected", "disconnected", "fault", "fault_over", "disk", "modbus_connected", "modbus_disconnected",
        "configuration_read",
    ]  # fmt: skip
    assert (told[1]["code"], told[1]["reason"], told[1]["identity"]) == (1000, "bye", "CP001")
    assert told[-1]["faults"] == [{"key": "a.b", "what": "is wrong"}]


async def test_a_transaction_that_ran_before_the_start_is_not_told_as_new(autojump_clock: MockClock) -> None:
    it = Watched()
    it.kit.write(18, 3)
    end = it.kit.connect()
    end.boot()
    end.send("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": it.kit.stamp()})
    it.kit.run_for(10)
    assert it.events() == ["transaction_started"]
    after_a_restart = it.watching()
    after_a_restart.publisher.enter(it.ear)
    after_a_restart.publisher.subscribe(it.ear, frozenset({"events"}), None)
    number = it.kit.site.charge_points["CP001"].connectors[1].transaction
    assert number is not None
    stop = {"transactionId": number.id, "meterStop": 5, "timestamp": it.kit.stamp()}
    end.send("StopTransaction", stop)
    assert it.events() == ["transaction_stopped"]


async def test_a_client_that_polls_in_vain_is_told_of_now_and_then(autojump_clock: MockClock) -> None:
    it = Watched()
    server = Server(
        it.kit.units, writes=False, on_exception=it.observers.exception, exchanges=it.observers.exchanges["tcp"]
    )
    it.listen("events")
    for _ in range(50):
        server.answer_tcp(99, b"\x03\0\0\0\1", BMS, 0.0)
        server.answer_tcp(1, b"\x06\0\x09\0\1", BMS, 0.0)
    assert [row["cause"] for row in it.heard()] == ["wrong_unit_id", "writes_off"]
    await trio.sleep(MISFIT_EVERY_S)
    server.answer_tcp(98, b"\x03\0\0\0\1", BMS, 0.0)
    (told,) = it.heard()
    assert (told["why"], told["address"]) == ("it asks for unit id 98", "192.0.2.7")
    assert it.kit.site.refusals.counts[Cause.wrong_unit_id] == 2
    assert it.observers.exceptions == {0x0B: 51, 1: 50}
    for number in range(3 * MISFITS_MAX):
        it.observers.misfit(Cause.wrong_unit_id, Client(f"192.0.2.{number}", 1, number), "")
    assert len(it.observers._misfits) == MISFITS_MAX


async def test_a_snapshot_is_made_anew_when_it_must_and_not_more_often_than_it_may(autojump_clock: MockClock) -> None:
    it = Watched()
    first = await it.observers.snapshot()
    assert await it.observers.snapshot() is first
    began = trio.current_time()
    it.kit.site.trouble("disk", there=True)
    second = json.loads(await it.observers.snapshot())
    assert second["gateway"]["faults"] == ["disk"]
    assert trio.current_time() - began == pytest.approx(SNAPSHOT_PAUSE_S)
    await trio.sleep(SNAPSHOT_AGE_S)
    third = json.loads(await it.observers.snapshot())
    assert third["time"] > second["time"]


async def test_a_flood_of_events_makes_five_snapshots_a_second(autojump_clock: MockClock) -> None:
    it = Watched()
    made = set()
    began = trio.current_time()
    while trio.current_time() < began + 2:
        it.kit.site.trouble("disk", there=not it.kit.site.troubles)
        made.add(await it.observers.snapshot())
    assert 10 <= len(made) <= 12  # sums of 0.2 s are not whole seconds


async def test_what_is_asked_is_done_and_answered(autojump_clock: MockClock) -> None:
    it = Watched()
    act = it.observers._act
    assert (await act(Do("disconnect")))["error"]
    assert (await act(Do("disconnect", 9)))["error"] == "charge point 9 is not connected"
    assert not (await act(Do("disconnect", 1)))["ok"]
    end = it.kit.connect()
    end.boot()
    assert (await act(Do("disconnect", 1, "x"))) == {"type": "answer", "do": "disconnect", "id": "x", "ok": True}
    end.frames()
    assert end.closed == (1012, "closed by hand")
    it.reading = Reading((Fault("f", "a", "b"),), Changes(frozenset({2}), frozenset({"ocpp"})))
    answer = await act(Do("reload"))
    assert (answer["ok"], answer["faults"]) == (False, [{"key": "a", "what": "b"}])
    assert (await act(Do("identify")))["ok"]
    assert it.observers._lights()["identify"]
    await trio.sleep(10)
    assert not it.observers._lights()["identify"]


async def test_a_stand_in_has_no_connection_that_could_be_closed(autojump_clock: MockClock) -> None:
    it = Watched()
    cp = it.kit.site.charge_points["CP001"]
    end = it.kit.connect()
    StandIn(cp, end.session).start(it.kit.now)
    cp.stand_in = StandIn(cp, end.session)
    assert "simulated" in (await it.observers._act(Do("disconnect", 1)))["error"]


async def test_servers_look_up_who_looks_on_only_while_somebody_does(autojump_clock: MockClock) -> None:
    it = Watched()
    over = it.observers.exchanges["tcp"]
    assert over.onlooker is not None
    it.listen("events")
    assert over.onlooker is None
    it.listen("modbus")
    server = Server(it.kit.units, writes=True, on_exception=lambda _: None, exchanges=over)
    server.answer_tcp(1, b"\x03\0\0\0\1", BMS, 0.0)
    (told,) = it.heard()
    assert (told["type"], told["answer"], told["client"]) == ("modbus", "03024f43", "192.0.2.7")


async def test_a_request_for_a_certificate_comes_back_or_why_there_is_none() -> None:
    it = Watched()
    told = await it.observers._act(Do("signing_request", name="a.example"))
    assert (told["ok"], told["request"]) == (True, "a request for a.example")
    told = await it.observers._act(Do("signing_request", name="no name"))
    assert (told["ok"], told["error"]) == (False, "no name is no name of a host")
