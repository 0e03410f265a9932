"""The registers of a bank as a BMS sees them: what is served, what a write does or does not (modbus.md, Addresses)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd import assembly, config
from gatewayd.points.address import BLOCKS
from gatewayd.points.bank import STALE, Bank, IllegalAddress, IllegalValue, MailboxBusy
from gatewayd.points.block import Format
from gatewayd.site.codes import WordOrder
from gatewayd.site.owner import QUIET_S
from tests.kit import Kit, WireEnd
from tests.points.contract import MAILBOXES, ROWS, Row

PLANT = """
[[charge_point]]
number = 1
identity = "CP001"
connectors = 2
[[charge_point]]
number = 3
identity = "CP003"
connectors = 7
"""
CONNECTORS = {1: 2, 3: 7}

CP1, CP3 = 3000, 9000
ENABLE, START, STATUS, POWER, LIMIT, LIMIT_UNIT, UPDATES, TAG, LIMIT_U16 = 16, 18, 32, 66, 100, 102, 107, 108, 118


def served_blocks() -> Iterator[int]:
    """First register of every block, block 0 of the gateway standing for its first 300 registers."""
    yield from range(0, 3000, 300)
    for place, connectors in CONNECTORS.items():
        for block in (*range(connectors + 1), 8, 9):
            yield 3000 * place + 300 * block


SERVED = {address for block in served_blocks() for address in range(block, block + 300)}
WITH_COILS = {
    3000 * place + 300 * block + offset
    for place, connectors in CONNECTORS.items()
    for block in range(connectors + 1)
    for offset in range(32)
}


@pytest.fixture
def kit() -> Kit:
    return Kit(PLANT)


def charging(kit: Kit, identity: str = "CP001", connector: int = 1, power_w: float = 11_000) -> WireEnd:
    """A charge point that booted, charges on one connector and measures."""
    end = kit.connect(identity)
    end.boot()
    end.status(connector, "Charging")
    meter(kit, end, connector, power_w)
    return end


def meter(kit: Kit, end: WireEnd, connector: int, power_w: float, energy_wh: float = 5_000_000) -> None:
    samples = [
        {"value": str(energy_wh), "unit": "Wh"},
        {"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"},
    ]
    end.send(
        "MeterValues",
        {"connectorId": connector, "meterValue": [{"timestamp": kit.stamp(), "sampledValue": samples}]},
    )


def everything(kit: Kit) -> bytes:
    """Every served register, read block by block."""
    return b"".join(kit.bank_1.read(block + at, 100) for block in served_blocks() for at in (0, 100, 200))


# --- what is served -----------------------------------------------------------------------------------------------


def test_every_address_answers_a_read_or_refuses_it_with_02(kit: Kit) -> None:
    for address in range(0x10000):
        try:
            assert len(kit.bank_1.read(address, 1)) == 2
            answered = True
        except IllegalAddress:
            answered = False
        assert answered == (address in SERVED), address


def test_every_coil_answers_or_refuses_with_02(kit: Kit) -> None:
    for address in range(0x10000):
        try:
            assert kit.bank_1.read_bits(address, 1) in (b"\0", b"\1")
            answered = True
        except IllegalAddress:
            answered = False
        assert answered == (address in WITH_COILS), address


def test_every_address_takes_a_write_or_refuses_it_and_nothing_else(kit: Kit) -> None:
    taken = set()
    for address in range(0x10000):
        for value in (0, 10, 0xFFFF):
            try:
                kit.write(address, value)
                taken.add(address)
            except (IllegalAddress, IllegalValue, MailboxBusy):
                pass
    assert taken <= SERVED
    one_register = {row.address for row in ROWS if row.written_whole and row.registers == 1}
    assert one_register <= taken


@pytest.mark.parametrize(
    ("address", "quantity", "answered"),
    [
        (2900, 125, True),  # from the gateway into charge point 1
        (2999, 1, True),
        (CP1 + 600, 125, True),
        (CP1 + 800, 125, False),  # into connector 3, which is not configured
        (CP1 + 2399, 2, False),  # from connector 7 into the command mailbox
        (CP1 + 2400, 125, True),
        (CP1 + 2900, 125, False),  # into charge point 2, which is not configured
        (CP3 + 2900, 100, True),
        (CP3 + 2900, 101, False),
        (62_999, 1, False),
        (65_535, 1, False),
        (65_500, 125, False),  # beyond the address space
    ],
)
def test_a_request_is_served_whole_or_not_at_all(kit: Kit, address: int, quantity: int, answered: bool) -> None:
    if answered:
        assert len(kit.bank_1.read(address, quantity)) == 2 * quantity
    else:
        with pytest.raises(IllegalAddress):
            kit.bank_1.read(address, quantity)


def test_the_example_of_the_contract() -> None:
    kit = Kit('[[charge_point]]\nnumber = 7\nidentity = "CP007"\nconnectors = 2\n')
    charging(kit, "CP007", 2, 7360)
    assert kit.read_32(21_666, signed=True) == 7360


def test_a_read_is_a_copy(kit: Kit) -> None:
    before = kit.bank_1.read(CP1 + 300, 125)
    kit.write(CP1 + 300 + ENABLE, 0)
    assert before != kit.bank_1.read(CP1 + 300, 125)
    assert before[2 * ENABLE + 1] == 1


# --- consistency --------------------------------------------------------------------------------------------------


def test_one_request_shows_one_moment(kit: Kit) -> None:
    """Alias points, float copies and bits of the same fact never contradict each other in one answer."""
    end = charging(kit)
    for power in range(1000, 11_000, 1111):
        meter(kit, end, 1, power)
        block = kit.bank_1.read(CP1 + 300 + POWER, 125)  # 66 .. 190
        later = kit.bank_1.read(CP1 + 300 + 200, 4)
        assert struct.unpack_from(">i", block)[0] == power
        assert struct.unpack_from(">f", later, 4)[0] == pytest.approx(power / 1000)
        assert kit.read_32(1400 + 2, signed=True) == power
        assert kit.read_32(44, signed=True) == power


def test_aliases_of_a_limit_agree(kit: Kit) -> None:
    kit.write(CP1 + 300 + LIMIT_U16, 160)
    assert kit.read_32(CP1 + 300 + LIMIT, signed=True) == 160
    assert kit.read(1800 + 1) == 160
    kit.write(1800 + 1, 65_534)
    assert kit.read_32(CP1 + 300 + LIMIT, signed=True) == -1
    assert kit.read(CP1 + 300 + LIMIT_U16) == 65_534


def test_a_limit_takes_its_unit_from_the_same_request(kit: Kit) -> None:
    kit.write(CP1 + 300 + LIMIT, 0, 11_000, 1, 3)  # limit stands before its unit and phases
    assert kit.read_32(CP1 + 300 + LIMIT) == 11_000
    assert kit.read(CP1 + 300 + LIMIT_U16) == 65_535  # a limit in W
    assert kit.read(1800 + 1) == 65_535


def test_ages_move_with_the_seconds(kit: Kit) -> None:
    charging(kit)
    assert kit.read(CP1 + 300 + 36) == 0
    kit.run_for(5)
    assert kit.read(CP1 + 300 + 36) == 5
    assert kit.read(8) == 5


@pytest.mark.parametrize("word_order", WordOrder)
def test_a_counter_is_right_at_the_next_read_and_nothing_else_is_encoded_for_it(word_order: WordOrder) -> None:
    kit = Kit(f'modbus.word_order = "{word_order.name}"\n{PLANT}')
    counters = {"modbus_exceptions": 55, "ocpp_errors": 56, "modbus_refused": 59, "rtu_crc_errors": 102,
                "rtu_foreign_frames": 103, "rtu_collisions": 104, "watchdog_trips": 16, "rtu_frames": 100}  # fmt: skip
    kit.read(0)
    for times, name in enumerate(counters, 1):
        for _ in range(times):
            kit.site.count(name)
    kit.read(CP1)
    assert STALE not in kit.bank_1._state[:BLOCKS]
    for times, (name, address) in enumerate(counters.items(), 1):
        if name != "rtu_frames":
            assert kit.read(address) == times
    alone = kit.read(0, 120)
    assert 8 in [kit.read(100) >> 8, kit.read(100), kit.read(101) >> 8, kit.read(101)]
    kit.site.touch()
    assert kit.read(0, 120) == alone  # encoded with all the others they say the same


def test_update_counter_counts_changes_and_not_time(kit: Kit) -> None:
    end = charging(kit)
    seen = [kit.read(CP1 + 300 + UPDATES)]
    kit.run_for(30)
    assert kit.read(CP1 + 300 + UPDATES) == seen[-1]
    for change in (
        lambda: end.status(1, "SuspendedEV"),
        lambda: meter(kit, end, 1, 5),
        lambda: kit.write(CP1 + 300 + ENABLE, 0),
        end.disconnect,
    ):
        change()
        seen.append(kit.read(CP1 + 300 + UPDATES))
    assert all(later == earlier + 1 for earlier, later in pairwise(seen))
    end_count = kit.read(CP1 + 600 + UPDATES)
    kit.write(CP1 + 300 + ENABLE, 1)
    assert kit.read(CP1 + 600 + UPDATES) == end_count  # another block


def test_update_counter_of_block_0(kit: Kit) -> None:
    before = kit.read(CP1 + 59)
    kit.connect("CP001").boot()
    assert kit.read(CP1 + 59) == before + 1
    assert kit.read(CP1 + 59) == before + 1


def test_update_counter_wraps(kit: Kit) -> None:
    kit.read(CP1 + 300 + UPDATES)
    kit.site.charge_points["CP001"].connectors[1].update_counter = 65_534
    seen = []
    for enable in (0, 1, 0):
        kit.write(CP1 + 300 + ENABLE, enable)
        seen.append(kit.read(CP1 + 300 + UPDATES))
    assert seen == [65_535, 0, 1]


# --- matrices -----------------------------------------------------------------------------------------------------


def test_every_entry_of_a_matrix_is_its_point(kit: Kit) -> None:
    ends = [charging(kit, "CP001", 2, 3000), charging(kit, "CP003", 7, 7000)]
    ends[1].status(0, "Unavailable")
    kit.write(CP3 + 300 * 5 + LIMIT_U16, 77)
    twins: dict[int, Callable[[int, int], object]] = {
        1000: lambda base, k: kit.read(base + (STATUS if k else 34)),
        1200: lambda base, k: kit.read(base + (34 if k else 33)),
        1400: lambda base, k: kit.read(base + (POWER if k else 54), 2),
        1800: lambda base, k: kit.read(base + LIMIT_U16) if k else 65_534,
        2400: lambda base, k: kit.read(base + (64 if k else 56), 2),
    }
    for matrix, twin in twins.items():
        size = 2 if matrix in (1400, 2400) else 1
        for place in range(1, 21):
            for k in range(8):
                entry = kit.read(matrix + ((place - 1) * 8 + k) * size, size)
                if k <= CONNECTORS.get(place, -1):
                    assert entry == twin(3000 * place + 300 * k, k), (matrix, place, k)
                else:
                    nothing = {1000: 0, 1200: 0, 1400: [0x8000, 0], 1800: 65_535, 2400: [65_535, 65_535]}
                    assert entry == nothing[matrix], (matrix, place, k)


def test_matrix_places_that_are_not_configured_take_no_write(kit: Kit) -> None:
    for place in range(1, 21):
        for k in range(8):
            address = 1800 + (place - 1) * 8 + k
            if k <= CONNECTORS.get(place, -1):
                kit.write(address, 100)
                assert kit.read(address) == 100
            else:
                with pytest.raises(IllegalAddress):
                    kit.write(address, 100)


def test_a_matrix_is_written_whole_or_not_at_all(kit: Kit) -> None:
    with pytest.raises(IllegalAddress):
        kit.write(1800, 100, 100, 100, 100)  # the fourth is connector 3 of charge point 1
    assert kit.read(1800, 3) == [65_534] * 3
    kit.write(1800, 100, 90, 80)
    assert kit.read(1800, 3) == [100, 90, 80]


# --- writes -------------------------------------------------------------------------------------------------------

LONG = [row for row in ROWS if row.written_whole and row.registers > 1]


@pytest.mark.parametrize("row", LONG, ids=str)
def test_half_a_point_is_not_written(row: Row, kit: Kit) -> None:
    before = everything(kit)
    for first in range(row.registers):
        for last in range(first, row.registers):
            if (first, last) != (0, row.registers - 1):
                with pytest.raises(IllegalAddress):
                    kit.write(row.address + first, *[0x2020] * (last - first + 1))
    assert everything(kit) == before


@pytest.mark.parametrize(
    ("address", "registers", "error"),
    [
        (CP1 + 300 + ENABLE, (0, 2), IllegalValue),  # enable good, operative not
        (CP1 + 300 + ENABLE, (0, 0, 0, 0, 0, 0, 0), IllegalAddress),  # the last is a hole
        (CP1 + 300 + LIMIT, (0, 160, 0, 3, 0), IllegalAddress),  # limit_active is read-only
        (CP1 + 300 + LIMIT, (0, 160, 0, 4), IllegalValue),  # four phases
        (14, (1, 10_001), IllegalValue),
        (14, (1, 100, 0), IllegalAddress),
        (12, (4, 0), IllegalAddress),  # 02 before 03: watchdog_state behind a bad timeout
        (CP1 + 88, (1,) * 16, IllegalAddress),  # response_state behind the mailbox
    ],
)
def test_a_refused_write_changes_nothing(
    kit: Kit, address: int, registers: tuple[int, ...], error: type[Exception]
) -> None:
    before, journalled = everything(kit), kit.site.journal.written
    with pytest.raises(error):
        kit.write(address, *registers)
    assert everything(kit) == before
    assert kit.site.journal.written == journalled


def test_a_busy_mailbox_refuses_the_whole_write(kit: Kit) -> None:
    kit.write(CP1 + 2400, 1, client="first")
    before = everything(kit)
    with pytest.raises(MailboxBusy):
        kit.write(CP1 + 2400, 2, client="second")
    with pytest.raises(IllegalAddress):  # 02 before 06
        kit.write(CP1 + 2505, 0, 0, client="second")
    assert everything(kit) == before


# --- mailboxes ----------------------------------------------------------------------------------------------------


BOXES = [(3000 * (block != "gateway") + 2400 * (block == "command") + first, first, block)
         for block, first, _ in MAILBOXES if (block, first) != ("charge_point", 195)]  # fmt: skip


@pytest.mark.parametrize("address", [box[0] for box in BOXES])
class TestOwnership:
    """Each mailbox belongs to whoever began to fill it, until it commits, closes, or is quiet for 2 s."""

    def test_others_get_06_until_it_was_quiet(self, kit: Kit, address: int) -> None:
        kit.write(address, 1, client="first")
        kit.run_for(QUIET_S - 0.01)
        with pytest.raises(MailboxBusy):
            kit.write(address + 1, 1, client="second")
        kit.write(address + 1, 1, client="first")  # its 2 s begin again
        kit.run_for(QUIET_S - 0.01)
        with pytest.raises(MailboxBusy):
            kit.write(address, 2, client="second")
        kit.run_for(0.02)
        kit.write(address, 2, client="second")
        with pytest.raises(MailboxBusy):
            kit.write(address, 1, client="first")

    def test_a_closed_connection_leaves_it(self, kit: Kit, address: int) -> None:
        kit.write(address, 1, client="first")
        kit.bank_1.release("somebody else")
        with pytest.raises(MailboxBusy):
            kit.write(address, 2, client="second")
        kit.bank_1.release("first")
        kit.write(address, 2, client="second")

    def test_a_commit_leaves_it(self, kit: Kit, address: int) -> None:
        kit.write(address, 0, client="first")
        lengths = {5400: 106, 2000: 121, 2300: 29, 3088: 15}
        kit.write(address + lengths[address] - 1, 1, client="first")
        kit.write(address, 0, client="second")


def test_a_closed_connection_leaves_all_its_mailboxes(kit: Kit) -> None:
    addresses = [box[0] for box in BOXES]
    for address in addresses:
        kit.write(address, 1, client="first")
    kit.bank_1.release("first")
    for address in addresses:
        kit.write(address, 2, client="second")


def test_both_parts_of_the_response_are_one_mailbox(kit: Kit) -> None:
    kit.write(CP1 + 195, 0x4142, client="first")
    with pytest.raises(MailboxBusy):
        kit.write(CP1 + 88, 1, client="second")


def test_mailboxes_of_two_charge_points_are_two(kit: Kit) -> None:
    kit.write(CP1 + 2400, 1, client="first")
    kit.write(CP3 + 2400, 1, client="second")


def test_setpoints_belong_to_nobody(kit: Kit) -> None:
    kit.write(CP1 + 300 + ENABLE, 0, client="first")
    kit.write(CP1 + 300 + ENABLE, 1, client="second")


def test_a_command_may_be_written_register_by_register_backwards(kit: Kit) -> None:
    end = kit.connect("CP001")
    end.boot()
    wanted = {0: 1, 1: 1, 105: 9} | {10 + i: word for i, word in enumerate(b"TAG7\0\0"[k] * 256 + b"TAG7\0\0"[k + 1]
                                                                           for k in (0, 2, 4))}  # fmt: skip
    for register in sorted(wanted, reverse=True, key=lambda offset: -1 if offset == 105 else offset):
        kit.write(CP1 + 2400 + register, wanted[register])
    assert kit.read(CP1 + 2400 + 110) == 9
    (call,) = end.calls()
    assert (call.action, call.payload["connectorId"], call.payload["idTag"]) == ("RemoteStartTransaction", 1, "TAG7")


def test_a_command_in_one_write(kit: Kit) -> None:
    end = kit.connect("CP001")
    end.boot()
    block = [0] * 106
    block[0], block[1], block[105] = 3, 2, 77
    kit.write(CP1 + 2400, *block)
    assert kit.read(CP1 + 2400, 106) == block
    assert [call.action for call in end.calls()] == ["UnlockConnector"]


@pytest.mark.parametrize("order", list(WordOrder))
@pytest.mark.parametrize("little", [False, True])
@pytest.mark.parametrize("ones", [False, True])
def test_mailboxes_speak_the_configured_formats(order: WordOrder, little: bool, ones: bool) -> None:
    kit = Kit(
        f'[modbus]\nword_order = "{order.name}"\nstring_order = "{"little" if little else "big"}"\n'
        f'signed = "{"ones" if ones else "twos"}_complement"\n' + PLANT
    )
    end = kit.connect("CP001")
    end.boot()
    number = (-7 - ones) & 0xFFFFFFFF
    letters = {"big": "ABCD", "little": "DCBA", "word_inverted_big": "CDAB", "word_inverted_little": "BADC"}
    wire = bytes(number.to_bytes(4, "big")["ABCD".index(letter)] for letter in letters[order.name])
    kit.write(CP1 + 2400, 13, 1)  # ClearChargingProfile
    kit.bank_1.write(CP1 + 2402, wire, "bms", kit.now)
    assert kit.bank_1.read(CP1 + 2402, 2) == wire
    kit.write(CP1 + 2400 + 105, 5)
    assert [call.payload for call in end.calls()] == [{"id": -7}]
    key = b"VENDOR/KEY\0\0"
    swapped = b"".join(key[i : i + 2][::-1] for i in range(0, len(key), 2))
    end.disconnect()
    end = kit.connect("CP001")
    end.boot()
    kit.write(CP1 + 2400, 15)
    kit.bank_1.write(CP1 + 2430, swapped if little else key, "bms", kit.now)
    kit.write(CP1 + 2400 + 105, 6)
    (call,) = end.calls()
    assert (call.payload["vendorId"], call.payload["messageId"]) == ("VENDOR", "KEY")


# --- coils --------------------------------------------------------------------------------------------------------


def test_coils_are_packed_from_the_lowest_bit(kit: Kit) -> None:
    charging(kit)
    kit.write(CP1 + 300 + ENABLE, 0)
    bits = kit.read(CP1 + 300, 32)
    packed = int.from_bytes(kit.bank_1.read_bits(CP1 + 300, 32), "little")
    assert packed == sum(bit << i for i, bit in enumerate(bits))
    assert bits[0] == bits[1] == bits[17] == 1  # plugged, charging, operative
    assert kit.bank_1.read_bits(CP1 + 300 + ENABLE, 3) == b"\2"
    assert kit.bank_1.read_bits(CP1 + 300 + 1, 9) == bytes([packed >> 1 & 0xFF, packed >> 9 & 1])


def test_coil_holes_read_0_and_take_nothing(kit: Kit) -> None:
    assert kit.bank_1.read_bits(CP1 + 300 + 22, 10) == b"\0\0"
    with pytest.raises(IllegalAddress):
        kit.bank_1.write_bits(CP1 + 300 + 22, [False], "bms", kit.now)
    with pytest.raises(IllegalAddress):
        kit.bank_1.write_bits(CP1 + 300, [True], "bms", kit.now)  # plugged is read-only


@pytest.mark.parametrize(
    ("address", "quantity"),
    [(0, 1), (20, 1), (2999, 1), (CP1 + 32, 1), (CP1 + 31, 2), (CP1 + 300 + 31, 2), (CP1 + 299, 2), (CP1 + 900, 1),
     (CP1 + 2400, 1), (CP1 + 2700, 1), (6000, 1), (CP3 + 300 + 1, 32), (CP1 + 2099, 2000), (65_535, 1)],
)  # fmt: skip
def test_where_there_are_no_coils(kit: Kit, address: int, quantity: int) -> None:
    with pytest.raises(IllegalAddress):
        kit.bank_1.read_bits(address, quantity)
    with pytest.raises(IllegalAddress):
        kit.bank_1.write_bits(address, [False] * quantity, "bms", kit.now)


def test_coils_are_written_all_or_none(kit: Kit) -> None:
    kit.bank_1.write_bits(CP1 + 300 + ENABLE, [False, True], "bms", kit.now)
    assert kit.read(CP1 + 300 + ENABLE, 2) == [0, 1]
    with pytest.raises(IllegalAddress):
        kit.bank_1.write_bits(CP1 + 300 + ENABLE, [True] * 7, "bms", kit.now)
    assert kit.read(CP1 + 300 + ENABLE, 2) == [0, 1]


def test_a_coil_is_a_trigger(kit: Kit) -> None:
    end = kit.connect("CP001")
    end.boot()
    kit.bank_1.write_bits(CP1 + 300 + 20, [True], "bms", kit.now)
    assert [call.action for call in end.calls()] == ["UnlockConnector"]
    assert kit.bank_1.read_bits(CP1 + 300 + 20, 1) == b"\0"


# --- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(WordOrder))
@pytest.mark.parametrize("string_little", [False, True])
def test_every_row_follows_the_orders(kit: Kit, order: WordOrder, string_little: bool) -> None:
    charging(kit)
    kit.write_text(CP1 + 300 + TAG, "TAG OF MINE", 10)
    everything(kit)
    other = Bank(kit.site.banks[0], Format(order, string_little))
    letters = {"big": "ABCD", "little": "DCBA", "word_inverted_big": "CDAB", "word_inverted_little": "BADC"}
    for row in ROWS:
        shown = other.read(row.address, row.registers)
        plain = kit.bank_1.read(row.address, row.registers)
        if row.is_text and string_little and not row.in_mailbox:
            plain = b"".join(plain[i : i + 2][::-1] for i in range(0, len(plain), 2))
        elif row.type in ("u32", "i32", "f32") and not row.in_mailbox:
            plain = bytes(plain["ABCD".index(letter)] for letter in letters[order.name])
        assert shown == plain, row


@pytest.mark.parametrize("order", list(WordOrder))
def test_setpoints_are_written_in_the_configured_order(order: WordOrder) -> None:
    kit = Kit(f'[modbus]\nword_order = "{order.name}"\nstring_order = "little"\nsigned = "ones_complement"\n' + PLANT)
    letters = {"big": "ABCD", "little": "DCBA", "word_inverted_big": "CDAB", "word_inverted_little": "BADC"}
    for value, plain in ((123_456, b"\x00\x01\xe2\x40"), (-1, b"\xff\xff\xff\xfe")):
        wire = bytes(plain["ABCD".index(letter)] for letter in letters[order.name])
        kit.bank_1.write(CP1 + 300 + LIMIT, wire, "bms", kit.now)
        assert kit.site.charge_points["CP001"].connectors[1].limit.written == value
        assert kit.bank_1.read(CP1 + 300 + LIMIT, 2) == wire
    kit.bank_1.write(CP1 + 300 + TAG, b"BADC".ljust(20, b"\0"), "bms", kit.now)
    assert kit.site.charge_points["CP001"].connectors[1].start_id_tag == "ABCD"


# --- lost links and hidden tags -----------------------------------------------------------------------------------


HELD = (
    "energy_active_import_wh", "energy_active_import_kwh_f", "energy_wh", "energy_matrix_wh", "status", "error_code",
    "transaction_active", "transaction_id", "transaction_start", "transaction_id_tag", "meter_start_wh",
    "session_energy_wh",
)  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "power", "total"),
    [("sentinel", 0x80000000, 0), ("zero", 0, 0), ("hold", 11_000, 11_000)],
)
def test_measurements_of_a_lost_link(policy: str, power: int, total: int) -> None:
    kit = Kit(f'[modbus]\non_comm_error = "{policy}"\n' + PLANT)
    end = charging(kit)
    kit.write(18, 3)  # list_then_accept: the BMS need not answer
    end.send("StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 100, "timestamp": kit.stamp()})
    kit.run_for(10)
    held = {
        row.address: kit.bank_1.read(row.address, row.registers)
        for row in ROWS
        if row.block == "identity" or row.name in HELD
    }
    assert kit.read_32(CP1 + 300 + 40) == 1  # there is a transaction
    end.disconnect()
    assert kit.read(CP1 + 4) == kit.read(CP1 + 300 + 9) == 1
    for address in (CP1 + 300 + POWER, CP1 + 54, 1400 + 2, 1400):
        assert kit.read_32(address) == power, address
    assert kit.read_32(44) == total
    for address, before in held.items():
        assert kit.bank_1.read(address, len(before) // 2) == before, address
    kit.run_for(7)
    assert kit.read(CP1 + 300 + 36) == 17
    end = kit.connect("CP001")
    end.boot()
    assert kit.read_32(CP1 + 300 + POWER) == 11_000


def test_hidden_tags_are_read_nowhere_and_still_work() -> None:
    kit = Kit("[modbus]\nhide_id_tags = true\n" + PLANT)
    end = kit.connect("CP001")
    end.boot()
    end.send("Authorize", {"idTag": "SECRET01"})
    kit.write_text(CP1 + 300 + TAG, "SECRET02", 10)
    kit.write_text(CP1 + 2410, "SECRET03", 10)
    kit.write_text(CP1 + 92, "SECRET04", 10)
    for operation in (1, 6):
        kit.write(2300, operation)
        kit.write_text(2304, "SECRET05", 10)
        kit.write(2324, 1)
        kit.write(2328, operation)
    assert kit.read(2334) == 1  # the entry was read back
    assert b"SECRET" not in everything(kit)
    kit.write(CP1 + 2400, 1, 1)
    kit.write(CP1 + 2400 + 105, 4)
    assert end.calls()[-1].payload["idTag"] == "SECRET03"


# --- banks, windows, unit ids -------------------------------------------------------------------------------------

BANKS = """
[modbus]
unit_id = 5
charge_point_units = 100
""" + "".join(
    f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\nconnectors = 1\n' for number in (1, 7, 21, 45)
)


def test_banks_follow_the_numbers() -> None:
    kit = Kit(BANKS)
    assert len(kit.units.banks()) == 3
    charging(kit, "CP021", 1, 2100)
    charging(kit, "CP045", 1, 4500)
    assert kit.read_32(3000 + 300 + POWER, unit=6) == 2100
    assert kit.read_32(3000 * 5 + 300 + POWER, unit=7) == 4500
    assert [kit.read(5, unit=unit) for unit in (5, 6, 7)] == [2, 1, 1]  # charge_point_count
    assert [kit.read(19, unit=unit) for unit in (5, 6, 7)] == [3, 3, 3]  # bank_count
    assert [kit.read_32(32, unit=unit) for unit in (5, 6, 7)] == [0, 1, 1 << 4]  # connected_mask
    assert [kit.read_32(44, unit=unit) for unit in (5, 6, 7)] == [0, 2100, 4500]
    for unit in (4, 8, 100, 102, 247):
        assert kit.units.find(unit) is None


def test_some_of_the_gateway_block_is_shared_by_all_banks_and_some_is_not() -> None:
    kit = Kit(BANKS)
    for address, value in ((9, 77), (12, 60), (14, 2), (15, 99), (17, 50), (18, 3), (20, 2026)):
        kit.write(address, value, unit=6)
        assert [kit.read(address, unit=unit) for unit in (5, 6, 7)] == [value] * 3
    kit.write_32(50, 22_000, unit=7)
    assert kit.read(53, unit=5) == 220
    kit.write(2301, 9, unit=5)
    assert kit.read(2301, unit=7) == 9  # the local list is one
    kit.write(2001, 1, unit=5)
    assert kit.read(2001, unit=6) == 0  # the profile mailbox is the bank's own


def test_a_window_shows_one_charge_point_from_0() -> None:
    kit = Kit(BANKS)
    charging(kit, "CP007", 1, 700)
    assert kit.read_32(300 + POWER, unit=107) == 700
    assert kit.read_text(2700, 24, unit=107) == "CP007"
    kit.write(300 + ENABLE, 0, unit=107)
    assert kit.read(3000 * 7 + 300 + ENABLE, unit=5) == 0
    kit.bank(107).write_bits(300 + ENABLE, [True], "bms", kit.now)
    assert kit.bank(107).read_bits(300 + ENABLE, 1) == b"\1"
    kit.write(2400, 1, client="first", unit=107)
    with pytest.raises(MailboxBusy):
        kit.write(3000 * 7 + 2400, 1, client="second", unit=5)
    kit.bank(107).release("first")
    kit.write(3000 * 7 + 2400, 1, client="second", unit=5)


@pytest.mark.parametrize(("address", "quantity"), [(2999, 2), (3000, 1), (600, 1), (299, 400), (65_535, 1)])
def test_a_window_ends_with_its_charge_point(address: int, quantity: int) -> None:
    window = Kit(BANKS).bank(101)
    with pytest.raises(IllegalAddress):
        window.read(address, quantity)
    with pytest.raises(IllegalAddress):
        window.read_bits(address, quantity)
    with pytest.raises(IllegalAddress):
        window.write(address, bytes(2 * quantity), "bms", 0.0)
    with pytest.raises(IllegalAddress):
        window.write_bits(address, [False] * quantity, "bms", 0.0)


def test_banks_made_anew_show_what_is_true_already(kit: Kit) -> None:
    """As at SIGHUP, when nothing changed since the last read."""
    charging(kit)
    kit.write(CP1 + 300 + LIMIT_U16, 160)
    before = everything(kit)
    assembly.rearrange(kit.units, kit.site, kit.config)
    assert everything(kit) == before


def test_a_charge_point_that_is_gone_is_not_served_any_more(kit: Kit) -> None:
    end = charging(kit, "CP003")
    kept = config.parse(PLANT.split("[[charge_point]]\nnumber = 3")[0], "kit.toml")
    assembly.reconfigure(kit.site, kept, frozenset({3}))
    assembly.rearrange(kit.units, kit.site, kept)
    end.disconnect()  # what it still has to say goes nowhere
    with pytest.raises(IllegalAddress):
        kit.read(CP3 + 300 + POWER)
    assert kit.read(1400 + 2 * 17, 2) == [0x8000, 0]
    assert kit.read(5) == 1


# --- anything at all ----------------------------------------------------------------------------------------------

EDGES = sorted(
    {row.address + at for row in ROWS for at in (-1, 0, 1, row.registers)} | {CP1 + 2399, CP3, 62_999, 65_535}
)
ADDRESSES = st.one_of(st.sampled_from([edge for edge in EDGES if edge >= 0]), st.integers(0, 65_535))
REGISTERS = st.lists(
    st.one_of(st.sampled_from([0, 1, 2, 3, 160, 65_534, 65_535, 0x4142]), st.integers(0, 65_535)),
    min_size=1,
    max_size=123,
)


@settings(max_examples=150, deadline=None)
@given(
    writes=st.lists(
        st.tuples(ADDRESSES, REGISTERS, st.sampled_from("ab"), st.floats(0, 3), st.booleans()), min_size=1, max_size=8
    )
)
def test_random_writes_act_wholly_or_not_at_all(writes: list[tuple[int, list[int], str, float, bool]]) -> None:
    kit = Kit(PLANT)
    end = charging(kit)
    for address, registers, client, pause_s, coils in writes:
        kit.now += pause_s
        before = everything(kit), kit.site.journal.written, len(end.frames())
        try:
            if coils:
                bits = [bool(register & 1) for register in registers]
                kit.bank_1.write_bits(address, bits, client, kit.now)
            else:
                kit.write(address, *registers, client=client)
        except (IllegalAddress, IllegalValue, MailboxBusy):
            assert (everything(kit), kit.site.journal.written, len(end.frames())) == before
    everything(kit)
