"""Where one message ends and the next begins, for whoever stands between two peers and looks on.

The bytes stay as they were sent; what is read out of them is for the log, and to know what is being carried.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

HEAD_ENDS = b"\r\n\r\n"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
MBAP_BYTES = 6


class Frame(NamedTuple):
    """One message on the wire. `text` is what an OCPP message says, "" of everything else."""

    data: bytes
    what: str
    text: str = ""

    @property
    def is_message(self) -> bool:
        """A whole message of the application, so one that could be said twice, or in another order."""
        return self.what in ("message", "adu")


class Splitter(Protocol):
    """Bytes in, whole frames out."""

    def feed(self, data: bytes) -> list[Frame]: ...


class WebSocketSplitter:
    """One direction of a WebSocket: the head of the handshake, then frames."""

    def __init__(self) -> None:
        self._bytes = b""
        self._in_head = True
        self._refused = False

    def feed(self, data: bytes) -> list[Frame]:
        self._bytes += data
        found = []
        while frame := self._next():
            found.append(frame)
        return found

    def _next(self) -> Frame | None:
        data = self._bytes
        if self._in_head:
            end = data.find(HEAD_ENDS)
            if end < 0:
                return None
            self._in_head = False
            self._refused = data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 101")
            return Frame(self._take(end + len(HEAD_ENDS)), "head")
        if self._refused and data:
            return Frame(self._take(len(data)), "other")
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(data) < at:
                return None
            size = int.from_bytes(data[2:at], "big")
        mask = b""
        if data[1] & 0x80:
            mask, at = data[at : at + 4], at + 4
        if len(data) < at + size:
            return None
        kind, payload = data[0] & 0x0F, data[at : at + size]
        if kind != TEXT:
            return Frame(self._take(at + size), {CLOSE: "close", PING: "ping", PONG: "pong"}.get(kind, "other"))
        text = _unmasked(payload, mask).decode() if mask else payload.decode()
        return Frame(self._take(at + size), "message", text)

    def _take(self, size: int) -> bytes:
        taken, self._bytes = self._bytes[:size], self._bytes[size:]
        return taken


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    long = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return (int.from_bytes(payload, "big") ^ long).to_bytes(len(payload), "big")


def websocket_text(data: bytes) -> bytes:
    """A text frame of a client with this payload, which need not be UTF-8; masked with zeros."""
    size = len(data)
    if size < 126:
        return bytes((0x80 | TEXT, 0x80 | size)) + bytes(4) + data
    return bytes((0x80 | TEXT, 0x80 | 126)) + size.to_bytes(2, "big") + bytes(4) + data


class ModbusSplitter:
    """One direction of Modbus TCP."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[Frame]:
        self._bytes += data
        found = []
        while len(self._bytes) >= MBAP_BYTES:
            size = MBAP_BYTES + int.from_bytes(self._bytes[4:6], "big")
            if len(self._bytes) < size:
                break
            found.append(Frame(self._bytes[:size], "adu"))
            self._bytes = self._bytes[size:]
        return found
