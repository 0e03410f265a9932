"""Frames on the wire: bytes in, frames out, no I/O and no clock.

TCP frames begin with the MBAP header of the Modbus Messaging on TCP/IP Guide V1.0b. RTU frames end with a CRC and are
told apart on a shared line by their length, their CRC and, last, by silence (Modbus over Serial Line V1.02, 2.5.1).
"""

from __future__ import annotations

from collections.abc import Container
from enum import Enum, auto
from math import inf
from struct import Struct
from typing import NamedTuple

from umodbus.functions import (
    READ_COILS,
    READ_INPUT_REGISTERS,
    WRITE_MULTIPLE_COILS,
    WRITE_MULTIPLE_REGISTERS,
    WRITE_SINGLE_COIL,
    WRITE_SINGLE_REGISTER,
)

from gatewayd.modbus.echo import Echo

# MBAP: transaction and protocol id, then the length of what follows: a unit id and a PDU of 1 to 253 bytes.
MIN_MBAP_LENGTH = 2
MAX_MBAP_LENGTH = 254
_PREFIX = 6
_protocol_and_length = Struct(">2xHH").unpack_from
_mbap = Struct(">4sHB").pack

# RTU: unit id, function code, CRC; the longest is a unit id, a PDU of 253 bytes and the CRC.
MIN_RTU_FRAME = 4
MAX_RTU_FRAME = 256
BROADCAST = 0
_ERROR_BIT = 0x80


class MbapFramer:
    """Cuts one client's byte stream into TCP frames; holds less than one frame, however the bytes arrive.

    A wrong protocol id or length means that the two ends no longer agree where a frame begins. Guessing would answer
    bytes nobody meant as a request, so from then on nothing is read and `fault` says why (modbus.md, TCP).
    """

    __slots__ = ("begun", "fault")

    def __init__(self) -> None:
        self.begun = b""
        """What has come of the frame that has begun and not ended, less than one frame."""
        self.fault: str | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes, oldest first. Frames ahead of a fault are still good and are returned."""
        if self.fault is not None:
            return []
        if self.begun:
            data = self.begun + data
        frames: list[bytes] = []
        start, size = 0, len(data)
        while size - start >= _PREFIX:
            protocol, length = _protocol_and_length(data, start)
            if protocol != 0 or not MIN_MBAP_LENGTH <= length <= MAX_MBAP_LENGTH:
                self.fault = f"protocol id {protocol}" if protocol != 0 else f"length {length}"
                self.begun = b""
                return frames
            end = start + _PREFIX + length
            if end > size:
                break
            frames.append(data[start:end])
            start = end
        self.begun = data[start:]
        return frames


def tcp_answer(request: bytes, pdu: bytes) -> bytes:
    """The frame that answers the frame `request` with `pdu`: its transaction and unit id again."""
    return _mbap(request[:4], len(pdu) + 1, request[6]) + pdu


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
        table.append(byte)
    return tuple(table)


_CRC = _crc_table()


def crc(data: bytes) -> bytes:
    """The CRC of an RTU frame without its CRC, low byte first as on the wire (Modbus over Serial Line V1.02, 6.2.2)."""
    register = 0xFFFF
    for byte in data:
        register = register >> 8 ^ _CRC[(register ^ byte) & 0xFF]
    return bytes((register & 0xFF, register >> 8))


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """The RTU frame of `unit` and `pdu`."""
    body = bytes((unit,)) + pdu
    return body + crc(body)


def character_time_s(baudrate: int, bits: int = 11) -> float:
    """Seconds one character takes; `bits` counts start, data, parity and stop bits: 10 for 8N1, else 11."""
    return bits / baudrate


def silence_time_s(baudrate: int, bits: int = 11) -> float:
    """t3.5, the silence that ends a frame: 3.5 characters, 1.75 ms above 19200 baud (V1.02, 2.5.1.1)."""
    return 3.5 * character_time_s(baudrate, bits) if baudrate <= 19200 else 0.00175


def request_length(frame: bytes) -> int | None:
    """Length of the RTU frame that begins with `frame`, if it is a request; None: the function code does not say.

    Of FC15 and FC16 it is a lower bound until the byte count has come. `frame` holds at least two bytes.
    """
    function = frame[1]
    if READ_COILS <= function <= WRITE_SINGLE_REGISTER:
        return 8
    if function in (WRITE_MULTIPLE_COILS, WRITE_MULTIPLE_REGISTERS):
        return 9 + (frame[6] if len(frame) > 6 else 0)
    return None


def answer_length(frame: bytes) -> int | None:
    """Length of the RTU frame that begins with `frame`, if it is an answer; None: the function code does not say.

    `frame` holds at least three bytes.
    """
    function = frame[1]
    if function & _ERROR_BIT:
        return 5
    if READ_COILS <= function <= READ_INPUT_REGISTERS:
        return 5 + frame[2]
    if function in (WRITE_SINGLE_COIL, WRITE_SINGLE_REGISTER, WRITE_MULTIPLE_COILS, WRITE_MULTIPLE_REGISTERS):
        return 8
    return None


class Heard(Enum):
    """What a stretch of bytes on the line was."""

    REQUEST = auto()  # for one of our unit ids, or a broadcast
    FOREIGN = auto()  # a request to another server, or its answer
    COLLISION = auto()  # an answer in the name of one of our unit ids that we did not send
    BAD_CRC = auto()  # a frame that was garbled or cut


class RtuFrame(NamedTuple):
    """One frame heard. Of a BAD_CRC neither unit id nor PDU can be trusted: they are 0 and empty."""

    heard: Heard
    unit: int
    pdu: bytes


_GARBLED = RtuFrame(Heard.BAD_CRC, 0, b"")


class RtuFramer:
    """Tells the frames on a shared serial line apart (modbus.md, RTU).

    A server hears everybody: requests to others, their answers, its own transmission coming back. A request to us is
    recognised by its length and CRC the moment its last byte is in. A frame may begin only after silence or right
    behind a frame whose CRC was right, never inside one, so no answer's data can pass for a request. Where both a
    request and an answer would fit, the longer is tried first; a frame of others may wait for silence to decide,
    because nobody waits for us then. After a bad CRC everything is skipped until the line has been silent.

    `deadline` is the moment (monotonic seconds, `inf` = none) to call `silent` unless bytes come first.
    """

    def __init__(self, ours: Container[int], *, silence_s: float, character_s: float, latency_s: float = 0.0) -> None:
        """`ours`: the unit ids we answer for. `latency_s`: how long the port may sit on bytes it has received."""
        self._ours = ours
        self._silence_s = silence_s
        self._character_s = character_s
        self._latency_s = latency_s
        self._run = b""  # since the last silence or recognised frame; never more than MAX_RTU_FRAME and one feed
        self._skipping = False
        self._last = -inf  # when the last byte came
        self._owed: bytes | None = None  # unit id and PDU of the request to us that is not answered yet
        self._echo = Echo(silence_s=silence_s, character_s=character_s, latency_s=latency_s)
        self.deadline = inf

    def feed(self, data: bytes, now: float) -> list[RtuFrame]:
        """Bytes read at `now`, monotonic seconds; the frames they complete."""
        began = now - len(data) * self._character_s
        gap = began - self._last
        # Bytes that were read late look as if they had come late. The rest of a request to us is worth the doubt.
        longest = self._silence_s + (self._latency_s if self._run and self._is_for_us(self._run[0]) else 0.0)
        heard = self._silence() if gap > longest else []
        self._last = now
        data = self._echo.strip(data, began, gap)
        if not self._skipping:
            self._run += data
            heard += self._recognise(final=False)
        self.deadline = now + self._silence_s + self._latency_s if self._run or self._skipping else inf
        return heard

    def silent(self, now: float) -> list[RtuFrame]:
        """The frames that the silence until `now` completes; none before `deadline`."""
        if now < self.deadline:
            return []
        return self._silence()

    def transmitted(self, frame: bytes, now: float) -> None:
        """We began to send `frame` at `now`, or b"": the request will not be answered.

        Where the transceiver listens to itself the frame comes back and is dropped (modbus.md, RTU).
        """
        self._owed = None
        self._echo.expect(frame, now, telling=bool(frame) and request_length(frame) != len(frame))

    def _silence(self) -> list[RtuFrame]:
        heard = self._recognise(final=True)
        self._run, self._skipping, self.deadline = b"", False, inf
        return heard

    def _recognise(self, *, final: bool) -> list[RtuFrame]:
        """Take whole frames off the run; `final`: no byte will follow, so what has not come is not waited for."""
        heard = []
        while len(self._run) >= MIN_RTU_FRAME:
            length = self._frame_length(final)
            if length == 0:
                break
            if length < 0:
                heard.append(_GARBLED)
                self._run, self._skipping = b"", not final
                break
            frame, self._run = self._run[:length], self._run[length:]
            heard.append(self._classify(frame))
        for frame_heard in heard:
            self._echo.heard(request=frame_heard.heard in (Heard.REQUEST, Heard.FOREIGN))
        return heard

    def _is_for_us(self, unit: int) -> bool:
        return unit in self._ours or unit == BROADCAST

    def _frame_length(self, final: bool) -> int:
        """Length of the frame the run begins with; 0 = wait for more; -1 = there is none."""
        run = self._run
        mine = self._is_for_us(run[0])
        request, answer = request_length(run), answer_length(run)
        if request is None and answer is None:
            # A function we cannot predict ends where the CRC over all that has come is right.
            if run[-2:] == crc(run[:-2]) and len(run) <= MAX_RTU_FRAME:
                return len(run)
            return -1 if final or len(run) > MAX_RTU_FRAME else 0
        wait = False
        for length in sorted({request or 0, answer or 0}, reverse=True):
            if not MIN_RTU_FRAME <= length <= MAX_RTU_FRAME:
                continue
            if length <= len(run):
                if run[length - 2 : length] == crc(run[: length - 2]):
                    return length
            elif not final:
                wait = True
                # A request to us does not wait for the answer that another might be giving in our name.
                if not mine or length == request:
                    break
        return 0 if wait else -1

    def _classify(self, frame: bytes) -> RtuFrame:
        unit, body = frame[0], frame[:-2]
        pdu = body[1:]
        if not self._is_for_us(unit):
            return RtuFrame(Heard.FOREIGN, unit, pdu)
        request, answer = request_length(frame), answer_length(frame)
        is_request = answer is None or request == len(frame)
        if is_request and answer == len(frame) and self._answers_owed(body):
            is_request = False
        if not is_request:
            return RtuFrame(Heard.COLLISION, unit, pdu)
        self._owed = body if unit != BROADCAST else None
        return RtuFrame(Heard.REQUEST, unit, pdu)

    def _answers_owed(self, body: bytes) -> bool:
        """Whether `body`, which fits both, answers the request we still owe an answer to: no client talks meanwhile."""
        owed = self._owed
        if owed is None or owed[:2] != body[:2]:
            return False
        if owed[1] in (WRITE_SINGLE_COIL, WRITE_SINGLE_REGISTER):
            return owed == body
        # Else three bytes of coils: eight bytes in all, as long as the request.
        return (int.from_bytes(owed[4:6], "big") + 7) // 8 == body[2]
