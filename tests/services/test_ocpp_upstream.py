"""The bridge's edge in virtual time: simulated charge points, our listener, a simulated central system (ocpp.md)."""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from gatewayd import bridging, config
from gatewayd.ocpp.upstream_place import Place
from gatewayd.services import ocpp_upstream
from gatewayd.services.ocpp_upstream import (
    CLOSE_TIMEOUT_S,
    DEAD_S,
    DIAL_TIMEOUT_S,
    LONGEST_PAUSE_S,
    PING_INTERVAL_S,
    Upstreams,
)
from gatewayd.site.codes import LinkState
from tests.services.ocpp_peer import TEXT, Peer, Stand, basic, frame, request, stand
from tests.simulator.central_system import CentralSystem
from tests.simulator.charge_point import ChargePoint, Traits
from tests.simulator.clock import Clock

URL = "ws://central.example:9000/steve/ocpp/"
TOML = f'[gateway]\nrole = "bridge"\n[ocpp.upstream]\nurl = "{URL}"\n'
DROPPED_S = 10.0
"""Within this long the charge point is dropped when its central system goes (ocpp.md, Bridge)."""
UPSTREAM_BIT = 3007
HEARTBEAT = '[2,"h 1","Heartbeat", {}]'


def no_tls(_papers: config.OcppUpstream) -> ssl.SSLContext:
    raise ValueError("no TLS here")


@dataclass
class House:
    """Charge points dial `it`, which dials `central`."""

    it: Stand
    upstreams: Upstreams
    central: CentralSystem
    nursery: trio.Nursery
    dialled: list[tuple[str, int]] = field(default_factory=list)
    frozen: bool = False

    async def charge_point(self, identity: str = "CP001", **options: Any) -> ChargePoint:
        async def dial() -> trio.abc.HalfCloseableStream:
            return (await self.it.dial()).stream

        made = ChargePoint(identity, dial, clock=self.central.clock, **options)
        await self.nursery.start(made.run)
        return made

    async def peer(self, identity: str = "CP001", **headers: bytes) -> tuple[int, Peer]:
        """A raw charge point, and the status of its handshake."""
        peer = await self.it.dial()
        return await peer.upgrade(request(b"/ocpp/" + identity.encode(), **headers)), peer

    async def until(self, true: Callable[[], bool], timeout_s: float = 60.0) -> None:
        await self.central.until(true, timeout_s)


@asynccontextmanager
async def house(more: str = "", *, charge_points: int = 1, opener: Any = None, **central: Any) -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        parsed = config.parse(TOML + more + _charge_points(more, charge_points), "house.toml")
        system = CentralSystem(clock=Clock(), **central)
        await nursery.start(system.run)
        dialled: list[tuple[str, int]] = []

        async def open_stream(host: str, port: int) -> Any:
            dialled.append((host, port))
            return await (opener() if opener else system.open_stream())

        upstreams = Upstreams(
            bridging.places(parsed), no_tls, max_message_bytes=262144, open_stream=open_stream, random=Random(1)
        )
        it = await stand(nursery, TOML + more, charge_points=charge_points, upstreams=upstreams)
        yield House(it, upstreams, system, nursery, dialled)
        nursery.cancel_scope.cancel()


def _charge_points(toml: str, count: int) -> str:
    return "".join(
        f'\n[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\n'
        for number in range(1, count + 1)
        if f'"CP{number:03}"' not in toml
    )


# --- getting through ----------------------------------------------------------------------------------------------


async def test_a_charge_point_works_with_its_central_system_through_the_bridge(autojump_clock: MockClock) -> None:
    async with house(first_transaction_id=4711) as all_of:
        cp = await all_of.charge_point()
        await all_of.until(lambda: bool(all_of.central.calls("BootNotification")))
        assert all_of.dialled == [("central.example", 9000)]
        assert all_of.central.requests[0].path == "/steve/ocpp/CP001"
        assert all_of.central.requests[0].proposed_subprotocols == ("ocpp1.6",)
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        cp.plug(1)
        await cp.present_tag("TAG", 1)
        await all_of.until(lambda: bool(all_of.central.books))
        await trio.sleep(300)
        record = all_of.it.charge_points["CP001"].connectors[1].open_transaction
        assert record is not None
        assert record.id == 4711
        assert record.energy_wh > 0
        await cp.present_tag("TAG", 1)
        await all_of.until(lambda: all_of.central.books[4711].stopped_at is not None)
        booked = all_of.central.books[4711]
        assert not record.open
        assert record.energy_wh == (booked.meter_stop_wh or 0) - booked.meter_start_wh
        assert all_of.central.strays == all_of.central.violations == []


async def test_the_central_system_reaches_the_charge_point(autojump_clock: MockClock) -> None:
    async with house() as all_of:
        await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        answer = await all_of.central.call("CP001", "GetConfiguration", {"key": ["HeartbeatInterval"]})
        assert answer["configurationKey"][0]["value"] == "60"
        assert await all_of.central.call("CP001", "Reset", {"type": "Soft"}) == {"status": "Accepted"}


async def test_bytes_pass_as_they_are(autojump_clock: MockClock) -> None:
    """Spaces, unknown actions and texts that are no JSON included."""
    async with house() as all_of:
        seen: list[str] = []
        all_of.central.trace = lambda direction, text: seen.append(text) if direction == "received" else None
        status, peer = await all_of.peer()
        assert status == 101
        texts = [HEARTBEAT, '[2,"v","Vendor.Thing",{"b":1.0, "a":"\\u00e9 é"}]', "[not json", '{"a": 1}']
        for text in texts:
            await peer.send(frame(TEXT, text.encode()))
        await all_of.until(lambda: len(seen) >= len(texts))
        assert seen[: len(texts)] == texts


async def test_credentials_are_passed_on(autojump_clock: MockClock) -> None:
    async with house(passwords={"CP001": "secret"}) as all_of:
        assert (await all_of.peer(Authorization=basic("CP001", "secret")))[0] == 101
        assert all_of.central.links.keys() == {"CP001"}


async def test_wrong_credentials_are_the_central_systems_to_refuse(autojump_clock: MockClock) -> None:
    async with house(passwords={"CP001": "secret"}) as all_of:
        assert (await all_of.peer(Authorization=basic("CP001", "guess")))[0] == 503
        (refused,) = all_of.it.refused
        assert refused == ("CP001", "its central system at central.example:9000: it refused with 401", 503)


async def test_another_name_and_password_upstream(autojump_clock: MockClock) -> None:
    more = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\npassword = "here"\n'
    more += 'upstream_identity = "ES*A 7"\nupstream_password = "there"\n'.replace(" 7", "-7")
    async with house(more, passwords={"ES*A-7": "there"}) as all_of:
        assert (await all_of.peer(Authorization=basic("CP001", "here")))[0] == 101
        assert all_of.central.requests[0].path == "/steve/ocpp/ES%2AA-7"


async def test_another_name_with_the_charge_points_own_password(autojump_clock: MockClock) -> None:
    more = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\nupstream_identity = "OTHER"\n'
    async with house(more, passwords={"OTHER": "its own"}) as all_of:
        assert (await all_of.peer(Authorization=basic("CP001", "its own")))[0] == 101


def test_where_a_place_is() -> None:
    place = Place("wss://[::1]:9443/a/b//?tenant=x", "é/1")
    assert (place.address, place.host, place.encrypted) == (("::1", 9443), "[::1]:9443", True)
    assert place.resource == "/a/b/%C3%A9%2F1?tenant=x"
    assert Place("ws://host", "A").address == ("host", 80)
    assert Place("ws://host", "A").resource == "/A"
    assert Place("wss://host/", "A").address == ("host", 443)


# --- the central system is away -----------------------------------------------------------------------------------


async def test_nobody_is_let_in_while_the_central_system_is_away(autojump_clock: MockClock) -> None:
    async with house() as all_of:
        all_of.central.accepting = False
        status, _ = await all_of.peer()
        assert status == 503
        assert all_of.it.read(UPSTREAM_BIT) == [0]
        assert all_of.it.links == []


async def test_a_central_system_that_is_silent_is_given_up(autojump_clock: MockClock) -> None:
    async def hang() -> Any:
        ours, _theirs = memory_stream_pair()
        return ours

    async with house(opener=hang) as all_of:
        began = trio.current_time()
        assert (await all_of.peer())[0] == 503
        assert trio.current_time() - began == pytest.approx(DIAL_TIMEOUT_S)


async def test_what_is_no_websocket_server_is_refused(autojump_clock: MockClock) -> None:
    async def rude() -> Any:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(b"SSH-2.0-OpenSSH\r\n\x00\xff")
        await theirs.send_eof()
        return ours

    async with house(opener=rude) as all_of:
        for _ in range(3):
            with trio.fail_after(1):
                assert (await all_of.peer())[0] == 503
            await trio.sleep(LONGEST_PAUSE_S)


async def test_one_that_closes_without_an_answer_is_not_waited_for(autojump_clock: MockClock) -> None:
    async def gone() -> Any:
        ours, theirs = memory_stream_pair()
        await theirs.aclose()
        return ours

    async with house(opener=gone) as all_of:
        with trio.fail_after(1):
            assert (await all_of.peer())[0] == 503
        assert all_of.it.refused[0][1].endswith("it closed without an answer")


async def test_when_it_goes_the_charge_point_goes(autojump_clock: MockClock) -> None:
    async with house() as all_of:
        _, peer = await all_of.peer()
        assert all_of.it.read(UPSTREAM_BIT) == [1]
        await all_of.until(lambda: "CP001" in all_of.central.links)
        began = trio.current_time()
        await all_of.central.go_away()
        assert await peer.close_code() == 1001
        assert trio.current_time() - began < DROPPED_S
        assert all_of.it.read(UPSTREAM_BIT) == [0]


async def test_one_that_falls_silent_is_noticed_in_time(autojump_clock: MockClock) -> None:
    """A cable is pulled: no close, no reset, not one byte more."""
    gates: list[Gate] = []

    async with house() as all_of:

        async def opener() -> Any:
            gates.append(Gate(await all_of.central.open_stream()))
            return gates[-1]

        async def open_stream(_host: str, _port: int) -> Any:
            return await opener()

        all_of.upstreams.open_stream = open_stream
        cp = await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        await trio.sleep(100)
        assert cp.connected
        gates[0].shut = True
        began = trio.current_time()
        await all_of.until(lambda: not cp.connected, 3 * DROPPED_S)
        assert DEAD_S - PING_INTERVAL_S < trio.current_time() - began < DROPPED_S


async def test_one_that_falls_silent_before_its_first_pong_is_known_from_earlier_links(
    autojump_clock: MockClock,
) -> None:
    """The line is dead as soon as the WebSocket is up. Twice in a row: then it may be one that never answers a ping."""
    gates: list[Gate] = []
    async with house() as all_of:

        async def open_stream(_host: str, _port: int) -> Any:
            gates.append(Gate(await all_of.central.open_stream(), head_only=bool(gates)))
            return gates[-1]

        all_of.upstreams.open_stream = open_stream
        cp = await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        await trio.sleep(100)
        await all_of.central.links["CP001"].close()
        lasted: list[float] = []
        for _ in range(2):
            await cp.until(lambda: not cp.connected)
            await cp.until(lambda: cp.connected, look_every_s=0.01)
            began = trio.current_time()
            with trio.move_on_after(3 * DROPPED_S):
                await cp.until(lambda: not cp.connected)
            lasted.append(trio.current_time() - began)
        assert lasted[0] < DROPPED_S
        assert lasted[1] >= 3 * DROPPED_S


class Gate(trio.abc.Stream):
    """A stream that can be cut without anybody being told; with `head_only`, once something came."""

    def __init__(self, stream: Any, *, head_only: bool = False) -> None:
        self.stream, self.shut, self._head_only = stream, False, head_only

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await self.stream.receive_some(max_bytes)
        if self.shut:
            await trio.sleep_forever()
        self.shut = self._head_only
        return bytes(data)

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()
        if not self.shut:
            await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self.stream.aclose()


async def test_dials_are_spaced_and_spread(autojump_clock: MockClock) -> None:
    """A charge point that dials once a second does not have its central system dialled once a second."""
    async with house(charge_points=2) as all_of:
        all_of.central.accepting = False
        times: list[float] = []
        for _ in range(300):
            before = len(all_of.dialled)
            assert (await all_of.peer())[0] == 503
            if len(all_of.dialled) > before:
                times.append(trio.current_time())
            await trio.sleep(1)
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(pauses) <= LONGEST_PAUSE_S + 1.1
        assert 10 <= len(times) <= 30
        assert len({round(pause, 3) for pause in pauses[6:]}) > 2, "no two pauses need be alike"
        assert (await all_of.peer("CP002"))[0] == 503
        assert len(all_of.dialled) == len(times) + 1, "another charge point's pause is its own"


async def test_when_it_comes_back_everything_goes_on(autojump_clock: MockClock) -> None:
    async with house() as all_of:
        cp = await all_of.charge_point()
        await all_of.until(lambda: all_of.it.read(3032) == [LinkState.accepted])
        cp.plug(1)
        await cp.present_tag("TAG", 1)
        await all_of.until(lambda: bool(all_of.central.books))
        await all_of.central.go_away()
        await trio.sleep(600)
        assert not cp.connected
        all_of.central.come_back()
        await all_of.until(lambda: cp.connected, 300)
        await cp.present_tag("TAG", 1)
        (booked,) = all_of.central.books.values()
        await all_of.until(lambda: booked.stopped_at is not None, 300)
        record = all_of.it.charge_points["CP001"].connectors[1].transaction
        assert record is not None
        assert (record.id, record.meter_stop_wh) == (booked.transaction_id, booked.meter_stop_wh)


# --- the charge point goes ----------------------------------------------------------------------------------------


async def test_when_the_charge_point_goes_its_place_upstream_is_free(autojump_clock: MockClock) -> None:
    async with house() as all_of:
        _, peer = await all_of.peer()
        await peer.send(frame(TEXT, HEARTBEAT.encode()))
        await peer.stream.aclose()
        await all_of.until(lambda: not all_of.central.links, CLOSE_TIMEOUT_S + 1)
        assert len(all_of.central.calls("Heartbeat")) == 1, "its last word still went up"
        assert (await all_of.peer())[0] == 101, "that was no failure of the central system's"


class OneOfAName(dict[str, int]):
    """What a central system refuses that takes no second link of a name while it has one."""

    central: CentralSystem

    def get(self, identity: str, otherwise: Any = None) -> Any:
        return 409 if identity in self.central.links else otherwise


@pytest.mark.parametrize("password", ["", "its own"])
async def test_a_newcomer_takes_over_its_place_upstream_too(autojump_clock: MockClock, password: str) -> None:
    more = f'[[charge_point]]\nnumber = 1\nidentity = "CP001"\npassword = "{password}"\n'
    who = {"Authorization": basic("CP001", password)} if password else {}
    async with house(more) as all_of:
        all_of.central.refuse = refuse = OneOfAName()
        refuse.central = all_of.central
        _, half_open = await all_of.peer("CP001", **who)  # answers no ping from here on
        status, peer = await all_of.peer("CP001", **who)
        assert status == 101
        await peer.send(frame(TEXT, HEARTBEAT.encode()))
        assert (await peer.message())[:2] == [3, "h 1"]
        assert await half_open.close_code() is not None
        assert all_of.it.read(UPSTREAM_BIT) == [1]


async def test_a_charge_point_that_reads_nothing_holds_nothing_up_for_others(autojump_clock: MockClock) -> None:
    async with house(charge_points=2) as all_of:
        await all_of.peer("CP001")
        cp = await all_of.charge_point("CP002")
        await all_of.until(lambda: "CP002" in all_of.central.links)
        for _ in range(3):
            assert await all_of.central.call("CP002", "ClearCache", {}) == {"status": "Accepted"}
        assert cp.connected


async def test_many_frames_pass_in_order_and_no_queue_stays(autojump_clock: MockClock) -> None:
    async with house() as all_of:
        _, peer = await all_of.peer()
        got: list[str] = []
        for number in range(400):
            await peer.send(frame(TEXT, json.dumps([2, f"n{number}", "Heartbeat", {}]).encode()))
            got.append((await peer.message())[1])
        assert got == [f"n{number}" for number in range(400)]
        bridge: Any = all_of.it.charge_points["CP001"].link
        assert len(bridge.words) == len(bridge.upstream_words) == len(bridge.said) == 0


# --- weather ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_a_central_system_that_flaps_loses_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Six virtual hours: it goes and comes, answers late, answers twice, for three charge points that charge.

    Pings come rarely: no link dies without a word here, and they would be three quarters of all that is said.
    """
    monkeypatch.setattr(ocpp_upstream, "PING_INTERVAL_S", 10 * PING_INTERVAL_S)
    monkeypatch.setattr(ocpp_upstream, "DEAD_S", 10 * DEAD_S)
    random = Random(seed)
    async with house(charge_points=3, seed=seed) as all_of:
        names = ["CP001", "CP002", "CP003"]
        configuration = {"TransactionMessageAttempts": "1000", "TransactionMessageRetryInterval": "10"}
        points = [
            await all_of.charge_point(name, seed=seed, configuration=configuration, traits=Traits(step_s=60.0))
            for name in names
        ]
        all_of.central.script.delay("StopTransaction", 20.0, times=10)
        for _ in range(24):
            for point in points:
                if point.transaction(1) is None:
                    point.plug(1)
                    point.present_tag_soon("TAG", 1)
                else:
                    point.present_tag_soon("TAG", 1)
                    point.unplug(1)
            await trio.sleep(random.uniform(60, 600))
            if random.random() < 0.6:
                await all_of.central.go_away(random.choice([1000, 1001, 1011]))
                await trio.sleep(random.uniform(1, 900))
                all_of.central.come_back()
            for link in list(all_of.central.links.values()):
                if random.random() < 0.3:
                    await link.cut()
        for point in points:
            point.unplug(1)
        books = [book for point in points for book in point.books]
        assert books
        await all_of.until(lambda: all(point.connected for point in points), 600)
        await all_of.until(lambda: all(book.stopped_at is not None for book in all_of.central.books.values()), 3600)
        await trio.sleep(600)
        theirs = sorted((b.identity, b.meter_start_wh, b.meter_stop_wh) for b in all_of.central.books.values())
        ours = sorted(
            (name, t.meter_start_wh, t.meter_stop_wh)
            for name in names
            for t in all_of.it.charge_points[name].transactions._known.values()
        )
        assert theirs
        assert ours == theirs, "to the Wh"
        for name in names:
            bridge: Any = all_of.it.charge_points[name].link
            assert len(bridge.words) == len(bridge.upstream_words) == 0


async def test_an_answer_that_comes_twice_passes_once_and_counts_once(autojump_clock: MockClock) -> None:
    async with house() as all_of:
        _, peer = await all_of.peer()
        link = await all_of.central.connected("CP001")
        stamp = "2026-01-01T00:00:00Z"
        start = {"connectorId": 1, "idTag": "T", "meterStart": 5, "timestamp": stamp}
        await peer.send(frame(TEXT, json.dumps([2, "s", "StartTransaction", start]).encode()))
        answer = await peer.message()
        await link.send_raw(json.dumps(answer))
        await peer.send(frame(TEXT, b'[2,"next","Heartbeat",{}]'))
        assert (await peer.message())[1] == "next"
        charge_point = all_of.it.charge_points["CP001"]
        assert [each.id for each in charge_point.transactions.open()] == [answer[2]["transactionId"]]
        assert charge_point.connectors[1].session_count == 0
