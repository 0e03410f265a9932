"""Our own transmission coming back, where the transceiver listens to itself (modbus.md, RTU).

Some wirings return every byte that we send, most return none, and nobody configures which. It matters where an answer
looks like a request: a client that writes the same value again sends just what an echo would be.
"""

from __future__ import annotations

from math import inf


class Echo:
    """Takes from what is heard on the line what we sent ourselves.

    An answer that no client could send settles what kind of line this is. On one that returns it, what we sent comes
    back before anything else can, however late it is read. On one that did not, an answer that looks like a request
    is not waited for. As long as nothing is settled, an echo is what comes while we still send or right after; of an
    answer that settles it, what was read a little late as well.
    """

    def __init__(self, *, silence_s: float, character_s: float, latency_s: float) -> None:
        """`latency_s`: how long the port may sit on bytes it has received."""
        self._silence_s = silence_s
        self._character_s = character_s
        self._latency_s = latency_s
        self._returns: bool | None = None  # whether this line returns what we send
        self._due = b""  # what has yet to come back
        self._came = b""  # what has come back of the same frame
        self._telling = False  # the frame is one that no client could send
        self._until = -inf
        self._missed = False  # something else came first: it was no echo if it turns out to be a request

    def expect(self, frame: bytes, now: float, *, telling: bool) -> None:
        """We began to send `frame` at `now`, monotonic seconds. `telling`: no client could send the same."""
        self._due = b"" if self._returns is False and not telling else frame
        self._came, self._telling, self._missed = b"", telling, False
        if self._returns:
            self._until = inf
        else:
            late_s = self._latency_s if telling and self._returns is None else 0.0
            self._until = now + len(frame) * self._character_s + self._silence_s + late_s

    def strip(self, data: bytes, began: float, gap: float) -> bytes:
        """`data` without the echo; its first byte came at `began`, `gap` seconds after the byte before it."""
        size = min(len(data), len(self._due))
        if not size:
            return data
        if began <= self._until and data[:size] == self._due[:size]:
            self._due, self._came = self._due[size:], self._came + data[:size]
            if not self._due and self._telling:
                self._returns = True
            return data[size:]
        # Not ours, or ours garbled by somebody who sent at the same time: then the CRC shall judge the whole of it.
        came = self._came
        self._missed = self._telling and not came
        self._due = self._came = b""
        return came + data if gap <= self._silence_s else data

    def heard(self, *, request: bool) -> None:
        """What came was a frame; `request`: a good one, of a client."""
        if self._missed and request:
            self._returns = False
        self._missed = False
