"""Requests to answers: unit ids, the order of the exceptions, broadcasts, one client's session."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise
from math import inf
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.modbus.server import FRAME_TIMEOUT_S, Exchanges, Server, TcpSession
from tests.modbus.plain_bank import BUSY_ADDRESS, FORBIDDEN_VALUE, PlainBank, PlainUnits

CLIENT, NOW = "a client", 12.5
READ = b"\x03\x00\x10\x00\x01"
WRITE = b"\x06\x00\x10\x12\x34"
SERVED_BELOW = 0xC000


class Site:
    """A server of three unit ids, and the exceptions it counted."""

    def __init__(self, *, writes: bool = True, exchanges: Exchanges | None = None) -> None:
        self.banks = {unit: PlainBank(SERVED_BELOW) for unit in (7, 8, 9)}
        for unit, bank in self.banks.items():
            bank.registers[32:34] = bytes((0, unit))
        self.counted: list[int] = []
        self.server = Server(
            PlainUnits(self.banks),  # type: ignore[arg-type]
            writes=writes,
            on_exception=self.counted.append,
            exchanges=exchanges,
        )

    def tcp(self, pdu: bytes, unit: int = 7) -> bytes:
        return self.server.answer_tcp(unit, pdu, CLIENT, NOW)

    def rtu(self, pdu: bytes, unit: int = 7) -> bytes | None:
        return self.server.answer_rtu(unit, pdu, CLIENT, NOW)

    def asked(self) -> int:
        return sum(len(bank.asked) for bank in self.banks.values())


@pytest.mark.parametrize(("unit", "answered_by"), [(7, 7), (8, 8), (9, 9), (0, 7), (255, 7)])
def test_tcp_unit_ids(unit: int, answered_by: int) -> None:
    assert Site().tcp(READ, unit) == bytes((3, 2, 0, answered_by))


def test_a_unit_id_that_nobody_has() -> None:
    site = Site()
    for unit in set(range(1, 255)) - {7, 8, 9}:
        assert site.tcp(READ, unit) == b"\x83\x0b"
        assert site.rtu(READ, unit) is None
    assert site.counted == [0x0B] * 251
    assert site.asked() == 0


def test_an_onlooker_hears_every_exchange_and_what_was_silence() -> None:
    heard: list[tuple[int, bytes, bytes | None]] = []
    exchanges = Exchanges("tcp")
    site = Site(exchanges=exchanges)
    site.tcp(READ)
    exchanges.onlooker = lambda _exchanges, _client, unit, pdu, answer: heard.append((unit, pdu, answer))
    site.tcp(READ, 8)
    site.tcp(READ, 100)
    site.rtu(READ, 9)
    site.rtu(WRITE, 0)
    site.rtu(READ, 100)
    assert heard == [
        (8, READ, b"\x03\x02\x00\x08"),
        (100, READ, b"\x83\x0b"),
        (9, READ, b"\x03\x02\x00\x09"),
        (0, WRITE, None),
    ], "a foreign unit on the line is nobody's exchange"
    assert exchanges.answered == 5


@pytest.mark.parametrize("function", sorted(set(range(256)) - {1, 2, 3, 4, 5, 6, 15, 16}))
def test_unknown_functions(function: int) -> None:
    site = Site()
    assert site.tcp(bytes((function,)) + READ[1:]) == bytes((function | 0x80, 1))
    assert site.counted == [1]
    assert site.asked() == 0


@pytest.mark.parametrize("function", [5, 6, 15, 16])
def test_without_writes_a_write_is_an_unknown_function(function: int) -> None:
    site = Site(writes=False)
    for tail in (b"", b"\x00\x10\x00\x00", b"\xff\xff\xff\xff\xff"):  # good, short or wrong: 01 comes first
        assert site.tcp(bytes((function,)) + tail) == bytes((function | 0x80, 1))
        assert site.rtu(bytes((function,)) + tail) == bytes((function | 0x80, 1))
        assert site.rtu(bytes((function,)) + tail, unit=0) is None
    assert site.asked() == 0
    assert site.tcp(READ) == b"\x03\x02\x00\x07"


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        (b"\x03\x00\x00\x00\x00", 3),
        (b"\x03\xff\xff\x00\x7e", 3),  # quantity and address wrong: quantity is named
        (b"\x03\xff\xff\x00\x02", 2),
        (b"\x03" + pack(">HH", SERVED_BELOW, 1), 2),
        (b"\x05\xff\xff\x12\x34", 3),  # value and address wrong: the value is malformed, so 03
        (b"\x05\xff\xff\xff\x00", 2),
        (b"\x06\xff\xff" + pack(">H", FORBIDDEN_VALUE), 2),  # address and value wrong: address is named
        (b"\x06\x00\x00" + pack(">H", FORBIDDEN_VALUE), 3),
        (b"\x10" + pack(">HHBH", BUSY_ADDRESS, 1, 2, 5), 6),
        (b"\x10" + pack(">HHBH", BUSY_ADDRESS, 1, 2, FORBIDDEN_VALUE), 3),  # value before mailbox
        (b"\x10" + pack(">HHBH", BUSY_ADDRESS, 1, 1, 5), 3),
    ],
)
def test_the_first_of_several_causes_is_answered(pdu: bytes, code: int) -> None:
    site = Site()
    before = bytes(site.banks[7].registers)
    assert site.tcp(pdu) == bytes((pdu[0] | 0x80, code))
    assert site.rtu(pdu) == bytes((pdu[0] | 0x80, code))
    assert site.counted == [code, code]
    assert site.banks[7].registers == before


def test_a_bug_in_the_bank_is_not_answered() -> None:
    class Broken(PlainBank):
        def read(self, address: int, quantity: int) -> bytes:
            raise ZeroDivisionError

    server = Server(PlainUnits({1: Broken()}), writes=True, on_exception=lambda code: None)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        server.answer_tcp(1, READ, CLIENT, NOW)


def test_a_broadcast_is_written_to_every_bank_and_not_answered() -> None:
    site = Site()
    site.banks[8].served = 0  # refuses, and keeps nobody else from taking it
    assert site.rtu(WRITE, unit=0) is None
    assert [bytes(bank.registers[32:34]) for bank in site.banks.values()] == [b"\x12\x34", b"\x00\x08", b"\x12\x34"]
    assert site.counted == []


@pytest.mark.parametrize("pdu", [READ, b"\x2b\x0e\x01\x00", b"\x06\x00"])
def test_a_broadcast_that_is_no_good_write_is_nothing(pdu: bytes) -> None:
    site = Site()
    assert site.rtu(pdu, unit=0) is None
    assert site.asked() == 0


def test_rtu_answers_as_tcp_does() -> None:
    site = Site()
    assert site.rtu(READ) == b"\x03\x02\x00\x07"
    assert site.rtu(WRITE, unit=8) == WRITE
    assert site.banks[8].asked[-1] == ("write", 0x10, b"\x12\x34", CLIENT, NOW)
    assert site.rtu(READ, unit=255) is None


# --- a TCP client's session -----------------------------------------------------------------------------------


def adu(pdu: bytes, transaction: int = 1, unit: int = 7) -> bytes:
    return pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def test_pipelined_requests_are_answered_in_order() -> None:
    session = TcpSession(Site().server, CLIENT, NOW)
    asked = adu(READ, 1) + adu(WRITE, 2) + adu(READ, 3, unit=0) + adu(b"\x00", 4) + adu(READ, 5, unit=77)
    assert session.receive(asked, NOW) == (
        adu(b"\x03\x02\x00\x07", 1)
        + adu(WRITE, 2)
        + adu(b"\x03\x02\x12\x34", 3, unit=0)
        + adu(b"\x80\x01", 4)
        + adu(b"\x83\x0b", 5, unit=77)
    )


@given(
    st.lists(st.sampled_from([READ, WRITE, b"\x03\x00\x00\x00\x7d", b"\x2b"]), min_size=1, max_size=8),
    st.lists(st.integers(0, 100), max_size=10),
)
def test_segments_make_no_difference(pdus: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(adu(pdu, number) for number, pdu in enumerate(pdus))
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    session = TcpSession(Site().server, CLIENT, NOW)
    got = b"".join(session.receive(stream[a:b], NOW) for a, b in pairwise(places))
    assert got == TcpSession(Site().server, CLIENT, NOW).receive(stream, NOW)


@given(
    st.sampled_from([1, 3, 4, 5, 6, 7, 255]),
    st.sampled_from([0, 7, 8, 77]),
    st.one_of(st.integers(0, 0xFFFF), st.integers(SERVED_BELOW - 130, SERVED_BELOW)),
    st.one_of(st.integers(0, 130), st.integers(0, 0xFFFF)),
)
def test_a_request_that_comes_whole_goes_a_shorter_way_to_the_same_answer(
    function: int, unit: int, address: int, quantity: int
) -> None:
    """One that comes in two pieces goes the long way."""

    def received(*pieces: bytes) -> tuple[object, ...]:
        heard: list[tuple[int, bytes, bytes | None]] = []
        exchanges = Exchanges("tcp")
        exchanges.onlooker = lambda _exchanges, _client, of, pdu, answer: heard.append((of, pdu, answer))
        site = Site(exchanges=exchanges)
        session = TcpSession(site.server, CLIENT, NOW)
        answers = b"".join(session.receive(piece, NOW + 1) for piece in pieces)
        of_session = session.last_request, session.last_request_s, session.requests, session.promise, session.deadline
        return answers, heard, exchanges.answered, site.counted, of_session

    whole = adu(pack(">BHH", function, address, quantity), unit=unit)
    assert received(whole) == received(whole[:9], whole[9:])


def test_what_comes_before_a_fault_is_answered() -> None:
    session = TcpSession(Site().server, CLIENT, NOW)
    assert session.receive(adu(READ) + b"GET / HTTP/1.1\r\n\r\n", NOW) == adu(b"\x03\x02\x00\x07")
    assert session.fault == "protocol id 21536"
    assert session.receive(adu(READ), NOW) == b""


def test_a_frame_that_has_begun_has_a_deadline_that_trickling_does_not_move() -> None:
    session = TcpSession(Site().server, CLIENT, 100.0)
    assert session.deadline == inf
    whole = adu(READ)
    for second, byte in enumerate(whole[:-1]):
        session.receive(bytes((byte,)), 100.0 + second)
        assert session.deadline == 100.0 + FRAME_TIMEOUT_S
    session.receive(whole[-1:], 120.0)
    assert session.deadline == inf
    session.receive(whole[:3], 130.0)
    assert session.deadline == 130.0 + FRAME_TIMEOUT_S
    session.receive(whole[3:] + whole[:3], 135.0)  # the first ended, another began now
    assert session.deadline == 135.0 + FRAME_TIMEOUT_S


def test_only_a_whole_request_counts_as_asking() -> None:
    session = TcpSession(Site().server, CLIENT, 100.0)
    assert session.last_request_s == 100.0
    session.receive(adu(READ)[:5], 150.0)
    assert session.last_request_s == 100.0
    session.receive(adu(READ)[5:], 155.0)
    assert session.last_request_s == 155.0


def test_a_closed_session_frees_its_mailboxes_in_every_bank() -> None:
    site = Site()
    client: Hashable = ("192.0.2.1", 4711)
    TcpSession(site.server, client, NOW).closed()
    assert [bank.released for bank in site.banks.values()] == [[client]] * 3
