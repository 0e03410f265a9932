"""What is fuzzed: a function of bytes each. Whatever it raises is a finding; so is what it asserts.

They must stay fast (a fuzzer calls them some thousand times a second) and remember as little as can be: the registers
behind the Modbus ones live for GENERATION inputs, so that hostile writes meet what other writes left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from wsproto import ConnectionType, WSConnection
from wsproto.events import Request

from gatewayd import config
from gatewayd.config import ConfigError
from gatewayd.modbus.adu import Heard, RtuFramer, rtu_frame
from gatewayd.modbus.server import Server, TcpSession
from gatewayd.ocpp import frames, handshake, schema
from gatewayd.ocpp.handshake import Refused
from gatewayd.ocpp.schema import PayloadError
from tests.kit import Kit

GENERATION = 2000
"""Inputs that one site gets; it costs some milliseconds to make."""
CHARACTER_S = 0.001
EXCEPTIONS = (1, 2, 3, 6, 0x0B)
"""Exception codes that may be answered (modbus.md, Addresses)."""


class _Behind:
    """A site with registers, made anew now and then."""

    def __init__(self) -> None:
        self._inputs = 0

    def server(self) -> tuple[Server, Kit]:
        if self._inputs % GENERATION == 0:
            self._kit = Kit("[modbus]\ncharge_point_units = 100\n")
            self._server = Server(self._kit.units, writes=True, on_exception=lambda _code: None)
        self._inputs += 1
        return self._server, self._kit


_behind = _Behind()


def _is_answer(pdu: bytes) -> bool:
    return len(pdu) == 2 and pdu[1] in EXCEPTIONS if pdu[0] & 0x80 else 2 <= len(pdu) <= 253


def modbus_tcp(data: bytes) -> None:
    """A client's stream: the first byte says how it is cut."""
    server, kit = _behind.server()
    session, cut = TcpSession(server, "fuzz", kit.now), (data[0] if data else 0) + 1
    stream = data[1:]
    for at in range(0, len(stream), cut):
        answers = session.receive(stream[at : at + cut], kit.now)
        while answers:
            length = int.from_bytes(answers[4:6], "big")
            assert answers[2:4] == b"\0\0", answers
            assert _is_answer(answers[7 : 6 + length]), answers
            answers = answers[6 + length :]
        if session.fault is not None:
            break
    session.closed()


def modbus_rtu(data: bytes) -> None:
    """A serial line: after each byte of size a byte of pause, in tenths of a character, and so many bytes."""
    server, kit = _behind.server()
    framer = RtuFramer(kit.units, silence_s=3.5 * CHARACTER_S, character_s=CHARACTER_S, latency_s=CHARACTER_S)
    now, at = kit.now, 0
    while at + 2 <= len(data):
        size, pause, at = data[at] % 64 + 1, data[at + 1], at + 2
        piece, at = data[at : at + size], at + size
        now += (pause / 10 + len(piece)) * CHARACTER_S
        for frame in framer.feed(piece, now) + (framer.silent(now + 1) if pause == 255 else []):
            if frame.heard is Heard.REQUEST:
                answer = server.answer_rtu(frame.unit, frame.pdu, "rtu", kit.now)
                assert answer is None or _is_answer(answer), frame
                framer.transmitted(rtu_frame(frame.unit, answer) if answer else b"", now)
    server.release("rtu")


def ocpp(data: bytes) -> None:
    """A text frame: what it is, what its payload is, and that what we would answer is a frame again."""
    frame = frames.parse(data)
    if isinstance(frame, frames.Call):
        try:
            payload = schema.decode_request(frame.action, frame.payload)
        except PayloadError as error:
            answer = frames.parse(frames.call_error(frame.id, error.code, str(error)))
            assert isinstance(answer, frames.CallError), answer
        else:
            with suppress(PayloadError):  # what is taken from them may be more than we would say
                schema.encode(payload)
    elif isinstance(frame, frames.CallResult):
        for action in schema.ANSWERS:
            with suppress(PayloadError):
                schema.decode_answer(action, frame.payload)
    elif isinstance(frame, frames.BadFrame) and frame.code is not None:
        assert frame.id, frame
        assert isinstance(frames.parse(frames.call_error(frame.id, frame.code, frame.reason)), frames.CallError)


def handshakes(data: bytes) -> None:
    """The head of an upgrade: refused, or spelled so that the WebSocket library takes it."""
    head = data[: handshake.HEAD_MAX]
    try:
        upgrade = handshake.read(head)
    except Refused as refused:
        refused.response()
        return
    library = WSConnection(ConnectionType.SERVER)
    library.receive_data(upgrade.head)
    assert isinstance(next(library.events()), Request), upgrade
    if upgrade.authorization:
        found = handshake.credentials(upgrade.authorization)
        if found is not None:
            handshake.is_user(upgrade.identity, found[0])
            handshake.password_is_right("secret", found[1])


def configuration(data: bytes) -> None:
    """A configuration file: taken, or every fault told in words."""
    try:
        parsed = config.parse(data, "fuzz.toml")
    except ConfigError as error:
        str(error).encode()
        return
    config.checksum(parsed)
    config.changed(parsed, config.Config())


TARGETS: dict[str, Callable[[bytes], None]] = {
    "modbus_tcp": modbus_tcp,
    "modbus_rtu": modbus_rtu,
    "ocpp": ocpp,
    "handshakes": handshakes,
    "configuration": configuration,
}
