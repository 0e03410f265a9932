"""TCP frames: however the bytes arrive, the same frames come out, and never a guess."""

from __future__ import annotations

from itertools import pairwise
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.modbus.adu import MbapFramer, tcp_answer


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


frames = st.lists(
    st.builds(frame, st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(min_size=1, max_size=253)), max_size=6
)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream cut at the given places."""
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[a:b] for a, b in pairwise(places)]


@given(frames, st.lists(st.integers(0, 2000), max_size=20))
def test_pipelined_and_segmented_frames_come_out_whole(sent: list[bytes], cuts: list[int]) -> None:
    framer = MbapFramer()
    got = [frame for piece in pieces(b"".join(sent), cuts) for frame in framer.feed(piece)]
    assert got == sent
    assert framer.begun == b""
    assert framer.fault is None


def test_byte_at_a_time() -> None:
    framer = MbapFramer()
    whole = frame(0xABCD, 17, b"\x03\x00\x00\x00\x7d")
    for byte in whole[:-1]:
        assert framer.feed(bytes((byte,))) == []
        assert framer.begun
    assert framer.feed(whole[-1:]) == [whole]
    assert framer.begun == b""


@given(frames, st.integers(1, 0xFFFF), st.lists(st.integers(0, 2000), max_size=20), st.binary(max_size=40))
def test_a_wrong_protocol_id_ends_it_after_the_frames_ahead(
    ahead: list[bytes], protocol: int, cuts: list[int], behind: bytes
) -> None:
    stream = b"".join(ahead) + pack(">HHHB", 1, protocol, 6, 1) + b"\x03\x00\x00\x00\x01" + behind
    framer = MbapFramer()
    got = [frame for piece in pieces(stream, cuts) for frame in framer.feed(piece)]
    assert got == ahead
    assert framer.fault == f"protocol id {protocol}"
    assert framer.begun == b""
    assert framer.feed(frame(1, 1, b"\x03\x00\x00\x00\x01")) == []


def test_a_length_outside_2_to_254_ends_it() -> None:
    for length in range(0x10000):
        framer = MbapFramer()
        assert framer.feed(pack(">HHH", 7, 0, length)) == []
        if 2 <= length <= 254:
            assert framer.fault is None
            assert len(framer.feed(bytes(length))) == 1
        else:
            assert framer.fault == f"length {length}"


def test_a_fault_is_seen_as_soon_as_the_six_bytes_are_there() -> None:
    framer = MbapFramer()
    framer.feed(b"GET /")
    assert framer.fault is None
    framer.feed(b" ")
    assert framer.fault is not None


@given(st.lists(st.binary(max_size=512), max_size=20))
def test_less_than_one_frame_is_held(noise: list[bytes]) -> None:
    framer = MbapFramer()
    for piece in noise:
        framer.feed(piece)
        assert len(framer.begun) < 6 + 254


@pytest.mark.parametrize("size", [2, 5, 252, 253])
def test_an_answer_repeats_transaction_and_unit_id(size: int) -> None:
    pdu = bytes(range(size))
    assert tcp_answer(frame(0x1234, 9, b"\x03\x00\x00\x00\x01"), pdu) == frame(0x1234, 9, pdu)
