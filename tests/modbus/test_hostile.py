"""Hostile requests, streams and lines in a short form; and that whoever tries them would notice a broken guard.

The long form, a million inputs, is tests/promises/test_modbus_hostile.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gatewayd.modbus import adu, pdu
from gatewayd.modbus.adu import MbapFramer, RtuFrame, RtuFramer
from gatewayd.modbus.pdu import READS, WRITES, Answer, Registers
from gatewayd.modbus.server import Server, TcpSession
from gatewayd.points.bank import IllegalAddress, IllegalValue, MailboxBusy, Units
from tests.kit import Kit
from tests.modbus import trial
from tests.modbus.mirror import Plant, Unit
from tests.modbus.trial import CHARACTER_S, LATENCY_S, SILENCE_S, Found, Parts

INPUTS = 3000
"""In which every broken guard below is found, whatever the seed."""


@pytest.mark.parametrize("seed", range(3))
def test_hostile_input_is_answered_as_the_contract_says(seed: int) -> None:
    tried = trial.run(seed, INPUTS)
    assert tried["exception 04"] == 0
    for what in ("PDUs", "TCP frames", "sounds", "writes", "silence", "broken streams"):
        assert tried[what] > 0, what
    for code in ("01", "02", "03", "06", "0B"):
        assert tried[f"exception {code}"] > 0, code


# --- broken guards --------------------------------------------------------------------------------------------


def without_quantity(bank: Registers, request: bytes, client: Hashable, now: float) -> bytes:
    if len(request) != 5:
        raise pdu.Malformed
    address, quantity = struct.unpack(">HH", request[1:])
    return bytes((request[0], 2 * quantity & 0xFF)) + bank.read(address, quantity)


def without_length(bank: Registers, request: bytes, client: Hashable, now: float) -> bytes:
    address, quantity = struct.unpack(">HH", request[1:5])
    if not 1 <= quantity <= 125:
        raise pdu.Malformed
    return bytes((request[0], 2 * quantity)) + bank.read(address, quantity)


def without_byte_count(bank: Registers, request: bytes, client: Hashable, now: float) -> bytes:
    if len(request) < 8 or len(request) % 2:
        raise pdu.Malformed
    bank.write(int.from_bytes(request[1:3], "big"), request[6:], client, now)
    return request[:5]


def half(bank: Registers, request: bytes, client: Hashable, now: float) -> bytes:
    """FC16 that refuses rightly, and has written what it could by then."""
    try:
        return WRITES[16](bank, request, client, now)
    except (IllegalAddress, IllegalValue):
        for at in range(6, len(request) - 1, 2):
            with suppress(IllegalAddress, IllegalValue, MailboxBusy):
                bank.write(int.from_bytes(request[1:3], "big") + (at - 6) // 2, request[at : at + 2], client, now)
        raise


def any_number_is_on(bank: Registers, request: bytes, client: Hashable, now: float) -> bytes:
    if len(request) != 5:
        raise pdu.Malformed
    bank.write_bits(int.from_bytes(request[1:3], "big"), [request[3:] != b"\0\0"], client, now)
    return request


def one_coil_more(bank: Registers, request: bytes, client: Hashable, now: float) -> bytes:
    """FC1 that answers whole bytes of coils, whatever the quantity."""
    answer = READS[1](bank, request, client, now)
    return answer[:-1] + bytes((answer[-1] | 0x80,))


FUNCTIONS: dict[str, tuple[int, Answer]] = {
    "a read's quantity": (3, without_quantity),
    "a read's length": (4, without_length),
    "the byte count of FC16": (16, without_byte_count),
    "all or nothing": (16, half),
    "FC5's value": (5, any_number_is_on),
    "unused coils are 0": (1, one_coil_more),
}


def with_function(code: int, function: Answer) -> Parts:
    def server(units: Units, on_exception: Callable[[int], None]) -> Server:
        made = Server(units, writes=True, on_exception=on_exception)
        made._functions = {**READS, **WRITES, code: function}
        return made

    return Parts(server=server)


@pytest.mark.parametrize("guard", FUNCTIONS)
def test_a_broken_function_is_found(guard: str) -> None:
    with pytest.raises((Found, struct.error, ValueError)):
        trial.run(1, INPUTS, with_function(*FUNCTIONS[guard]))


class TalkativeServer(Server):
    """Tells a client that asks for somebody who is not there that the device has failed."""

    def _refuse(self, request: bytes, code: int) -> bytes:
        return super()._refuse(request, 4 if code == 0x0B else code)


class SilentServer(Server):
    """Forgets to count."""

    def _refuse(self, request: bytes, code: int) -> bytes:
        return pdu.exception(request[0], code)


class DeafServer(Server):
    """Keeps mailboxes for clients that are gone."""

    def release(self, client: Hashable) -> None:
        pass


@pytest.mark.parametrize("broken", [TalkativeServer, SilentServer, DeafServer])
def test_a_broken_server_is_found(broken: type[Server]) -> None:
    parts = Parts(server=lambda units, on_exception: broken(units, writes=True, on_exception=on_exception))
    with pytest.raises(Found):
        trial.run(1, 5 * INPUTS, parts)


class ForgivingFramer(MbapFramer):
    """Skips a byte where the stream is broken, and goes on."""

    __slots__ = ()

    def feed(self, data: bytes) -> list[bytes]:
        frames, begun = [], self.begun
        while True:
            frames += super().feed(data)
            if self.fault is None:
                return frames
            self.fault, data, begun = None, (begun + data)[1:], b""


class ForgivingSession(TcpSession):
    __slots__ = ()

    def __init__(self, server: Server, client: Hashable, now: float) -> None:
        super().__init__(server, client, now)
        self._framer = ForgivingFramer()


def test_a_stream_that_is_resynchronised_is_found() -> None:
    with pytest.raises(Found):
        trial.run(1, INPUTS, Parts(session=ForgivingSession))


class PatientSession(TcpSession):
    """Gives whoever trickles bytes all the time in the world."""

    __slots__ = ()

    def receive(self, data: bytes, now: float) -> bytes:
        answers = super().receive(data, now)
        self.deadline = float("inf")
        return answers


def test_a_begun_request_without_a_deadline_is_found() -> None:
    with pytest.raises(Found):
        trial.run(1, INPUTS, Parts(session=PatientSession))


def framer(kind: type[RtuFramer], units: Units) -> RtuFramer:
    return kind(units, silence_s=SILENCE_S, character_s=CHARACTER_S, latency_s=LATENCY_S)


class EagerFramer(RtuFramer):
    """Looks for a frame at every byte, as a server that resynchronises does: data of others becomes a request."""

    def _recognise(self, *, final: bool) -> list[RtuFrame]:
        heard = super()._recognise(final=final)
        while not heard and len(self._run) > 8:
            self._run = self._run[1:]
            heard = super()._recognise(final=final)
        return heard


class ImpatientFramer(RtuFramer):
    """Believes in silence after one and a half characters."""

    def feed(self, data: bytes, now: float) -> list[RtuFrame]:
        if now - len(data) * CHARACTER_S - self._last > 1.5 * CHARACTER_S:
            self._run = b""
        return super().feed(data, now)


@pytest.mark.parametrize("kind", [EagerFramer, ImpatientFramer])
def test_a_broken_framer_is_found(kind: type[RtuFramer]) -> None:
    with pytest.raises(Found):
        trial.run(1, INPUTS, Parts(framer=lambda units: framer(kind, units)))


class WhateverComes(bytes):
    """A CRC that every CRC is equal to."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = bytes.__hash__


def test_a_crc_that_is_not_looked_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = adu.crc
    monkeypatch.setattr(adu, "crc", lambda data: WhateverComes(real(data)))
    with pytest.raises(Found):
        trial.run(1, INPUTS)


# --- whose mailbox it is --------------------------------------------------------------------------------------


class Mailboxes(RuleBasedStateMachine):
    """Clients that fill, commit, go and wait: who is told that it is busy, by the contract's own book."""

    clients = st.sampled_from(["a", "b", "rtu"])
    registers = st.sampled_from([2000, 2120, 2300, 2328, 3088, 3102, 3195, 5400, 5505])

    @initialize()
    def begin(self) -> None:
        self.kit = Kit()
        self.server = Server(self.kit.units, writes=True, on_exception=lambda _code: None)
        self.plant = Plant({1: 2}, {})
        self.waited_s = 0.0

    @rule(client=clients, register=registers, value=st.sampled_from([0, 1, 2]))
    def write(self, client: str, register: int, value: int) -> None:
        request = struct.pack(">BHH", 6, register, value)
        wanted = Unit(self.plant).answer(request, client, self.kit.now)
        assert self.server.answer_tcp(1, request, client, self.kit.now) == wanted

    @rule(client=clients)
    def leave(self, client: str) -> None:
        self.server.release(client)
        self.plant.release(client)

    @precondition(lambda self: self.waited_s < 60)
    @rule(seconds=st.sampled_from([0.5, 1.5, 2.0]))
    def wait(self, seconds: float) -> None:
        self.kit.run_for(seconds)
        self.waited_s += seconds


TestMailboxes = Mailboxes.TestCase
TestMailboxes.settings = settings(max_examples=30, stateful_step_count=30)
