"""How charge points dial, boot, and keep a link: rows H, C and B of the list of habits."""

from __future__ import annotations

import itertools
import re

import pytest
import trio
from trio.testing import MockClock

from gatewayd.ocpp.questions import Questions
from gatewayd.site.codes import LinkState, QuirkBits
from tests.kit import Kit
from tests.services.ocpp_peer import CONTINUATION, PING, TEXT, basic, frame, request
from tests.services.test_ocpp_listener import standing

QUIRKS, LINK_STATE, CONNECTED = 3044, 3032, 3000
ONE = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
BOOT = '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

# --- H: handshake -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "works"), [("grizzl-e-smart", True), ("standard", False)])
async def test_h1_no_subprotocol_means_ours_where_the_model_leaves_it_out(
    profile: str, works: bool, autojump_clock: MockClock
) -> None:
    async with standing(ONE + f'profile = "{profile}"\n') as it:
        peer = await it.dial()
        assert await peer.upgrade(request(without=b"Sec-WebSocket-Protocol")) == 101
        if works:
            assert (await peer.boot())["status"] == "Accepted"
            assert it.read(QUIRKS)[0] & QuirkBits.no_subprotocol
        else:
            assert await peer.close_code() == 1002
            assert it.refused[-1][0] == "CP001"


async def test_h2_a_missing_connection_header_is_put_in(autojump_clock: MockClock) -> None:
    async with standing() as it:
        peer = await it.dial()
        assert await peer.upgrade(request(without=b"Connection")) == 101
        assert (await peer.boot())["status"] == "Accepted"
        assert it.read(QUIRKS)[0] & QuirkBits.other


@pytest.mark.parametrize(
    "path", [b"/ocpp/CP%30%301", b"///CP%30%301", b"/a/b/c/CP%30%301/", b"/ocpp/CP%30%301?x=1", b"//ocpp//CP%30%301//"]
)
async def test_h3_the_identity_is_the_last_segment_decoded(path: bytes, autojump_clock: MockClock) -> None:
    async with standing() as it:
        peer = await it.dial()
        assert await peer.upgrade(request(path)) == 101


async def test_h3_bad_encoding_is_refused(autojump_clock: MockClock) -> None:
    async with standing() as it:
        assert await (await it.dial()).upgrade(request(b"/ocpp/CP%ZZ")) == 400


async def test_h4_who_appends_something_by_itself_is_named_for_adoption(autojump_clock: MockClock) -> None:
    async with standing() as it:
        assert await (await it.dial()).upgrade(request(b"/ocpp/CP001/SN1234")) == 404
        assert it.refused[-1][0] == "SN1234"


async def test_h5_a_malformed_request_costs_that_socket_only(autojump_clock: MockClock) -> None:
    async with standing() as it:
        good = await it.connect()
        rude = await it.dial()
        await rude.send(b"what is this\r\n\r\n")
        assert (await rude.response())[0] == 400
        assert (await good.boot())["status"] == "Accepted"


@pytest.mark.parametrize("sent", [b"0123456789abcdef", b"30313233343536373839616263646566"])
async def test_h6_a_password_is_right_as_text_and_in_hex(sent: bytes, autojump_clock: MockClock) -> None:
    async with standing(ONE + 'password = "0123456789abcdef"\n') as it:
        assert await (await it.dial()).upgrade(request(Authorization=basic("CP001", sent))) == 101


async def test_h7_where_no_password_is_set_none_is_wanted(autojump_clock: MockClock) -> None:
    async with standing() as it:
        assert await (await it.dial()).upgrade(request()) == 101
    async with standing(ONE + 'password = "secret"\n') as it:
        assert await (await it.dial()).upgrade(request()) == 401


async def test_h9_a_compressed_frame_without_agreement_closes_with_1002_and_may_come_back(
    autojump_clock: MockClock,
) -> None:
    async with standing() as it:
        peer = await it.dial()
        await peer.send(request(Sec_WebSocket_Extensions=b"permessage-deflate"))
        status, headers = await peer.response()
        assert (status, b"sec-websocket-extensions" in headers) == (101, False)
        await peer.send(frame(TEXT, BOOT.encode(), reserved=4))
        assert await peer.close_code() == 1002
        assert (await (await it.connect()).boot())["status"] == "Accepted"


async def test_h10_fragments_are_put_together(autojump_clock: MockClock) -> None:
    async with standing() as it:
        peer = await it.connect()
        pieces = [BOOT[at : at + 7].encode() for at in range(0, len(BOOT), 7)]
        for number, piece in enumerate(pieces):
            opcode = TEXT if number == 0 else CONTINUATION
            await peer.send(frame(opcode, piece, fin=number == len(pieces) - 1))
        assert (await peer.message())[2]["status"] == "Accepted"


# --- C: life of a connection --------------------------------------------------------------------------------------


async def test_c1_the_newest_wins_and_closing_the_old_clears_nothing(autojump_clock: MockClock) -> None:
    async with standing(ONE + 'password = "secret"\n') as it:
        head = request(Authorization=basic("CP001", "secret"))
        old, new = await it.dial(), await it.dial()
        assert await old.upgrade(head) == 101
        assert await new.upgrade(head) == 101
        await old.close_code()
        await trio.sleep(5)
        assert it.read(CONNECTED) == [1]
        assert (await new.boot())["status"] == "Accepted"


async def test_c2_silence_without_a_close_ends_after_three_intervals(autojump_clock: MockClock) -> None:
    async with standing() as it:
        peer = await it.connect()
        await peer.send(frame(10, (await peer.frame())[1]))  # it answers pings, for a while
        await trio.sleep(89)
        assert it.read(CONNECTED) == [1]
        await trio.sleep(3)
        assert it.read(CONNECTED) == [0]


async def test_c3_a_heartbeat_each_minute_keeps_the_link(autojump_clock: MockClock) -> None:
    async with standing() as it:
        peer = await it.connect()
        for number in range(10):
            assert "currentTime" in await peer.call("Heartbeat", {}, str(number))
            await trio.sleep(60)
        assert it.read(CONNECTED) == [1]


async def test_c4_where_the_model_cannot_bear_pings_none_are_sent(autojump_clock: MockClock) -> None:
    async with standing(ONE + 'profile = "en-plus-ac"\n') as it:
        peer = await it.connect()
        await peer.boot()
        with trio.move_on_after(170):
            opcode, _ = await peer.frame()
            assert opcode != PING, "a ping"
        assert it.read(CONNECTED) == [1]


def test_c5_three_calls_without_an_answer_close_the_link() -> None:
    kit = Kit()
    end = kit.connect()
    end.boot()
    for number in range(3):
        kit.write(5400, 7)
        kit.write(5505, number + 1)
        kit.run_for(61)
        end.send("Heartbeat", {})
    end.frames()
    assert end.closed is not None


def test_c6_a_late_answer_matches_no_other_call_and_the_time_is_the_models() -> None:
    kit = Kit(ONE + 'profile = "mennekes-amtron-4business"\n')
    end = kit.connect()
    end.boot()
    kit.write(5400, 7)
    kit.write(5505, 1)
    (late,) = end.calls()
    kit.run_for(89)
    assert kit.site.charge_points["CP001"].call_timeouts == 0
    kit.run_for(2)
    assert kit.site.charge_points["CP001"].call_timeouts == 1
    kit.write(5400, 14)
    kit.write(5505, 2)
    end.answer(late, {"status": "Accepted"})
    assert kit.read(QUIRKS) & QuirkBits.late_answer
    assert len([call for call in end.calls() if call.action == "GetLocalListVersion"]) == 1


def test_c7_the_gateways_own_triggers_keep_half_a_minute_between_two() -> None:
    kit = Kit()
    asked: list[float] = []
    for _ in range(12):
        end = kit.connect()
        end.send("Heartbeat", {})
        kit.run_for(8)
        asked += [kit.now for call in end.calls() if call.payload == {"requestedMessage": "StatusNotification"}]
        end.disconnect()
    assert asked
    assert all(later - before >= 30 for before, later in itertools.pairwise(asked))


def test_c8_a_lost_link_is_shown_as_lost_however_long_it_takes() -> None:
    kit = Kit()
    end = kit.connect()
    end.boot()
    end.disconnect()
    kit.run_for(19 * 60)
    assert kit.read(LINK_STATE) == LinkState.lost
    kit.connect().boot()
    assert kit.read(LINK_STATE) == LinkState.accepted


def test_c9_a_link_that_flaps_is_asked_to_boot_once() -> None:
    kit = Kit()
    asked = 0
    for _ in range(10):
        end = kit.connect()
        end.send("Heartbeat", {})
        kit.run_for(7)
        asked += sum(call.payload == {"requestedMessage": "BootNotification"} for call in end.calls())
        end.disconnect()
    assert asked == 1


# --- B: boot and time ---------------------------------------------------------------------------------------------


def test_b1_who_comes_back_without_a_boot_is_registered_after_five_seconds() -> None:
    kit = Kit()
    kit.connect().boot()
    end = kit.connect()
    end.send("Heartbeat", {})
    kit.run_for(5)
    assert kit.read(LINK_STATE) == LinkState.accepted
    assert kit.read(QUIRKS) & QuirkBits.no_boot_notification


def test_b2_nothing_goes_out_before_the_boot_is_answered() -> None:
    kit = Kit()
    end = kit.connect()
    kit.write(3318, 1)
    kit.write(3400, 0, 160)
    kit.run_for(120)
    assert end.frames() == []
    end.boot()
    assert end.frames()[0][0] == 3, "the answer comes first"


def test_b3_a_model_that_restarts_when_it_is_asked_is_not_asked() -> None:
    kit = Kit(ONE + 'profile = "abb-terra-ac"\n')
    kit.site.on_registered.append(Questions().registered)
    end = kit.connect()
    end.boot()
    kit.run_for(120)
    assert end.calls() == []


def test_b3_three_boots_in_five_minutes_are_flagged_and_nothing_is_asked_any_more() -> None:
    kit = Kit()
    kit.site.on_registered.append(Questions().registered)
    for _ in range(3):
        end = kit.connect()
        end.boot()
        kit.run_for(20)
        end.disconnect()
    assert kit.read(QUIRKS) & QuirkBits.boot_loop
    end = kit.connect()
    end.boot()
    kit.run_for(60)
    assert [call for call in end.calls() if call.action == "GetConfiguration"] == []


@pytest.mark.parametrize("transaction_id", [0, 1, 4711, -5])
def test_b4_the_answer_to_a_stop_is_valid_whatever_it_names(transaction_id: int) -> None:
    kit = Kit()
    end = kit.connect()
    end.boot()
    stop = {"transactionId": transaction_id, "meterStop": 1, "timestamp": kit.stamp()}
    assert end.send("StopTransaction", stop) == {}
    assert end.send("StopTransaction", stop | {"idTag": "T"}) == {"idTagInfo": {"status": "Accepted"}}


def test_b5_the_heartbeat_interval_is_a_minute_or_the_models() -> None:
    assert Kit().connect().boot()["interval"] == 60
    assert Kit(ONE + "[charge_point.quirks]\nheartbeat_interval_s = 30\n").connect().boot()["interval"] == 30


def test_b6_times_end_with_z_and_have_a_fraction_where_it_is_wanted() -> None:
    assert STAMP.fullmatch(Kit().connect().boot()["currentTime"])
    text = Kit(ONE + "[charge_point.quirks]\ntime_fraction = true\n").connect().boot()["currentTime"]
    assert text.endswith(".000Z")


@pytest.mark.parametrize(
    ("stamp", "bad"),
    [
        ("2026-01-01T00:00:30", False),
        ("2026-01-01T01:00:30+01", False),
        ("2026-01-01T01:00:30+0100", False),
        ("2025-06-01T00:00:00Z", False),
        ("1970-01-01T00:00:10Z", True),
        ("2026-01-01T09:00:00Z", True),
        ("now", True),
    ],
)
def test_b7_strange_times_are_read_and_impossible_ones_replaced(stamp: str, bad: bool) -> None:
    kit = Kit()
    end = kit.connect()
    end.boot()
    kit.run_for(60)
    assert end.status(1, "Available", timestamp=stamp) == {}
    assert bool(kit.read(QUIRKS) & QuirkBits.bad_timestamp) == bad
