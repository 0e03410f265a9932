"""R12: no Modbus input crashes or confuses the gateway.

A million hostile PDUs, TCP frames and sounds of a serial line, against the real server over the real banks of a live
site; every answer compared with what pymodbus and the contract's table ask for, every refusal with the registers
before it (tests/modbus/trial.py). `make fuzz` goes on from there.

Twin: tests/modbus/test_hostile.py breaks one guard after the other and sees that each is found in 3,000 inputs; here
one of them again, through the same worker processes.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

import pytest
import trio

from tests.modbus import trial
from tests.modbus.hostile import Requests, sound
from tests.modbus.mirror import Plant
from tests.modbus.test_hostile import FUNCTIONS, with_function
from tests.modbus.trial import LINE_NO_UNITS, LINE_UNITS, Found
from tests.processes import in_processes
from tests.promises.report import seen
from tests.services.test_modbus_rtu import Port

INPUTS = int(os.environ.get("HOSTILE_INPUTS", "1000000"))
SEEDS = 40
FIRST_SEED = 1000  # the short form has the seeds below
SEED_LIMIT_S = 240.0
"""A seed takes 3 s on a quiet core."""

NOISES = 1500
PAUSE_S = 0.01  # more than t3.5 and the latency that the gateway grants the port
TIMEOUT_S, TRIES = 0.5, 5  # a client's patience; on a busy machine the pause may be over before the noise was read


def broken(seed: int, inputs: int) -> Counter[str]:
    return trial.run(seed, inputs, with_function(*FUNCTIONS["a read's quantity"]))


def all_seeds(one: partial[Counter[str]]) -> Counter[str]:
    tried: Counter[str] = Counter()
    for each in in_processes(one, range(FIRST_SEED, FIRST_SEED + SEEDS), limit_s=SEED_LIMIT_S):
        tried += each
    return tried


@pytest.mark.limit(900)
def test_a_million_hostile_inputs() -> None:
    tried = all_seeds(partial(trial.run, inputs=INPUTS // SEEDS))
    total = tried["PDUs"] + tried["TCP frames"] + tried["sounds"]
    assert total >= INPUTS
    assert tried["exception 04"] == 0
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in tried.most_common())
    seen("R12", f"{total:,} inputs, 0 unhandled, 0 answers of 04 ({kinds})")


async def test_noise_on_a_port(tmp_path: Path) -> None:
    """The same sounds through pyserial and a pty, in real time; after each, a client that asks as clients do."""
    random = Random(FIRST_SEED)
    requests = Requests(random, [Plant({1: 2}, {})])
    port = Port(tmp_path / "port", baudrate=115200)
    port.plug()
    again = 0
    async with port.served():
        for _ in range(NOISES):
            for piece, _ in sound(random, requests, LINE_UNITS, LINE_NO_UNITS).pieces:
                port.send(piece)
            await trio.sleep(PAUSE_S)
            port.drain()
            for tries in range(TRIES):
                with trio.move_on_after(TIMEOUT_S):
                    if await port.is_served():
                        again += tries
                        break
                port.drain()
            else:
                pytest.fail(f"not answered {TRIES} times")
        assert port.states == [True]
    seen("R12", f"{NOISES:,} noises on a pty, each followed by an answer; {again} times the client had to ask again")


@pytest.mark.twin("R12")
def test_a_broken_guard_is_found() -> None:
    with pytest.raises(Found):
        all_seeds(partial(broken, inputs=trial.LIFE))
