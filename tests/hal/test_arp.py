"""ARP frames, compared with bytes written by hand from RFC 826 and RFC 5227."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.arp import Claimed, announcement, claimed, probe

MAC = bytes.fromhex("02000000aa01")
OTHER = bytes.fromhex("02000000bb02")
ADDRESS = IPv4Address("192.168.100.246")


def test_probe_bytes() -> None:
    assert probe(MAC, ADDRESS) == bytes.fromhex(
        "ffffffffffff 02000000aa01 0806  0001 0800 06 04 0001  02000000aa01 00000000  000000000000 c0a864f6"
    )


def test_announcement_bytes() -> None:
    assert announcement(MAC, ADDRESS) == bytes.fromhex(
        "ffffffffffff 02000000aa01 0806  0001 0800 06 04 0001  02000000aa01 c0a864f6  000000000000 c0a864f6"
    )


def test_an_answer_claims_the_address() -> None:
    answer = bytes.fromhex(
        "02000000aa01 02000000bb02 0806  0001 0800 06 04 0002  02000000bb02 c0a864f6  02000000aa01 00000000"
    )
    assert claimed(answer, MAC) == Claimed(ADDRESS, "02:00:00:00:bb:02")
    assert claimed(answer + bytes(18), MAC) == Claimed(ADDRESS, "02:00:00:00:bb:02")  # padded to Ethernet's least


def test_announcements_and_probes_of_others() -> None:
    assert claimed(announcement(OTHER, ADDRESS), MAC) == Claimed(ADDRESS, "02:00:00:00:bb:02")
    assert claimed(probe(OTHER, ADDRESS), MAC) == Claimed(ADDRESS, "02:00:00:00:bb:02", probing=True)


def test_our_own_frames_come_back_and_say_nothing() -> None:
    assert claimed(announcement(MAC, ADDRESS), MAC) is None
    assert claimed(probe(MAC, ADDRESS), MAC) is None


@pytest.mark.parametrize(
    ("offset", "value"),
    [(12, b"\x08\x00"), (14, b"\x00\x06"), (16, b"\x86\xdd"), (18, b"\x08"), (19, b"\x10"), (20, b"\x00\x03")],
)
def test_other_protocols_and_operations_say_nothing(offset: int, value: bytes) -> None:
    frame = bytearray(announcement(OTHER, ADDRESS))
    frame[offset : offset + len(value)] = value
    assert claimed(bytes(frame), MAC) is None


@given(st.binary(max_size=80))
def test_any_frame_can_be_looked_at(frame: bytes) -> None:
    claimed(frame, MAC)
