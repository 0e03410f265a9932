"""A BMS that polls 125 registers every few milliseconds, in a process of its own, and says how long answers took.

`python -m tests.promises.poller PORT SECONDS` prints one JSON object, times in milliseconds.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time

PAUSE_S = 0.004
REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 3000, 125)
ANSWER_BYTES = 9 + 250


def poll(port: int, seconds: float) -> dict[str, float]:
    took = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            client.sendall(REQUEST)
            received = 0
            while received < ANSWER_BYTES:
                data = client.recv(4096)
                if not data:
                    raise SystemExit("the gateway closed")
                received += len(data)
            took.append(1000 * (time.perf_counter() - began))
            time.sleep(PAUSE_S)
    took.sort()
    return {"polls": len(took), "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100], "longest": took[-1]}


if __name__ == "__main__":
    print(json.dumps(poll(int(sys.argv[1]), float(sys.argv[2]))))
