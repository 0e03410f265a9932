"""The BMS on the wire, judged by pymodbus: its server takes every frame, its converters know every value."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from pymodbus.client.mixin import ModbusClientMixin as Converter
from pymodbus.constants import ExcCodes

from .bms import BadAnswer, Bms, Coding, ConnectionLost, ModbusClient, ModbusError, codes
from .bms.client import EXCEPTION_NAMES
from .bms.values import WORD_ORDERS, Value
from .modbus_judge import SIZE, ModbusJudge


async def test_every_function_is_understood(judge: ModbusJudge, client: ModbusClient) -> None:
    judge.put(10, [1, 2, 0xFFFF])
    assert await client.read_registers(10, 3) == [1, 2, 0xFFFF]
    judge.put(20, [7, 8], function=4)
    assert await client.read_registers(20, 2, function=4) == [7, 8]
    judge.put(3, [True, False, True], function=1)
    assert await client.read_bits(2, 11) == [False, True, False, True, *[False] * 7]
    judge.put(5, [True], function=2)
    assert await client.read_bits(5, 1, function=2) == [True]
    await client.write_register(30, 0x1234)
    await client.write_registers(31, [1, 2, 3])
    assert judge.get(30, 4) == [0x1234, 1, 2, 3]
    await client.write_coil(40, True)
    pattern = [True, False, True, True, False, False, True, False, True]
    await client.write_coils(41, pattern)
    assert judge.get(40, 10, function=1) == [True, *pattern]
    await client.write_coil(40, False)
    assert judge.get(40, 1, function=1) == [False]
    assert [function for function, *_ in judge.writes] == [6, 16, 5, 15, 5]


async def test_exceptions_are_named(judge: ModbusJudge, client: ModbusClient) -> None:
    with pytest.raises(ModbusError, match="illegal data address") as caught:
        await client.read_registers(SIZE, 1)
    assert (caught.value.function, caught.value.code) == (3, 2)
    for code in (ExcCodes.ILLEGAL_VALUE, ExcCodes.DEVICE_FAILURE, ExcCodes.DEVICE_BUSY):
        judge.refuse = code
        with pytest.raises(ModbusError, match=EXCEPTION_NAMES[code.value]):
            await client.write_register(1, 1)
    judge.refuse = None
    assert await client.read_registers(0) == [0]  # the connection is as good as before


async def test_other_units_unknown_functions_and_no_answer() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    client = ModbusClient(ours)
    await theirs.send_all(bytes.fromhex("0001 0000 0003 63 83 0b" + "0002 0000 0003 01 d5 01"))
    with pytest.raises(ModbusError, match="failed to respond"):
        await client.read_registers(0, unit=99)
    with pytest.raises(ModbusError, match="illegal function"):
        await client.request(bytes([0x55]))
    assert await theirs.receive_some(100) == bytes.fromhex("0001 0000 0006 63 03 0000 0001" + "0002 0000 0002 01 55")
    ours, theirs = trio.testing.memory_stream_pair()
    silent = ModbusClient(ours, timeout_s=0.01)
    with pytest.raises(trio.TooSlowError):
        await silent.read_registers(0)
    await theirs.aclose()
    with pytest.raises(ConnectionLost):
        await silent.read_registers(0)


@pytest.mark.parametrize(
    "answer",
    [
        "0002 0000 0005 01 03 02 0000",  # another transaction
        "0001 0000 0005 02 03 02 0000",  # another unit
        "0001 0001 0005 01 03 02 0000",  # another protocol
        "0001 0000 0005 01 04 02 0000",  # another function
        "0001 0000 0007 01 03 04 0000 0000",  # more than was asked
        "0001 0000 0002 01 03",  # no length
    ],
)
async def test_wrong_answers_are_seen(answer: str) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(bytes.fromhex(answer))
    with pytest.raises(BadAnswer):
        await ModbusClient(ours).read_registers(0)


async def test_an_answer_in_single_bytes() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            assert await theirs.receive_some(100) == bytes.fromhex("0001 0000 0006 01 03 0bcc 0001")
            for byte in bytes.fromhex("0001 0000 0005 01 03 02 002a"):
                await theirs.send_all(bytes([byte]))

        nursery.start_soon(drip)
        assert await ModbusClient(ours).read_registers(3020) == [42]


NUMBERS: list[tuple[str, Value, Any]] = [
    ("u16", 0xBEEF, Converter.DATATYPE.UINT16),
    ("i16", -2, Converter.DATATYPE.INT16),
    ("u32", 0x12345678, Converter.DATATYPE.UINT32),
    ("i32", -123456, Converter.DATATYPE.INT32),
    ("f32", 12.5, Converter.DATATYPE.FLOAT32),
]


@pytest.mark.parametrize(("kind", "value", "theirs"), NUMBERS)
def test_values_are_pymodbus_values(kind: str, value: Any, theirs: Any) -> None:
    for order in ("big", "word_inverted_big"):
        expected = Converter.convert_to_registers(value, theirs, "big" if order == "big" else "little")
        coding = Coding(word_order=order)
        assert coding.encode(kind, value) == expected
        assert coding.decode(kind, expected) == value


@pytest.mark.parametrize(
    ("order", "registers"),
    [
        ("big", [0x1234, 0x5678]),  # ABCD
        ("little", [0x7856, 0x3412]),  # DCBA
        ("word_inverted_big", [0x5678, 0x1234]),  # CDAB
        ("word_inverted_little", [0x3412, 0x7856]),  # BADC
    ],
)
def test_word_orders(order: str, registers: list[int]) -> None:
    coding = Coding(word_order=order)
    assert coding.encode("u32", 0x12345678) == registers
    assert coding.decode("u32", registers) == 0x12345678
    assert sorted(WORD_ORDERS) == ["big", "little", "word_inverted_big", "word_inverted_little"]


def test_ones_complement() -> None:
    coding = Coding(signed="ones_complement")
    assert coding.encode("i32", -1) == [0xFFFF, 0xFFFE]
    assert coding.decode("i32", [0xFFFF, 0xFFFE]) == -1
    assert coding.encode("i16", -5) == [0xFFFA]
    assert coding.decode("i16", [0xFFFA]) == -5
    assert coding.encode("i32", None) == [0x8000, 0]
    assert coding.decode("i32", [0x8000, 0]) is None


@pytest.mark.parametrize(
    ("kind", "registers"),
    [("u16", [0xFFFF]), ("i16", [0x8000]), ("u32", [0xFFFF] * 2), ("i32", [0x8000, 0]), ("f32", [0x7FC0, 0])],
)
def test_not_available(kind: str, registers: list[int]) -> None:
    assert Coding().decode(kind, registers) is None
    assert Coding().encode(kind, None) == registers


def test_text_and_what_does_not_fit() -> None:
    assert Coding().encode("str4", "ABCDEFG") == [0x4142, 0x4344, 0x4546, 0x4700]
    assert Coding(string_order="little").encode("str4", "ABCDEFGH") == [0x4241, 0x4443, 0x4645, 0x4847]
    assert Coding(string_order="little").decode("str4", [0x4241, 0x4443, 0, 0]) == "ABCD"
    assert Coding().decode("str4", [0] * 4) == ""
    for kind, value in (("str2", "ABCDE"), ("u16", 65536), ("u16", -1), ("i16", -32769), ("u32", 1 << 32)):
        with pytest.raises((ValueError, OverflowError)):
            Coding().encode(kind, value)


async def test_points_by_name(judge: ModbusJudge, client: ModbusClient) -> None:
    bms = Bms(client)
    judge.put(3000 * 2 + 300 * 1 + 66, [0, 11000])
    assert await bms.read("power_active_import_w", 2, 1) == 11000
    judge.put(3000 * 2 + 34, [1])  # the charge point's own status, and connector 2's
    judge.put(3000 * 2 + 600 + 32, [3])
    assert (await bms.status(2), await bms.status(2, 2)) == ("Available", "Charging")
    await bms.set_limit(2, 1, 13.5, phases=3)
    assert judge.get(6400, 4) == [0, 135, 0, 3]
    await bms.set_limit(2, 1, None)
    assert judge.get(6400, 2) == [0xFFFF, 0xFFFF]
    await bms.write("limit_matrix", 160, 2, 0)
    assert judge.get(1808) == [160]
    await bms.trigger("start", 2, 1)
    assert [w for w in judge.writes if w[0] == 5] == [(5, 6318, [True]), (5, 6318, [False])]
    judge.put(9 * 300 + 6000, Converter.convert_to_registers("CP002\0", Converter.DATATYPE.STRING))
    assert (await bms.block("identity", 2))["identity"] == "CP002"
    connector = await bms.block("connector", 2, 1)
    assert connector["power_active_import_w"] == 11000
    assert len(connector) == 94
    with pytest.raises(KeyError):
        await bms.read("no_such_point", 1)


async def test_the_command_mailbox(judge: ModbusJudge, client: ModbusClient) -> None:
    base = 3000 + 8 * 300

    def gateway(registers: list[int], address: int, values: list[int]) -> None:
        if address <= base + 105 < address + len(values):
            sequence = values[base + 105 - address]
            registers[base + 110 : base + 116] = [sequence, 3, 1, 0, 0, 42]
            registers[base + 120] = 0x6F6B

    judge.react = gateway
    judge.put(base + 110, [65535])
    bms = Bms(client, poll_s=0.01)
    outcome = await bms.command(
        1, "ReserveNow", connector=2, p1=-5, p2=6, p3=7, t1=1_800_000_000, id_tag="VIP", value="v" * 100
    )
    assert (outcome.sequence, outcome.state, outcome.result, outcome.r1, outcome.text) == (
        1,
        "done",
        "Accepted",
        42,
        "ok",
    )
    assert outcome.accepted
    ((function, address, values),) = judge.writes
    assert (function, address, len(values)) == (16, base, 106)
    assert values[:10] == [11, 2, 0xFFFF, 0xFFFB, 0, 6, 0, 7, 0x6B49, 0xD200]
    assert values[10:12] == [0x5649, 0x5000]
    assert values[55:105] == [0x7676] * 50
    judge.writes.clear()
    await bms.command(1, "GetConfiguration", key="HeartbeatInterval", by_register=True)
    assert [(function, address) for function, address, _ in judge.writes] == [(6, base + n) for n in range(106)]
    assert judge.writes[-1][2] == [2]
    judge.react = lambda registers, address, values: None  # busy: the ack stays
    busy = await bms.command(1, "ResetSoft")
    assert not busy.taken
    assert busy.error == "busy"


async def test_the_decision_mailbox(judge: ModbusJudge, client: ModbusClient) -> None:
    bms = Bms(client, poll_s=0.01)
    assert await bms.waiting() == []
    assert await bms.request(1) is None
    judge.put(34, [0x0008, 0x0001])
    assert await bms.waiting() == [1, 20]
    judge.put(3060, [9, 2, 1, 55, 0x6B49, 0xD200, 0, 1000, 0xFFFF, 0xFFFF, 0, 3, 0, 0, 0x4142])
    request = await bms.next_request(1)
    assert (request.sequence, request.type, request.connector, request.time_left_s) == (9, "StartTransaction", 1, 5.5)
    assert (request.timestamp, request.meter_wh, request.transaction_id) == (1_800_000_000, 1000, -1)
    assert (request.reservation_id, request.reason, request.id_tag) == (3, "none", "AB")
    assert not request.informative
    judge.put(3103, [1])
    assert await bms.respond(request, "Blocked", expiry=5, parent_id_tag="FAM", remember=True) == "sent"
    ((function, address, values),) = judge.writes
    assert (function, address) == (16, 3088)
    assert values == [2, 1, 0, 5, 0x4641, 0x4D00, *[0] * 8, 9]
    with pytest.raises(trio.TooSlowError):
        await bms.next_request(1, 0.05, not_sequence=9)


async def test_profile_list_and_time(judge: ModbusJudge, client: ModbusClient) -> None:
    def gateway(registers: list[int], address: int, values: list[int]) -> None:
        if address == 2000:
            registers[2124:2127] = [values[120], 3, 1]
        if address == 2300:
            registers[2332:2335] = [values[28], 4, 15]
            registers[2336] = 4
        if address == 20:
            registers[27] = 1

    judge.react = gateway
    bms = Bms(client, poll_s=0.01)
    outcome = await bms.profile(
        "set", 3, 2, [(0, 16), (3600, 8.5)], purpose="TxProfile", stack_level=4, duration_s=7200
    )
    assert outcome.accepted
    values = judge.writes[-1][2]
    assert len(values) == 121
    assert values[:8] == [3, 2, 1, 3, 1, 0, 4, 0]
    assert values[18:32] == [0, 7200, 0, 0, 0, 2, 0, 0, 0, 160, 0, 3600, 0, 85]
    judge.put(2130, [2, 0, 0, 0, 0, 320, 0, 600, 0, 100])
    assert await bms.composite_schedule(3, 2) == [(0, 32.0), (600, 10.0)]
    outcome = await bms.list("put", id_tag="VIP", status="Accepted", expiry=77, version=3)
    assert (outcome.state, outcome.result, outcome.error) == ("failed", "Failed", "bad_parameter")
    values = judge.writes[-1][2]
    assert values == [1, 0, 0, 3, 0x5649, 0x5000, *[0] * 18, 1, 0, 0, 77, 1]
    assert await bms.set_time(1_793_606_400) == "set"
    assert judge.writes[-1] == (16, 20, [2026, 11, 2, 8, 0, 0, 1])
    assert await bms.utc() == 1_793_606_400


def test_codes_by_name_and_number() -> None:
    assert codes.code_of(codes.COMMANDS, "CertificateSigned") == 24
    assert codes.name_of(codes.RESULTS, 20) == "RevokedCertificate"
    assert codes.name_of(codes.RESULTS, 65534) == "unlisted"
    assert codes.name_of(codes.RESULTS, 99) == "99"
