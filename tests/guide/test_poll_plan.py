"""The poll plans of the guide: their requests are served, and their arithmetic is right."""

from __future__ import annotations

import re

import pytest

from gatewayd.modbus.adu import answer_length, request_length, rtu_frame, tcp_answer
from gatewayd.modbus.server import Server
from tests.guide.line_time import LINES, characters
from tests.guide.reading import at, guide, tables
from tests.kit import Kit

TEXT = guide()
PLANS = re.findall(r"<!-- poll plan: (\w+) -->", TEXT)
TIMES = re.findall(r"<!-- line time: (\w+) -->", TEXT)
HOT_LONGEST_MS = 2000
"""What the hot scan of twenty charge points at 9600 baud must fit into."""

TWENTY = "".join(
    f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\nconnectors = 7\n' for number in range(1, 21)
)


def plan(name: str) -> list[tuple[int, int, int]]:
    """Function, address and registers of each request."""
    (rows,) = tables(TEXT, f"poll plan: {name} ")
    return [(int(row["FC"]), int(row["address"]), int(row["registers"])) for row in rows]


def pdu(function: int, address: int, registers: int) -> bytes:
    head = bytes((function,)) + address.to_bytes(2, "big")
    if function == 6:
        return head + b"\0\1"
    if function == 16:
        return head + registers.to_bytes(2, "big") + bytes((2 * registers,)) + bytes(2 * registers)
    return head + registers.to_bytes(2, "big")


@pytest.fixture(scope="module")
def server() -> Server:
    return Server(Kit(TWENTY).units, writes=True, on_exception=lambda code: None)


@pytest.mark.parametrize("name", PLANS)
def test_every_request_is_served_and_as_long_as_the_guide_says(name: str, server: Server) -> None:
    (rows,) = tables(TEXT, f"poll plan: {name} ")
    for row, request in zip(rows, plan(name), strict=True):
        asked = rtu_frame(1, pdu(*request))
        answer = server.answer_rtu(1, pdu(*request), "line", 1000.0)
        assert answer is not None
        answered = rtu_frame(1, answer)
        assert not answer[0] & 0x80, row
        assert (request_length(asked), answer_length(answered)) == (len(asked), len(answered))
        assert (int(row["asked"]), int(row["answered"])) == (len(asked), len(answered))
        assert characters(request[0], request[2]) == (len(asked), len(answered))


@pytest.mark.parametrize("name", PLANS)
def test_requests_read_what_they_say(name: str) -> None:
    (rows,) = tables(TEXT, f"poll plan: {name} ")
    for row, (_, address, registers) in zip(rows, plan(name), strict=True):
        first, last = at(address), at(address + registers - 1)
        assert first is not None
        assert last is not None
        names = re.findall(r"`(\w+)`", row["what it says"])
        assert (names[0], names[-1]) == (first.name, last.name)


def test_the_hot_scan_reads_all_that_moves() -> None:
    reads = {address + i for function, address, registers in plan("hot") if function == 3 for i in range(registers)}
    assert reads == {*range(32, 49), *range(1200, 1360), *range(1400, 1720)}


def test_the_warm_scan_reads_its_matrices_whole() -> None:
    reads = {address + i for _, address, registers in plan("warm") for i in range(registers)}
    assert reads == {*range(60), *range(1000, 1160), *range(1800, 1960), *range(2400, 2720)}


@pytest.mark.parametrize("name", TIMES)
def test_the_arithmetic_of_a_line(name: str) -> None:
    (rows,) = tables(TEXT, f"line time: {name} ")
    requests = plan(name)
    total = sum(sum(characters(function, registers)) for function, _, registers in requests)
    for row, line in zip(rows, LINES, strict=True):
        pauses = line.pause_ms * len(requests)
        assert row == {
            "line": f"{line.baudrate} {line.frame}",
            "one character": f"{line.character_ms:.3f} ms",
            "characters": str(total),
            "on the wire": f"{line.wire_ms(total):.0f} ms",
            "pauses": f"{pauses:.0f} ms",
            "together": f"{line.wire_ms(total) + pauses:.0f} ms",
        }


def together(name: str, baudrate: int) -> list[int]:
    (rows,) = tables(TEXT, f"line time: {name} ")
    return [int(row["together"].split()[0]) for row in rows if row["line"].startswith(f"{baudrate} ")]


def test_the_hot_scan_fits_two_seconds_at_9600_baud() -> None:
    for hot, warm, decision in zip(together("hot", 9600), together("warm", 9600), together("decision", 9600),
                                   strict=True):  # fmt: skip
        assert hot + decision < HOT_LONGEST_MS
        assert warm < HOT_LONGEST_MS


def test_a_pause_is_the_four_that_the_guide_names() -> None:
    line = LINES[0]  # 9600 8N1
    assert line.pause_ms == pytest.approx(3.5 * 10 / 9.6 + 2 + 3.5 * 10 / 9.6 + 10)


@pytest.mark.parametrize("registers", [1, 17, 125])
def test_sizes_on_tcp(registers: int, server: Server) -> None:
    request = bytes(4) + (6).to_bytes(2, "big") + b"\1" + pdu(3, 1200, registers)
    answer = tcp_answer(request, server.answer_tcp(1, request[7:], "tcp", 1000.0))
    assert (len(request), len(answer)) == (12, 9 + 2 * registers)
    assert 7 + len(pdu(16, 1200, registers)) == 13 + 2 * registers


def test_an_error_in_a_plan_is_found() -> None:
    broken = TEXT.replace("| 2 | 3 | 32 | 17 | 8 | 39 |", "| 2 | 3 | 32 | 17 | 8 | 38 |")
    assert broken != TEXT
    (rows,) = tables(broken, "poll plan: hot ")
    assert characters(3, int(rows[1]["registers"])) != (int(rows[1]["asked"]), int(rows[1]["answered"]))
