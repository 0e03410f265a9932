"""The Modbus server without its sockets: request PDU in, answer PDU out, for TCP and RTU alike.

The one place where causes become exception codes. An exception that is none of the named causes is a bug: it is not
answered with 04 but propagates, and the process is restarted (modbus.md, Addresses: 04 never happens).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from struct import Struct

from umodbus.exceptions import (
    GatewayTargetDeviceFailedToRespondError,
    IllegalDataAddressError,
    IllegalDataValueError,
    IllegalFunctionError,
    ServerDeviceBusyError,
)
from umodbus.functions import READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS

from gatewayd.modbus.adu import BROADCAST, MbapFramer, tcp_answer
from gatewayd.modbus.pdu import ADDRESSES, MAX_READ_REGISTERS, READS, WRITES, Malformed, Registers, exception
from gatewayd.points.bank import IllegalAddress, IllegalValue, MailboxBusy, Units
from gatewayd.site.journal import Journal
from gatewayd.site.refusal import Cause

ILLEGAL_FUNCTION: int = IllegalFunctionError.error_code  # 01
ILLEGAL_ADDRESS: int = IllegalDataAddressError.error_code  # 02
ILLEGAL_VALUE: int = IllegalDataValueError.error_code  # 03
BUSY: int = ServerDeviceBusyError.error_code  # 06
NOBODY: int = GatewayTargetDeviceFailedToRespondError.error_code  # 0B

# On TCP both mean "the device at this address", which is bank 1 (modbus.md, Banks).
_TCP_BANK_1 = (0, 255)

# The frame of a request that is an address and a quantity or a value, and the length its MBAP header says then.
SHORT_FRAME = 12
_SHORT_LENGTH = b"\0\0\0\6"
_REGISTER_READS = (READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS)
_span = Struct(">HH").unpack_from
_read_head = Struct(">4sHBBB").pack

# A request that has begun is cut off before it is 10 s old, whatever trickles in meanwhile (promises R16). The edge
# looks once a second, hence the one second less.
FRAME_TIMEOUT_S = 9.0


Onlooker = Callable[["Exchanges", Hashable, int, bytes, bytes | None], None]
"""Hears an exchange: over which transport, client, unit id, request PDU, answer PDU (None: silence)."""


OnMisfit = Callable[[Cause, Hashable, str], None]
"""Hears of a client that gets nowhere, at every request: why, who, and one sentence."""


@dataclass(eq=False, slots=True)
class Exchanges:
    """What was answered over one transport since the start, and who looks on; outlives servers that are made anew."""

    transport: str
    answered: int = 0
    onlooker: Onlooker | None = None
    on_misfit: OnMisfit = lambda _cause, _client, _why: None


class Server:
    """Answers requests from the banks of `units`; `writes = False` makes every write an unknown function."""

    def __init__(
        self,
        units: Units,
        *,
        writes: bool,
        on_exception: Callable[[int], None],
        exchanges: Exchanges | None = None,
        journal: Journal | None = None,
    ) -> None:
        """`on_exception` is called with the code of every exception that is answered; what answers promise to be
        durable stands in `journal`."""
        self._exchanges = exchanges or Exchanges("")
        self._units = units
        self.allow_writes(writes)
        self._on_exception = on_exception
        self.journal = journal or Journal()

    def allow_writes(self, writes: bool) -> None:
        self._functions = {**READS, **WRITES} if writes else READS

    def answer_tcp(self, unit: int, pdu: bytes, client: Hashable, now: float) -> bytes:
        """The answer to a PDU of at least one byte; 0B where nobody has this unit id. `now`: monotonic seconds."""
        bank = self._units.find(unit)
        if bank is None and unit in _TCP_BANK_1:
            bank = self._units.banks()[0]
        if bank is None:
            self._exchanges.on_misfit(Cause.wrong_unit_id, client, f"it asks for unit id {unit}")
        answer = self._refuse(pdu, NOBODY) if bank is None else self._answer(bank, pdu, client, now)
        exchanges = self._exchanges  # as _exchanged does; a call would cost a tenth of the answer
        exchanges.answered += 1
        if exchanges.onlooker is not None:
            exchanges.onlooker(exchanges, client, unit, pdu, answer)
        return answer

    def read_tcp(self, frame: bytes, client: Hashable) -> bytes | None:
        """The short way for what a BMS does all day: the frame that answers `frame`, one read of registers.

        `frame` is a request of `SHORT_FRAME` bytes. None: it is something else, or is refused; `answer_tcp` says what.
        """
        bank = self._units.find(frame[6])
        if bank is None or frame[7] not in _REGISTER_READS:
            return None
        address, quantity = _span(frame, 8)
        if not 1 <= quantity <= MAX_READ_REGISTERS or address + quantity > ADDRESSES:
            return None
        try:
            registers = bank.read(address, quantity)
        except IllegalAddress:
            return None
        answer = _read_head(frame[:4], 3 + 2 * quantity, frame[6], frame[7], 2 * quantity) + registers
        exchanges = self._exchanges
        exchanges.answered += 1
        if exchanges.onlooker is not None:
            exchanges.onlooker(exchanges, client, frame[6], frame[7:], answer[7:])
        return answer

    def answer_rtu(self, unit: int, pdu: bytes, client: Hashable, now: float) -> bytes | None:
        """The answer on a serial line, None = silence: a foreign unit id, or a broadcast, whose write all banks take.

        A bank that refuses a broadcast changes nothing and keeps none of the others from taking it.
        """
        if unit == BROADCAST:
            function = self._functions.get(pdu[0]) if pdu[0] in WRITES else None
            if function is not None:
                for bank in self._units.banks():
                    with suppress(Malformed, IllegalAddress, IllegalValue, MailboxBusy):
                        function(bank, pdu, client, now)
            self._exchanged(client, unit, pdu, None)
            return None
        found = self._units.find(unit)
        if found is None:
            return None
        answer = self._answer(found, pdu, client, now)
        self._exchanged(client, unit, pdu, answer)
        return answer

    def not_modbus(self, client: Hashable, fault: str) -> None:
        """What this client sends is no Modbus TCP: it gets no answer, and its connection ends."""
        self._exchanges.on_misfit(Cause.not_modbus_tcp, client, f"what it sends is no Modbus TCP: {fault}")

    def release(self, client: Hashable) -> None:
        """The client is gone: the mailboxes it was filling are free (modbus.md, Types)."""
        for bank in self._units.banks():
            bank.release(client)

    def _exchanged(self, client: Hashable, unit: int, pdu: bytes, answer: bytes | None) -> None:
        exchanges = self._exchanges
        exchanges.answered += 1
        if exchanges.onlooker is not None:
            exchanges.onlooker(exchanges, client, unit, pdu, answer)

    def _answer(self, bank: Registers, pdu: bytes, client: Hashable, now: float) -> bytes:
        function = self._functions.get(pdu[0])
        if function is None:
            if pdu[0] in WRITES:
                self._exchanges.on_misfit(Cause.writes_off, client, "it writes, and [modbus] writes is false")
            return self._refuse(pdu, ILLEGAL_FUNCTION)
        try:
            return function(bank, pdu, client, now)
        except IllegalAddress:
            code = ILLEGAL_ADDRESS
        except (Malformed, IllegalValue):
            code = ILLEGAL_VALUE
        except MailboxBusy:
            code = BUSY
        return self._refuse(pdu, code)

    def _refuse(self, pdu: bytes, code: int) -> bytes:
        self._on_exception(code)
        return exception(pdu[0], code)


class TcpSession:
    """One TCP client's side of the conversation: bytes in, bytes out.

    `last_request_s`: when its last whole request came, else when it connected, monotonic seconds; `last_request`: that
    frame, b"" before the first; `promise`: the journal's entry that must be durable before what `receive` returned last
    is sent, 0 = none; `requests`: how many there were. `deadline`: when a
    frame that has begun must have ended; `inf` = none has begun. `fault`: why the connection must be closed, once what
    `receive` returned is sent; None = go on.
    """

    __slots__ = (
        "_framer", "_server", "client", "deadline", "fault", "last_request", "last_request_s", "opened_s", "promise",
        "requests",
    )  # fmt: skip

    def __init__(self, server: Server, client: Hashable, now: float) -> None:
        self._server = server
        self._framer = MbapFramer()
        self.client = client
        self.opened_s = self.last_request_s = now
        self.last_request = b""
        self.requests = 0
        self.promise = 0
        self.deadline = inf
        self.fault: str | None = None

    def receive(self, data: bytes, now: float) -> bytes:
        """The answers to the requests that `data` completes, in their order. A bug in a bank propagates."""
        framer = self._framer
        if len(data) == SHORT_FRAME and data[2:6] == _SHORT_LENGTH and not framer.begun and framer.fault is None:
            answer = self._server.read_tcp(data, self.client)
            if answer is not None:
                self.last_request_s, self.last_request = now, data
                self.requests += 1
                self.promise = 0
                return answer
        requests = framer.feed(data)
        self.fault = framer.fault
        if framer.begun:
            # A frame's time counts from its first byte, so a client that sends one now and then gains nothing.
            if requests or self.deadline == inf:
                self.deadline = now + FRAME_TIMEOUT_S
        else:
            self.deadline = inf
        answers, journal = b"", self._server.journal
        promised = journal.promised
        for request in requests:
            answers += tcp_answer(request, self._server.answer_tcp(request[6], request[7:], self.client, now))
        if self.fault is not None:
            self._server.not_modbus(self.client, self.fault)
        self.promise = 0 if journal.promised == promised else journal.promised
        if requests:
            self.last_request_s, self.last_request = now, requests[-1]
            self.requests += len(requests)
        return answers

    def closed(self) -> None:
        """The connection is gone."""
        self._server.release(self.client)
