"""The OCPP listener in virtual time: who may connect, how links live and end, and rude peers (ocpp.md)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked

from gatewayd.ocpp import central
from gatewayd.ocpp.lockout import TRIES
from gatewayd.ocpp.session import Session
from gatewayd.services.ocpp_listener import SessionBug
from gatewayd.services.ocpp_listener.admission import HEAD_TIMEOUT_S
from gatewayd.services.ocpp_listener.link import (
    CLOSE_TIMEOUT_S,
    DUPLICATE_PROOF_S,
    DURABLE_WAIT_S,
    LAST_WORDS_S,
    PINGS_OPEN_MAX,
    SEND_TIMEOUT_S,
    WORDS_MAX,
)
from gatewayd.services.ocpp_listener.listener import HALF_OPEN_MAX, LINGER_BYTES
from gatewayd.services.ocpp_listener.peer_log import LOG_BURST
from gatewayd.site.codes import LinkState, QuirkBits, Status
from gatewayd.site.quirk_profile import QuirkProfile
from gatewayd.site.reading_pace import WAIT_MAX_S
from tests.ocpp.test_handshake import QUICK
from tests.services.ocpp_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    Peer,
    Stand,
    basic,
    frame,
    request,
    stand,
)

CONNECTED, REGISTERED, COMM_ERROR, ALLOWED, LINK_STATE, PROFILE, QUIRKS, ROUND_TRIP = (
    3000, 3001, 3004, 3016, 3032, 3042, 3044, 3052,
)  # fmt: skip
HEARTBEAT = b'[2,"h","Heartbeat",{}]'
PASSWORD = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\npassword = "secret"\n'


@asynccontextmanager
async def standing(toml: str = "", **more: Any) -> AsyncIterator[Stand]:
    async with trio.open_nursery() as nursery:
        yield await stand(nursery, toml, **more)
        nursery.cancel_scope.cancel()


async def still_serves(it: Stand, identity: str = "CP001") -> None:
    """A well-behaved charge point gets in and is answered."""
    peer = await it.connect(identity)
    assert (await peer.boot())["status"] == "Accepted"


async def answering(peer: Peer) -> None:
    """Answer every ping until the end."""
    try:
        while True:
            opcode, payload = await peer.frame()
            if opcode == PING:
                await peer.send(frame(PONG, payload))
    except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
        pass


class TestWhoMayConnect:
    async def test_a_configured_identity_and_what_shows_of_it(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.dial()
            await peer.send(request(b"/any/prefix/CP001"))
            status, headers = await peer.response()
            assert (status, headers[b"sec-websocket-protocol"]) == (101, b"ocpp1.6")
            assert b"sec-websocket-extensions" not in headers
            assert it.read(CONNECTED, 2) == [1, 0]
            assert it.links == [1]
            await peer.boot()
            assert it.read(CONNECTED, 2) == [1, 1]
            assert it.read(LINK_STATE) == [LinkState.accepted]
            await peer.send(frame(CLOSE, b"\x03\xe8"))
            assert await peer.close_code() == 1000
            await wait_all_tasks_blocked()
            assert it.read(CONNECTED, 2) == [0, 0]
            assert it.links == [1, 0]

    @pytest.mark.parametrize(
        ("path", "status", "why"),
        [
            (b"/ocpp/CP999", 404, "no charge point of this identity"),
            (b"/ocpp/cp001", 404, "no charge point of this identity"),
            (b"/ocpp/CP001/serial", 404, "no charge point of this identity"),
            (b"/", 404, "no charge point of this identity"),
            (b"/ocpp/CP%GG", 400, "percent encoding"),
            (b"/ocpp/%ff", 400, "no UTF-8"),
        ],
    )
    async def test_others_are_told_why_not(self, path: bytes, status: int, why: str, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.dial()
            assert await peer.upgrade(request(path)) == status
            assert why in bytes(peer.received).decode() + it.refused[0][1]
            assert it.refused[0][2] == status
            await peer.stream.aclose()
            await still_serves(it)

    async def test_a_stranger_is_named_for_adoption(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            await (await it.dial()).upgrade(request(b"/ocpp/RDAM%20123"))
            assert it.refused == [("RDAM 123", "no charge point of this identity is configured", 404)]

    async def test_one_that_is_not_allowed_is_refused(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            it.write(ALLOWED, 0)
            assert await (await it.dial()).upgrade() == 403
            it.write(ALLOWED, 1)
            await still_serves(it)

    async def test_one_that_is_not_allowed_any_more_is_closed_with_1008(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            await peer.boot()
            it.write(ALLOWED, 0)
            with trio.fail_after(1):
                opcode = PING
                while opcode != CLOSE:
                    opcode, payload = await peer.frame()
            assert int.from_bytes(payload[:2], "big") == 1008
            await peer.send(frame(CLOSE, payload))
            await peer.close_code()
            await wait_all_tasks_blocked()
            assert it.read(CONNECTED) == [0]
            assert await (await it.dial()).upgrade() == 403

    async def test_without_a_common_subprotocol_the_handshake_completes_and_is_closed(
        self, autojump_clock: MockClock
    ) -> None:
        async with standing() as it:
            for head in (request(without=b"Sec-WebSocket-Protocol"), request(Sec_WebSocket_Protocol=b"ocpp2.0.1")):
                peer = await it.dial()
                await peer.send(head)
                status, headers = await peer.response()
                assert (status, headers.get(b"sec-websocket-protocol")) == (101, None)
                assert await peer.close_code() == 1002
                assert it.read(CONNECTED) == [0]
            assert it.read(QUIRKS) == [QuirkBits.no_subprotocol]
            assert {status for _, _, status in it.refused} == {101}

    async def test_it_does_not_disturb_the_link_that_lives(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            good = await it.connect()
            peer = await it.dial()
            assert await peer.upgrade(request(without=b"Sec-WebSocket-Protocol")) == 101
            assert await peer.close_code() == 1002
            assert (await good.boot())["status"] == "Accepted"

    async def test_unless_its_quirk_profile_assumes_ours(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            it.charge_points["CP001"].take_quirks(QuirkProfile(assume_subprotocol=True))
            peer = await it.dial()
            await peer.send(request(without=b"Sec-WebSocket-Protocol"))
            status, headers = await peer.response()
            assert (status, headers.get(b"sec-websocket-protocol")) == (101, None)
            assert (await peer.boot())["status"] == "Accepted"
            assert it.read(QUIRKS)[0] & QuirkBits.no_subprotocol

    async def test_odd_requests_are_tolerated_and_noted(self, autojump_clock: MockClock) -> None:
        toml = '[[charge_point]]\nnumber = 1\nidentity = "charge point"'
        async with standing(toml, charge_points=0) as it:
            peer = await it.dial()
            assert await peer.upgrade(request(b"/ocpp///charge point", without=b"Connection")) == 101
            assert (await peer.boot())["status"] == "Accepted"
            assert it.read(QUIRKS)[0] & QuirkBits.identity_encoding
            assert it.read(QUIRKS)[0] & QuirkBits.other


class TestPassword:
    @pytest.mark.parametrize("password", ["secret", b"secret".hex(), b"secret".hex().upper()])
    async def test_the_right_one_in_any_form(self, password: str, autojump_clock: MockClock) -> None:
        async with standing(PASSWORD) as it:
            peer = await it.connect(Authorization=basic("CP001", password))
            await peer.boot()
            assert it.read(PROFILE) == [1]

    @pytest.mark.parametrize(
        "authorization",
        [None, b"", b"Basic", b"Bearer x", basic("CP001", "wrong"), basic("CP001", ""), basic("CP002", "secret"),
         basic("cp001", "secret"), basic("", "secret"), basic("CP001", b"\xff\xfe")],
    )  # fmt: skip
    async def test_a_missing_or_wrong_one(self, authorization: bytes | None, autojump_clock: MockClock) -> None:
        async with standing(PASSWORD) as it:
            peer = await it.dial()
            await peer.send(request() if authorization is None else request(Authorization=authorization))
            status, headers = await peer.response()
            assert (status, headers[b"www-authenticate"]) == (401, b'Basic realm="ocpp"')
            assert it.read(CONNECTED) == [0]

    async def test_the_user_is_compared_after_decoding(self, autojump_clock: MockClock) -> None:
        toml = '[[charge_point]]\nnumber = 1\nidentity = "RDAM 123"\npassword = "secret"\n'
        async with standing(toml, charge_points=0) as it:
            for user in ("RDAM 123", "RDAM%20123"):
                peer = await it.dial()
                assert await peer.upgrade(request(b"/RDAM%20123", Authorization=basic(user, "secret"))) == 101

    async def test_where_none_is_set_none_is_looked_at(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            await it.connect(Authorization=basic("whoever", "whatever"))
            assert it.read(PROFILE) == [0]

    async def test_who_guesses_has_to_wait_even_if_right(self, autojump_clock: MockClock) -> None:
        async with standing(PASSWORD) as it:
            for number in range(TRIES):
                assert await (await it.dial()).upgrade(request(Authorization=basic("CP001", f"{number}"))) == 401
            peer = await it.dial()
            await peer.send(request(Authorization=basic("CP001", "secret")))
            status, headers = await peer.response()
            assert (status, headers[b"retry-after"]) == (429, b"60")
            await trio.sleep(61)
            await it.connect(Authorization=basic("CP001", "secret"))

    async def test_guessing_in_parallel_is_no_faster(self, autojump_clock: MockClock) -> None:
        async with standing(PASSWORD) as it:
            statuses: list[int] = []

            async def guess(number: int) -> None:
                peer = await it.dial()
                statuses.append(await peer.upgrade(request(Authorization=basic("CP001", f"{number}"))))

            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(guess, number)
            assert (statuses.count(401), statuses.count(429)) == (TRIES, 100 - TRIES)

    async def test_to_come_without_one_is_no_guess(self, autojump_clock: MockClock) -> None:
        async with standing(PASSWORD) as it:
            for _ in range(3 * TRIES):
                assert await (await it.dial()).upgrade() == 401
            await it.connect(Authorization=basic("CP001", "secret"))

    async def test_a_hash_is_understood(self) -> None:
        async with standing(PASSWORD.replace("secret", QUICK.hash("secret"))) as it:
            peer = await it.dial()
            assert await peer.upgrade(request(Authorization=basic("CP001", "wrong"))) == 401
            await peer.stream.aclose()
            peer = await it.connect(Authorization=basic("CP001", "secret"))


class TestSlowHandshakes:
    @pytest.mark.parametrize("dripping", [b"", b"G", b"X: y\r\n"])
    async def test_are_cut_after_five_seconds(self, dripping: bytes, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.dial()
            began = trio.current_time()
            status = 0

            async def drip() -> None:
                await peer.send(b"GET /ocpp/CP001 HTTP/1.1\r\n")
                while True:
                    await trio.sleep(0.5)
                    await peer.send(dripping)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip)
                status, _ = await peer.response()
                assert trio.current_time() - began == HEAD_TIMEOUT_S
                nursery.cancel_scope.cancel()
            assert status == 408
            assert await peer.close_code() is None
            assert trio.current_time() - began <= HEAD_TIMEOUT_S + CLOSE_TIMEOUT_S

    async def test_a_head_without_end_is_refused_and_not_kept(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            ours, theirs = lockstep_stream_pair()
            it.nursery.start_soon(it.listener.connection, theirs)
            peer, sent = Peer(ours), 0

            async def pour() -> None:
                nonlocal sent
                with suppress(trio.BrokenResourceError):
                    await peer.send(b"GET /ocpp/CP001 HTTP/1.1\r\nX: ")
                    while sent < 1 << 30:
                        await peer.send(b"x" * 65536)
                        sent += 65536

            async with trio.open_nursery() as nursery:
                nursery.start_soon(pour)
                assert (await peer.response())[0] == 431
            assert sent < 4 << 20
            await still_serves(it)

    async def test_of_too_many_the_oldest_goes(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peers = [await it.dial() for _ in range(HALF_OPEN_MAX)]
            await wait_all_tasks_blocked()
            await still_serves(it)
            assert await peers[0].gone()
            with trio.move_on_after(0) as alive:
                await peers[1].gone()
            assert alive.cancelled_caught

    async def test_a_request_in_one_byte_pieces_is_fine(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.dial()
            for byte in request():
                await peer.send(bytes((byte,)))
            assert (await peer.response())[0] == 101

    async def test_a_frame_right_behind_the_request_is_not_lost(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.dial()
            assert await peer.upgrade(request() + frame(TEXT, HEARTBEAT)) == 101
            assert (await peer.message())[:2] == [3, "h"]


class TestDuplicates:
    async def test_with_a_password_the_newcomer_wins_at_once(self, autojump_clock: MockClock) -> None:
        async with standing(PASSWORD) as it:
            old = await it.connect(Authorization=basic("CP001", "secret"))
            await old.boot()
            began = trio.current_time()
            new = await it.connect(Authorization=basic("CP001", "secret"))
            assert trio.current_time() == began
            assert it.read(CONNECTED, 2) == [1, 0]
            assert await old.close_code() == 1001
            assert (await new.boot())["status"] == "Accepted"
            assert it.read(CONNECTED, 2) == [1, 1]
            assert it.links[-1] == 1

    async def test_without_one_who_answers_a_ping_stays(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            old = await it.connect()
            it.nursery.start_soon(answering, old)
            await trio.sleep(10)
            newcomer = await it.dial()
            assert await newcomer.upgrade() == 409
            assert it.read(CONNECTED) == [1]
            await trio.sleep(600)
            assert it.read(CONNECTED) == [1]

    async def test_any_frame_is_a_sign_of_life(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            old = await it.connect()

            async def chatter() -> None:
                while True:
                    await trio.sleep(4)
                    await old.send(frame(TEXT, HEARTBEAT))

            it.nursery.start_soon(chatter)
            await trio.sleep(10)
            assert await (await it.dial()).upgrade() == 409

    async def test_without_one_five_seconds_of_silence_lose_the_place(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            old = await it.connect()
            await old.boot()
            await trio.sleep(10)
            newcomer = await it.dial()
            began = trio.current_time()
            assert await newcomer.upgrade() == 101
            assert trio.current_time() - began == DUPLICATE_PROOF_S
            assert (await newcomer.boot())["status"] == "Accepted"
            assert await old.close_code() == 1001
            assert it.read(CONNECTED, 2) == [1, 1]

    async def test_the_time_that_an_impatient_one_waited_counts_for_the_next(self, autojump_clock: MockClock) -> None:
        """It gives up after 3 s each time; with a proof of its own for each it would never get in."""
        async with standing() as it:
            await it.connect()
            await trio.sleep(10)
            began = trio.current_time()
            first = await it.dial()
            with trio.move_on_after(3):
                await first.upgrade()
            await first.stream.aclose()
            with trio.fail_after(3):
                second = await it.dial()
                assert await second.upgrade() == 101
            assert trio.current_time() - began == DUPLICATE_PROOF_S
            assert (await second.boot())["status"] == "Accepted"

    async def test_of_two_newcomers_at_the_same_time_one_gets_in(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            statuses: list[int] = []

            async def come() -> None:
                peer = await it.dial()
                statuses.append(await peer.upgrade())
                await answering(peer)

            for _ in range(5):
                it.nursery.start_soon(come)
            await trio.sleep(60)
            assert sorted(statuses) == [101, 409, 409, 409, 409]
            assert it.read(CONNECTED) == [1]

    async def test_the_same_while_an_old_one_is_half_open(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            await it.connect()
            statuses: list[int] = []

            async def come() -> None:
                peer = await it.dial()
                statuses.append(await peer.upgrade())
                await answering(peer)

            for _ in range(3):
                it.nursery.start_soon(come)
            await trio.sleep(60)
            assert sorted(statuses) == [101, 409, 409]

    async def test_closing_the_old_never_clears_the_new(self, autojump_clock: MockClock) -> None:
        async with standing(PASSWORD) as it:
            peers = []
            for number in range(5):
                peers.append(await it.connect(Authorization=basic("CP001", "secret")))
                await peers[-1].boot()
                await peers[-1].send(frame(TEXT, HEARTBEAT) * (number + 1))
            for old in peers[:-1]:
                await old.stream.aclose()
            await trio.sleep(5)
            assert it.read(CONNECTED, 2) == [1, 1]
            assert it.links[-1] == 1
            assert (await peers[-1].call("Heartbeat", {}, "x"))["currentTime"]


class TestLife:
    async def test_pings_every_interval_and_measures_the_way_there_and_back(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            at = []
            for _ in range(4):
                opcode, payload = await peer.frame()
                assert opcode == PING
                at.append(trio.current_time())
                await trio.sleep(0.25)
                await peer.send(frame(PONG, payload))
            assert [later - at[0] for later in at] == [0, 30, 60, 90]
            await wait_all_tasks_blocked()
            assert it.read(ROUND_TRIP) == [250]

    async def test_is_silent_after_two_intervals_and_dead_after_three(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            await peer.send(frame(PONG, (await peer.frame())[1]))
            await peer.boot()
            await trio.sleep(59.9)
            assert it.read(COMM_ERROR) == [0]
            await trio.sleep(0.2)
            assert it.read(COMM_ERROR) == [1]
            assert it.read(CONNECTED) == [1]
            await trio.sleep(29.8)
            assert it.read(CONNECTED) == [1]
            await trio.sleep(0.2)
            assert it.read(CONNECTED) == [0]
            assert await peer.close_code() == 1001

    @pytest.mark.parametrize(
        "sign",
        [frame(TEXT, HEARTBEAT), frame(PONG, b"unasked"), frame(PING, b"theirs"), b"\x81"],
        ids=["message", "pong", "ping", "half"],  # masks are random, and every worker of a run must see one name
    )
    async def test_any_byte_ends_the_silence(self, sign: bytes, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            await peer.send(frame(PONG, (await peer.frame())[1]))
            await trio.sleep(61)
            assert it.read(COMM_ERROR) == [1]
            await peer.send(sign)
            await wait_all_tasks_blocked()
            assert it.read(COMM_ERROR) == [0]
            await trio.sleep(89)
            assert it.read(CONNECTED) == [1]
            await trio.sleep(3)
            assert it.read(CONNECTED) == [0]

    async def test_who_never_answers_pings_has_three_heartbeats(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            began = trio.current_time()
            for _ in range(5):
                await peer.send(frame(TEXT, HEARTBEAT))
                await trio.sleep(100)
                assert it.read(COMM_ERROR) == [0]
            assert it.read(QUIRKS)[0] & QuirkBits.no_pong
            last = trio.current_time() - 100
            await peer.close_code()
            assert trio.current_time() - last == pytest.approx(180, abs=CLOSE_TIMEOUT_S)
            assert began < last

    async def test_and_is_not_pinged_for_ever(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            pings = 0

            async def count() -> None:
                nonlocal pings
                while True:
                    pings += (await peer.frame())[0] == PING

            it.nursery.start_soon(count)
            for _ in range(60):
                await peer.send(frame(TEXT, HEARTBEAT))
                await trio.sleep(60)
            assert pings == PINGS_OPEN_MAX
            assert it.read(CONNECTED) == [1]

    async def test_a_pong_that_comes_late_answers_all_before_it(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            payloads = []
            for _ in range(3):
                payloads.append((await peer.frame())[1])
                await peer.send(frame(TEXT, HEARTBEAT))
                await peer.frame()
            await trio.sleep(0.5)
            await peer.send(frame(PONG, payloads[-1]))
            await wait_all_tasks_blocked()
            assert it.read(ROUND_TRIP) == [500]
            await trio.sleep(59)
            assert it.read(COMM_ERROR) == [0]

    async def test_the_gateways_stop_says_goodbye(self, autojump_clock: MockClock) -> None:
        async with trio.open_nursery() as outer:
            async with trio.open_nursery() as nursery:
                it = await stand(nursery)
                peer = await it.connect()
                codes: list[int | None] = []

                async def wait() -> None:
                    codes.append(await peer.close_code())

                outer.start_soon(wait)
                await trio.sleep(1)
                began = trio.current_time()
                nursery.cancel_scope.cancel()
            assert trio.current_time() - began <= CLOSE_TIMEOUT_S
            await wait_all_tasks_blocked()
            assert codes == [1001]


class TestThreeCallsWithoutAnAnswer:
    async def test_close_the_link(self, autojump_clock: MockClock) -> None:
        async with standing("[ocpp]\ncall_timeout_s = 5\n") as it:
            peer = await it.connect()
            await peer.boot()
            for value in (1, 0, 1, 0, 1, 0, 1):
                it.write(3300 + 21, value)  # refresh
                await trio.sleep(1)
            with trio.fail_after(20):
                assert await peer.close_code() == 1002
            assert it.read(3045) == [3]
            await still_serves(it)


class TestBackPressure:
    async def test_a_peer_that_never_reads_is_not_read_either_and_goes(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            ours, theirs = lockstep_stream_pair()
            it.nursery.start_soon(it.listener.connection, theirs)
            peer = Peer(ours)
            assert await peer.upgrade() == 101
            sent = 0
            began = trio.current_time()
            try:
                while True:
                    await peer.send(frame(TEXT, HEARTBEAT))
                    sent += 1
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            assert sent < WORDS_MAX + LINGER_BYTES // len(frame(TEXT, HEARTBEAT)) + 1000
            assert trio.current_time() - began <= SEND_TIMEOUT_S + CLOSE_TIMEOUT_S
            session = it.charge_points["CP001"].link
            assert session is None
            await still_serves(it)

    async def test_a_close_does_not_wait_for_one_either(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            ours, theirs = lockstep_stream_pair()
            it.nursery.start_soon(it.listener.connection, theirs)
            peer = Peer(ours)
            assert await peer.upgrade() == 101
            await peer.send(frame(TEXT, HEARTBEAT))
            await wait_all_tasks_blocked()
            it.write(ALLOWED, 0)
            assert it.read(CONNECTED) == [1]
            await trio.sleep(LAST_WORDS_S + CLOSE_TIMEOUT_S)
            assert it.read(CONNECTED) == [0]


class TestDisk:
    """Transactions are answered when they are durable; everything else always (promises, R5)."""

    START = '[2,"s","StartTransaction",{"connectorId":1,"idTag":"T","meterStart":1,"timestamp":"2026-01-01T00:00:00Z"}]'

    async def exchange(self, it: Stand) -> list[str]:
        """What is answered of a StartTransaction that the default decides, an Authorize, and a Heartbeat after it."""
        it.write(17, 10)  # decision_timeout 1 s
        peer = await it.connect()
        await peer.boot()
        await peer.send(frame(TEXT, self.START.encode()) + frame(TEXT, b'[2,"a","Authorize",{"idTag":"T"}]'))
        await trio.sleep(2)
        await peer.send(frame(TEXT, HEARTBEAT))
        answered = []
        with trio.move_on_after(DURABLE_WAIT_S + 5):
            while True:
                answered.append((await peer.message())[1])
        return answered

    async def test_that_works(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            assert await self.exchange(it) == ["s", "a", "h"]

    async def test_that_fails(self, autojump_clock: MockClock) -> None:
        async def fails(number: int) -> bool:
            await trio.sleep(1)
            return False

        async with standing(durable=fails) as it:
            assert await self.exchange(it) == ["a", "h"]

    async def test_that_hangs(self, autojump_clock: MockClock) -> None:
        async def hangs(number: int) -> bool:
            await trio.sleep_forever()
            return True

        async with standing(durable=hangs) as it:
            began = trio.current_time()
            assert await self.exchange(it) == ["a", "h"]
            assert trio.current_time() - began <= 2 + DURABLE_WAIT_S + 10

    async def test_that_is_slow_keeps_the_order(self, autojump_clock: MockClock) -> None:
        async def slow(number: int) -> bool:
            await trio.sleep(0.7)
            return True

        async with standing(durable=slow) as it:
            assert await self.exchange(it) == ["s", "a", "h"]

    async def test_a_reading_that_waits_for_company_is_answered(self, autojump_clock: MockClock) -> None:
        async def in_company(number: int) -> bool:
            await trio.sleep(WAIT_MAX_S)
            return True

        async with standing(durable=in_company) as it:
            peer = await it.connect()
            await peer.boot()
            it.write(17, 10)  # decision_timeout 1 s
            await peer.send(frame(TEXT, self.START.encode()))
            assert (await peer.message())[1] == "s"
            began, sample = trio.current_time(), {"timestamp": "2026-01-01T00:01:00Z", "sampledValue": [{"value": "7"}]}
            await peer.call("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": [sample]}, "m")
            assert trio.current_time() == began + WAIT_MAX_S


BIG = 1 << 20
RUDE: dict[str, tuple[bytes, int]] = {
    "a frame of 1 MiB over the limit": (frame(TEXT, b"x" * (262144 + BIG)), 1009),
    "as much in small fragments": (
        frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"x" * 65535, fin=False) * 10, 1009),
    "a length of 2^63 - 1": (b"\x81\xff" + (2**63 - 1).to_bytes(8, "big") + b"mask" + b"x" * 300_000, 1009),
    "a length of 2^64 - 1": (b"\x81\xff" + b"\xff" * 8 + b"mask" + b"x" * 1000, 1002),
    "a compressed frame": (frame(TEXT, HEARTBEAT, reserved=4), 1002),
    "other reserved bits": (frame(TEXT, HEARTBEAT, reserved=1), 1002),
    "an unknown opcode": (frame(3, b"x"), 1002),
    "an unmasked frame": (frame(TEXT, HEARTBEAT, masked=False), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a new message within a message": (frame(TEXT, b"[", fin=False) + frame(TEXT, b"]"), 1002),
    "a fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "half a character at the end": (frame(TEXT, b"\xe2\x82"), 1007),
    "a close of one byte": (frame(CLOSE, b"x"), 1002),
    "a close with a code that none may send": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "a close whose reason is no UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "a close without a code": (frame(CLOSE), NO_CODE),
    "HTTP after the upgrade": (request() * 3, 1002),
    "garbage": (bytes(range(256)) * 40, 1002),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code"), RUDE.values(), ids=RUDE.keys())
async def test_rude_frames_close_that_connection_and_nothing_else(
    data: bytes, code: int, autojump_clock: MockClock
) -> None:
    async with standing(charge_points=2) as it:
        good = await it.connect("CP002")
        await good.boot()
        peer = await it.connect()

        async def pour() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await peer.send(data)

        it.nursery.start_soon(pour)
        with trio.fail_after(CLOSE_TIMEOUT_S * 2 + 1):
            assert await peer.close_code() == code
        await trio.sleep(CLOSE_TIMEOUT_S)
        assert it.read(CONNECTED) == [0]
        assert (await good.call("Heartbeat", {}, "still here"))["currentTime"]
        await still_serves(it)


class TestFramesThatAreFine:
    async def test_binary_ones_are_read_as_text(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            await peer.send(frame(BINARY, HEARTBEAT))
            assert (await peer.message())[:2] == [3, "h"]

    async def test_fragments_are_put_together_with_pings_between(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            text = '[2,"ü","Heartbeat",{}]'.encode()
            at = text.index(b"\xc3") + 1  # in the middle of a character
            await peer.send(frame(TEXT, text[:at], fin=False) + frame(PING, b"!") + frame(CONTINUATION, b"", fin=False))
            await peer.send(frame(CONTINUATION, text[at:]))
            seen = [await peer.frame() for _ in range(3)]
            assert (PONG, b"!") in seen
            assert any(opcode == TEXT and json.loads(payload)[1] == "ü" for opcode, payload in seen)

    async def test_one_of_exactly_the_limit(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            text = HEARTBEAT + b" " * (262144 - len(HEARTBEAT))
            await peer.send(frame(TEXT, text))
            assert (await peer.message())[:2] == [3, "h"]

    async def test_the_limit_is_configured(self, autojump_clock: MockClock) -> None:
        async with standing("[ocpp]\nmax_message_bytes = 4096\n") as it:
            peer = await it.connect()
            await peer.send(frame(TEXT, b" " * 4097))
            assert await peer.close_code() == 1009

    async def test_bad_messages_keep_the_link(self, autojump_clock: MockClock) -> None:
        async with standing() as it:
            peer = await it.connect()
            for text in (b"", b"garbage", b"[2]", b'[2,"i","Heartbeat",{}', b"[" * 100_000, b'[3,"x",{}]'):
                await peer.send(frame(TEXT, text))
            assert (await peer.call("Heartbeat", {}, "x"))["currentTime"]


class TestPeersThatVanish:
    """In every phase: nothing leaves the connection, and the next one is served."""

    async def before_a_byte(self, it: Stand) -> Peer:
        return await it.dial()

    async def within_the_head(self, it: Stand) -> Peer:
        peer = await it.dial()
        await peer.send(request()[:40])
        return peer

    async def after_the_head(self, it: Stand) -> Peer:
        peer = await it.dial()
        await peer.send(request())
        return peer

    async def after_the_upgrade(self, it: Stand) -> Peer:
        return await it.connect()

    async def within_a_frame(self, it: Stand) -> Peer:
        peer = await it.connect()
        await peer.send(frame(TEXT, HEARTBEAT)[:5])
        return peer

    async def with_answers_on_the_way(self, it: Stand) -> Peer:
        peer = await it.connect()
        await peer.send(frame(TEXT, HEARTBEAT) * 50)
        return peer

    async def while_we_wait_for_the_bms(self, it: Stand) -> Peer:
        peer = await it.connect()
        await peer.send(frame(TEXT, b'[2,"a","Authorize",{"idTag":"T"}]'))
        return peer

    async def after_their_close(self, it: Stand) -> Peer:
        peer = await it.connect()
        await peer.send(frame(CLOSE, b"\x03\xe8"))
        return peer

    async def after_our_close(self, it: Stand) -> Peer:
        peer = await it.connect()
        it.write(ALLOWED, 0)
        while (await peer.frame())[0] != CLOSE:
            pass
        it.write(ALLOWED, 1)
        return peer

    async def with_a_ping_after_our_close(self, it: Stand) -> Peer:
        peer = await self.after_our_close(it)
        await peer.send(frame(PING, b"still here?") * 3 + frame(TEXT, HEARTBEAT))
        return peer

    async def with_garbage_after_our_close(self, it: Stand) -> Peer:
        peer = await self.after_our_close(it)
        await peer.send(b"\xff" * 1000)
        return peer

    async def after_a_refusal(self, it: Stand) -> Peer:
        peer = await it.dial()
        await peer.send(request(b"/ocpp/NOBODY") + b"and more")
        return peer

    PHASES = (
        before_a_byte, within_the_head, after_the_head, after_the_upgrade, within_a_frame, with_answers_on_the_way,
        while_we_wait_for_the_bms, after_their_close, after_our_close, with_a_ping_after_our_close,
        with_garbage_after_our_close, after_a_refusal,
    )  # fmt: skip

    @pytest.mark.parametrize("settled", [False, True], ids=["at once", "a little later"])
    @pytest.mark.parametrize("way", ["closed", "half closed", "stays"])
    @pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
    async def test_vanish(
        self,
        phase: Callable[[TestPeersThatVanish, Stand], Awaitable[Peer]],
        way: str,
        settled: bool,
        autojump_clock: MockClock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async with standing() as it:
            peer = await phase(self, it)
            if settled:
                await wait_all_tasks_blocked()
            if way == "closed":
                await peer.stream.aclose()
            elif way == "half closed":
                await peer.stream.send_eof()
            await trio.sleep(200)
            assert it.read(CONNECTED) == [0]
            assert it.read(3005) == [0]  # decision_pending
            await still_serves(it)
        assert [record.getMessage() for record in caplog.records if "broke" in record.getMessage()] == []


class TestBugsOfOurOwn:
    async def ended_by(
        self, provoke: Callable[[Peer], Awaitable[None]]
    ) -> pytest.ExceptionInfo[BaseExceptionGroup[BaseException]]:
        """What ends the whole of it."""

        async def life() -> None:
            async with standing() as it:
                await provoke(await it.connect())
                await trio.sleep(150)

        with pytest.raises(BaseExceptionGroup) as caught:
            await life()
        return caught

    async def test_a_bug_in_a_handler_is_nobodys_fault_but_ours_and_ends_the_process(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        def broken(call: central.Inbound, request: Any) -> None:
            raise KeyError("a bug")

        monkeypatch.setitem(central.HANDLERS, "Heartbeat", broken)

        async def provoke(peer: Peer) -> None:
            await peer.send(frame(TEXT, HEARTBEAT))

        caught = await self.ended_by(provoke)
        assert caught.group_contains(SessionBug, match=re.escape("Session.received raised KeyError('a bug')"))

    @pytest.mark.parametrize("step", ["opened", "closed", "round_trip", "went_silent"])
    async def test_so_does_one_in_any_other_step(
        self, step: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        def broken(self: Session, *arguments: object) -> None:
            raise RuntimeError("a bug")

        async def provoke(peer: Peer) -> None:
            if step == "round_trip":
                await peer.send(frame(PONG, (await peer.frame())[1]))
            elif step == "closed":
                await peer.stream.aclose()

        broken.__qualname__ = step
        monkeypatch.setattr(Session, step, broken)
        caught = await self.ended_by(provoke)
        assert caught.group_contains(SessionBug, match=f"{step} raised")


class TestTheLog:
    async def test_strangers_cannot_fill_it(self, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, "gatewayd"):
            async with standing() as it:
                for _ in range(1000):
                    peer = await it.dial()
                    await peer.upgrade(request(b"/ocpp/NOBODY"))
                    await peer.stream.aclose()
                assert len(it.refused) == 1000
                assert len(caplog.records) <= LOG_BURST + 1
                await trio.sleep(60)
                await it.connect()
        assert "lines about connections left out" in caplog.text

    async def test_no_identity_begins_a_line_of_its_own(
        self, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG, "gatewayd"):
            async with standing() as it:
                assert await (await it.dial()).upgrade(request(b"/ocpp/x%0aCRITICAL%20forged" + b"y" * 3000)) == 404
        assert all("\n" not in record.getMessage() for record in caplog.records)
        assert all(len(record.getMessage()) < 200 for record in caplog.records)


async def test_twenty_charge_points_that_come_back_at_once_show_right_within_thirty_seconds(
    autojump_clock: MockClock,
) -> None:
    async with standing(charge_points=20) as it:
        began = trio.current_time()
        statuses = [status for status in Status if 0 < status < Status.unlisted]

        async def come_back(number: int) -> None:
            peer = await it.connect(f"CP{number:03}")
            await peer.boot()
            for connector in (0, 1, 2):
                status = statuses[(number + connector) % len(statuses)].name
                payload = {"connectorId": connector, "errorCode": "NoError", "status": status}
                await peer.call("StatusNotification", payload, f"{connector}")
            await answering(peer)

        for number in range(1, 21):
            it.nursery.start_soon(come_back, number)
        await wait_all_tasks_blocked()
        assert trio.current_time() - began < 30
        assert it.read(32, 2) == [0x000F, 0xFFFF]  # connected_mask
        for number in range(1, 21):
            base = 3000 * number
            assert it.read(base, 2) == [1, 1]
            shown = [it.read(base + at)[0] for at in (34, 300 + 32, 600 + 32)]
            assert shown == [statuses[(number + connector) % len(statuses)] for connector in (0, 1, 2)]
            assert it.read(1000 + 8 * (number - 1), 3) == shown  # status_matrix
        assert it.links[-1] == 20
