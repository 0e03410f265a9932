"""People who look at the page's live frames, in a process of their own.

`python -m tests.promises.viewers PORT TOKEN COUNT` prints `heard` once every one of them has heard something, and reads
on until its input ends.
"""

from __future__ import annotations

import selectors
import socket
import sys

ENOUGH_BYTES = 2000
"""More than the head of the answer: frames came."""
HEAD = "GET /frames/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\r\n"


def look(port: int, token: str, count: int) -> None:
    """Until the input ends. Raises SystemExit when the page turns one of them away."""
    waiting, heard = selectors.DefaultSelector(), dict.fromkeys(range(count), 0)
    for number in heard:
        viewer = socket.create_connection(("127.0.0.1", port), timeout=30)
        viewer.sendall(HEAD.format(token).encode())
        waiting.register(viewer, selectors.EVENT_READ, number)
    waiting.register(sys.stdin, selectors.EVENT_READ)
    said = False
    while True:
        for key, _ in waiting.select():
            if key.data is None:
                return
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(1 << 20)
            if not data or (not heard[key.data] and not data.startswith(b"HTTP/1.1 200")):
                raise SystemExit(f"turned away: {data[:200]!r}")
            heard[key.data] += len(data)
        if not said and min(heard.values()) > ENOUGH_BYTES:
            said = True
            print("heard", flush=True)


if __name__ == "__main__":
    look(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
