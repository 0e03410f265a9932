"""Plays a sequence of the guide: request PDUs to the gateway's Modbus server, and a charge point on its wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gatewayd.modbus.server import Server
from tests.guide.charge_point import EVENTS, GIVEN, OWN_QUESTIONS, ChargePoint
from tests.guide.reading import Sequence, Step
from tests.kit import Frame, Kit

TOML = """
[ocpp]
ask_bms = ["DataTransfer"]
[[charge_point]]
number = 1
identity = "CP001"
connectors = 2
"""
PATIENCE_S = 90.0
"""How long a row may wait, as the guide's own function block does."""
LOOK_S = 0.2
"""Between two looks."""


class Refused(Exception):
    """An exception code of the server."""


class Impatient(Exception):
    """A register never read what the guide says."""


@dataclass
class Player:
    """A PLC that works off the guide's rows."""

    kit: Kit = field(default_factory=lambda: Kit(TOML))
    kept: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = Server(self.kit.units, writes=True, on_exception=lambda code: None)
        self.charge_point = ChargePoint(self.kit)
        self.pass_time(10)  # the gateway's own questions are over

    def pass_time(self, seconds: float) -> None:
        end = self.kit.now + seconds
        while self.kit.now < end:
            self.kit.run_until(min(end, self.kit.now + LOOK_S))
            self.charge_point.act()
            self.charge_point.take_answer()

    def play(self, sequence: Sequence) -> list[Frame]:
        """The Calls that the charge point got meanwhile. Raises Refused, Impatient."""
        self.begin(sequence)
        for step in sequence.steps:
            self.do(step)
        return self.end(sequence)

    def begin(self, sequence: Sequence) -> None:
        """Bring the charge point to where the sequence begins."""
        GIVEN[sequence.given](self.charge_point)
        self.pass_time(5)
        self.charge_point.asked.clear()
        self.charge_point.answers.clear()

    def end(self, sequence: Sequence) -> list[Frame]:
        """What the charge point got; the gateway's own questions only where the sequence asks them as well."""
        self.pass_time(5)
        asked = self.charge_point.asked
        return [call for call in asked if call.action in sequence.actions or call.action not in OWN_QUESTIONS]

    def happen(self, meaning: str) -> None:
        EVENTS[meaning](self.charge_point)

    def do(self, step: Step) -> None:
        if step.function is None:
            self.happen(step.meaning)
        elif not step.reads:
            self.request(step.function, step.address, step.registers(self.kept))
        elif step.keeps:
            (self.kept[step.keeps],) = self.read(step, 1)
        else:
            self.wait(step)

    def wait(self, step: Step) -> None:
        wanted, end = step.registers(self.kept), self.kit.now + PATIENCE_S
        while self.read(step, len(wanted)) != wanted:
            if self.kit.now >= end:
                raise Impatient(f"{step.address} reads {self.read(step, len(wanted))} and never {wanted}")
            self.pass_time(LOOK_S)

    def read(self, step: Step, quantity: int) -> list[int]:
        assert step.function is not None
        answer = self.exchange(bytes((step.function,)) + step.address.to_bytes(2, "big") + quantity.to_bytes(2, "big"))
        if step.function == 1:
            return [answer[2] >> i & 1 for i in range(quantity)]
        return [int.from_bytes(answer[i : i + 2], "big") for i in range(2, len(answer), 2)]

    def request(self, function: int, address: int, registers: list[int]) -> None:
        data = b"".join(register.to_bytes(2, "big") for register in registers)
        head = bytes((function,)) + address.to_bytes(2, "big")
        if function == 5:
            self.exchange(head + (b"\xff\0" if registers == [1] else b"\0\0"))
        elif function == 6:
            assert len(registers) == 1
            self.exchange(head + data)
        else:
            self.exchange(head + len(registers).to_bytes(2, "big") + bytes((len(data),)) + data)

    def exchange(self, pdu: bytes) -> bytes:
        answer = self.server.answer_tcp(1, pdu, "plc", self.kit.now)
        if answer[0] & 0x80:
            raise Refused(f"{pdu.hex()} was answered by exception {answer[1]:02X}")
        return answer


def as_told(player: Player, calls: list[Frame], sequence: Sequence) -> bool:
    """Whether the Calls, and the answers of the gateway, are those that the guide tells of and hold what it says."""
    got = [(call.action, call.payload) for call in calls]
    answered = player.charge_point.answers
    if [action for action, _ in got] != sequence.actions or len(answered) < len(sequence.answers):
        return False
    return all(
        holds(found, part)
        for found, part in [
            *zip((payload for _, payload in got), (part for _, part in sequence.calls), strict=True),
            *zip(answered, sequence.answers, strict=False),
        ]
    )


def holds(whole: Any, part: Any) -> bool:
    """Whether everything in `part` is in `whole`; lists have to be the same."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and holds(whole[key], part[key]) for key in part)
    return bool(whole == part)
