"""A serial line as one server among several hears it (modbus.md, RTU).

Times are counted in characters: `line.hear` puts bytes on the line with a gap before them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from umodbus.client.serial.redundancy_check import get_crc

from gatewayd.modbus.adu import (
    Heard,
    RtuFrame,
    RtuFramer,
    answer_length,
    character_time_s,
    crc,
    request_length,
    rtu_frame,
    silence_time_s,
)

CHARACTER_S = character_time_s(9600, 10)
SILENCE_S = silence_time_s(9600, 10)
US, OTHER = 1, 2

READ = b"\x03\x00\x00\x00\x02"  # two registers from 0
READ_ANSWER = b"\x03\x04\x00\x01\x00\x02"
WRITE = b"\x06\x00\x65\x00\x01"
WRITE_MANY = b"\x10\x00\x65\x00\x02\x04\x00\x01\x00\x02"
WRITE_MANY_ANSWER = WRITE_MANY[:5]
WRITE_COILS = b"\x0f\x00\x65\x00\x03\x01\x05"


class Line:
    """A framer and the time on its line."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.now = 100.0
        self.framer = RtuFramer({US}, silence_s=SILENCE_S, character_s=CHARACTER_S, latency_s=latency_s)

    def hear(self, data: bytes, gap: float = 4.0) -> list[RtuFrame]:
        """`data` in one piece after `gap` silent characters."""
        self.now += (gap + len(data)) * CHARACTER_S
        return self.framer.feed(data, self.now)

    def fall_silent(self) -> list[RtuFrame]:
        if self.framer.deadline == inf:
            return []
        self.now = max(self.now, self.framer.deadline)
        return self.framer.silent(self.now)

    def send(self, frame: bytes) -> None:
        self.framer.transmitted(frame, self.now)


def request(pdu: bytes, unit: int = US) -> RtuFrame:
    return RtuFrame(Heard.REQUEST, unit, pdu)


def foreign(pdu: bytes, unit: int = OTHER) -> RtuFrame:
    return RtuFrame(Heard.FOREIGN, unit, pdu)


def collision(pdu: bytes) -> RtuFrame:
    return RtuFrame(Heard.COLLISION, US, pdu)


GARBLED = RtuFrame(Heard.BAD_CRC, 0, b"")


def spoilt(frame: bytes) -> bytes:
    return frame[:-1] + bytes((frame[-1] ^ 0x55,))


# --- the parts ------------------------------------------------------------------------------------------------


def test_crc_of_known_frames() -> None:
    assert crc(b"\x01\x03\x00\x00\x00\x0a") == b"\xc5\xcd"
    assert crc(b"\x02\x07") == b"\x41\x12"  # the example of Modbus over Serial Line V1.02


@given(st.binary(max_size=256))
def test_crc_agrees_with_umodbus(data: bytes) -> None:
    assert crc(data) == get_crc(data)


def test_times_of_the_serial_line_guide() -> None:
    assert character_time_s(9600) == pytest.approx(11 / 9600)
    assert silence_time_s(9600, 10) == pytest.approx(35 / 9600)
    assert silence_time_s(19200) == pytest.approx(3.5 * 11 / 19200)
    assert silence_time_s(38400) == silence_time_s(115200) == 0.00175


@pytest.mark.parametrize(
    ("pdu", "length"),
    [
        *((bytes((function, 0, 0, 0, 1)), 8) for function in (1, 2, 3, 4, 5, 6)),
        (WRITE_COILS, 10),
        (WRITE_MANY, 13),
        (b"\x07", None),
        (b"\x2b\x0e\x01\x00", None),
    ],
)
def test_request_lengths(pdu: bytes, length: int | None) -> None:
    frame = rtu_frame(US, pdu)
    assert request_length(frame) == length
    assert length is None or length == len(frame)


@pytest.mark.parametrize("pdu", [WRITE_COILS, WRITE_MANY])
def test_a_length_is_a_lower_bound_until_the_byte_count_is_there(pdu: bytes) -> None:
    frame = rtu_frame(US, pdu)
    for size in range(2, len(frame)):
        bound = request_length(frame[:size])
        assert bound is not None
        assert size < bound <= len(frame)


@pytest.mark.parametrize(
    ("pdu", "length"),
    [
        (b"\x01\x01\xff", 6),
        (b"\x02\x01\xff", 6),
        (b"\x04\x02\x00\x01", 7),
        (READ_ANSWER, 9),
        (WRITE, 8),
        (b"\x05\x00\x00\xff\x00", 8),
        (WRITE_MANY_ANSWER, 8),
        (b"\x0f\x00\x65\x00\x03", 8),
        (b"\x83\x02", 5),
        (b"\xab\x01", 5),
        (b"\x11\x01\xff", None),
    ],
)
def test_answer_lengths(pdu: bytes, length: int | None) -> None:
    frame = rtu_frame(OTHER, pdu)
    assert answer_length(frame) == length
    assert length is None or length == len(frame)


# --- requests to us -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pdu", [READ, WRITE, WRITE_MANY, WRITE_COILS, b"\x05\x00\x00\xff\x00", b"\x01\x03\x00\x00\x05"]
)
def test_a_request_is_known_with_its_last_byte(pdu: bytes) -> None:
    line = Line()
    frame = rtu_frame(US, pdu)
    for byte in frame[:-1]:
        assert line.hear(bytes((byte,)), gap=0) == []
    assert line.hear(frame[-1:], gap=0) == [request(pdu)]
    assert line.framer.deadline == inf


def test_a_function_that_cannot_be_predicted_ends_where_its_crc_is_right() -> None:
    line = Line()
    frame = rtu_frame(US, b"\x2b\x0e\x01\x00")
    for byte in frame[:-1]:
        assert line.hear(bytes((byte,)), gap=0) == []
    assert line.hear(frame[-1:], gap=0) == [request(b"\x2b\x0e\x01\x00")]


def test_requests_without_visible_silence_between_them() -> None:
    line = Line()
    assert line.hear(rtu_frame(US, READ) + rtu_frame(US, WRITE_MANY)) == [request(READ), request(WRITE_MANY)]


def test_a_broadcast_is_a_request_and_owes_nothing() -> None:
    line = Line()
    assert line.hear(rtu_frame(0, WRITE)) == [request(WRITE, unit=0)]
    assert line.hear(rtu_frame(0, WRITE)) == [request(WRITE, unit=0)]


def test_gaps_up_to_three_and_a_half_characters_are_inside_a_frame() -> None:
    line = Line()
    frame = rtu_frame(US, READ)
    assert line.hear(frame[:3]) == []
    assert line.hear(frame[3:6], gap=3.4) == []
    assert line.hear(frame[6:], gap=3.4) == [request(READ)]


def test_a_longer_silence_discards_what_had_come() -> None:
    line = Line()
    frame = rtu_frame(US, READ)
    assert line.hear(frame[:5]) == []
    assert line.hear(frame[5:], gap=3.6) == [GARBLED]
    assert line.hear(frame) == [request(READ)]


def test_silence_is_noticed_without_another_byte() -> None:
    line = Line(latency_s=0.01)
    line.hear(rtu_frame(US, READ)[:5])
    assert line.framer.deadline == pytest.approx(line.now + SILENCE_S + 0.01)
    assert line.framer.silent(line.now) == []
    assert line.fall_silent() == [GARBLED]
    assert line.framer.deadline == inf
    assert line.framer.silent(line.now + 1) == []


def test_a_glitch_too_short_for_a_frame_is_nothing() -> None:
    line = Line()
    assert line.hear(b"\x00\xff") == []
    assert line.fall_silent() == []
    assert line.hear(rtu_frame(US, READ)) == [request(READ)]


def test_a_bad_crc_is_silence_and_skips_to_the_next_silence() -> None:
    line = Line()
    assert line.hear(spoilt(rtu_frame(US, READ))) == [GARBLED]
    assert line.hear(rtu_frame(US, READ), gap=1) == []
    assert line.fall_silent() == []
    assert line.hear(rtu_frame(US, READ)) == [request(READ)]


def test_a_bad_crc_of_an_unpredictable_function() -> None:
    line = Line()
    assert line.hear(spoilt(rtu_frame(US, b"\x2b\x0e\x01\x00"))) == []
    assert line.fall_silent() == [GARBLED]


def test_noise_without_end_is_held_no_longer_than_a_frame() -> None:
    line = Line()
    heard = []
    for _ in range(100):
        heard += line.hear(b"\x01\x2b" * 16, gap=0)
        assert len(line.framer._run) <= 256 + 32
    assert heard == [GARBLED]


@pytest.mark.parametrize("function", [0x2B, 0x10])
def test_the_longest_frame(function: int) -> None:
    longest = bytes((function, 0, 0, 0, 123, 247)) + bytes(247)
    assert len(rtu_frame(US, longest)) == 256
    assert Line().hear(rtu_frame(US, longest)) == [request(longest)]


def test_the_longest_answer_of_another() -> None:
    longest = b"\x01\xfb" + bytes(251)
    assert Line().hear(rtu_frame(OTHER, longest)) == [foreign(longest)]


@pytest.mark.parametrize("function", [0x2B, 0x01])
def test_one_byte_more_is_no_frame(function: int) -> None:
    frame = rtu_frame(OTHER, bytes((function, 0xFC)) + bytes(252))
    assert len(frame) == 257
    line = Line()
    assert line.hear(frame) + line.fall_silent() == [GARBLED]


def test_a_byte_count_longer_than_any_frame_is_garbled() -> None:
    line = Line()
    assert line.hear(b"\x00\x10\x00\x00\x00\x7f\xff\x00\x00") == [GARBLED]


# --- the others on the line -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (READ, READ_ANSWER),
        (READ, b"\x83\x02"),
        (b"\x03\x0c\x00\x00\x01", b"\x03\x02\xab\xcd"),  # an answer shorter than the request
        (b"\x01\x00\x00\x00\x13", b"\x01\x03\x00\x00\x01"),  # as long as the request
        (WRITE, WRITE),
        (WRITE_MANY, WRITE_MANY_ANSWER),
        (WRITE_COILS, WRITE_COILS[:5]),
        (b"\x11", b"\x11\x02\x2a\xff"),
    ],
)
@pytest.mark.parametrize("one_piece", [False, True])
def test_anothers_request_and_answer_are_foreign(asked: bytes, answered: bytes, one_piece: bool) -> None:
    line = Line()
    exchange = [rtu_frame(OTHER, asked), rtu_frame(OTHER, answered)]
    if one_piece and asked[0] != 0x11:
        heard = line.hear(b"".join(exchange)) + line.fall_silent()
    else:
        heard = [frame for part in exchange for frame in line.hear(part) + line.fall_silent()]
    assert heard == [foreign(asked), foreign(answered)]
    assert line.hear(rtu_frame(US, READ)) == [request(READ)]


def test_a_request_inside_anothers_answer_is_data() -> None:
    """The registers of another server may hold anything, the bytes of a request to us too."""
    trap = rtu_frame(US, b"\x06\x00\x65\x00\x01")
    answer = b"\x03" + bytes((len(trap),)) + trap
    for size in range(1, 9):
        line = Line()
        heard = line.hear(rtu_frame(OTHER, b"\x03\x00\x00\x00\x04"))
        stream = rtu_frame(OTHER, answer)
        for at in range(0, len(stream), size):
            heard += line.hear(stream[at : at + size], gap=0 if at else 4)
        assert heard == [foreign(b"\x03\x00\x00\x00\x04"), foreign(answer)]


def test_an_answer_whose_beginning_is_a_request_is_an_answer() -> None:
    """Eight bytes with a right CRC, and the frame goes on with a request to us: the longer frame is the true one."""
    head = rtu_frame(OTHER, b"\x01\x0d\x00\x00\x01")
    answer = head[1:] + rtu_frame(US, WRITE)
    assert answer[1] == len(answer) - 2
    line = Line()
    assert line.hear(rtu_frame(OTHER, answer)) == [foreign(answer)]
    line = Line()
    heard = [frame for byte in rtu_frame(OTHER, answer) for frame in line.hear(bytes((byte,)), gap=0)]
    assert heard == [foreign(answer)]


def test_a_dead_server_and_the_request_after_it() -> None:
    line = Line()
    assert line.hear(rtu_frame(OTHER, READ)) == [foreign(READ)]
    assert line.hear(rtu_frame(US, READ), gap=500) == [request(READ)]


def test_anothers_request_that_could_be_a_long_answer_waits_for_silence_and_not_longer() -> None:
    line = Line()
    far = b"\x03\x54\xa2\x00\x02"  # as an answer it would have 0x54 data bytes
    assert line.hear(rtu_frame(OTHER, far)) == []
    assert line.hear(rtu_frame(US, READ)) == [foreign(far), request(READ)]


def test_our_request_that_could_be_a_long_answer_waits_for_nothing() -> None:
    line = Line()
    far = b"\x03\x54\xa2\x00\x02"
    assert line.hear(rtu_frame(US, far)) == [request(far)]
    assert line.hear(rtu_frame(0, far)) == [request(far, unit=0)]


def test_everything_of_a_stalled_read_is_told_apart() -> None:
    """The whole conversation of a while in one piece, as after a pause of the process."""
    line = Line()
    stream = [
        (OTHER, READ),
        (OTHER, READ_ANSWER),
        (OTHER, WRITE_MANY),
        (OTHER, WRITE_MANY_ANSWER),
        (3, b"\x04\x00\x10\x00\x01"),
        (3, b"\x84\x02"),
        (US, READ),
    ]
    heard = line.hear(b"".join(rtu_frame(unit, pdu) for unit, pdu in stream)) + line.fall_silent()
    assert [(frame.unit, frame.pdu) for frame in heard] == stream
    assert [frame.heard for frame in heard] == [Heard.FOREIGN] * 6 + [Heard.REQUEST]


# --- others in our name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (READ, READ_ANSWER),
        (READ, b"\x83\x02"),
        (WRITE, WRITE),
        (b"\x05\x00\x00\xff\x00", b"\x05\x00\x00\xff\x00"),
        (WRITE_MANY, WRITE_MANY_ANSWER),
        (b"\x01\x00\x00\x00\x13", b"\x01\x03\x00\x00\x01"),
    ],
)
@pytest.mark.parametrize("piece", [1, 3, 300])
def test_an_answer_to_the_request_we_owe_is_a_collision(asked: bytes, answered: bytes, piece: int) -> None:
    line = Line()
    assert line.hear(rtu_frame(US, asked)) == [request(asked)]
    stream = rtu_frame(US, answered)
    heard = []
    for at in range(0, len(stream), piece):
        heard += line.hear(stream[at : at + piece], gap=0 if at else 4)
    assert heard + line.fall_silent() == [collision(answered)]


@pytest.mark.parametrize(
    ("coils", "what"), [(16, request), (17, collision), (24, collision), (25, request), (274, request)]
)
def test_three_bytes_of_coils_answer_17_to_24_coils(coils: int, what: Callable[[bytes], RtuFrame]) -> None:
    line = Line()
    line.hear(rtu_frame(US, b"\x01\x00\x00" + coils.to_bytes(2, "big")))
    three = b"\x01\x03\x00\x00\x01"
    assert line.hear(rtu_frame(US, three)) == [what(three)]


def test_a_request_that_looks_like_an_answer_is_a_request_unless_one_is_owed() -> None:
    line = Line()
    for _ in range(3):  # a client that writes the same value again and again
        assert line.hear(rtu_frame(US, WRITE)) == [request(WRITE)]
        line.send(rtu_frame(US, WRITE))
        line.now += 20 * CHARACTER_S
    three = b"\x01\x03\x00\x00\x01"  # coil 768, or the answer of three bytes of coils
    assert line.hear(rtu_frame(US, three)) == [request(three)]


def test_a_client_that_gave_up_on_us_may_ask_something_else() -> None:
    line = Line()
    assert line.hear(rtu_frame(US, READ)) == [request(READ)]
    assert line.hear(rtu_frame(US, WRITE), gap=500) == [request(WRITE)]
    other_value = b"\x06\x00\x65\x00\x02"
    assert line.hear(rtu_frame(US, other_value), gap=500) == [request(other_value)]
    two_coil_bytes_owed = b"\x01\x00\x00\x00\x09"
    assert line.hear(rtu_frame(US, two_coil_bytes_owed), gap=500) == [request(two_coil_bytes_owed)]
    three = b"\x01\x03\x00\x00\x01"
    assert line.hear(rtu_frame(US, three), gap=500) == [request(three)]


def test_a_request_that_is_not_answered_is_owed_no_longer() -> None:
    line = Line()
    assert line.hear(rtu_frame(US, WRITE)) == [request(WRITE)]
    line.send(b"")
    assert line.hear(rtu_frame(US, WRITE)) == [request(WRITE)]


# --- our own transmission -------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 5, 300])
def test_an_echo_is_dropped_and_the_next_request_is_heard(piece: int) -> None:
    line = Line()
    for _ in range(2):
        line.hear(rtu_frame(US, READ))
        sent = rtu_frame(US, READ_ANSWER)
        line.send(sent)
        for at in range(0, len(sent), piece):
            assert line.hear(sent[at : at + piece], gap=0) == []
        assert line.fall_silent() == []
    assert line.hear(rtu_frame(US, WRITE)) == [request(WRITE)]


@pytest.mark.parametrize("piece", [1, 300])
def test_a_request_right_behind_the_echo(piece: int) -> None:
    line = Line()
    line.hear(rtu_frame(US, READ))
    sent = rtu_frame(US, READ_ANSWER)
    line.send(sent)
    stream, heard = sent + rtu_frame(US, WRITE), []
    for at in range(0, len(stream), piece):
        heard += line.hear(stream[at : at + piece], gap=0)
    assert heard == [request(WRITE)]


def test_a_garbled_echo_is_garbled() -> None:
    line = Line()
    line.hear(rtu_frame(US, READ))
    sent = rtu_frame(US, READ_ANSWER)
    line.send(sent)
    assert line.hear(sent[:4], gap=0) == []
    assert line.hear(spoilt(sent[4:]), gap=0) + line.fall_silent() == [GARBLED]
    assert line.hear(rtu_frame(US, READ)) == [request(READ)]


def test_an_echo_that_never_comes_costs_nothing() -> None:
    line = Line()
    line.hear(rtu_frame(US, WRITE))
    line.send(rtu_frame(US, WRITE))
    line.now += 8 * CHARACTER_S
    assert line.hear(rtu_frame(US, WRITE)) == [request(WRITE)]


def test_an_echo_that_stops_half_way_is_forgotten() -> None:
    line = Line()
    line.hear(rtu_frame(US, READ))
    sent = rtu_frame(US, READ_ANSWER)
    line.send(sent)
    line.hear(sent[:4], gap=0)
    assert line.hear(rtu_frame(US, WRITE), gap=30) == [request(WRITE)]


def answer_and_return(line: Line, asked: bytes, answered: bytes, returned: bytes = b"") -> list[RtuFrame]:
    """A request, our answer, and what comes back of it."""
    assert line.hear(rtu_frame(US, asked)) == [request(asked)]
    line.send(rtu_frame(US, answered))
    return line.hear(returned, gap=0) if returned else []


def test_a_client_that_repeats_itself_at_once_is_no_echo_where_nothing_ever_comes_back() -> None:
    line = Line()
    answer_and_return(line, READ, READ_ANSWER)
    answer_and_return(line, WRITE, WRITE)  # comes instead of the echo of data: this line returns nothing
    for _ in range(3):
        assert line.hear(rtu_frame(US, WRITE), gap=0) == [request(WRITE)]
        line.send(rtu_frame(US, WRITE))


@pytest.mark.parametrize("answered", [READ_ANSWER, b"\x83\x02", WRITE_MANY_ANSWER])
@pytest.mark.parametrize("late", [4, 1000])
def test_an_echo_may_be_read_late_where_everything_comes_back(answered: bytes, late: int) -> None:
    line = Line()
    asked = WRITE_MANY if answered is WRITE_MANY_ANSWER else READ
    assert answer_and_return(line, asked, answered, rtu_frame(US, answered)) == []
    answer_and_return(line, WRITE, WRITE)
    assert line.hear(rtu_frame(US, WRITE), gap=late) == []
    assert line.hear(rtu_frame(US, WRITE), gap=late) == [request(WRITE)]


def test_a_late_echo_is_a_collision_as_long_as_it_is_not_known_that_everything_comes_back() -> None:
    line = Line()
    answer_and_return(line, READ, READ_ANSWER)
    assert line.hear(rtu_frame(US, READ_ANSWER), gap=20) == [collision(READ_ANSWER)]
    assert answer_and_return(line, READ, READ_ANSWER, rtu_frame(US, READ_ANSWER)) == []


def test_the_first_echo_that_tells_may_be_as_late_as_the_port() -> None:
    for gap, heard in [(8, []), (9, [collision(READ_ANSWER)])]:  # t3.5 and five characters after its time
        line = Line(latency_s=5 * CHARACTER_S)
        answer_and_return(line, READ, READ_ANSWER)
        line.now += 9 * CHARACTER_S
        assert line.hear(rtu_frame(US, READ_ANSWER), gap=gap) == heard


def test_a_garbled_echo_says_nothing_about_the_line() -> None:
    line = Line()
    assert answer_and_return(line, READ, READ_ANSWER, spoilt(rtu_frame(US, READ_ANSWER))) == [GARBLED]
    line.fall_silent()
    assert answer_and_return(line, WRITE, WRITE, rtu_frame(US, WRITE)) == []


def test_a_line_that_stops_returning_is_noticed_at_the_next_request() -> None:
    line = Line()
    answer_and_return(line, READ, READ_ANSWER, rtu_frame(US, READ_ANSWER))
    answer_and_return(line, READ, READ_ANSWER)
    answer_and_return(line, WRITE, WRITE)
    assert line.hear(rtu_frame(US, WRITE), gap=0) == [request(WRITE)]


def test_half_an_echo_and_a_request_after_it_where_everything_comes_back() -> None:
    line = Line()
    sent = rtu_frame(US, READ_ANSWER)
    answer_and_return(line, READ, READ_ANSWER, sent)
    answer_and_return(line, READ, READ_ANSWER, sent[:4])
    assert line.hear(rtu_frame(US, WRITE), gap=30) == [request(WRITE)]


# --- a process that is late -----------------------------------------------------------------------------------


def test_the_rest_of_a_request_to_us_may_be_read_late() -> None:
    latency_s = 5 * CHARACTER_S
    frame = rtu_frame(US, READ)
    line = Line(latency_s)
    assert line.hear(frame[:5]) == []
    assert line.hear(frame[5:], gap=8.4) == [request(READ)]
    assert line.hear(frame[:5]) == []
    assert line.hear(frame[5:], gap=8.6) == [GARBLED]


def test_others_get_no_such_grace() -> None:
    line = Line(latency_s=5 * CHARACTER_S)
    assert line.hear(rtu_frame(OTHER, READ)[:5]) == []
    assert line.hear(rtu_frame(US, READ), gap=3.6) == [GARBLED, request(READ)]


# --- whatever comes -------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.binary(max_size=40), st.floats(0, 6)), max_size=40))
def test_after_any_noise_and_a_silence_a_request_is_heard(noise: list[tuple[bytes, float]]) -> None:
    line = Line()
    for data, gap in noise:
        line.hear(data, gap)
        assert len(line.framer._run) <= 256 + 40
    line.fall_silent()
    assert line.hear(rtu_frame(US, READ))[-1] == request(READ)
