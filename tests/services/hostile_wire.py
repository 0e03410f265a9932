"""What a hostile peer might put on the wire of the OCPP listener, connection by connection, from one seed.

A connection is a list of pieces of bytes. Most begin with an upgrade that is accepted, bent or not, and go on with
frames of every kind, good ones between the bad; some are noise from the first byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.ocpp import hostile
from tests.services.ocpp_peer import CLOSE, CONTINUATION, PING, PONG, TEXT, frame, request

PATHS = [b"/ocpp/CP001", b"/ocpp/CP001", b"/ocpp/CP001", b"/ocpp/CP002", b"/ocpp//CP 001", b"/ocpp/%", b"/", b"*"]
HEADERS = [
    b"Sec-WebSocket-Protocol: ocpp2.0.1, \xff", b"Sec-WebSocket-Extensions: permessage-deflate; \xff",
    b"Host: \xff..\xff", b"Connection: \xff", b"Authorization: Basic \xff", b"Content-Length: 99999999999999999999",
    b"Expect: 100-continue", b"Transfer-Encoding: chunked", b"X" * 9000, b"\x00: \x00", b" folded", b"Upgrade: h2c",
    b"Sec-WebSocket-Key: two words",
]  # fmt: skip
CODES = [0, 999, 1000, 1001, 1002, 1004, 1005, 1006, 1015, 2999, 3000, 4999, 5000, 65535]


def connections(seed: int) -> Iterator[list[bytes]]:
    """One connection after the other, for ever."""
    random = Random(seed)
    texts = hostile.texts(seed)
    while True:
        if random.random() < 0.1:
            data = random.randbytes(random.randint(0, 3000))
        else:
            data = _head(random)
            for _ in range(random.randint(0, 12)):
                data += _frame(random, texts)
        if random.random() < 0.1:
            data = data[: random.randint(0, len(data))]
        yield _pieces(random, data)


def _head(random: Random) -> bytes:
    head = request(random.choice(PATHS))
    if random.random() < 0.3:
        head = head[:-2] + random.choice(HEADERS) + b"\r\n\r\n"
    if random.random() < 0.1:
        at = random.randrange(len(head))
        head = head[:at] + random.randbytes(random.randint(1, 3)) + head[at + random.randint(0, 3) :]
    return head


def _frame(random: Random, texts: Iterator[str | bytes]) -> bytes:
    kind = random.random()
    if kind < 0.5:
        text = next(texts)
        payload = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        if random.random() < 0.3 and payload:
            return _fragments(random, payload)
        return frame(TEXT, payload)
    if kind < 0.7:
        return frame(random.choice([PING, PONG]), random.randbytes(random.choice([0, 4, 125, 126])))
    if kind < 0.75:
        code = random.choice(CODES).to_bytes(2, "big")
        return frame(CLOSE, random.choice([b"", b"x", code, code + b"bye", code + b"\xff"]))
    if kind < 0.8:
        size = random.choice([0, 126, 65535, 1 << 20, 1 << 62, (1 << 64) - 1])
        return bytes((0x81, 0xFF)) + size.to_bytes(8, "big") + b"mask" + random.randbytes(random.randint(0, 400))
    if kind < 0.82:
        return frame(TEXT, b" " * 300_000)
    return frame(
        random.randrange(16),
        random.randbytes(random.randint(0, 200)),
        fin=random.random() < 0.7,
        reserved=random.choice([0, 0, 1, 4, 7]),
        masked=random.random() < 0.9,
    )


def _fragments(random: Random, payload: bytes) -> bytes:
    cuts = sorted(random.sample(range(len(payload)), min(len(payload), random.randint(1, 4))))
    parts = [payload[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    frames = [frame(CONTINUATION if n else TEXT, part, fin=n == len(parts) - 1) for n, part in enumerate(parts)]
    if random.random() < 0.5:
        frames.insert(random.randint(0, len(frames)), frame(PING, b"between"))
    return b"".join(frames)


def _pieces(random: Random, data: bytes) -> list[bytes]:
    if random.random() < 0.5 or len(data) < 2:
        return [data]
    cuts = sorted(random.sample(range(1, len(data)), min(len(data) - 1, random.randint(1, 20))))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
