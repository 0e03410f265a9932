"""Every rule of the guard for every function code, exhaustively where the numbers allow it (modbus.md, Addresses)."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.modbus.pdu import READS, WRITES, Malformed, exception
from gatewayd.points.bank import IllegalAddress, IllegalValue, MailboxBusy
from tests.modbus.plain_bank import PlainBank

CLIENT, NOW = "a client", 12.5
REGISTER_READS, COIL_READS = (3, 4), (1, 2)
EVERY = {**READS, **WRITES}

# The shortest good request of each function code.
GOOD = {
    1: b"\x01\x00\x00\x00\x01",
    2: b"\x02\x00\x00\x00\x01",
    3: b"\x03\x00\x00\x00\x01",
    4: b"\x04\x00\x00\x00\x01",
    5: b"\x05\x00\x00\xff\x00",
    6: b"\x06\x00\x00\x12\x34",
    15: b"\x0f\x00\x00\x00\x01\x01\x01",
    16: b"\x10\x00\x00\x00\x01\x02\x12\x34",
}


def ask(pdu: bytes, bank: PlainBank) -> bytes:
    return EVERY[pdu[0]](bank, pdu, CLIENT, NOW)


def refused(pdu: bytes) -> bool:
    """Whether the guard finds it malformed; then the bank must not have heard of it."""
    bank = PlainBank()
    try:
        ask(pdu, bank)
    except Malformed:
        assert bank.asked == []
        return True
    return False


def test_the_eight_function_codes_and_no_others() -> None:
    assert sorted(READS) == [1, 2, 3, 4]
    assert sorted(WRITES) == [5, 6, 15, 16]


@pytest.mark.parametrize("function", GOOD)
def test_only_the_right_length_passes(function: int) -> None:
    good = GOOD[function]
    assert not refused(good)
    for size in range(1, len(good)):
        assert refused(good[:size])
    for extra in range(1, 300):
        assert refused(good + bytes(extra))


@pytest.mark.parametrize("function", REGISTER_READS)
def test_register_reads_take_1_to_125(function: int) -> None:
    for quantity in range(0x10000):
        assert refused(pack(">BHH", function, 0, quantity)) == (not 1 <= quantity <= 125)


@pytest.mark.parametrize("function", COIL_READS)
def test_coil_reads_take_1_to_2000(function: int) -> None:
    for quantity in (*range(2100), *range(2100, 0x10000, 97), 0xFFFF):
        assert refused(pack(">BHH", function, 0, quantity)) == (not 1 <= quantity <= 2000)


def test_fc5_takes_ff00_and_0000() -> None:
    passed = [value for value in range(0x10000) if not refused(pack(">BHH", 5, 0, value))]
    assert passed == [0x0000, 0xFF00]


def test_fc6_takes_every_value() -> None:
    bank = PlainBank()
    for value in range(0x10000):
        if value == 0xDEAD:  # the bank's own refusal
            continue
        request = pack(">BHH", 6, 77, value)
        assert ask(request, bank) == request
        assert bank.registers[154:156] == request[3:]


def test_fc15_takes_1_to_1968_and_the_bytes_they_need() -> None:
    for quantity in (*range(2100), 0x7FFF, 0xFFFF):
        right = (quantity + 7) // 8
        request = pack(">BHHB", 15, 0, quantity, right & 0xFF) + bytes(right)
        assert refused(request) == (not 1 <= quantity <= 1968)


def test_fc16_takes_1_to_123_and_two_bytes_each() -> None:
    for quantity in (*range(400), 0x7FFF, 0x8001, 0xFFFF):
        request = pack(">BHHB", 16, 0, quantity, 2 * quantity & 0xFF) + bytes(2 * quantity)
        assert refused(request) == (not 1 <= quantity <= 123)


@pytest.mark.parametrize(("function", "quantity", "right"), [(15, 1, 1), (15, 17, 3), (15, 1968, 246), (16, 123, 246)])
def test_a_byte_count_that_is_not_the_quantitys_is_refused(function: int, quantity: int, right: int) -> None:
    for said in range(256):
        for sent in {said, right}:
            request = pack(">BHHB", function, 0, quantity, said) + bytes(sent)
            assert refused(request) == (said != right)


@pytest.mark.parametrize(("function", "quantity"), [(15, 9), (16, 2)])
def test_values_that_are_fewer_or_more_than_said_are_refused(function: int, quantity: int) -> None:
    right = 2 if function == 15 else 4
    for sent in range(260):
        assert refused(pack(">BHHB", function, 0, quantity, right) + bytes(sent)) == (sent != right)


@pytest.mark.parametrize("quantity", [2, 3, 100])
@pytest.mark.parametrize("function", [1, 2, 3, 4, 15, 16])
def test_a_request_may_end_at_the_last_address_and_not_behind_it(function: int, quantity: int) -> None:
    values = {15: bytes((quantity + 7) // 8), 16: bytes(2 * quantity)}.get(function)
    tail = b"" if values is None else bytes((len(values),)) + values
    ask(pack(">BHH", function, 0x10000 - quantity, quantity) + tail, PlainBank())
    bank = PlainBank()
    with pytest.raises(IllegalAddress):
        ask(pack(">BHH", function, 0x10001 - quantity, quantity) + tail, bank)
    assert bank.asked == []


@pytest.mark.parametrize("function", [1, 2, 3, 4])
def test_a_wrong_quantity_is_named_before_a_wrong_address(function: int) -> None:
    with pytest.raises(Malformed):
        ask(pack(">BHH", function, 0xFFFF, 0xFFFF), PlainBank(served=0))


@pytest.mark.parametrize("function", REGISTER_READS)
def test_register_answers(function: int) -> None:
    bank = PlainBank()
    bank.registers[:] = bytes(i * 7 & 0xFF for i in range(len(bank.registers)))
    for quantity in range(1, 126):
        values = bytes(bank.registers[2 * 4000 : 2 * (4000 + quantity)])
        assert ask(pack(">BHH", function, 4000, quantity), bank) == bytes((function, 2 * quantity)) + values


@pytest.mark.parametrize("function", COIL_READS)
def test_coil_answers(function: int) -> None:
    bank = PlainBank()
    for address in (10, 12, 13, 19):
        bank.registers[2 * address + 1] = 1
    assert ask(pack(">BHH", function, 10, 1), bank) == bytes((function, 1, 0b1))
    assert ask(pack(">BHH", function, 10, 8), bank) == bytes((function, 1, 0b1101))
    assert ask(pack(">BHH", function, 10, 10), bank) == bytes((function, 2, 0b1101, 0b10))
    assert len(ask(pack(">BHH", function, 0, 2000), bank)) == 2 + 250


def test_write_answers_and_what_the_bank_is_told() -> None:
    bank = PlainBank()
    assert ask(b"\x05\x01\x02\xff\x00", bank) == b"\x05\x01\x02\xff\x00"
    assert ask(b"\x05\x01\x02\x00\x00", bank) == b"\x05\x01\x02\x00\x00"
    assert ask(b"\x06\x01\x02\xab\xcd", bank) == b"\x06\x01\x02\xab\xcd"
    assert ask(b"\x0f\x01\x02\x00\x03\x01\x05", bank) == b"\x0f\x01\x02\x00\x03"
    assert ask(b"\x10\x01\x02\x00\x02\x04\xab\xcd\x00\x01", bank) == b"\x10\x01\x02\x00\x02"
    assert bank.asked == [
        ("write_bits", 0x102, [True], CLIENT, NOW),
        ("write_bits", 0x102, [False], CLIENT, NOW),
        ("write", 0x102, b"\xab\xcd", CLIENT, NOW),
        ("write_bits", 0x102, [True, False, True], CLIENT, NOW),
        ("write", 0x102, b"\xab\xcd\x00\x01", CLIENT, NOW),
    ]


@given(st.lists(st.booleans(), min_size=1, max_size=1968), st.integers(0, 255))
def test_unused_bits_of_fc15_carry_nothing(coils: list[bool], noise: int) -> None:
    number = sum(coil << i for i, coil in enumerate(coils)) | noise << len(coils)
    size = (len(coils) + 7) // 8
    values = (number & (1 << 8 * size) - 1).to_bytes(size, "little")
    bank = PlainBank()
    assert ask(pack(">BHHB", 15, 5, len(coils), size) + values, bank) == pack(">BHH", 15, 5, len(coils))
    assert bank.asked == [("write_bits", 5, coils, CLIENT, NOW)]


@given(st.sampled_from(sorted(EVERY)), st.binary(max_size=252))
def test_any_bytes_are_answered_or_refused_by_name(function: int, tail: bytes) -> None:
    """Nothing but the named refusals comes out, and an answer fits a frame."""
    try:
        answer = ask(bytes((function,)) + tail, PlainBank())
    except (Malformed, IllegalAddress, IllegalValue, MailboxBusy):
        return
    assert answer[0] == function
    assert len(answer) <= 253


@pytest.mark.parametrize("function", range(256))
def test_an_exception_can_be_said_to_any_function_code(function: int) -> None:
    assert exception(function, 0x0B) == bytes((function | 0x80, 0x0B))
