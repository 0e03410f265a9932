"""The states that a power cut may leave of a disk, by the log of its writes. Pure.

A disk may lose any part of what was written since its last flush, in any order, block by block. So after every request
there are: all of it kept, which is the cut of a disk without a cache, and some of it lost, as chance decides.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from hal.data_partition import BLOCK
from tests.powercut.deeds import DATA_AT, DATA_BYTES, Moment, is_mark
from tests.powercut.log import DISCARD, FUA, Entry

Piece = tuple[int, bytes]
"""Offset in the partition, and what is written there: a block or less."""

SURVIVES: Final = (0.1, 0.5, 0.9)
"""Chances of a block that was not flushed yet; one of them is drawn for each state."""


@dataclass(frozen=True, slots=True)
class State:
    """A cut after the request `index`: what is safe, and what of the rest survived, in the order it was written."""

    index: int
    moment: Moment
    safe: bytearray
    """Of the whole partition; changes when the next state is asked for."""
    survived: tuple[Piece, ...]
    lost: int
    """Blocks."""


def pieces(entry: Entry) -> Iterator[Piece]:
    """The blocks of one write. What was discarded may be anything; zeros is what becomes of it here."""
    data = bytes(entry.length) if entry.flags & DISCARD else entry.data
    begin, end = entry.offset - DATA_AT, entry.offset - DATA_AT + entry.length
    while begin < end:
        length = min(BLOCK - begin % BLOCK, end - begin)
        yield begin, data[len(data) - (end - begin) :][:length]
        begin += length


def states(
    log: Iterable[Entry], moments: Iterable[Moment], tries: Callable[[Moment], int], seed: str
) -> Iterator[State]:
    """Every state of the log that differs from the one before, or in what may be found in it.

    `tries`: how many are made after a request at this moment, so far as they differ; in the first, nothing is lost.
    """
    safe, pending = bytearray(DATA_BYTES), list[Piece]()
    told: set[tuple[int, ...]] = set()
    last = Moment()
    for index, (entry, moment) in enumerate(zip(log, moments, strict=True)):
        if entry.is_flush:
            keep(safe, pending)
            pending.clear()
        if entry.length and not is_mark(entry):
            assert entry.offset >= DATA_AT
            assert entry.offset + entry.length <= DATA_AT + DATA_BYTES, "the guest writes to the partition only"
            if entry.flags & FUA:
                keep(safe, pieces(entry))
            else:
                pending += pieces(entry)
        if entry.is_flush or moment != last:
            told.clear()
        last = moment
        chance = random.Random(f"{seed} {index}")
        for turn in range(tries(moment)):
            odds = chance.choice(SURVIVES)
            kept = [number for number in range(len(pending)) if turn == 0 or chance.random() < odds]
            if tuple(kept) not in told:
                told.add(tuple(kept))
                yield State(index, moment, safe, tuple(pending[number] for number in kept), len(pending) - len(kept))


def keep(disk: bytearray, written: Iterable[Piece]) -> None:
    for offset, data in written:
        disk[offset : offset + len(data)] = data
